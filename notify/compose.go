package notify

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/notify/text"
	"github.com/parentpal/reminder-worker/sql/settings"
	"github.com/parentpal/reminder-worker/sql/store"
)

// compose makes one message per reminder and device, of the rows that may be sent now; early has the verdicts on the others.
func (s *Sender) compose(rows []store.ClaimRemindersRow) (pushes []push, early []verdict) {
	pushes = make([]push, 0, len(rows))
	early = make([]verdict, len(rows))
	clock := s.now()
	for i, row := range rows {
		now := latest(clock, row.DueAt)
		zone := s.zones.Find(row.TimeZone, s.cfg.Zone)
		until := row.Deadline
		quiet, v := calm(row, now, until, zone)
		if early[i] = v; v.status != "" {
			continue
		}
		m := s.message(row, now, zone)
		m.Expiration = until.Unix()
		if !quiet.IsZero() && quiet.Before(until) {
			until = quiet
		}
		pushes = s.toDevices(pushes, i, row.Tokens, row.Projects, m, until)
	}
	return pushes, early
}

// toDevices appends one push for each device, all of the same message, none to be offered after notAfter.
func (s *Sender) toDevices(pushes []push, reminder int, tokens, projects []string, m expo.Message, notAfter time.Time) []push {
	m = m.Fit() // the token does not count
	for n, token := range tokens {
		m.To = token
		p := push{reminder: reminder, token: token, message: m, notAfter: notAfter}
		if n < len(projects) && projects[n] != s.cfg.Project {
			p.project = projects[n]
		}
		pushes = append(pushes, p)
	}
	return pushes
}

// calm keeps the user's quiet hours. It returns when they begin next, and during them the verdict: the reminder comes at their end, if its
// event has not begun by then. Planning has moved what it could to a moment before them; what is left is late, or the app's own.
func calm(row store.ClaimRemindersRow, now, until time.Time, zone *time.Location) (next time.Time, v verdict) {
	hours := settings.Quiet{From: settings.Clock(row.QuietFrom), Until: settings.Clock(row.QuietUntil)}
	if !hours.On() {
		return time.Time{}, verdict{}
	}
	if _, end, inside := hours.Period(now, zone); inside {
		if end.Before(until) {
			return time.Time{}, verdict{status: reminderPending, retry: end.Sub(now) + time.Millisecond, deferred: true}
		}
		return time.Time{}, verdict{
			status:  reminderSkipped,
			message: fmt.Sprintf("it came due in the user's quiet hours, %s, and they end after the event begins", hours),
		}
	}
	next, _ = hours.Next(now, zone)
	return next, verdict{}
}

func (s *Sender) message(row store.ClaimRemindersRow, now time.Time, zone *time.Location) expo.Message {
	title, body := s.text(row, now, zone)
	id := row.ID.String()
	data, category := s.data(row)
	return expo.Message{
		Title: title, Body: body, Data: data, Sound: expo.DefaultSound, Priority: expo.PriorityHigh,
		CategoryID: category, ChannelID: s.cfg.Channel, CollapseID: id, Tag: id,
	}
}

// text is what the device shows. A reminder of ours is put into words at the moment of sending, from the event as it is then, so it stays
// true when it is late; one that the app wrote is shown as the app wrote it.
func (s *Sender) text(row store.ClaimRemindersRow, now time.Time, zone *time.Location) (title, body string) {
	f := text.Facts{
		Title: row.Title, Child: row.ChildName, Location: row.Location, Bring: row.PrepItems,
		Now: now.In(zone), Locale: row.Locale, HourCycle: row.HourCycle,
	}
	if !row.Planned {
		f.Message = row.Message
	}
	if row.HasStart {
		f.Start = row.StartTs.In(zone)
		f.AllDay = settings.AllDay(row.StartTs, row.EndTs, row.HasEnd, zone)
	}
	return s.cfg.Texts.Render(f)
}

// data is what the push hands to the app: the app's own object, if the row or its event has one, and the two ids. A categoryId in it decides
// which actions the device offers.
func (s *Sender) data(row store.ClaimRemindersRow) (data json.RawMessage, category string) {
	object := map[string]json.RawMessage{}
	if row.Data != "" && json.Unmarshal([]byte(row.Data), &object) != nil || object == nil {
		object = map[string]json.RawMessage{} // no object, from a column that was there before us
	}
	category = s.cfg.Category
	var own string
	if json.Unmarshal(object["categoryId"], &own) == nil && own != "" {
		category = own
	}
	object["reminderId"], _ = json.Marshal(row.ID) // an id always encodes
	object["eventId"], _ = json.Marshal(row.EventID)
	data, _ = json.Marshal(object)
	return data, category
}
