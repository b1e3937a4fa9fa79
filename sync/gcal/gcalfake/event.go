package gcalfake

import (
	"maps"
	"net/http"
	"reflect"
	"strings"
	"time"
)

// stored is an event as it is kept. It is replaced by every write, never changed.
type stored struct {
	position   int // in its calendar's order
	resource   map[string]any
	start, end time.Time
	updated    time.Time
}

func (e *stored) etag() string    { return text(e.resource["etag"]) }
func (e *stored) cancelled() bool { return e.resource["status"] == "cancelled" }

func (w *world) insert(p *person, cal *calendar, d draft) answer {
	id := text(d.resource["id"])
	if id == "" {
		id = strings.ToLower(randomText())
		d.resource["id"] = id
	}
	if cal.events[id] != nil {
		return failure(http.StatusConflict, "duplicate", "")
	}
	r := d.resource
	self := map[string]any{"email": p.name, "self": true}
	organizer := map[string]any{"email": cal.id, "self": true}
	r["kind"], r["creator"], r["organizer"], r["sequence"], r["eventType"] = "calendar#event", self, organizer, 0, "default"
	r["created"] = now().Format(stampLayout)
	r["htmlLink"] = "https://www.google.com/calendar/event?eid=" + id
	if r["iCalUID"] == nil {
		r["iCalUID"] = id + "@google.com"
	}
	e := w.store(cal, d, len(cal.order))
	cal.order = append(cal.order, e)
	return success(e.resource)
}

// update replaces an event by what was sent, except for what is the server's.
func (w *world) update(c *call, cal *calendar, old *stored, d draft) answer {
	if id := text(d.resource["id"]); id != "" && id != c.record.ID {
		return invalid("The id in the body is not the one in the path.")
	}
	if old.cancelled() && d.resource["status"] != "cancelled" && w.config.RefuseUndelete {
		return failure(http.StatusForbidden, "forbidden", "Forbidden")
	}
	for _, name := range fromServer {
		if v, ok := old.resource[name]; ok {
			d.resource[name] = v
		}
	}
	d.resource["id"], d.resource["iCalUID"], d.resource["eventType"] = old.resource["id"], old.resource["iCalUID"], old.resource["eventType"]
	keepUnless(c, d, old, "supportsAttachments", "true", "attachments")
	keepUnless(c, d, old, "conferenceDataVersion", "1", "conferenceData")
	if !d.start.Equal(old.start) || !d.end.Equal(old.end) {
		d.resource["sequence"] = sequence(old) + 1
	}
	e := w.store(cal, d, old.position)
	cal.order[old.position] = e
	return success(e.resource)
}

func sequence(e *stored) int {
	n, _ := e.resource["sequence"].(int)
	return n
}

// keepUnless leaves a property as it was unless the client says by a parameter that it knows of it.
func keepUnless(c *call, d draft, old *stored, parameter, value, property string) {
	if given := c.query[parameter]; len(given) == 1 && given[0] == value {
		return
	}
	delete(d.resource, property)
	if v, ok := old.resource[property]; ok {
		d.resource[property] = v
	}
}

// patch merges what was sent into the event.
func (w *world) patch(c *call, cal *calendar, old *stored) answer {
	d, problem := newDraft(mergePatch(old.resource, c.body), OpPatch)
	if problem != nil {
		return *problem
	}
	return w.update(c, cal, old, d)
}

// mergePatch replaces values and lists, merges objects, and takes away what is null. Neither argument is changed.
func mergePatch(into, patch map[string]any) map[string]any {
	merged := maps.Clone(into)
	if merged == nil {
		merged = make(map[string]any, len(patch))
	}
	for name, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(merged, name)
		case map[string]any:
			inner, _ := merged[name].(map[string]any)
			merged[name] = mergePatch(inner, v)
		default:
			merged[name] = v
		}
	}
	return merged
}

// remove only marks an event: its id stays taken.
func (w *world) remove(cal *calendar, old *stored) answer {
	if old.cancelled() {
		return failure(http.StatusGone, "deleted", "")
	}
	d := draft{resource: maps.Clone(old.resource), start: old.start, end: old.end}
	d.resource["status"] = "cancelled"
	cal.order[old.position] = w.store(cal, d, old.position)
	return answer{status: http.StatusNoContent}
}

const stampLayout = "2006-01-02T15:04:05.000Z"

func now() time.Time { return time.Now().UTC() }

// store enters a new version of an event.
func (w *world) store(cal *calendar, d draft, position int) *stored {
	id := text(d.resource["id"])
	e := &stored{position: position, resource: d.resource, start: d.start, end: d.end, updated: now()}
	if old := cal.events[id]; old != nil && alikeButReminders(old.resource, d.resource) {
		e.updated = old.updated
	} else {
		cal.updated = e.updated
	}
	e.resource["etag"], e.resource["updated"] = w.etag(), e.updated.Format(stampLayout)
	cal.events[id], cal.version = e, e.etag()
	return e
}

// alikeButReminders compares two versions of an event, the newer one not stamped yet. Reminders are a user's own affair: to change
// them is to change no event.
func alikeButReminders(a, b map[string]any) bool {
	a, b = maps.Clone(a), maps.Clone(b)
	delete(a, "reminders")
	delete(b, "reminders")
	return reflect.DeepEqual(a, b)
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
