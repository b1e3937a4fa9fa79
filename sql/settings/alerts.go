package settings

import (
	"cmp"
	"slices"
	"time"
)

// maxAhead is how long before quiet hours an alert comes that cannot wait for their end.
const maxAhead = 5 * time.Minute

// Alert is one moment to remind of an event. Its times are in the user's zone.
type Alert struct {
	// At is when to remind.
	At time.Time
	// Lead is how long before the event that was meant to be; the shortest, where several come at one moment.
	Lead time.Duration
	// Nominal is when it would have been without quiet hours.
	Nominal time.Time
	// Quiet says that quiet hours moved it.
	Quiet bool
}

// Alerts returns the moments to remind of an event, in order of time, no two equal. All are before start, but for one: a lead of zero
// gives start itself, unless it is quiet then.
func (s Settings) Alerts(start, end time.Time, hasEnd bool) []Alert {
	if len(s.Leads) == 0 {
		return nil
	}
	w := newWall(s.Zone)
	wholeDays := hasEnd && w.wholeDays(start, end)
	alerts := make([]Alert, 0, len(s.Leads))
	for _, lead := range s.Leads {
		if lead < 0 {
			continue
		}
		nominal := start.Add(-lead)
		if wholeDays {
			nominal = s.daysBefore(&w, start, lead)
		}
		alerts = append(alerts, s.Quiet.avoid(&w, nominal.In(w.zone), start, lead))
	}
	slices.SortFunc(alerts, func(a, b Alert) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Lead, b.Lead)) })
	return slices.CompactFunc(alerts, func(a, b Alert) bool { return a.At.Equal(b.At) })
}

// daysBefore returns the moment to remind of an event of whole days: as many days before as lead has begun, one at least.
func (s Settings) daysBefore(w *wall, start time.Time, lead time.Duration) time.Time {
	clock := s.AllDayAt
	if !clock.IsSet() {
		clock = DefaultAllDayAt
	}
	const whole = 24 * time.Hour
	days := max(1, int64(lead/whole))
	if lead > whole && lead%whole > 0 {
		days++
	}
	date := w.date(start.Unix()) - days
	at := w.first(date*day + int64(clock)*60)
	if at >= start.Unix() { // a day that was left out, as in Samoa in 2011, has no moment of its own
		at = w.first((date-1)*day + int64(clock)*60)
	}
	return w.time(at)
}

// avoid returns the alert for a nominal moment: then, or near by when it is not quiet.
func (q Quiet) avoid(w *wall, nominal, start time.Time, lead time.Duration) Alert {
	a := Alert{At: nominal, Lead: lead, Nominal: nominal}
	if !q.On() {
		return a
	}
	p, inside := q.around(w, nominal.Unix())
	if !inside {
		return a
	}
	a.Quiet = true
	if a.At = w.time(p.until); !a.At.Before(start) {
		a.At = w.time(p.from).Add(-p.ahead())
	}
	return a
}

// ahead is how long before p to remind, so that the moment is not in the period before it either.
func (p period) ahead() time.Duration {
	return min(maxAhead, time.Duration(min(p.calm, day))*time.Second/2)
}
