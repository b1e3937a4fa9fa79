package page

import (
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Count is how many there are, counted up to a bound.
type Count struct {
	N int `json:"n"`
	// More says that there are more than were counted.
	More bool `json:"more,omitempty"`
}

// String is for people: 1,000+.
func (c Count) String() string {
	if c.More {
		return grouped(c.N) + "+"
	}
	return grouped(c.N)
}

// grouped puts a comma between thousands.
func grouped(n int) string {
	if n < 0 {
		return "-" + grouped(-n)
	}
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

// Readiness is what /readyz says.
type Readiness struct {
	// Status is ok, degraded or failed.
	Status string  `json:"status"`
	Checks []Check `json:"checks"`
}

// Check is one question that readiness is made of.
type Check struct {
	Name     string `json:"name"`
	Status   string `json:"status"`
	Required bool   `json:"required"`
	Reason   string `json:"reason,omitempty"`
	Fix      string `json:"fix,omitempty"`
}

// Overview is what is coming, and what waits where.
type Overview struct {
	// At is when this was read, by the database's clock.
	At        time.Time `json:"at"`
	Readiness Readiness `json:"readiness"`
	// Hour counts reminders that are due in the next hour by the minute, Day those of the next 24 by the hour.
	Hour Series `json:"hour"`
	Day  Series `json:"day"`
	// Next are the first reminders that are due, at most ten.
	Next []Due `json:"next"`
	// Stages are the way from a change to a receipt, in order.
	Stages []Stage `json:"stages"`
	// FailedEvents and FailedReminders are those that Failures are made of.
	FailedEvents    Count `json:"failed_events"`
	FailedReminders Count `json:"failed_reminders"`
	// Stale is why this is not newer; empty: it is.
	Stale string `json:"stale,omitempty"`
}

// Troubles are the checks that are not ok, but for those that tell of a pause, which is told by itself.
func (o Overview) Troubles() (all []Check) {
	rests := map[string]bool{}
	for _, s := range o.Stages {
		if s.Pause != nil {
			rests[checkOf[s.Part]] = true
		}
	}
	for _, c := range o.Readiness.Checks {
		if c.Status != "ok" && !rests[c.Name] {
			all = append(all, c)
		}
	}
	return all
}

// checkOf is the check that tells of a pause.
var checkOf = map[string]string{"calendar": "google", "push": "expo"}

// Series is a count for each of so many equal periods.
type Series struct {
	// From is when the first begins.
	From time.Time `json:"from"`
	// Step is how long each is, in seconds.
	Step   int     `json:"step_seconds"`
	Counts []Count `json:"counts"`
}

// Due is a reminder that waits for its time.
type Due struct {
	ReminderID uuid.UUID `json:"reminder_id"`
	EventID    uuid.UUID `json:"event_id"`
	At         time.Time `json:"at"`
	StartsAt   time.Time `json:"starts_at,omitzero"`
	// Status is pending or sending.
	Status string `json:"status"`
	Title  string `json:"title,omitempty"`
}

// The stages, by name.
const (
	StageChanges   = "changes"   // commits that were heard
	StageQueue     = "queue"     // events whose reminders are to be planned
	StageGoogle    = "google"    // events that wait for their copy, and removals
	StageReminders = "reminders" // reminders that wait for their time
	StagePush      = "push"      // reminders that are due
	StageReceipts  = "receipts"  // pushes whose receipt is to be asked for
)

// Stage is one part of the way from a change to a receipt.
type Stage struct {
	// Name is one of the Stage constants.
	Name string `json:"name"`
	// State says in words how it is, where there is more to say than its figures do.
	State string `json:"state,omitempty"`
	// Waiting is how many rows wait here; nil: nothing does.
	Waiting *Count `json:"waiting,omitempty"`
	// OldestSeconds is for how long the first of them has been due; 0: none is.
	OldestSeconds float64 `json:"oldest_seconds"`
	// PerMinute is what this worker has done, on average of the last minutes; nil: it has not run for long enough.
	PerMinute *float64 `json:"per_minute,omitempty"`
	// Rest is why nothing is done here at the moment; empty: something is, if there is anything to do.
	Rest string `json:"rest,omitempty"`
	// Error is the latest of those that rows wait with.
	Error string `json:"error,omitempty"`
	// Part is what may be paused here, calendar or push.
	Part string `json:"part,omitempty"`
	// Pause is set while it is.
	Pause *Pause `json:"pause,omitempty"`
}

// Pause is one that a person has asked for.
type Pause struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
}

// Failures are what has failed.
type Failures struct {
	At     time.Time `json:"at"`
	Groups []Group   `json:"groups"`
	// More says that there are more groups, or more rows, than were looked at.
	More  bool   `json:"more,omitempty"`
	Stale string `json:"stale,omitempty"`
}

// The kinds of what can fail.
const (
	KindEvent    = "event"
	KindReminder = "reminder"
	KindCopy     = "copy"
)

// Group is what failed for one reason.
type Group struct {
	Kind   string    `json:"kind"`
	Reason string    `json:"reason"`
	Count  Count     `json:"count"`
	Oldest time.Time `json:"oldest,omitzero"`
	Newest time.Time `json:"newest,omitzero"`
	// Examples are the newest of them, at most five.
	Examples []Example `json:"examples"`
}

// Example is one row that failed.
type Example struct {
	ID      uuid.UUID `json:"id"`
	EventID uuid.UUID `json:"event_id"`
	// At is when the event begins, the reminder was due, or the copy was to be removed.
	At    time.Time `json:"at,omitzero"`
	Title string    `json:"title,omitempty"`
}

// Connections are the users' Google accounts.
type Connections struct {
	At     time.Time      `json:"at"`
	States []AccountState `json:"states"`
	// Reconnect are those whose users have to connect again, the latest first.
	Reconnect []Account `json:"reconnect"`
	More      bool      `json:"more,omitempty"`
	Stale     string    `json:"stale,omitempty"`
}

// AccountState is how many accounts are in a state for a reason.
type AccountState struct {
	// State is connected, needs_reconnect, leaving or off.
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	Count  Count  `json:"count"`
}

// Account is one user's.
type Account struct {
	UserID uuid.UUID `json:"user_id"`
	State  string    `json:"state"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	// ToldAt is when the user was told by a push; zero: not yet.
	ToldAt time.Time `json:"told_at,omitzero"`
}

// Devices are the users' devices.
type Devices struct {
	At time.Time `json:"at"`
	// Platforms are of those that are pushed to.
	Platforms []Platform `json:"platforms"`
	// Sampled says that there are more than were looked at.
	Sampled bool `json:"sampled,omitempty"`
	// Reasons are why devices are not pushed to any more, Retired the latest of those.
	Reasons []RetiredReason `json:"retired_reasons"`
	Retired []Device        `json:"retired"`
	Stale   string          `json:"stale,omitempty"`
}

// Platform is how many devices there are of one.
type Platform struct {
	// Name is as the app has registered it, ios or android; empty: it has not said.
	Name  string `json:"platform"`
	Count Count  `json:"count"`
}

// RetiredReason is how many devices were retired for a reason, of those that were looked at.
type RetiredReason struct {
	Reason string `json:"reason"`
	Count  Count  `json:"count"`
}

// Device is one that is not pushed to any more.
type Device struct {
	UserID uuid.UUID `json:"user_id"`
	// Token is masked: it is enough to tell one from another, and not to push to it.
	Token        string    `json:"token"`
	Platform     string    `json:"platform,omitempty"`
	RegisteredAt time.Time `json:"registered_at"`
	RetiredAt    time.Time `json:"retired_at"`
	Reason       string    `json:"reason"`
}

// System is the program itself.
type System struct {
	At        time.Time `json:"at"`
	Version   string    `json:"version"`
	Revision  string    `json:"revision"`
	GoVersion string    `json:"go_version"`
	StartedAt time.Time `json:"started_at"`
	Listener  Listener  `json:"listener"`
	Pool      Pool      `json:"pool"`
	Database  Database  `json:"database"`
	Settings  []Setting `json:"settings"`
	Stale     string    `json:"stale,omitempty"`
}

// Listener is how changes are heard.
type Listener struct {
	Source            string    `json:"source"`
	State             string    `json:"state"`
	Since             time.Time `json:"since"`
	LastChange        time.Time `json:"last_change,omitzero"`
	LastProof         time.Time `json:"last_proof,omitzero"`
	RoundTripSeconds  float64   `json:"round_trip_seconds"`
	Reconnects        int       `json:"reconnects"`
	Error             string    `json:"error,omitempty"`
	RemindersInMemory int       `json:"reminders_in_memory"`
}

// Pool is the connections to the database.
type Pool struct {
	Total int `json:"total"`
	InUse int `json:"in_use"`
	Idle  int `json:"idle"`
	Max   int `json:"max"`
	// Waits is how often a statement had to wait for a connection.
	Waits int64 `json:"waits"`
}

// Database is the server.
type Database struct {
	Version string `json:"version"`
	Schema  int    `json:"schema"` // the number of the latest migration
	Address string `json:"address"`
	Pooled  bool   `json:"pooled"` // a pooler is in between
}

// Setting is one variable of the configuration.
type Setting struct {
	Name string `json:"name"`
	// Value is as it may be seen: of a secret, that it is set.
	Value string `json:"value"`
	// Source says where it comes from, such as environment, .env, file or default.
	Source string `json:"source"`
}
