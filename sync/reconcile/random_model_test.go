package reconcile

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// What follows is how things should be, kept by simple code that knows the app's statements and the users' doings and nothing of the worker's.

// owner is a user.
type owner struct {
	name    string
	id      uuid.UUID
	zone    string // empty: as the deployment is set up
	minutes []int  // before an event; nil: as the deployment is set up

	calendarOff bool
	family      string // their second calendar
	elsewhere   bool   // copies are to stand in that
	left        bool   // they have disconnected so that copies go, and not connected since
	linked      bool   // the app's last word is that the calendar is connected
	token       string // the last that the app was given
	dead        bool   // Google takes it no more
	doubted     bool   // Google may have said so, rightly or not
	unlinkedAt  int    // the number of things done when the app disconnected
}

// calendar is the one that copies are to stand in, as Google calls it.
func (u *owner) calendar() string {
	if u.elsewhere {
		return u.family
	}
	return u.id.String()
}

// setting is the same as the app says it.
func (u *owner) setting() string {
	if u.elsewhere {
		return u.family
	}
	return ""
}

// words are what the app may change about an event beside its time.
type words struct{ title, place, bring string }

// entry is an event.
type entry struct {
	name  string
	id    uuid.UUID
	owner *owner
	words
	start     time.Time
	cancelled bool
	deleted   bool
	touchedAt int  // the number of things done when the app last wrote it
	unsteady  bool // a copy of it may have been taken away at some time

	had   []shown // what its copy should have shown so far, the present last
	hands map[*owner]*hand
}

// shown is what a copy shows.
type shown struct {
	title, place, about, zone string
	start, end                int64
}

// shows is what the event's copy should show now.
func (e *entry) shows() shown {
	s := shown{title: e.title, place: e.place, zone: "UTC", start: e.start.Unix(), end: e.start.Add(time.Hour).Unix()}
	if e.owner.zone != "" {
		s.zone = e.owner.zone
	}
	if e.bring != "" {
		s.about = "Bring: " + e.bring
	}
	return s
}

// show is what a copy does show.
func show(c gcalfake.Event) shown {
	return shown{c.Summary, c.Location, c.Description, c.TimeZone, c.Start.Unix(), c.End.Unix()}
}

// hand is what a user has made of a copy in their own calendar.
type hand struct {
	deleted  bool
	retitled string  // the title they gave it; empty: none
	about    *string // the description they gave it
	colour   string
	alert    int64 // in minutes before the event
	// maybe says that the copy may have been taken away since by us or by them, and made anew without what they wrote.
	maybe bool

	// When they last deleted or retitled it.
	standing
	had int // as many contents there had been
}

func (h *hand) at(e *entry, s standing) { h.standing, h.had = s, len(e.had) }

// overruled reports whether the app has given the event a content since that it never had before.
func (h *hand) overruled(e *entry) bool {
	return !slices.Contains(e.had[:h.had], e.shows())
}

func (e *entry) hand(u *owner) *hand {
	if e.hands[u] == nil {
		e.hands[u] = &hand{}
	}
	return e.hands[u]
}

// removed notes that copies of the event may be taken away, and made anew later.
func (e *entry) removed() {
	e.unsteady = true
	for _, h := range e.hands {
		h.maybe = true
	}
}

// note keeps what the copies should have shown so far.
func (t *trial) note() {
	for _, e := range t.events {
		if s := e.shows(); len(e.had) == 0 || e.had[len(e.had)-1] != s {
			e.had = append(e.had, s)
		}
	}
}

// alerts are the times at which the event's reminders should wait.
func (e *entry) alerts(now time.Time) (at []time.Time) {
	if e.cancelled {
		return nil
	}
	minutes := e.owner.minutes
	if minutes == nil {
		minutes = []int{24 * 60, 3 * 60, 30}
	}
	for _, m := range minutes {
		if due := e.start.Add(-time.Duration(m) * time.Minute); due.After(now) {
			at = append(at, due)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// message is the part of a reminder's text that planning writes.
func (e *entry) message() string {
	s := e.place
	if e.bring != "" {
		s += " · Bring: " + e.bring
	}
	return s
}

// name makes a short name that is new.
func (t *trial) name(kind string) string {
	t.named[kind]++
	return fmt.Sprintf("%s%d", kind, t.named[kind])
}

// existing are the events that are in the table.
func (t *trial) existing() (events []*entry) {
	for _, e := range t.events {
		if !e.deleted {
			events = append(events, e)
		}
	}
	return events
}
