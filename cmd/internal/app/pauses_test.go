package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/sql/store"
)

// attend makes the program as a command does that serves nothing, and has it used.
func (w *world) attend(use func(*App) error) error {
	w.t.Helper()
	a, err := New(w.cfg, ops.Build{Version: "test"}, zerolog.Nop())
	if err != nil {
		w.t.Fatal(err)
	}
	return a.Attend(w.t.Context(), func(context.Context) error { return use(a) })
}

func (w *world) pause(part, reason string) {
	w.t.Helper()
	if err := w.attend(func(a *App) error { return a.Pause(w.t.Context(), part, reason) }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) resume(part string) {
	w.t.Helper()
	if err := w.attend(func(a *App) error { return a.Resume(w.t.Context(), part) }); err != nil {
		w.t.Fatal(err)
	}
}

// all waits until all workers know that a part is paused, or is not.
func (w *world) all(workers []*App, part string, paused bool) {
	w.t.Helper()
	for _, a := range workers {
		w.until(part+" in every worker", func() bool { _, is := a.pauses.of(part); return is == paused })
	}
}

// Calendars that are paused by a command, by all workers: nothing is asked of Google, reminders are planned and pushed; afterwards all is written.
func TestPauseCalendar(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.SweepInterval = time.Hour // who does not hear of it does not learn of it
	var workers []*App
	for range 2 {
		a, _ := w.start()
		w.until("ready", a.Ready)
		workers = append(workers, a)
	}
	user, _ := w.user()
	leaves, _ := w.user()
	moved := w.event(user, "Recital", 5*time.Hour)
	gone := w.event(user, "Playdate", 5*time.Hour)
	hers := w.event(leaves, "Dentist", 5*time.Hour)
	for _, e := range []uuid.UUID{moved, gone, hers} {
		w.untilStatus(e, "synced")
	}
	w.pause(PartCalendar, "the project\nmoves")
	w.all(workers, PartCalendar, true)
	w.google.ResetLog()

	w.exec(`update events set title = 'Concert' where id = $1`, moved)
	w.exec(`delete from events where id = $1`, gone)
	w.exec(`select set_config('request.jwt.claims', jsonb_build_object('sub', $1::text)::text, false), public.disconnect_google_calendar(true, true)`, leaves)
	w.exec(`insert into events (user_id, title, start_ts) select $1, 'Practice ' || n, now() + interval '5 hours' from generate_series(1, 300) n`, user)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) select id, user_id, now(), 'Pack the violin' from events where id = $1`, moved)
	w.until("planned", func() bool {
		return one[int](w, `select count(*)::int from events where sync_planned is distinct from sync_revision or sync_lease_until is not null`) == 0
	})
	w.until("push", func() bool { return len(w.expo.Pushes()) == 1 })
	if n := one[int](w, `select count(*)::int from reminders where lead_seconds = 1800 and status = 'pending'`); n != 302 {
		t.Errorf("%d reminders are planned, want 302", n)
	}
	if n := one[int](w, `select count(*)::int from events where status = 'pending' and sync_attempts = 0`); n != 301 {
		t.Errorf("%d events wait, want 301", n)
	}
	if log := w.google.Log(); len(log) != 0 {
		t.Errorf("%d requests to Google, the first %+v", len(log), log[0])
	}
	for _, a := range workers {
		f := a.checkGoogle()
		if !f.OK || !f.Degraded || !strings.HasSuffix(f.Reason, "Z: the project moves") || f.Fix != "When it is over: reminder-worker resume calendar." {
			t.Errorf("readiness: %+v", f)
		}
		for part, want := range map[string]float64{PartCalendar: 1, PartPush: 0} {
			if got := testutil.ToFloat64(a.pauses.gauge.WithLabelValues(part)); got != want {
				t.Errorf("the gauge of %s is %v", part, got)
			}
		}
	}
	auditing, err := New(w.cfg, ops.Build{Version: "test"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = auditing.Audit(t.Context(), AuditOptions{Google: true}); err == nil || !strings.Contains(err.Error(), "calendars are paused by hand since") {
		t.Errorf("an audit of calendars: %v", err)
	}

	w.resume(PartCalendar)
	w.until("written", func() bool {
		return one[int](w, `select count(*)::int from events where user_id = $1 and status <> 'synced'`, user) == 0
	})
	w.until("left", func() bool {
		return one[string](w, `select state from reminder_worker.google_accounts where user_id = $1`, leaves) == "off"
	})
	w.until("removed", func() bool { return len(w.live(user)) == 301 && len(w.live(leaves)) == 0 })
	w.all(workers, PartCalendar, false)
	if f := workers[0].checkGoogle(); !f.OK || f.Degraded {
		t.Errorf("readiness afterwards: %+v", f)
	}
}

// Pushing that is paused by a command: nothing is claimed or written, and events are served; afterwards what is of use goes out.
func TestPausePush(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.SweepInterval = time.Hour
	a, _ := w.start()
	w.until("ready", a.Ready)
	user, _ := w.user()
	event := w.event(user, "Recital", 5*time.Hour)
	w.untilStatus(event, "synced")
	w.pause(PartPush, "")
	w.all([]*App{a}, PartPush, true)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message)
		select id, user_id, now() - n * interval '1 second', 'Pack the violin' from events, generate_series(0, 99) n`)
	over := w.event(user, "Dentist", -time.Hour)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) select id, user_id, now() - interval '2 hours', 'Insurance card' from events where id = $1`, over)
	w.untilStatus(over, "synced")
	last := w.event(user, "Practice", 5*time.Hour)
	w.untilStatus(last, "synced")
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) select id, user_id, now() + interval '200 milliseconds', 'Shin guards' from events where id = $1`, last)
	w.until("all fired", func() bool {
		return one[bool](w, `select notify_at_ts < now() from reminders where event_id = $1 and lead_seconds is null`, last) && a.sender.Waiting() == 0
	})
	if n := one[int](w, `select count(*)::int from reminders where status in ('sending', 'sent', 'failed', 'expired')`); n != 0 || len(w.expo.Pushes()) != 0 {
		t.Errorf("%d reminders were touched, %d pushed", n, len(w.expo.Pushes()))
	}
	if f := a.checkExpo(); !f.OK || !f.Degraded || !strings.HasPrefix(f.Reason, "paused by hand since ") {
		t.Errorf("readiness: %+v", f)
	}
	w.resume(PartPush)
	w.until("sent", func() bool { return one[int](w, `select count(*)::int from reminders where status = 'sent'`) == 101 })
	w.until("put away", func() bool {
		return one[string](w, `select status from reminders where event_id = $1 and lead_seconds is null`, over) == "expired"
	})
	if n := len(w.expo.Pushes()); n != 101 {
		t.Errorf("%d pushes, want 101", n)
	}
}

// tallied counts the statements of one goroutine.
type tallied struct {
	store.DBTX
	n int
}

func (c *tallied) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	c.n++
	return c.DBTX.Query(ctx, sql, args...)
}

func (c *tallied) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	c.n++
	return c.DBTX.QueryRow(ctx, sql, args...)
}

// told notes what a part is told.
type told []string

func (t *told) Pause()  { *t = append(*t, "pause") }
func (t *told) Resume() { *t = append(*t, "resume") }

// A pause of which no word was heard is found with the ages of work, by the statement that asks for these, and told once to the part and in the log.
func TestPauseUnheard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var log lines
	var calendar, push told
	reg := prometheus.NewRegistry()
	db := &tallied{DBTX: w.db}
	p := newPauses(store.New(db), &calendar, &push, zerolog.New(&log), reg)
	a := newAges(store.New(db), time.Hour, p, zerolog.Nop(), reg)
	w.exec(`insert into reminder_worker.pauses (part, reason) values ('push', 'a trial'), ('calendar', '')`)
	a.look(t.Context())
	a.look(t.Context())
	for _, part := range pauseParts {
		if p, paused := p.of(part); !paused || p.Since.IsZero() {
			t.Errorf("%s: %+v", part, p)
		}
	}
	w.exec(`update reminder_worker.pauses set reason = 'another trial' where part = 'push'`)
	a.look(t.Context())
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	a.look(gone) // what was last known stands
	w.exec(`delete from reminder_worker.pauses`)
	a.look(t.Context())
	if got, want := log.messages("part", "reason"), []string{
		"paused by hand calendar ", "paused by hand push a trial", "paused by hand push another trial", "resumed calendar", "resumed push",
	}; !slices.Equal(got, want) {
		t.Errorf("log %q, want %q", got, want)
	}
	if !slices.Equal(calendar, told{"pause", "resume"}) || !slices.Equal(push, told{"pause", "pause", "resume"}) {
		t.Errorf("calendar was told %q, push %q", calendar, push)
	}
	if db.n != 5 {
		t.Errorf("%d statements for five looks", db.n)
	}
}

// once, as cron calls it, keeps to a pause: it plans.
func TestOnceWhilePaused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user()
	event := w.event(user, "Recital", 5*time.Hour)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) select id, user_id, now(), 'Pack the violin' from events`)
	w.pause(PartCalendar, "")
	w.pause(PartPush, "")
	once := func() {
		t.Helper()
		a, err := New(w.cfg, ops.Build{Version: "test"}, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	once()
	if n := len(w.google.Log()) + len(w.expo.Pushes()); n != 0 {
		t.Errorf("%d requests", n)
	}
	if n := one[int](w, `select count(*)::int from reminders where event_id = $1 and status = 'pending'`, event); n != 3 {
		t.Errorf("%d reminders wait, want two planned and one of the app's own", n)
	}
	w.resume(PartCalendar)
	w.resume(PartPush)
	once()
	w.untilStatus(event, "synced")
	if n := len(w.expo.Pushes()); n != 1 {
		t.Errorf("%d pushes", n)
	}
}

func TestPauseRefusesUnknownParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, do := range []func(*App) error{
		func(a *App) error { return a.Pause(t.Context(), "email", "") }, func(a *App) error { return a.Resume(t.Context(), "") },
	} {
		if _, unknown := errors.AsType[*UnknownPartError](w.attend(do)); !unknown {
			t.Error("a part that is none was taken")
		}
	}
	w.pause(PartPush, strings.Repeat("ü", 400))
	if reason := one[string](w, `select reason from reminder_worker.pauses`); reason != strings.Repeat("ü", 150) {
		t.Errorf("the reason is %q", reason)
	}
	w.pause(PartPush, "shorter")
	if reason := one[string](w, `select reason from reminder_worker.pauses`); reason != "shorter" {
		t.Errorf("the reason is %q", reason)
	}
	w.resume(PartPush)
	w.resume(PartPush)
}

// lines keeps log lines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// messages are the lines' messages, each with fields of it.
func (l *lines) messages(fields ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) != nil {
			continue
		}
		text := fmt.Sprint(m["message"])
		for _, f := range fields {
			if v, there := m[f]; there {
				text += " " + fmt.Sprint(v)
			}
		}
		found = append(found, text)
	}
	return found
}
