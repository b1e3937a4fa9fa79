package gcalfake

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

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
			d.resource[name] = withoutNulls(v)
		}
	}
	for _, name := range fromServer {
		delete(d.resource, name)
	}
	problem := cmp.Or(checkID(d.resource, op), d.setTimes(), d.setStatus(), d.setReminders(), d.checkProperties())
	if problem != nil {
		return draft{}, problem
	}
	return d, nil
}

// withoutNulls copies v and leaves out what is null in objects: it takes a value away and is never answered.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		kept := make(map[string]any, len(v))
		for name, inner := range v {
			if inner != nil {
				kept[name] = withoutNulls(inner)
			}
		}
		return kept
	case []any:
		kept := slices.Clone(v)
		for i, inner := range v {
			kept[i] = withoutNulls(inner)
		}
		return kept
	}
	return v
}

const idAlphabet = "0123456789abcdefghijklmnopqrstuv"

func checkID(resource map[string]any, op string) *answer {
	id, given := resource["id"].(string)
	if op != OpInsert || !given {
		return nil
	}
	if len(id) < 5 || len(id) > 1024 || strings.Trim(id, idAlphabet) != "" || resource["iCalUID"] != nil { // only one may be supplied
		return new(invalid("Invalid resource id value."))
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
		return new(emptyRange(""))
	}
	return nil
}

func readTime(resource map[string]any, name string) (time.Time, *answer) {
	given, _ := resource[name].(map[string]any)
	zone, err := loadZone(text(given["timeZone"]))
	if err != nil || zone == time.Local {
		return time.Time{}, new(invalid(fmt.Sprintf("Invalid time zone definition for %s time.", name)))
	}
	date, dateTime := text(given["date"]), text(given["dateTime"])
	if date == "" && dateTime == "" {
		return time.Time{}, new(failure(http.StatusBadRequest, "required", fmt.Sprintf("Missing %s time.", name)))
	}
	t, err := parseTime(date, dateTime, given["timeZone"] != nil, zone)
	if err != nil || date != "" && dateTime != "" {
		return time.Time{}, new(invalid(fmt.Sprintf("Invalid %s time.", name)))
	}
	if dateTime != "" {
		if given["timeZone"] != nil {
			t = t.In(zone)
		}
		given["dateTime"] = t.Format(time.RFC3339)
		delete(given, "date")
	}
	return t, nil
}

// zones are the zones loaded so far: reading one from the machine's files takes longer than all else about an insert.
var zones sync.Map

func loadZone(name string) (*time.Location, error) {
	if zone, ok := zones.Load(name); ok {
		return zone.(*time.Location), nil
	}
	zone, err := time.LoadLocation(name)
	if err == nil {
		zones.Store(name, zone)
	}
	return zone, err
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
		return new(invalid("Invalid status value."))
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
	given["useDefault"] = given["useDefault"] == true
	if len(overrides) == 0 {
		delete(given, "overrides")
	}
	if len(overrides) > 0 && given["useDefault"] == true {
		return new(failure(http.StatusBadRequest, "cannotUseDefaultRemindersAndSpecifyOverride",
			"Cannot specify both default reminders and overrides at the same time."))
	}
	if len(overrides) > maxReminders {
		return new(invalid("Too many override reminders."))
	}
	for _, o := range overrides {
		if !validReminder(o) {
			return new(invalid("Invalid override reminder."))
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
				return new(invalid("Extended property is too large."))
			}
		}
	}
	return nil
}
