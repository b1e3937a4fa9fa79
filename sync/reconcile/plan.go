package reconcile

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/settings"
	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
)

// MaxTextBytes bounds what is read of an event's texts together; one with more is at fault.
const MaxTextBytes = maxTextBytes

// The states of an event that the worker reads and writes, and of a reminder that planning writes.
const (
	eventPending   = "pending"
	eventSynced    = "synced"
	eventScheduled = "scheduled"
	eventFailed    = "failed"
	eventCancelled = "cancelled"

	reminderPending = "pending"
	reminderSkipped = "skipped"
)

// Plan is what an event's row calls for.
type Plan struct {
	// Fault says why the row cannot be served, in words for a developer of the app; empty: it can.
	Fault string
	// Reminders are the reminders the event should have. None for one that is cancelled or at fault.
	Reminders []Reminder
	// Withdraw is the reason given to pending reminders that are not among Reminders; empty: that the event was moved, or that other times
	// are wanted, as the row shows.
	Withdraw string
	// Bury says that a copy, if there is one, is to be removed.
	Bury bool
	// Content is what the copy should say.
	Content gcal.Event
}

// Reminder is one planned row.
type Reminder struct {
	At      time.Time
	Lead    time.Duration
	Message string
	// Status is pending, or skipped with the Reason.
	Status, Reason string
}

// MakePlan says what row calls for, if it was written at the instant now of the database's clock, and its user has made such choices: a
// reminder that was past then is skipped. However late the plan is made, a reminder that was not past is planned, and sent late as long as
// the event has not begun. It is pure.
func MakePlan(row store.ClaimEventsRow, now time.Time, chosen settings.Settings) Plan {
	if row.Status == eventCancelled {
		return Plan{Withdraw: "the event was cancelled", Bury: true}
	}
	if fault := findFault(row); fault != "" {
		return Plan{Fault: fault, Withdraw: "the event cannot be served: " + fault}
	}
	return Plan{
		Reminders: planReminders(row, now, chosen),
		Content:   content(row, chosen.Zone),
	}
}

// Planner makes plans as a Reconciler of the same configuration does. It is for one goroutine at a time.
type Planner struct {
	cfg   Config
	zones settings.Zones
}

// NewPlanner plans by cfg, of which Offsets and Zone count.
func NewPlanner(cfg Config) *Planner { return &Planner{cfg: cfg} }

// Plan is MakePlan with what the event and its user ask for, and else what the deployment is set up with.
func (p *Planner) Plan(row store.ClaimEventsRow, now time.Time) Plan {
	return MakePlan(row, now, p.choices(row))
}

func (p *Planner) choices(row store.ClaimEventsRow) settings.Settings {
	chosen := settings.Settings{
		Zone:     p.zones.Find(row.TimeZone, p.cfg.Zone),
		Quiet:    settings.Quiet{From: settings.Clock(row.QuietFrom), Until: settings.Clock(row.QuietUntil)},
		AllDayAt: settings.Clock(row.AllDayAt),
		Leads:    p.cfg.Offsets,
	}
	if row.HasMinutes {
		chosen.Leads = make([]time.Duration, len(row.Minutes))
		for i, m := range row.Minutes {
			chosen.Leads[i] = time.Duration(m) * time.Minute
		}
	}
	return chosen
}

func planReminders(row store.ClaimEventsRow, now time.Time, chosen settings.Settings) []Reminder {
	message := details(row)
	alerts := chosen.Alerts(row.StartTs, row.EndTs, row.HasEnd)
	planned := make([]Reminder, 0, len(alerts))
	for _, a := range alerts {
		r := Reminder{At: a.At, Lead: a.Lead, Message: message, Status: reminderPending}
		if r.Reason = whyNot(a, row.StartTs, now, chosen); r.Reason != "" {
			r.Status = reminderSkipped
		}
		planned = append(planned, r)
	}
	return planned
}

// whyNot says why an alert is not to be sent, or nothing.
func whyNot(a settings.Alert, start, now time.Time, chosen settings.Settings) string {
	switch {
	case !a.Nominal.After(now) && a.Nominal.Equal(start.Add(-a.Lead)):
		return fmt.Sprintf("already past when planned: %s before the start was %s ago", spoken(a.Lead), spoken(now.Sub(a.Nominal)))
	case !a.Nominal.After(now):
		return fmt.Sprintf("already past when planned: it was due %s ago", spoken(now.Sub(a.Nominal)))
	case !a.At.After(now):
		return fmt.Sprintf("it falls into the user's quiet hours, %s, and the event begins before they end", chosen.Quiet)
	}
	return ""
}

// details is the part of a push's text that stays true whenever it is sent; the time is put before it at sending.
func details(row store.ClaimEventsRow) string {
	var parts []string
	for _, s := range []string{row.ChildName, row.Location} {
		if s = oneLine(s); s != "" {
			parts = append(parts, s)
		}
	}
	if bring := preparation(row.PrepItems); bring != "" {
		parts = append(parts, "Bring: "+bring)
	}
	return strings.Join(parts, " · ")
}

func content(row store.ClaimEventsRow, zone *time.Location) gcal.Event {
	end := row.EndTs
	if !row.HasEnd {
		end = row.StartTs.Add(time.Hour) // Google needs an end; an hour is what its own page offers
	}
	var about []string
	if child := oneLine(row.ChildName); child != "" {
		about = append(about, "For: "+child)
	}
	if bring := preparation(row.PrepItems); bring != "" {
		about = append(about, "Bring: "+bring)
	}
	return gcal.Event{
		ID:          row.ID,
		Title:       oneLine(row.Title),
		Location:    oneLine(row.Location),
		Description: cut(strings.Join(about, "\n"), maxDescription),
		Start:       row.StartTs.In(zone),
		End:         end.In(zone),
		TimeZone:    zone.String(),
		AllDay:      settings.AllDay(row.StartTs, row.EndTs, row.HasEnd, zone),
		Alerts:      row.GoogleAlerts,
	}
}

// maxDescription is how many characters Google Calendar keeps of a description.
const maxDescription = 8192

// cut shortens a text to so many characters.
func cut(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

func preparation(items []string) string {
	clean := make([]string, 0, len(items))
	for _, item := range items {
		if item = oneLine(item); item != "" {
			clean = append(clean, item)
		}
	}
	return strings.Join(clean, ", ")
}

// oneLine folds white space and line breaks, which neither a lock screen nor a calendar's title shows.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// spoken writes a duration the way people say it, in its two largest units: "30 min", "24 h", "2 d 3 h". Days begin at two.
func spoken(d time.Duration) string {
	units := []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	if d < 48*time.Hour {
		units = units[1:]
	}
	var parts []string
	for _, u := range units {
		if n := d / u.size; n > 0 && len(parts) < 2 {
			parts = append(parts, fmt.Sprintf("%d %s", n, u.name))
			d -= n * u.size
		}
	}
	if len(parts) == 0 {
		return "0 s"
	}
	return strings.Join(parts, " ")
}

// copyID is the id a copy is noted under before it is written: the known one, else the event's own.
func copyID(row store.ClaimEventsRow) string {
	if remembered(row) {
		return row.GoogleEventID
	}
	return gcal.NewGoogleID(row.ID, 0)
}

var noUser uuid.UUID
