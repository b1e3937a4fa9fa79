package settings

import (
	"math"
	"testing"
	"time"
	_ "time/tzdata" // the zones of these tests, also where the system has none

	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// at reads an instant as the tables write it: with its offset, as in 2026-03-29 03:00 +0200.
func at(t testing.TB, s string) time.Time {
	t.Helper()
	instant, err := time.Parse("2006-01-02 15:04 -0700", s)
	if err != nil {
		t.Fatal(err)
	}
	return instant
}

// jumps are the instants around which clocks do what is rare, each in the zone that does so.
var jumps = []struct{ zone, at, what string }{
	{"Europe/Berlin", "2026-03-29 01:00 +0000", "forward at 2"},
	{"Europe/Berlin", "2026-10-25 01:00 +0000", "back at 3"},
	{"America/New_York", "2026-03-08 07:00 +0000", "forward at 2"},
	{"America/New_York", "2026-11-01 06:00 +0000", "back at 2"},
	{"America/New_York", "2028-12-31 12:00 +0000", "none, on the last day of a leap year"},
	{"Asia/Kolkata", "2026-03-29 00:00 +0000", "none, half an hour off"},
	{"Australia/Lord_Howe", "2026-04-04 15:00 +0000", "back by half an hour"},
	{"Australia/Lord_Howe", "2026-10-03 15:30 +0000", "forward by half an hour"},
	{"America/Havana", "2026-03-08 05:00 +0000", "forward at midnight"},
	{"America/Havana", "2026-11-01 05:00 +0000", "back to midnight"},
	{"Asia/Beirut", "2026-03-28 22:00 +0000", "forward at midnight"},
	{"Asia/Beirut", "2026-10-24 21:00 +0000", "back over midnight"},
	{"America/Sao_Paulo", "2018-11-04 03:00 +0000", "forward at midnight"},
	{"America/Sao_Paulo", "2018-02-18 02:00 +0000", "back at midnight"},
	{"America/St_Johns", "2010-11-07 02:31 +0000", "back at one past midnight"},
	{"America/Ciudad_Juarez", "2022-11-30 06:00 +0000", "back for good"},
	{"Africa/Casablanca", "2026-02-15 02:00 +0000", "back for Ramadan"},
	{"Antarctica/Troll", "2026-03-29 01:00 +0000", "forward by two hours"},
	{"Pacific/Apia", "2011-12-30 10:00 +0000", "forward by a day"},
	{"Pacific/Kwajalein", "1993-08-21 12:00 +0000", "forward by a day at midnight"},
	{"Pacific/Kwajalein", "1969-09-30 13:00 +0000", "back by 23 hours"},
}

func TestFirstAndLast(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ zone, local, first, last string }{
		{"UTC", "2026-03-29 02:30", "2026-03-29 02:30 +0000", ""},
		{"Europe/Berlin", "2026-07-01 02:30", "2026-07-01 02:30 +0200", ""},
		{"Europe/Berlin", "2026-03-29 01:59", "2026-03-29 01:59 +0100", ""},
		{"Europe/Berlin", "2026-03-29 02:00", "2026-03-29 03:00 +0200", ""},
		{"Europe/Berlin", "2026-03-29 02:30", "2026-03-29 03:00 +0200", ""},
		{"Europe/Berlin", "2026-03-29 03:00", "2026-03-29 03:00 +0200", ""},
		{"Europe/Berlin", "2026-10-25 01:59", "2026-10-25 01:59 +0200", ""},
		{"Europe/Berlin", "2026-10-25 02:00", "2026-10-25 02:00 +0200", "2026-10-25 02:00 +0100"},
		{"Europe/Berlin", "2026-10-25 02:30", "2026-10-25 02:30 +0200", "2026-10-25 02:30 +0100"},
		{"Europe/Berlin", "2026-10-25 03:00", "2026-10-25 03:00 +0100", ""},
		{"America/New_York", "2026-03-08 02:30", "2026-03-08 03:00 -0400", ""},
		{"America/New_York", "2026-11-01 01:30", "2026-11-01 01:30 -0400", "2026-11-01 01:30 -0500"},
		{"America/New_York", "2028-12-31 18:00", "2028-12-31 18:00 -0500", ""},
		{"Asia/Kolkata", "2026-03-29 02:30", "2026-03-29 02:30 +0530", ""},
		{"Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-05 01:45 +1100", "2026-04-05 01:45 +1030"},
		{"Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-04 02:30 +1100", ""},
		{"America/Havana", "2026-03-08 00:00", "2026-03-08 01:00 -0400", ""},
		{"America/Havana", "2026-11-01 00:00", "2026-11-01 00:00 -0400", "2026-11-01 00:00 -0500"},
		{"America/Sao_Paulo", "2018-02-17 23:30", "2018-02-17 23:30 -0200", "2018-02-17 23:30 -0300"},
		{"America/Sao_Paulo", "2018-02-18 00:00", "2018-02-18 00:00 -0300", ""},
		{"America/St_Johns", "2010-11-07 00:00", "2010-11-07 00:00 -0230", "2010-11-07 00:00 -0330"},
		{"America/Ciudad_Juarez", "2022-11-29 23:30", "2022-11-29 23:30 -0600", "2022-11-29 23:30 -0700"},
		{"Pacific/Apia", "2011-12-30 12:00", "2011-12-31 00:00 +1400", ""},
		{"Pacific/Kwajalein", "1969-09-30 12:00", "1969-09-30 12:00 +1100", "1969-09-30 12:00 -1200"},
	} {
		if tt.last == "" {
			tt.last = tt.first
		}
		local := at(t, tt.local+" +0000").Unix()
		w := newWall(zone(t, tt.zone))
		if got, want := w.time(w.first(local)), at(t, tt.first); !got.Equal(want) {
			t.Errorf("%s: %s is shown first at %s, want %s", tt.zone, tt.local, got, want)
		}
		if got, want := w.time(w.last(local)), at(t, tt.last); !got.Equal(want) {
			t.Errorf("%s: %s is shown last at %s, want %s", tt.zone, tt.local, got, want)
		}
	}
}

// TestFirstAndLastByWalking holds both to a clock that is read every minute for three days.
func TestFirstAndLastByWalking(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		jump, w := drawJump(t)
		shown := w.local(jump+rapid.Int64Range(-day, day).Draw(t, "near")) / 60 * 60
		local := shown + rapid.Int64Range(-120, 120).Draw(t, "minutes")*60
		first, last := int64(math.MaxInt64), int64(math.MinInt64)
		for near := local/60*60 - 36*3600; near < local+36*3600; near += 60 {
			_, offset := time.Unix(near, 0).In(w.zone).Zone()
			if near+int64(offset) >= local {
				first = min(first, near)
			}
			if near+int64(offset) < local {
				last = near + 60
			} else if near+int64(offset) == local {
				last = near
			}
		}
		if got := w.first(local); got != first {
			t.Fatalf("first at %s, want %s", w.time(got), w.time(first))
		}
		if got := w.last(local); got != last {
			t.Fatalf("last at %s, want %s", w.time(got), w.time(last))
		}
	})
}

// drawJump draws one of the jumps, and a fresh wall in its zone.
func drawJump(t *rapid.T) (int64, wall) {
	j := rapid.SampledFrom(jumps).Draw(t, "jump")
	instant, err := time.Parse("2006-01-02 15:04 -0700", j.at)
	if err != nil {
		t.Fatal(err)
	}
	z, err := time.LoadLocation(j.zone)
	if err != nil {
		t.Fatal(err)
	}
	return instant.Unix(), newWall(z)
}

func TestTheJumpsAreWhereTheTableHasThem(t *testing.T) {
	t.Parallel()
	for _, j := range jumps {
		w := newWall(zone(t, j.zone))
		instant := at(t, j.at).Unix()
		if before, after := w.offset(instant-1), w.offset(instant); (before == after) != (j.what[:4] == "none") {
			t.Errorf("%s at %s (%s): offset %d before and %d after", j.zone, j.at, j.what, before, after)
		}
		if s := w.look(instant); s.from != instant && j.what[:4] != "none" {
			t.Errorf("%s at %s (%s): found %s", j.zone, j.at, j.what, w.time(s.from))
		}
	}
}

func TestDatesBefore1970(t *testing.T) {
	t.Parallel()
	w := newWall(nil)
	for instant, want := range map[int64]int64{0: 0, day - 1: 0, day: 1, -1: -1, -day: -1, -day - 1: -2} {
		if got := w.date(instant); got != want {
			t.Errorf("%d: date %d, want %d", instant, got, want)
		}
	}
}
