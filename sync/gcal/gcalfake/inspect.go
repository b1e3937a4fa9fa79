package gcalfake

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"
)

// Event is an event as it stands in a calendar.
type Event struct {
	User, Calendar, ID             string
	Status                         string // confirmed, tentative or cancelled
	Summary, Location, Description string
	Start, End                     time.Time
	TimeZone                       string
	ETag                           string
	Created, Updated               time.Time
	// Private are the extended properties that programs keep on this copy.
	Private map[string]string
	// Resource is the whole event in the API's terms, as a client would get it.
	Resource map[string]any
}

// Events returns a user's events in the order of their creation, deleted ones included. The user is named by name or by one of
// their refresh tokens.
func (s *Server) Events(who string) []Event {
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.who(who)
	if p == nil {
		return nil
	}
	var events []Event
	for _, id := range slices.Sorted(maps.Keys(p.calendars)) {
		for _, e := range p.calendars[id].order {
			events = append(events, newEvent(p, p.calendars[id], e))
		}
	}
	return events
}

// Users returns the names of all who have consented so far, sorted.
func (s *Server) Users() []string {
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.people))
}

// AddCalendar gives a user a further calendar and returns its id.
func (s *Server) AddCalendar(user, summary string) string {
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.addCalendar(w.person(user), newCalendarID(), map[string]any{"summary": summary, "timeZone": "UTC"}).id
}

// Calendar is a calendar of a person's.
type Calendar struct {
	ID, Summary, Description, TimeZone string
}

// Calendars returns a user's calendars, the primary one first, the others by id. The user is named by name or by one of their refresh tokens.
func (s *Server) Calendars(who string) []Calendar {
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.who(who)
	if p == nil {
		return nil
	}
	var calendars []Calendar
	for _, id := range slices.Sorted(maps.Keys(p.calendars)) {
		r := p.calendars[id].resource
		c := Calendar{ID: id, Summary: text(r["summary"]), Description: text(r["description"]), TimeZone: text(r["timeZone"])}
		if id == p.name {
			calendars = slices.Insert(calendars, 0, c)
		} else {
			calendars = append(calendars, c)
		}
	}
	return calendars
}

// UserDropCalendar deletes a calendar, and all that is in it, as a person does.
func (s *Server) UserDropCalendar(who, id string) error {
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.who(who)
	if p == nil || p.calendars[id] == nil || id == p.name {
		return fmt.Errorf("drop calendar %s: %w", id, ErrNoEvent)
	}
	delete(p.calendars, id)
	return nil
}

// ErrNoEvent says that a user has no such event or calendar.
var ErrNoEvent = errors.New("no such event")

// UserInsert makes an event as a person does, in their primary calendar, and returns its id. resource is in the API's terms and
// needs a start and an end.
func (s *Server) UserInsert(user string, resource map[string]any) (id string, err error) {
	body, err := canonicalJSON(resource)
	if err != nil {
		return "", err
	}
	d, problem := newDraft(body, OpInsert)
	if problem != nil {
		return "", fmt.Errorf("insert event: status %d", problem.status)
	}
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.person(user)
	if a := w.insert(p, p.calendar("primary"), d); a.status >= 300 {
		return "", fmt.Errorf("insert event: status %d", a.status)
	}
	return text(d.resource["id"]), nil
}

// UserEdit changes an event as a person does in Google's own pages: changes is merged into it in the API's terms.
func (s *Server) UserEdit(who, id string, changes map[string]any) error {
	body, err := canonicalJSON(changes)
	if err != nil {
		return err
	}
	return s.userWrite(who, &call{record: Record{Op: OpPatch, ID: id}, body: body, query: url.Values{
		"supportsAttachments": {"true"}, "conferenceDataVersion": {"1"},
	}})
}

// UserEditTime changes one time of a repeated event, the one at the given start, as a person does who says "only this one", and returns the id of
// the entry that it becomes: another one, with all that the event has, private properties included, which lists name beside the event.
func (s *Server) UserEditTime(who, id string, at time.Time, changes map[string]any) (string, error) {
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	cal, e := w.find(who, id)
	if e == nil || e.resource["recurrence"] == nil {
		return "", fmt.Errorf("edit one time of event %s: %w", id, ErrNoEvent)
	}
	body, err := canonicalJSON(changes)
	if err != nil {
		return "", err
	}
	zone := at.UTC()
	one := mergePatch(e.resource, map[string]any{
		"recurrence": nil, "id": id + "_" + zone.Format("20060102T150405Z"), "recurringEventId": id,
		"originalStartTime": map[string]any{"dateTime": zone.Format(time.RFC3339)},
		"start":             map[string]any{"dateTime": zone.Format(time.RFC3339)}, "end": map[string]any{"dateTime": zone.Add(e.end.Sub(e.start)).Format(time.RFC3339)},
	})
	d, problem := newDraft(mergePatch(one, body), OpPatch)
	if problem != nil {
		return "", fmt.Errorf("edit one time of event %s: status %d", id, problem.status)
	}
	for _, name := range fromServer {
		if v, ok := e.resource[name]; ok {
			d.resource[name] = v
		}
	}
	made := w.store(cal, d, len(cal.order))
	cal.order = append(cal.order, made)
	return text(made.resource["id"]), nil
}

// UserDelete deletes an event as a person does.
func (s *Server) UserDelete(who, id string) error {
	return s.userWrite(who, &call{record: Record{Op: OpDelete, ID: id}})
}

// Purge makes a deleted event vanish for good, as happens in time; its id is free again.
func (s *Server) Purge(who, id string) error {
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	cal, e := w.find(who, id)
	if e == nil {
		return fmt.Errorf("purge event %s: %w", id, ErrNoEvent)
	}
	delete(cal.events, id)
	cal.order = slices.Delete(slices.Clone(cal.order), e.position, e.position+1)
	for i, moved := range cal.order[e.position:] {
		shifted := *moved
		shifted.position = e.position + i
		cal.order[shifted.position] = &shifted
		cal.events[text(shifted.resource["id"])] = &shifted
	}
	return nil
}

// userWrite does not pass through the wire, so no fault or count concerns it.
func (s *Server) userWrite(who string, c *call) error {
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	cal, e := w.find(who, c.record.ID)
	if e == nil {
		return fmt.Errorf("%s event %s: %w", c.record.Op, c.record.ID, ErrNoEvent)
	}
	a := w.serveEvent(c, cal, e, draft{})
	if a.status >= 300 {
		return fmt.Errorf("%s event %s: status %d", c.record.Op, c.record.ID, a.status)
	}
	return nil
}

// who finds a person by name or refresh token. The lock is held.
func (w *world) who(who string) *person {
	if p := w.people[who]; p != nil {
		return p
	}
	return w.refresh[who]
}

func (w *world) find(who, id string) (*calendar, *stored) {
	p := w.who(who)
	if p == nil {
		return nil, nil
	}
	var cal *calendar
	var found *stored
	for _, name := range slices.Sorted(maps.Keys(p.calendars)) {
		// One that stands comes before one that is deleted: an event may have been moved between two calendars.
		if e := p.calendars[name].events[id]; e != nil && (found == nil || found.cancelled() && !e.cancelled()) {
			cal, found = p.calendars[name], e
		}
	}
	return cal, found
}

func newEvent(p *person, cal *calendar, e *stored) Event {
	r := e.resource
	start, _ := r["start"].(map[string]any)
	extended, _ := r["extendedProperties"].(map[string]any)
	private, _ := extended["private"].(map[string]any)
	created, _ := time.Parse(stampLayout, text(r["created"]))
	event := Event{
		User: p.name, Calendar: cal.id, ID: text(r["id"]), Status: text(r["status"]),
		Summary: text(r["summary"]), Location: text(r["location"]), Description: text(r["description"]),
		Start: e.start, End: e.end, TimeZone: text(start["timeZone"]), ETag: e.etag(),
		Created: created, Updated: e.updated, Private: make(map[string]string, len(private)), Resource: maps.Clone(r),
	}
	for name, v := range private {
		event.Private[name] = text(v)
	}
	return event
}

// canonicalJSON brings what a caller wrote as Go values into the form that requests arrive in.
func canonicalJSON(v map[string]any) (map[string]any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode changes: %w", err)
	}
	return decodeObject(raw)
}
