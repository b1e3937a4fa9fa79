package settings

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	h22 Clock = 22 * 60
	h7  Clock = 7 * 60
)

func TestPeriod(t *testing.T) {
	t.Parallel()
	night := Quiet{h22, h7}
	for _, tt := range []struct {
		zone        string
		quiet       Quiet
		t           string
		from, until string // none: not quiet
	}{
		{"Europe/Berlin", night, "2026-07-01 21:59 +0200", "", ""},
		{"Europe/Berlin", night, "2026-07-01 22:00 +0200", "2026-07-01 22:00 +0200", "2026-07-02 07:00 +0200"},
		{"Europe/Berlin", night, "2026-07-02 06:59 +0200", "2026-07-01 22:00 +0200", "2026-07-02 07:00 +0200"},
		{"Europe/Berlin", night, "2026-07-02 07:00 +0200", "", ""},
		{"Europe/Berlin", Quiet{13 * 60, 15 * 60}, "2026-07-01 14:00 +0200", "2026-07-01 13:00 +0200", "2026-07-01 15:00 +0200"},
		{"Europe/Berlin", Quiet{13 * 60, 15 * 60}, "2026-07-01 12:59 +0200", "", ""},
		{"Europe/Berlin", Quiet{0, h7}, "2026-07-01 00:00 +0200", "2026-07-01 00:00 +0200", "2026-07-01 07:00 +0200"},
		{"Europe/Berlin", Quiet{h22, 0}, "2026-07-01 23:59 +0200", "2026-07-01 22:00 +0200", "2026-07-02 00:00 +0200"},

		// Not quiet at all.
		{"Europe/Berlin", Quiet{}, "2026-07-01 00:00 +0200", "", ""},
		{"Europe/Berlin", Quiet{h22, h22}, "2026-07-01 22:00 +0200", "", ""},
		{"Europe/Berlin", Quiet{None, h7}, "2026-07-01 03:00 +0200", "", ""},
		{"Europe/Berlin", Quiet{h22, 1440}, "2026-07-01 23:00 +0200", "", ""},

		// The nights in which clocks jump have an hour less or more.
		{"Europe/Berlin", night, "2026-03-29 03:00 +0200", "2026-03-28 22:00 +0100", "2026-03-29 07:00 +0200"},
		{"Europe/Berlin", night, "2026-10-25 02:30 +0100", "2026-10-24 22:00 +0200", "2026-10-25 07:00 +0100"},
		{"America/New_York", night, "2026-03-08 06:59 -0400", "2026-03-07 22:00 -0500", "2026-03-08 07:00 -0400"},
		{"America/New_York", night, "2026-11-01 06:59 -0500", "2026-10-31 22:00 -0400", "2026-11-01 07:00 -0500"},
		{"Asia/Kolkata", night, "2026-03-29 06:59 +0530", "2026-03-28 22:00 +0530", "2026-03-29 07:00 +0530"},

		// What begins or ends in an hour that is left out does so at the jump; what lies in it does not exist.
		{"Europe/Berlin", Quiet{150, h7}, "2026-03-29 03:00 +0200", "2026-03-29 03:00 +0200", "2026-03-29 07:00 +0200"},
		{"Europe/Berlin", Quiet{h22, 150}, "2026-03-29 01:59 +0100", "2026-03-28 22:00 +0100", "2026-03-29 03:00 +0200"},
		{"Europe/Berlin", Quiet{h22, 150}, "2026-03-29 03:00 +0200", "", ""},
		{"Europe/Berlin", Quiet{135, 165}, "2026-03-29 03:00 +0200", "", ""},
		{"Australia/Lord_Howe", Quiet{135, 180}, "2026-10-04 02:30 +1100", "2026-10-04 02:30 +1100", "2026-10-04 03:00 +1100"},
		{"America/Havana", Quiet{0, h7}, "2026-03-08 01:00 -0400", "2026-03-08 01:00 -0400", "2026-03-08 07:00 -0400"},

		// An hour that comes twice is quiet from its first beginning to its last end.
		{"Europe/Berlin", Quiet{150, h7}, "2026-10-25 02:00 +0100", "2026-10-25 02:30 +0200", "2026-10-25 07:00 +0100"},
		{"Europe/Berlin", Quiet{h22, 150}, "2026-10-25 02:59 +0200", "2026-10-24 22:00 +0200", "2026-10-25 02:30 +0100"},
		{"Europe/Berlin", Quiet{h22, 120}, "2026-10-25 02:00 +0200", "2026-10-24 22:00 +0200", "2026-10-25 02:00 +0100"},
		{"Europe/Berlin", Quiet{135, 165}, "2026-10-25 02:00 +0100", "2026-10-25 02:15 +0200", "2026-10-25 02:45 +0100"},
		{"Australia/Lord_Howe", Quiet{105, h7}, "2026-04-05 01:30 +1030", "2026-04-05 01:45 +1100", "2026-04-05 07:00 +1030"},
		{"America/St_Johns", Quiet{0, h7}, "2010-11-06 23:30 -0330", "2010-11-07 00:00 -0230", "2010-11-07 07:00 -0330"},

		// A pause between two periods that a jump leaves out, or that comes in the middle of its repetition, is none.
		{"Europe/Berlin", Quiet{150, 140}, "2026-03-29 03:00 +0200", "2026-03-28 02:30 +0100", "2026-03-30 02:20 +0200"},
		{"Europe/Berlin", Quiet{150, 140}, "2026-10-25 02:25 +0200", "2026-10-24 02:30 +0200", "2026-10-26 02:20 +0100"},
		{"Pacific/Apia", night, "2011-12-31 00:00 +1400", "2011-12-29 22:00 -1000", "2011-12-31 07:00 +1400"},
		{"Pacific/Apia", Quiet{13 * 60, 15 * 60}, "2011-12-31 00:00 +1400", "", ""},
	} {
		z := zone(t, tt.zone)
		from, until, inside := tt.quiet.Period(at(t, tt.t), z)
		if inside != (tt.from != "") {
			t.Errorf("%s, %s: %s: inside %v", tt.zone, tt.quiet, tt.t, inside)
		} else if inside && (!from.Equal(at(t, tt.from)) || !until.Equal(at(t, tt.until))) {
			t.Errorf("%s, %s: %s: from %s until %s, want %s and %s", tt.zone, tt.quiet, tt.t, from, until, tt.from, tt.until)
		}
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		zone    string
		quiet   Quiet
		t, next string
	}{
		{"Europe/Berlin", Quiet{h22, h7}, "2026-07-01 07:00 +0200", "2026-07-01 22:00 +0200"},
		{"Europe/Berlin", Quiet{h22, h7}, "2026-07-01 21:59 +0200", "2026-07-01 22:00 +0200"},
		{"Europe/Berlin", Quiet{h22, h7}, "2026-07-01 22:00 +0200", "2026-07-02 22:00 +0200"},
		{"Europe/Berlin", Quiet{h22, h7}, "2026-07-02 03:00 +0200", "2026-07-02 22:00 +0200"},
		{"Europe/Berlin", Quiet{60, 120}, "2026-07-01 12:00 +0200", "2026-07-02 01:00 +0200"},
		{"Europe/Berlin", Quiet{135, 165}, "2026-03-28 12:00 +0100", "2026-03-30 02:15 +0200"},
		{"Europe/Berlin", Quiet{150, 140}, "2026-03-28 02:25 +0100", "2026-03-28 02:30 +0100"},
		{"Europe/Berlin", Quiet{150, 140}, "2026-03-28 02:30 +0100", "2026-03-30 02:30 +0200"},
		{"Pacific/Apia", Quiet{0, h7}, "2011-12-29 12:00 -1000", "2011-12-31 00:00 +1400"},
		{"Europe/Berlin", Quiet{None, None}, "2026-07-01 12:00 +0200", ""},
	} {
		next, ok := tt.quiet.Next(at(t, tt.t), zone(t, tt.zone))
		if ok != (tt.next != "") || ok && !next.Equal(at(t, tt.next)) {
			t.Errorf("%s, %s: after %s comes %s (%v), want %q", tt.zone, tt.quiet, tt.t, next, ok, tt.next)
		}
	}
}

// drawQuiet draws hours of all lengths, many of them nearly a day or nearly nothing, and some that are none.
func drawQuiet(t *rapid.T) Quiet {
	from := Clock(rapid.IntRange(-1, minutesPerDay).Draw(t, "from"))
	if rapid.Bool().Draw(t, "close") {
		return Quiet{from, (from + Clock(rapid.IntRange(-70, 70).Draw(t, "length")) + minutesPerDay) % minutesPerDay}
	}
	return Quiet{from, Clock(rapid.IntRange(-1, minutesPerDay).Draw(t, "until"))}
}

// drawNear draws an instant within two days of a jump, of whole minutes or not.
func drawNear(t *rapid.T, jump int64) time.Time {
	minutes := rapid.Int64Range(-2*24*60, 2*24*60).Draw(t, "minutes")
	return time.Unix(jump+minutes*60, rapid.SampledFrom([]int64{0, 0, 1, 30e9, 60e9 - 1}).Draw(t, "rest"))
}

func TestPeriodAndNextAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		jump, w := drawJump(t)
		q, now := drawQuiet(t), drawNear(t, jump)
		from, until, inside := q.Period(now, w.zone)
		next, ok := q.Next(now, w.zone)
		if ok != q.On() || inside && !ok {
			t.Fatalf("%s: on %v, next %v, inside %v", q, q.On(), ok, inside)
		}
		if !ok {
			return
		}
		free := now
		if inside {
			if from.After(now) || !until.After(now) {
				t.Fatalf("%s is not from %s until %s", now, from, until)
			}
			checkPeriod(t, q, w.zone, from, until)
			free = until
		}
		if !next.After(free) {
			t.Fatalf("next at %s, free from %s", next, free)
		}
		for step := next.Sub(free) / 50; free.Before(next); free = free.Add(step + 1) {
			if from, _, inside := q.Period(free, w.zone); inside {
				t.Fatalf("quiet from %s before the next at %s", from, next)
			}
		}
		nextFrom, nextUntil, inside := q.Period(next, w.zone)
		if !inside || !nextFrom.Equal(next) {
			t.Fatalf("next at %s, but a period from %s (%v)", next, nextFrom, inside)
		}
		checkPeriod(t, q, w.zone, nextFrom, nextUntil)
	})
}

// checkPeriod says that every instant of a period lies in it, and that those around do not.
func checkPeriod(t *rapid.T, q Quiet, zone *time.Location, from, until time.Time) {
	for _, outside := range []time.Time{from.Add(-1), until} {
		if _, _, inside := q.Period(outside, zone); inside {
			t.Fatalf("quiet from %s until %s, and at %s", from, until, outside)
		}
	}
	for i := range time.Duration(20) {
		within := from.Add((until.Sub(from) - 1) * i / 19)
		if f, u, inside := q.Period(within, zone); !inside || !f.Equal(from) || !u.Equal(until) {
			t.Fatalf("quiet from %s until %s, but at %s from %s until %s (%v)", from, until, within, f, u, inside)
		}
	}
}

// TestPeriodIsWhatTheClockShows reads the plain wall clock, which is right but for as long before and after a jump as that is wide.
func TestPeriodIsWhatTheClockShows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		jump, w := drawJump(t)
		q, now := drawQuiet(t), drawNear(t, jump)
		local := now.In(w.zone)
		clock := Clock(local.Hour()*60 + local.Minute())
		shown := q.On() && (q.From <= clock && clock < q.Until || q.Until < q.From && (q.From <= clock || clock < q.Until))
		_, _, inside := q.Period(now, w.zone)
		width := w.offset(jump-1) - w.offset(jump) // how much comes twice; a jump forward makes nothing ambiguous
		if near := now.Unix() - jump; inside != shown && (near < -width || near >= width || shown) {
			t.Fatalf("%s at %s: inside %v, by the clock %v", q, local, inside, shown)
		}
	})
}

func TestQuietWithoutSense(t *testing.T) {
	t.Parallel()
	for _, now := range absurd {
		for _, q := range []Quiet{{h22, h7}, {-1 << 40, 1 << 40}, {0, 1439}, {1439, 0}} {
			q.Period(now, nil)
			q.Next(now, zone(t, "Europe/Berlin"))
			q.Period(now, zone(t, "Europe/Berlin"))
		}
	}
}

func TestQuietString(t *testing.T) {
	t.Parallel()
	for q, want := range map[Quiet]string{{h22, h7}: "22:00 to 07:00", {0, 1439}: "00:00 to 23:59", {None, h7}: "none", {h7, h7}: "none"} {
		if got := q.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for c, want := range map[Clock]string{None: "not set", 0: "00:00", 65: "01:05", minutesPerDay: "not set"} {
		if got := c.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
