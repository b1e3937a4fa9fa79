package app

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

func (w *world) status() (s Status) {
	w.t.Helper()
	conn, err := Connect(w.t.Context(), w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	defer hangUp(w.t.Context(), conn)
	if s, err = ReadStatus(w.t.Context(), w.cfg, conn); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// What stands in the tables, without a worker.
func TestStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if s := w.status(); len(s.Attention) != 0 || s.Workers.Hears != "" || s.Schema.Applied != s.Schema.Known || s.Schema.Known < 19 || !s.NextReminder.IsZero() {
		t.Errorf("an empty database: %+v", s)
	}
	user, _ := w.user()
	other, _ := w.user()
	w.exec(`update reminder_worker.google_accounts set state = 'needs_reconnect' where user_id = $1`, other)
	event := w.event(user, "Recital", 5*time.Hour) // due at once
	w.exec(`update events set sync_due_at = now() - interval '10 minutes' where id = $1`, event)
	done := w.event(user, "Dentist", 5*time.Hour)
	w.exec(`update events set status = 'synced', sync_due_at = null where id = $1`, done)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) select id, user_id, now() + n * interval '1 hour', '' from events, generate_series(1, 3) n where id = $1`, done)
	w.failed(user, time.Hour, "title is empty: give the event a title")
	w.failedReminder(done, time.Minute, noDevice)
	w.exec(`insert into reminder_worker.pauses (part, reason) values ('calendar', 'the project moves')`)
	w.exec(`insert into reminder_worker.permits (name, starts, untils, counts, held) values ('expo', now(), array[now() - interval '1 second', now() + interval '1 hour'], '{5,7}', 12)`)
	s := w.status()
	due := map[string]Waiting{}
	for _, x := range s.Waiting {
		due[x.Kind] = x
	}
	if e := due["event"]; e.Due != 1 || e.OldestSeconds < 600 || due["copy"].Due+due["reminder"].Due != 0 {
		t.Errorf("due: %+v", s.Waiting)
	}
	if left := s.NextReminder.Sub(s.At); left <= 0 || left > time.Hour || s.RemindersToday != 3 {
		t.Errorf("next reminder in %s, %d within a day", left, s.RemindersToday)
	}
	if s.Accounts != (AccountsStatus{Connected: 1, NeedsReconnect: 1}) || s.Devices != 2 {
		t.Errorf("accounts %+v, devices %d", s.Accounts, s.Devices)
	}
	if len(s.Quotas) != 2 || s.Quotas[0] != (QuotaUse{"expo", 7, 600, 1}) {
		t.Errorf("quotas %+v", s.Quotas)
	}
	if len(s.Failures.Events) != 1 || len(s.Failures.Reminders) != 1 {
		t.Errorf("failures %+v", s.Failures)
	}
	said := strings.Join(s.Attention, "\n")
	for _, want := range []string{"calendar is paused by hand since ", ": the project moves. When it is over: reminder-worker resume calendar.", "events to plan have been due for 10m", "1 event has failed"} {
		if !strings.Contains(said, want) {
			t.Errorf("attention lacks %q:\n%s", want, said)
		}
	}
	if len(s.Attention) != 3 { // no device is the user's to change
		t.Errorf("attention:\n%s", said)
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
}

// A worker that runs is seen, by what it wants to hear.
func TestStatusSeesWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.start()
	w.until("ready", a.Ready)
	w.until("a worker that hears", func() bool { s := w.status(); return s.Workers.Hears == "notify" && s.Workers.Sessions > 0 })
}

// Of more rows than are counted it says so.
func TestStatusCountsSoFar(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user()
	w.exec(`insert into events (user_id, title, start_ts, status, error_message) select $1, 'Practice', now() + interval '1 hour', 'failed', 'away' from generate_series(1, 10005) n`, user)
	s := w.status()
	if f := s.Failures.Events; len(f) != 1 || f[0].Count != countLimit || Count(f[0].Count).String() != "10,000+" {
		t.Errorf("failures: %+v", f)
	}
	text, err := json.Marshal(Count(countLimit))
	if err != nil || string(text) != `{"count":10000,"or_more":true}` || Count(1234567).String() != "10,000+" || Count(1234).String() != "1,234" || thousands(1234567) != "1,234,567" {
		t.Errorf("%s, %v", text, err)
	}
}

// A database that is not migrated is told to be so, and nothing may be written by the session.
func TestStatusOfADatabaseThatIsNotMigrated(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	conn, err := pgx.Connect(t.Context(), db.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(context.WithoutCancel(t.Context()), conn)
	s, err := ReadStatus(t.Context(), Config{}, conn)
	if err != nil || len(s.Attention) != 1 || !strings.Contains(s.Attention[0], "migrations are pending: reminder-worker migrate up") {
		t.Errorf("%+v, %v", s.Attention, err)
	}
}
