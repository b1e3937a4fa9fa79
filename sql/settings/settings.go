package settings

import "time"

// DefaultAllDayAt is when events of whole days are reminded of, unless the user chose another time: when the next day is being prepared.
const DefaultAllDayAt Clock = 18 * 60

// Settings are what planning and sending need to know of a user.
type Settings struct {
	// Zone is where the user's wall clock hangs. Nil is UTC.
	Zone *time.Location
	// Quiet are the hours in which nothing is sent.
	Quiet Quiet
	// AllDayAt is when reminders of events of whole days come, on a day before; DefaultAllDayAt if it is not set.
	AllDayAt Clock
	// Leads are how long before an event to remind: the user's choice, or the deployment's. None: not at all. Those below zero are ignored.
	Leads []time.Duration
}

// AllDay reports whether an event looks like one of whole days to somebody in zone: it begins at a midnight and ends at that of a later
// date, however many hours those days have.
func AllDay(start, end time.Time, hasEnd bool, zone *time.Location) bool {
	w := newWall(zone)
	return hasEnd && w.wholeDays(start, end)
}

func (w *wall) wholeDays(start, end time.Time) bool {
	return start.Before(end) && w.isMidnight(start) && w.isMidnight(end) && w.date(start.Unix()) < w.date(end.Unix())
}
