package notify

import (
	"testing"
	"time"

	"github.com/google/uuid"
)

// A pause by hand: what is on the wire finishes, nothing else is claimed or written, memory does not fill, receipts are fetched; afterwards what is of
// use goes out, and what is not is put away.
func TestPausedByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Lease = 10 * time.Minute // the machine may stand still
	user, _ := w.user(1)
	begun, let := w.hold()
	s, _ := w.start()
	first := w.own(user, 0)
	s.Look(Changes)
	w.await("a request", begun)
	w.exec(`insert into reminder_worker.pauses (part) values ('push')`)
	s.Pause()
	let()
	w.untilStatus(first, "sent")

	const herd = 500
	w.exec(`with events as (insert into events (user_id, title, start_ts, status) select $1, 'Recital', now() + interval '5 hours', 'synced' from generate_series(1, $2) returning id, user_id)
		insert into reminders (event_id, user_id, notify_at_ts, message) select id, user_id, now(), 'Pack the violin' from events`, user, herd)
	late := w.own(user, -time.Minute)
	w.exec(`update events set start_ts = now() - interval '1 second' where id = (select event_id from reminders where id = $1)`, late)
	w.exec(`update events set status = 'synced'`)
	w.exec(`insert into reminder_worker.google_accounts (user_id, refresh_token, state, notice_due_at) values ($1, '', 'needs_reconnect', now())`, user)
	fired := w.own(user, 50*time.Millisecond)
	for range 3 { // read, let go, read once more
		s.Look(Window)
		w.until("all fired", func() bool { return s.Waiting() == 0 && len(s.looks) == 0 })
	}
	w.untilTrue(`state = 'delivered' from reminder_worker.deliveries where reminder_id = $1`, first) // receipts come
	if n := s.queue.len(); n > 0 {
		t.Errorf("%d reminders wait in memory", n)
	}
	if n := one[int](w, `select count(*)::int from reminders where status = 'pending' and retry_count = 0 and next_attempt_at is null`); n != herd+2 {
		t.Errorf("%d reminders wait in the table, want %d", n, herd+2)
	}
	if n := len(w.expo.Pushes()); n != 1 {
		t.Errorf("%d pushes, want the one that was on the wire", n)
	}
	w.exec(`delete from reminder_worker.pauses`)
	s.Resume()
	w.untilTrue(`not exists (select from reminders where status in ('pending', 'sending'))`)
	w.untilStatus(late, "expired")
	if n := one[int](w, `select count(*)::int from reminders where status = 'sent'`); n != herd+2 {
		t.Errorf("%d were sent, want %d", n, herd+2)
	}
	for _, id := range []uuid.UUID{first, fired} {
		if n := len(w.pushesOf(id)); n != 1 {
			t.Errorf("pushed %d times, want once", n)
		}
	}
	if n := w.metric("sweep_found_total"); n != 0 {
		t.Errorf("the sweep found %v: they were not missed", n)
	}
	s.Look(Overdue)
	w.untilTrue(`noticed_at is not null from reminder_worker.google_accounts where user_id = $1`, user)
}

// What was claimed before the pause and not yet written goes back with no attempt used; a worker that has not heard of the pause claims nothing.
func TestPausedByHandAfterTheClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Lease = 10 * time.Minute // the machine may stand still
	user, _ := w.user(1)
	id := w.own(user, 0)
	s := w.sender()
	b, taken, err := s.take(t.Context(), []uuid.UUID{id})
	if err != nil || taken != 1 {
		t.Fatalf("took %d: %v", taken, err)
	}
	s.Pause()
	s.push(t.Context(), b)
	if got := w.reminder(id); got != "pending, 0 tries, "+one[string](w, `select error_message from reminders`) {
		t.Errorf("the reminder is %s", got)
	}
	w.exec(`insert into reminder_worker.pauses (part) values ('push')`)
	unaware := w.sender()
	if err := unaware.Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(w.expo.Pushes()); n != 0 {
		t.Errorf("%d pushes", n)
	}
	w.exec(`delete from reminder_worker.pauses`)
	w.untilTrue(`next_attempt_at <= now() from reminders`)
	if err := unaware.Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	w.untilStatus(id, "sent")
}
