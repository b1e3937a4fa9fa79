package bench

import (
	"context"
	"os/exec"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Worker is a program that is measured, and how an app hands it its work.
type Worker struct {
	// Name and Settings say in a few words what it is and how it is set up.
	Name, Settings string
	// Prepare makes an empty database ready: the schema, and the users of the site. Nothing serves it yet.
	Prepare func(ctx context.Context, db *pgx.Conn, s Site) error
	// Command is the program that serves the site until it gets a SIGTERM, or is killed when ctx ends. When it does serve, it prints a line "ready" on standard output, or
	// Ready says so.
	Command func(ctx context.Context, s Site) *exec.Cmd
	// Ready reports whether it serves; it is asked again and again. Nil: the line tells.
	Ready func(ctx context.Context, s Site) bool
	// SQL is what the app says.
	SQL Statements
	// Enter enters one event in one transaction, where that takes a library's own client and not a statement alone. Nil: SQL.Event does.
	Enter func(ctx context.Context, db *pgx.Conn, e Event) error
	// Cleanup is the program that removes what is old while the worker serves. Nil: there is none.
	Cleanup func(ctx context.Context, s Site) *exec.Cmd
	// Skips says of a scenario why this worker has no part in it; empty: it has.
	Skips func(scenario string) string
}

// skips reports whether a worker has no part in a scenario.
func (w *Worker) skips(scenario string) bool {
	return w.Skips != nil && w.Skips(scenario) != "" || scenario == cleanupName && w.Cleanup == nil
}

// Event is one that the app enters.
type Event struct {
	ID, User uuid.UUID
	Start    time.Time
}

// Statements are an app's, each a transaction of its own.
type Statements struct {
	// Event enters one: $1 its id, $2 the user's, $3 its start. Empty: Worker.Enter does.
	Event string
	// Events enters many: $1 ids, $2 users' ids, $3 one start for all.
	Events string
	// Reminders enters reminders: $1 ids, $2 users' ids, $3 times, $4 the starts of what they remind of.
	Reminders string
	// Done counts the events that are served in every respect.
	Done string
	// Sent counts the reminders that are marked as sent.
	Sent string
	// Ages counts the events and reminders that a cleanup is to remove, and all others. Empty: there is no cleanup.
	Ages string
	// Waiting, History and Old are for many rows that are there before the worker is started: of numbered ones they write those from $1 to $2. They are
	// run with triggers and foreign keys at rest, which takes a fraction of the time, and by several at once. Empty: the worker has no part in what
	// they are for.

	// Waiting writes reminders that are due $4 seconds one after the other, the first that long after $3, and the event of each.
	Waiting string
	// History writes events, and a reminder of each, of the past, which nobody serves.
	History string
	// Old writes old events and what belongs to them, which a cleanup is to remove, with a tenth as many that stay between them.
	Old string
}

// Site is what a worker is pointed at.
type Site struct {
	DatabaseURL string
	// GoogleURL is the base of the Calendar API, TokenURL gives access tokens for anything.
	GoogleURL, TokenURL string
	// ExpoURL is the base of the push API.
	ExpoURL string
	// HTTPAddr is free for the worker to listen at.
	HTTPAddr string
	// Users are to have a calendar and one device each.
	Users []uuid.UUID
	// Paced says that the limits of the services are to be kept to.
	Paced bool
}

// EventsURL is where a copy is inserted: the request's body has an "id", the event's without hyphens.
func (s Site) EventsURL() string { return s.GoogleURL + "calendars/primary/events" }

// PushURL is where messages are sent: the request's body is a list of objects, each with a "collapseId", the reminder's id.
func (s Site) PushURL() string { return s.ExpoURL + "/push/send" }
