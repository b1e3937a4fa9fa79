package settings

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	usualLeads = []time.Duration{24 * time.Hour, 3 * time.Hour, 30 * time.Minute}

	// absurd are times that no row may hold and that nothing may break at.
	absurd = []time.Time{
		{}, time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-250000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(250000, 6, 1, 0, 0, 0, 0, time.UTC),
		time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0), time.Unix(math.MaxInt64-2*day, 999), time.Unix(math.MinInt64+2*day, 999),
	}
)

// moved is an alert as the tables write it.
type moved struct {
	at    string
	lead  time.Duration
	quiet bool
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	night := Quiet{h22, h7}
	for name, tt := range map[string]struct {
		zone       string
		quiet      Quiet
		allDayAt   Clock
		leads      []time.Duration
		start, end string
		want       []moved
	}{
		"plain": {"Europe/Berlin", Quiet{}, None, usualLeads, "2026-07-02 16:00 +0200", "", []moved{
			{"2026-07-01 16:00 +0200", 24 * time.Hour, false}, {"2026-07-02 13:00 +0200", 3 * time.Hour, false}, {"2026-07-02 15:30 +0200", 30 * time.Minute, false},
		}},
		"at the start": {"Europe/Berlin", night, None, []time.Duration{0}, "2026-07-02 16:00 +0200", "", []moved{{"2026-07-02 16:00 +0200", 0, false}}},
		"at a quiet start": {"Europe/Berlin", night, None, []time.Duration{0}, "2026-07-02 23:00 +0200", "", []moved{
			{"2026-07-02 21:55 +0200", 0, true},
		}},
		"none": {"Europe/Berlin", night, None, nil, "2026-07-02 16:00 +0200", "", nil},
		"only what makes sense": {"Europe/Berlin", night, None, []time.Duration{-time.Hour, time.Hour, time.Hour}, "2026-07-02 16:00 +0200", "", []moved{
			{"2026-07-02 15:00 +0200", time.Hour, false},
		}},

		"early, one waits for the morning, two come the evening before": {"Europe/Berlin", night, None, usualLeads, "2026-07-02 06:00 +0200", "", []moved{
			{"2026-07-01 07:00 +0200", 24 * time.Hour, true}, {"2026-07-01 21:55 +0200", 30 * time.Minute, true},
		}},
		"at the end of the night": {"Europe/Berlin", night, None, usualLeads[1:], "2026-07-02 07:00 +0200", "", []moved{
			{"2026-07-01 21:55 +0200", 30 * time.Minute, true},
		}},
		"just after the night": {"Europe/Berlin", night, None, usualLeads[1:], "2026-07-02 07:01 +0200", "", []moved{
			{"2026-07-02 07:00 +0200", 30 * time.Minute, true},
		}},
		"reminded at the end of the night": {"Europe/Berlin", night, None, usualLeads[1:], "2026-07-02 07:30 +0200", "", []moved{
			{"2026-07-02 07:00 +0200", 30 * time.Minute, false},
		}},
		"reminded where another was moved to": {"Europe/Berlin", night, None, []time.Duration{6*time.Hour + 5*time.Minute, time.Hour}, "2026-07-02 04:00 +0200", "", []moved{
			{"2026-07-01 21:55 +0200", time.Hour, true},
		}},
		"quiet at noon": {"Europe/Berlin", Quiet{12 * 60, 14 * 60}, None, usualLeads, "2026-07-02 14:15 +0200", "", []moved{
			{"2026-07-01 14:15 +0200", 24 * time.Hour, false}, {"2026-07-02 11:15 +0200", 3 * time.Hour, false}, {"2026-07-02 14:00 +0200", 30 * time.Minute, true},
		}},
		"quiet but for four minutes": {"Europe/Berlin", Quiet{724, 720}, None, usualLeads[1:], "2026-07-02 11:00 +0200", "", []moved{
			{"2026-07-01 12:02 +0200", 30 * time.Minute, true},
		}},
		"no pause on the day clocks jump": {"Europe/Berlin", Quiet{150, 140}, None, usualLeads[2:], "2026-03-29 12:00 +0200", "", []moved{
			{"2026-03-28 02:25 +0100", 30 * time.Minute, true},
		}},
		"forward in the night": {"Europe/Berlin", night, None, usualLeads, "2026-03-29 08:00 +0200", "", []moved{
			{"2026-03-28 07:00 +0100", 24 * time.Hour, false}, {"2026-03-29 07:00 +0200", 3 * time.Hour, true}, {"2026-03-29 07:30 +0200", 30 * time.Minute, false},
		}},
		"back in the night": {"America/New_York", night, None, usualLeads, "2026-11-01 07:15 -0500", "", []moved{
			{"2026-10-31 08:15 -0400", 24 * time.Hour, false}, {"2026-11-01 07:00 -0500", 30 * time.Minute, true},
		}},
		"after the day left out": {"Pacific/Apia", night, None, usualLeads, "2011-12-31 05:00 +1400", "", []moved{
			{"2011-12-29 07:00 -1000", 24 * time.Hour, true}, {"2011-12-29 21:55 -1000", 30 * time.Minute, true},
		}},

		"whole day": {"Europe/Berlin", night, None, usualLeads, "2026-07-02 00:00 +0200", "2026-07-03 00:00 +0200", []moved{
			{"2026-07-01 18:00 +0200", 30 * time.Minute, false},
		}},
		"whole days, weeks before": {"Europe/Berlin", night, 9 * 60, []time.Duration{0, 25 * time.Hour, 168 * time.Hour}, "2026-10-26 00:00 +0100", "2026-10-30 00:00 +0100", []moved{
			{"2026-10-19 09:00 +0200", 168 * time.Hour, false}, {"2026-10-24 09:00 +0200", 25 * time.Hour, false}, {"2026-10-25 09:00 +0100", 0, false},
		}},
		"whole day, reminded at night": {"Europe/Berlin", night, 5 * 60, usualLeads, "2026-07-02 00:00 +0200", "2026-07-03 00:00 +0200", []moved{
			{"2026-07-01 07:00 +0200", 30 * time.Minute, true},
		}},
		"whole day, reminded late": {"Europe/Berlin", night, 23 * 60, usualLeads, "2026-07-02 00:00 +0200", "2026-07-03 00:00 +0200", []moved{
			{"2026-07-01 21:55 +0200", 30 * time.Minute, true},
		}},
		"whole day after one left out": {"Pacific/Apia", Quiet{}, None, usualLeads, "2011-12-31 00:00 +1400", "2012-01-01 00:00 +1400", []moved{
			{"2011-12-29 18:00 -1000", 30 * time.Minute, false},
		}},
		"midnight without an end": {"Europe/Berlin", Quiet{}, None, usualLeads[2:], "2026-07-02 00:00 +0200", "", []moved{
			{"2026-07-01 23:30 +0200", 30 * time.Minute, false},
		}},
	} {
		s := Settings{Zone: zone(t, tt.zone), Quiet: tt.quiet, AllDayAt: tt.allDayAt, Leads: tt.leads}
		var end time.Time
		if tt.end != "" {
			end = at(t, tt.end)
		}
		got := s.Alerts(at(t, tt.start), end, tt.end != "")
		var want []Alert
		for _, m := range tt.want {
			want = append(want, Alert{At: at(t, m.at), Lead: m.lead, Quiet: m.quiet})
		}
		for i := range got {
			if got[i].Nominal.Equal(got[i].At) == got[i].Quiet || got[i].At.Location() != s.Zone {
				t.Errorf("%s: alert %+v", name, got[i])
			}
			got[i].Nominal = time.Time{}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestAllDay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		zone, start, end string
		want             bool
	}{
		{"Europe/Berlin", "2026-07-02 00:00 +0200", "2026-07-03 00:00 +0200", true},
		{"Europe/Berlin", "2026-07-02 00:00 +0200", "2026-07-12 00:00 +0200", true},
		{"Europe/Berlin", "2026-07-02 00:00 +0200", "2026-07-02 00:00 +0200", false},
		{"Europe/Berlin", "2026-07-03 00:00 +0200", "2026-07-02 00:00 +0200", false},
		{"Europe/Berlin", "2026-07-02 00:00 +0200", "2026-07-03 00:01 +0200", false},
		{"Europe/Berlin", "2026-07-02 00:00 +0000", "2026-07-03 00:00 +0000", false},
		{"UTC", "2026-07-02 00:00 +0000", "2026-07-03 00:00 +0000", true},
		{"Asia/Kolkata", "2026-07-02 00:00 +0530", "2026-07-03 00:00 +0530", true},
		{"Europe/Berlin", "2026-03-29 00:00 +0100", "2026-03-30 00:00 +0200", true}, // 23 hours
		{"Europe/Berlin", "2026-10-25 00:00 +0200", "2026-10-26 00:00 +0100", true}, // 25 hours
		{"Europe/Berlin", "2026-10-25 00:00 +0200", "2026-10-25 23:00 +0100", false},
		{"America/Havana", "2026-03-08 01:00 -0400", "2026-03-09 00:00 -0400", true}, // no midnight
		{"America/Havana", "2026-03-07 00:00 -0500", "2026-03-08 01:00 -0400", true},
		{"America/Havana", "2026-03-09 01:00 -0400", "2026-03-10 00:00 -0400", false},
		{"America/Havana", "2026-11-01 00:00 -0400", "2026-11-02 00:00 -0500", true}, // two midnights
		{"America/Havana", "2026-11-01 00:00 -0500", "2026-11-02 00:00 -0500", true},
		{"America/Havana", "2026-11-01 00:00 -0400", "2026-11-01 00:00 -0500", false},
		{"Asia/Beirut", "2026-03-29 01:00 +0300", "2026-03-30 00:00 +0300", true},
		{"Pacific/Apia", "2011-12-29 00:00 -1000", "2011-12-31 00:00 +1400", true},
	} {
		start, end, z := at(t, tt.start), at(t, tt.end), zone(t, tt.zone)
		if got := AllDay(start, end, true, z); got != tt.want {
			t.Errorf("%s: %s to %s: %v", tt.zone, tt.start, tt.end, got)
		}
		if AllDay(start, end, false, z) || AllDay(start.Add(1), end.Add(1), true, z) {
			t.Errorf("%s: %s to %s: without an end, or a nanosecond late", tt.zone, tt.start, tt.end)
		}
	}
}

// TestAlertsProperties draws settings, and events around the jumps of clocks, many of them of whole days.
func TestAlertsProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		jump, w := drawJump(t)
		start, end := drawEvent(t, &w, jump)
		s := Settings{Zone: w.zone, Quiet: drawQuiet(t), AllDayAt: Clock(rapid.IntRange(-1, minutesPerDay).Draw(t, "all day at"))}
		for _, minutes := range rapid.SliceOfN(rapid.IntRange(0, 3*minutesPerDay), 0, 6).Draw(t, "leads") {
			s.Leads = append(s.Leads, time.Duration(minutes)*time.Minute)
		}
		hasEnd := rapid.Bool().Draw(t, "has end")
		alerts := s.Alerts(start, end, hasEnd)
		if diff := cmp.Diff(alerts, s.Alerts(start, end, hasEnd)); diff != "" {
			t.Fatalf("asked twice, two answers:\n%s", diff)
		}
		if len(alerts) > len(s.Leads) || len(alerts) == 0 && len(s.Leads) > 0 {
			t.Fatalf("%d alerts for %d leads", len(alerts), len(s.Leads))
		}
		for i, a := range alerts {
			checkAlert(t, s, a, start, AllDay(start, end, hasEnd, s.Zone))
			if i > 0 && !alerts[i-1].At.Before(a.At) {
				t.Fatalf("alerts at %s, then %s", alerts[i-1].At, a.At)
			}
		}
	})
}

// drawEvent draws a start and an end, at midnights or anywhere.
func drawEvent(t *rapid.T, w *wall, jump int64) (start, end time.Time) {
	start = drawNear(t, jump)
	end = start.Add(time.Duration(rapid.IntRange(0, 3*minutesPerDay).Draw(t, "lasts")) * time.Minute)
	if rapid.Bool().Draw(t, "whole days") {
		start, end = w.time(w.first(w.date(start.Unix())*day)), w.time(w.last(w.date(end.Unix())*day))
	}
	return start, end
}

func checkAlert(t *rapid.T, s Settings, a Alert, start time.Time, wholeDays bool) {
	if a.At.After(start) || a.At.Equal(start) && (a.Quiet || a.Lead > 0 || wholeDays) {
		t.Fatalf("alert %+v of an event at %s", a, start)
	}
	if _, _, inside := s.Quiet.Period(a.At, s.Zone); inside {
		t.Fatalf("alert %+v in quiet hours %s", a, s.Quiet)
	}
	from, until, inside := s.Quiet.Period(a.Nominal, s.Zone)
	if inside != a.Quiet || a.Quiet == a.At.Equal(a.Nominal) {
		t.Fatalf("alert %+v, nominally in quiet hours: %v", a, inside)
	}
	if early := from.Sub(a.At); inside && !a.At.Equal(until) && (until.Before(start) || early <= 0 || early > maxAhead) {
		t.Fatalf("alert %+v of an event at %s in quiet hours from %s until %s", a, start, from, until)
	}
	if !wholeDays && !a.Nominal.Equal(start.Add(-a.Lead)) {
		t.Fatalf("alert %+v of an event at %s", a, start)
	}
	clock := s.AllDayAt
	if !clock.IsSet() {
		clock = DefaultAllDayAt
	}
	w := newWall(s.Zone)
	at := a.Nominal.Unix()
	if shown := Clock(a.Nominal.Hour()*60 + a.Nominal.Minute()); wholeDays && shown != clock && w.look(at).from != at {
		t.Fatalf("alert %+v of whole days, meant for %s", a, clock)
	}
}

func TestAlertsWithoutSense(t *testing.T) {
	t.Parallel()
	leads := []time.Duration{math.MinInt64, -1, 0, 1, time.Hour, math.MaxInt64}
	for _, start := range absurd {
		for _, end := range absurd {
			for _, s := range []Settings{{}, {Leads: leads}, {Zone: zone(t, "Europe/Berlin"), Quiet: Quiet{h22, h7}, AllDayAt: -5, Leads: leads}} {
				if got := s.Alerts(start, end, true); len(got) > len(leads) {
					t.Errorf("%s: %d alerts", start, len(got))
				}
			}
		}
	}
}

func BenchmarkAlerts(b *testing.B) {
	s := Settings{Zone: zone(b, "Europe/Berlin"), Quiet: Quiet{h22, h7}, AllDayAt: None, Leads: usualLeads}
	loud := s
	loud.Quiet = Quiet{}
	for _, bb := range []struct {
		name     string
		settings Settings
		start    string
	}{
		{"without-quiet-hours", loud, "2026-07-02 16:00 +0200"},
		{"by-day", s, "2026-07-02 16:00 +0200"},
		{"moved", s, "2026-07-02 06:00 +0200"},
		{"moved-by-a-jump", s, "2026-10-25 06:00 +0100"},
		{"in-2060", s, "2060-07-02 06:00 +0200"},
	} {
		start := at(b, bb.start)
		end := start.Add(time.Hour)
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bb.settings.Alerts(start, end, true)
			}
		})
	}
}

func BenchmarkPeriod(b *testing.B) {
	z, now := zone(b, "Europe/Berlin"), at(b, "2026-07-02 16:00 +0200")
	for _, bb := range []struct {
		name  string
		quiet Quiet
	}{{"off", Quiet{}}, {"on", Quiet{h22, h7}}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bb.quiet.Period(now, z)
			}
		})
	}
}
