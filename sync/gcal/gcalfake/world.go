package gcalfake

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// world is what Google would remember: people, their consents, their calendars.
//
// One lock guards it. What is done under it is small: requests are decoded and checked before, answers encoded after, and a stored
// event is never changed in place, so that it may be read without the lock.
type world struct {
	config Config

	mu       sync.Mutex
	people   map[string]*person
	refresh  map[string]*person // by refresh token
	access   map[string]session // by access token
	services map[string]*serviceAccount
	versions int64 // counts the writes; each has its own etag
}

type person struct {
	name      string // also the e-mail address
	calendars map[string]*calendar
}

type session struct {
	person  *person
	refresh string // the token it was given for
	service string // the service account it was given to
	expires time.Time
}

// calendar holds events in the order of their creation. A deleted one stays, as with Google.
type calendar struct {
	id       string
	resource map[string]any
	events   map[string]*stored
	order    []*stored
	version  string    // of all that is in it: another etag after each write
	updated  time.Time // when one of its events was
}

func newWorld(c Config) world {
	return world{
		config: c, people: make(map[string]*person), refresh: make(map[string]*person), access: make(map[string]session),
		services: make(map[string]*serviceAccount),
	}
}

// person returns the one of that name, and makes them if need be, with a calendar. The lock is held.
func (w *world) person(name string) *person {
	p, ok := w.people[name]
	if !ok {
		p = &person{name: name, calendars: make(map[string]*calendar)}
		w.people[name] = p
		w.addCalendar(p, name, map[string]any{"summary": name, "timeZone": "UTC"})
	}
	return p
}

func (w *world) addCalendar(p *person, id string, resource map[string]any) *calendar {
	resource = maps.Clone(resource)
	resource["kind"], resource["id"], resource["etag"] = "calendar#calendar", id, w.etag()
	cal := &calendar{id: id, resource: resource, events: make(map[string]*stored), version: w.etag(), updated: now()}
	p.calendars[id] = cal
	return cal
}

// calendar finds a calendar under the name a client uses for it.
func (p *person) calendar(id string) *calendar {
	if id == "primary" {
		id = p.name
	}
	return p.calendars[id]
}

func (w *world) etag() string {
	w.versions++
	return fmt.Sprintf(`"%d"`, 3_400_000_000_000_000+2*w.versions)
}

// serve answers a request of the Calendar API that has been checked against its description.
func (w *world) serve(c *call) answer {
	switch c.record.Op {
	case OpCalendarInsert:
		return w.insertCalendar(c)
	case OpCalendarList:
		return w.listCalendars(c)
	}
	var d draft
	if c.body != nil && c.record.Op != OpPatch {
		var problem *answer
		if d, problem = newDraft(c.body, c.record.Op); problem != nil {
			return *problem
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.people[c.record.User]
	cal := p.calendar(c.record.Calendar)
	if cal == nil {
		return notFound()
	}
	switch c.record.Op {
	case OpInsert:
		return w.insert(p, cal, d)
	case OpList:
		return cal.list(c.query)
	case OpCalendarGet:
		return success(cal.resource)
	}
	old := cal.events[c.record.ID]
	if old == nil {
		return notFound()
	}
	return w.serveEvent(c, cal, old, d)
}

// serveEvent answers a request about one event that is there.
func (w *world) serveEvent(c *call, cal *calendar, old *stored, d draft) answer {
	if c.record.Op == OpGet {
		if c.header.Get("If-None-Match") == old.etag() {
			return answer{status: http.StatusNotModified}
		}
		return success(old.resource)
	}
	if match := c.header.Get("If-Match"); match != "" && match != "*" && match != old.etag() {
		return conditionNotMet()
	}
	switch c.record.Op {
	case OpDelete:
		return w.remove(cal, old)
	case OpPatch:
		return w.patch(c, cal, old)
	default:
		return w.update(c, cal, old, d)
	}
}

func (w *world) insertCalendar(c *call) answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	cal := w.addCalendar(w.people[c.record.User], newCalendarID(), c.body)
	return success(cal.resource)
}

// listCalendars answers one page of the calendars that a person has, which all are their own here.
func (w *world) listCalendars(c *call) answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.people[c.record.User]
	ids := slices.Sorted(maps.Keys(p.calendars))
	from, ok := readPageToken(c.query.Get("pageToken"))
	if !ok || from > len(ids) {
		return invalid("Invalid page token value.")
	}
	size := defaultCalendars
	if n, err := strconv.Atoi(c.query.Get("maxResults")); err == nil {
		size = min(n, maxCalendars)
	}
	items := []map[string]any{}
	for _, id := range ids[from:min(from+size, len(ids))] {
		entry := maps.Clone(p.calendars[id].resource)
		entry["kind"], entry["accessRole"], entry["selected"] = "calendar#calendarListEntry", "owner", true
		if id == p.name {
			entry["primary"] = true
		}
		items = append(items, entry)
	}
	body := map[string]any{"kind": "calendar#calendarList", "etag": w.etag(), "items": items}
	if next := from + size; next < len(ids) {
		body["nextPageToken"] = pageToken(next)
	}
	return success(body)
}

const defaultCalendars, maxCalendars = 100, 250

func newCalendarID() string {
	return strings.ToLower(randomText()) + "@group.calendar.google.com"
}
