package gcalfake

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
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

// draft is an event that a client has sent and that Google would accept.
type draft struct {
	resource   map[string]any
	start, end time.Time
}

// fromServer are the properties that clients may send back and cannot change.
var fromServer = []string{
	"kind", "etag", "htmlLink", "created", "updated", "creator", "organizer", "sequence", "hangoutLink", "locked", "privateCopy",
	"attendeesOmitted", "endTimeUnspecified",
}

// newDraft checks what the description of the API cannot express.
func newDraft(body map[string]any, op string) (draft, *answer) {
	d := draft{resource: make(map[string]any, len(body)+16)}
	for name, v := range body {
		if v != nil && v != "" {
			d.resource[name] = v
		}
	}
	for _, name := range fromServer {
		delete(d.resource, name)
	}
	for _, check := range []func() *answer{func() *answer { return checkID(d.resource, op) }, d.setTimes, d.setStatus, d.setReminders, d.checkProperties} {
		if problem := check(); problem != nil {
			return draft{}, problem
		}
	}
	return d, nil
}

const idAlphabet = "0123456789abcdefghijklmnopqrstuv"

func checkID(resource map[string]any, op string) *answer {
	id, given := resource["id"].(string)
	if op != OpInsert || !given {
		return nil
	}
	if len(id) < 5 || len(id) > 1024 || strings.Trim(id, idAlphabet) != "" {
		a := invalid("Invalid resource id value.")
		return &a
	}
	return nil
}

// setTimes reads start and end and writes them as Google answers them, in their zone.
func (d *draft) setTimes() *answer {
	var problem *answer
	if d.start, problem = readTime(d.resource, "start"); problem != nil {
		return problem
	}
	if d.end, problem = readTime(d.resource, "end"); problem != nil {
		return problem
	}
	if d.end.Before(d.start) {
		a := failure(http.StatusBadRequest, "timeRangeEmpty", "The specified time range is empty.")
		return &a
	}
	return nil
}

func readTime(resource map[string]any, name string) (time.Time, *answer) {
	given, _ := resource[name].(map[string]any)
	zone, err := time.LoadLocation(text(given["timeZone"]))
	if err != nil {
		a := invalid(fmt.Sprintf("Invalid time zone definition for %s time.", name))
		return time.Time{}, &a
	}
	date, dateTime := text(given["date"]), text(given["dateTime"])
	if date == "" && dateTime == "" {
		a := failure(http.StatusBadRequest, "required", fmt.Sprintf("Missing %s time.", name))
		return time.Time{}, &a
	}
	t, err := parseTime(date, dateTime, given["timeZone"] != nil, zone)
	if err != nil || date != "" && dateTime != "" {
		a := invalid(fmt.Sprintf("Invalid %s time.", name))
		return time.Time{}, &a
	}
	if dateTime != "" {
		given = maps.Clone(given)
		if given["timeZone"] != nil {
			t = t.In(zone)
		}
		given["dateTime"] = t.Format(time.RFC3339)
		delete(given, "date")
		resource[name] = given
	}
	return t, nil
}

// parseTime reads a day, an instant, or the time on a zone's clocks.
func parseTime(date, dateTime string, zoned bool, zone *time.Location) (time.Time, error) {
	if date != "" {
		return time.ParseInLocation(time.DateOnly, date, zone)
	}
	t, err := time.Parse(time.RFC3339, dateTime)
	if err != nil && zoned {
		return time.ParseInLocation("2006-01-02T15:04:05", dateTime, zone)
	}
	return t, err
}

func (d *draft) setStatus() *answer {
	switch d.resource["status"] {
	case nil:
		d.resource["status"] = "confirmed"
	case "confirmed", "tentative", "cancelled":
	default:
		a := invalid("Invalid status value.")
		return &a
	}
	return nil
}

const maxReminders, maxReminderMinutes = 5, 40320

func (d *draft) setReminders() *answer {
	given, _ := d.resource["reminders"].(map[string]any)
	overrides, _ := given["overrides"].([]any)
	if given == nil {
		d.resource["reminders"] = map[string]any{"useDefault": true}
		return nil
	}
	if len(overrides) > 0 && given["useDefault"] == true {
		a := failure(http.StatusBadRequest, "cannotUseDefaultRemindersAndSpecifyOverride",
			"Cannot specify both default reminders and overrides at the same time.")
		return &a
	}
	if len(overrides) > maxReminders {
		a := invalid("Too many override reminders.")
		return &a
	}
	for _, o := range overrides {
		if !validReminder(o) {
			a := invalid("Invalid override reminder.")
			return &a
		}
	}
	return nil
}

func validReminder(v any) bool {
	o, _ := v.(map[string]any)
	minutes, _ := o["minutes"].(json.Number)
	n, err := minutes.Int64()
	return err == nil && n >= 0 && n <= maxReminderMinutes && (o["method"] == "email" || o["method"] == "popup")
}

const maxPropertyName, maxPropertyValue = 44, 1024

func (d *draft) checkProperties() *answer {
	extended, _ := d.resource["extendedProperties"].(map[string]any)
	for _, side := range []string{"private", "shared"} {
		properties, _ := extended[side].(map[string]any)
		for name, v := range properties {
			if len(name) > maxPropertyName || len(text(v)) > maxPropertyValue {
				a := invalid("Extended property is too large.")
				return &a
			}
		}
	}
	return nil
}

func (w *world) insert(p *person, cal *calendar, d draft) answer {
	id := text(d.resource["id"])
	if id == "" {
		id = strings.ToLower(randomText())
		d.resource["id"] = id
	}
	if cal.events[id] != nil {
		return failure(http.StatusConflict, "duplicate", "The requested identifier already exists.")
	}
	r := d.resource
	self := map[string]any{"email": p.name, "self": true}
	r["kind"], r["creator"], r["organizer"], r["sequence"], r["eventType"] = "calendar#event", self, self, 0, "default"
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
		return failure(http.StatusGone, "deleted", "Resource has been deleted")
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
	e := &stored{position: position, resource: d.resource, start: d.start, end: d.end, updated: now()}
	e.resource["etag"], e.resource["updated"] = w.etag(), e.updated.Format(stampLayout)
	cal.events[text(e.resource["id"])] = e
	return e
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
