package app

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/sql/cleanup"
)

// quiet makes the program without running it, for a command.
func (w *world) quiet() *App {
	w.t.Helper()
	a, err := New(w.cfg, ops.Build{Version: "test"}, zerolog.New(zerolog.NewTestWriter(w.t)).Level(zerolog.InfoLevel))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// aged has everything that stands in the tables happen so long ago, without telling the worker.
func (w *world) aged(by time.Duration) {
	w.t.Helper()
	w.exec(`update events set start_ts = start_ts - $1::interval, end_ts = end_ts - $1::interval, created_at = created_at - $1::interval`, by)
	w.until("events served", func() bool {
		return one[bool](w, `select not exists (select from events where sync_due_at is not null)`)
	})
	w.exec(`update events set sync_changed_at = sync_changed_at - $1::interval`, by)
	w.exec(`update reminders set notify_at_ts = notify_at_ts - $1::interval, created_at = created_at - $1::interval, sent_at_ts = sent_at_ts - $1::interval`, by)
}

// A worker removes what is over by itself, and when an old event goes its copy stays in the calendar. Meanwhile it serves on.
func TestCleanupByItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.KeepEvents = leastAgeOfEvents
	a, _ := w.start()
	user, _ := w.user()
	for _, title := range []string{"Practice", "Concert"} {
		w.untilStatus(w.event(user, title, 48*time.Hour), "synced")
	}
	w.aged(200 * 24 * time.Hour)
	coming := w.event(user, "Swimming", 48*time.Hour)
	w.untilStatus(coming, "synced")
	w.exec(`update reminder_worker.cleanups set due_at = now()`)
	if _, err := a.cleaner.Clean(t.Context(), cleanup.Options{}); err != nil { // the worker's own turn may be minutes away
		t.Fatal(err)
	}
	if got := one[[]string](w, `select array_agg(title) from events`); len(got) != 1 || got[0] != "Swimming" {
		t.Errorf("events left: %v", got)
	}
	w.event(user, "Chess", 48*time.Hour)
	w.until("the next copy", func() bool { return len(w.live(user)) == 4 })
	if n := one[int](w, `select count(*) from reminder_worker.calendar_copies where tombstoned_at is not null`); n > 0 {
		t.Errorf("%d copies of old events are to be removed", n)
	}
	if n := one[int](w, `select count(*) from reminders r join events e on e.id = r.event_id where e.id = $1`, coming); n != 3 {
		t.Errorf("%d reminders of the coming event", n)
	}
}

// The command does the same, counts only if that is asked, and has a role that may do nothing else.
func TestCleanupCommand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.narrow("narrow_cleaner", "bypassrls")
	_, stop := w.start()
	user, _ := w.user()
	w.untilStatus(w.event(user, "Practice", 48*time.Hour), "synced")
	w.aged(200 * 24 * time.Hour)
	w.exec(`insert into events (user_id, title, start_ts, end_ts) values ($1, 'Backwards', now(), now() - interval '1 day')`, user)
	w.until("a failed event", func() bool { return one[bool](w, `select exists (select from events where status = 'failed')`) })
	stop()
	w.exec(`update events set start_ts = start_ts - interval '200 days', end_ts = end_ts - interval '200 days' where title = 'Backwards'`)
	w.exec(`update events set status = 'failed', sync_due_at = null, created_at = now() - interval '200 days', sync_changed_at = now() - interval '200 days' where title = 'Backwards'`)
	w.exec(`update reminders set status = 'sent' where status = 'pending'`)
	for _, dry := range []bool{true, false} {
		var told CleanupProgress
		report, err := w.quiet().Cleanup(t.Context(), dry, func(p CleanupProgress) { told = p })
		if err != nil {
			t.Fatal(err)
		}
		if c := report.Counts; c.Events != 1 || c.Reminders != 6 || report.DryRun != dry {
			t.Errorf("dry run %v: %+v", dry, c)
		}
		if told.Total == 0 || told.Done != told.Total {
			t.Errorf("progress ends with %+v", told)
		}
		left := 2
		if !dry {
			left = 1
		}
		if n := one[int](w, `select count(*) from events`); n != left {
			t.Errorf("dry run %v: %d events are left", dry, n)
		}
	}
}
