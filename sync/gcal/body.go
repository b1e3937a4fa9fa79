package gcal

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"time"

	"google.golang.org/api/calendar/v3"
)

const (
	statusConfirmed = "confirmed"
	statusTentative = "tentative"
	statusCancelled = "cancelled"
)

// The private properties by which a copy says whose it is and what we last wrote. Google shows them to programs only.
const (
	eventProperty       = "reminder_worker_event"
	hashProperty        = "reminder_worker_hash"
	descriptionProperty = "reminder_worker_description"
	alertsProperty      = "reminder_worker_alerts" // alertsOn, or not there
)

const alertsOn = "on"

// newBody is a copy nobody has touched yet.
func newBody(e Event, id, hash string) *calendar.Event {
	body := &calendar.Event{Id: id, Reminders: silent()}
	merge(body, e, hash)
	return body
}

// movedBody is a copy for another calendar, with what the user has made of it in the one where it stands: all but what is Google's own, the
// link of a conference, which stays with the entry it was made for, and single days of a series that differ from it, which are entries of their own.
func movedBody(from *calendar.Event, e Event, id, hash string) *calendar.Event {
	body := &calendar.Event{
		Id: id, Description: from.Description, ColorId: from.ColorId, Transparency: from.Transparency, Visibility: from.Visibility, Status: from.Status,
		Attendees: from.Attendees, Attachments: from.Attachments, Source: from.Source, ExtendedProperties: ownProperties(from.ExtendedProperties),
		GuestsCanInviteOthers: from.GuestsCanInviteOthers, GuestsCanModify: from.GuestsCanModify, GuestsCanSeeOtherGuests: from.GuestsCanSeeOtherGuests,
		AnyoneCanAddSelf: from.AnyoneCanAddSelf, Reminders: from.Reminders, Recurrence: from.Recurrence,
	}
	if body.Reminders == nil {
		body.Reminders = silent()
	} else {
		own := *body.Reminders
		body.Reminders = &own
	}
	merge(body, e, hash)
	return body
}

// texts are what a body says in words, the user's own among them.
func texts(body *calendar.Event) []string {
	said := []string{body.Summary, body.Location, body.Description}
	if body.Source != nil {
		said = append(said, body.Source.Title, body.Source.Url)
	}
	for _, a := range body.Attendees {
		said = append(said, a.DisplayName, a.Email, a.Comment)
	}
	for _, a := range body.Attachments {
		said = append(said, a.Title, a.FileUrl)
	}
	return said
}

// ownProperties are the same ones, for another body to write its own into: what was read may be needed once more.
func ownProperties(from *calendar.EventExtendedProperties) *calendar.EventExtendedProperties {
	if from == nil {
		return nil
	}
	return &calendar.EventExtendedProperties{Private: maps.Clone(from.Private), Shared: from.Shared}
}

// silent has Google alert nobody: the reminders are pushes, and would come twice.
func silent() *calendar.EventReminders {
	return &calendar.EventReminders{ForceSendFields: []string{"UseDefault", "Overrides"}, Overrides: []*calendar.EventReminder{}}
}

// merge puts what is ours into a copy and leaves the rest: its colour, guests, alerts, and a description the user has edited.
func merge(body *calendar.Event, e Event, hash string) {
	if ownDescription(body, e) {
		body.Description = e.Description
		setMarker(body, descriptionProperty, fingerprint(e.Description))
	}
	body.Summary, body.Location = e.Title, e.Location
	zone := loadZone(e.TimeZone)
	body.Start, body.End = dateTime(e.Start, zone), dateTime(e.End, zone)
	if e.AllDay {
		body.Start, body.End = date(e.Start, zone), date(e.End, zone)
	}
	setAlerts(body, e.Alerts)
	if body.Status != statusTentative {
		body.Status = statusConfirmed
	}
	setMarker(body, eventProperty, e.ID.String())
	setMarker(body, hashProperty, hash)
	if r := body.Reminders; r != nil {
		// A false would be left out, and what a missing one means is not said anywhere.
		r.ForceSendFields = append(r.ForceSendFields, "UseDefault")
	}
}

// ownDescription reports whether the description may be replaced: it is still what we wrote, or nobody has written one.
func ownDescription(body *calendar.Event, e Event) bool {
	written := marker(body, descriptionProperty)
	if written == "" {
		return body.Description == "" || fingerprint(body.Description) == fingerprint(e.Description)
	}
	return written == fingerprint(body.Description)
}

// fingerprint ignores what Google may tidy up in a text by itself.
func fingerprint(text string) string {
	sum := sha256.Sum256([]byte(tidy(text)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// loadZone takes an unknown zone for UTC, which keeps the instants.
func loadZone(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return time.UTC
	}
	return zone
}

// dateTime is an instant as the people of that zone write it.
func dateTime(t time.Time, zone *time.Location) *calendar.EventDateTime {
	return &calendar.EventDateTime{DateTime: t.In(zone).Format(time.RFC3339), TimeZone: zone.String()}
}

// date is a day. The last one of an event is the day after it, as an end is.
func date(t time.Time, zone *time.Location) *calendar.EventDateTime {
	return &calendar.EventDateTime{Date: t.In(zone).Format(time.DateOnly)}
}

// setAlerts turns Google's own alerts on or off, as long as they are what we have made them.
func setAlerts(body *calendar.Event, on bool) {
	r := body.Reminders
	switch was := marker(body, alertsProperty) == alertsOn; {
	case was == on, r == nil, was != r.UseDefault, len(r.Overrides) > 0:
		return
	case on:
		body.Reminders = &calendar.EventReminders{UseDefault: true}
		setMarker(body, alertsProperty, alertsOn)
	default:
		body.Reminders = silent()
		delete(body.ExtendedProperties.Private, alertsProperty)
	}
}

func marker(e *calendar.Event, property string) string {
	if e.ExtendedProperties == nil {
		return ""
	}
	return e.ExtendedProperties.Private[property]
}

func setMarker(e *calendar.Event, property, value string) {
	if e.ExtendedProperties == nil {
		e.ExtendedProperties = &calendar.EventExtendedProperties{}
	}
	if e.ExtendedProperties.Private == nil {
		e.ExtendedProperties.Private = make(map[string]string)
	}
	e.ExtendedProperties.Private[property] = value
}
