package app

import (
	"strings"
	"testing"
	"time"
)

// The life of one event: inserted, moved, deleted; its copy and its reminders follow.
func TestEventLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user, _ := w.user()
	event := w.event(user, "Soccer practice", 2*time.Hour)
	w.untilStatus(event, "synced")

	copies := w.live(user)
	if len(copies) != 1 || copies[0].Summary != "Soccer practice" {
		t.Fatalf("copies: %+v", copies)
	}
	if got, want := one[string](w, `select google_calendar_id from events where id = $1`, event), strings.ReplaceAll(event.String(), "-", ""); got != want {
		t.Errorf("google_calendar_id %s, want %s", got, want)
	}
	states := one[string](w, `select string_agg(lead_seconds || ' ' || status, ', ' order by lead_seconds) from reminders where event_id = $1`, event)
	if want := "1800 pending, 10800 skipped, 86400 skipped"; states != want {
		t.Errorf("reminders %s, want %s", states, want)
	}
	if n := one[int](w, `select count(*)::int from reminders where event_id = $1 and status = 'skipped' and error_message like 'already past when planned%'`, event); n != 2 {
		t.Errorf("%d skipped reminders say why, want 2", n)
	}

	w.exec(`update events set start_ts = start_ts + interval '1 day', end_ts = end_ts + interval '1 day' where id = $1`, event)
	w.until("moved copy", func() bool {
		c := w.live(user)
		return len(c) == 1 && c[0].Start.Sub(copies[0].Start) == 24*time.Hour
	})
	w.untilStatus(event, "synced")
	states = one[string](w, `select string_agg(lead_seconds || ' ' || status, ', ' order by lead_seconds, notify_at_ts) from reminders where event_id = $1 and status <> 'skipped'`, event)
	if want := "1800 cancelled, 1800 pending, 10800 pending, 86400 pending"; states != want {
		t.Errorf("reminders after the move: %s, want %s", states, want)
	}

	w.exec(`delete from events where id = $1`, event)
	w.until("removed copy", func() bool { return len(w.live(user)) == 0 })
	w.until("forgotten copy", func() bool { return one[int](w, `select count(*)::int from reminder_worker.calendar_copies`) == 0 })
	if v := w.google.Violations(); len(v) > 0 {
		t.Errorf("violations of Google's description: %v", v)
	}
}

// A reminder becomes a push, a ticket and a receipt.
func TestReminderLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.start()
	user, token := w.user()
	w.until("ready", a.Ready)
	event := w.event(user, "Soccer practice", 30*time.Minute+5*time.Second) // time to plan it on a busy machine
	w.until("push", func() bool { return len(w.expo.Pushes()) > 0 })
	p := w.expo.Pushes()[0]
	id := one[string](w, `select id::text from reminders where event_id = $1 and lead_seconds = 1800`, event)
	if p.Token != token || p.CollapseID != id || p.Tag != id || p.Priority != "high" {
		t.Errorf("push %+v", p)
	}
	if due := one[time.Time](w, `select notify_at_ts from reminders where id = $1`, id); p.FirstByte.Before(due) {
		t.Errorf("pushed %s before it was due", due.Sub(p.FirstByte))
	}
	if start := one[time.Time](w, `select start_ts from events where id = $1`, event); p.Expiration != start.Unix() {
		t.Errorf("expiration %d, want the start, %d", p.Expiration, start.Unix())
	}
	if !strings.HasSuffix(p.Body, "Field 3 · Bring: cleats, water") {
		t.Errorf("body %q", p.Body)
	}
	w.until("sent", func() bool { return one[string](w, `select status from reminders where id = $1`, id) == "sent" })
	w.until("receipt", func() bool {
		return one[int](w, `select count(*)::int from reminder_worker.deliveries where reminder_id = $1 and state = 'delivered'`, id) == 1
	})
}

// A reminder that the app writes by itself is sent with the app's words, and planning leaves it alone.
func TestAppsOwnReminder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.start()
	user, _ := w.user()
	event := w.event(user, "Recital", 5*time.Hour)
	w.untilStatus(event, "synced")
	w.until("ready", a.Ready)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) values ($1, $2, now() + interval '300 milliseconds', 'Pack the violin')`, event, user)
	w.until("push", func() bool { return len(w.expo.Pushes()) == 1 })
	if p := w.expo.Pushes()[0]; p.Body != "Pack the violin" || p.Title != "Recital" {
		t.Errorf("push %+v", p)
	}
}

func TestWithoutGoogle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user, _ := w.user()
	w.exec(`delete from reminder_worker.google_accounts`)
	event := w.event(user, "Dentist", 48*time.Hour)
	w.untilStatus(event, "scheduled")
	if n := one[int](w, `select count(*)::int from reminders where event_id = $1 and status = 'pending'`, event); n != 3 {
		t.Errorf("%d reminders pending, want 3", n)
	}
	w.exec(`select reminder_worker.put_google_account($1, $2)`, user, w.google.Grant(user.String()))
	w.untilStatus(event, "synced")
	if n := len(w.live(user)); n != 1 {
		t.Errorf("%d copies, want 1", n)
	}
}
