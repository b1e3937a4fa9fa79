package reconcile

import (
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// A pause by hand that comes while many events are in flight: the call on the wire finishes, none begins, what was in memory goes back to the table with
// no attempt used, new events are planned all the same, and when it is over everything is written, once.
func TestPausedByHandInFlight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Batch, w.cfg.InFlight = 16, 32
	w.cfg.Lease, w.cfg.CallTimeout, w.gcal.Timeout = 10*time.Minute, 10*time.Minute, 5*time.Minute // the machine may stand still
	user, other := w.user(), w.user()
	h := w.hold(gcalfake.OpInsert, user)
	const before, after = 30, 100
	w.events(user, before)
	r, _ := w.start()
	r.Wake()
	w.await("a call", h.begun)
	w.exec(`insert into reminder_worker.pauses (part) values ('calendar')`)
	r.Pause()
	h.let()
	w.until("nothing in flight", r.flight.empty)
	w.events(other, after)
	gone := w.user()
	w.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, tombstoned_at, due_at) values (gen_random_uuid(), $1, 'gone', now(), now())`, gone)
	w.google.ResetLog()
	r.Wake()
	w.untilTrue(`not exists (select from events where sync_planned is distinct from sync_revision or sync_lease_until is not null)`)
	w.until("nothing in flight", r.flight.empty)
	if n := len(w.google.Log()); n != 0 {
		t.Errorf("%d requests while calendars were paused", n)
	}
	if n := one[int](w, `select count(*)::int from events where status = 'synced'`); n != 1 {
		t.Errorf("%d events are synced, want that of the call on the wire", n)
	}
	if n := one[int](w, `select count(*)::int from events where status = 'pending' and sync_attempts = 0`); n != before+after-1 {
		t.Errorf("%d events wait with no attempt used, want %d", n, before+after-1)
	}
	if n := one[int](w, `select count(*)::int from reminders where status = 'pending'`); n != 3*(before+after) {
		t.Errorf("%d reminders, want %d", n, 3*(before+after))
	}
	if why := one[string](w, `select min(error_message) from events where status = 'pending'`); why != pausedByHand {
		t.Errorf("the events say %q", why)
	}
	w.exec(`delete from reminder_worker.pauses`)
	r.Resume()
	w.untilAll("synced")
	w.untilTrue(`not exists (select from reminder_worker.calendar_copies where tombstoned_at is not null)`)
	w.wantCopies(user, before)
	w.wantCopies(other, after)
	if n := one[int](w, `select count(*)::int from events where error_message is not null`); n != 0 {
		t.Errorf("%d synced events still say that they wait", n)
	}
}

// A worker that has not heard of a pause claims nothing for Google, and asks for nothing: what it plans says that it waits. A step does not go on and on.
func TestPauseThatIsNotHeardOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user()
	w.exec(`insert into reminder_worker.pauses (part) values ('calendar')`)
	w.events(user, 50)
	w.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, tombstoned_at, due_at) values (gen_random_uuid(), $1, 'gone', now(), now())`, user)
	r := w.reconciler()
	if err := r.Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(w.google.Log()); n != 0 {
		t.Errorf("%d requests", n)
	}
	if n := one[int](w, `select count(*)::int from events where status = 'pending' and sync_attempts = 0 and sync_planned = sync_revision and sync_due_at <= now()
		and sync_lease_until is null and error_message = 'calendars are paused by hand'`); n != 50 {
		t.Errorf("%d events wait, want 50", n)
	}
	w.exec(`delete from reminder_worker.pauses`)
	if err := w.reconciler().Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	w.wantCopies(user, 50)
}

// Nobody leaves while calendars are paused, and who was leaving has a day again when that is over.
func TestLeavingWaitsForAPause(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user()
	w.events(user, 3)
	r, _ := w.start()
	r.Wake()
	w.untilAll("synced")
	w.exec(`insert into reminder_worker.pauses (part) values ('calendar')`)
	r.Pause()
	w.google.ResetLog()
	w.exec(`update reminder_worker.google_accounts set state = 'leaving', leave_due_at = now(), leave_until = now() - interval '1 hour', leave_copies = true, leave_revoke = true`)
	r.Wake()
	w.event(w.user(), "Practice")
	r.Wake()
	w.untilTrue(`not exists (select from events where sync_planned is distinct from sync_revision)`)
	if state := one[string](w, `select state from reminder_worker.google_accounts where user_id = $1`, user); state != "leaving" || len(w.google.Log()) != 0 {
		t.Errorf("the account is %s, after %d requests", state, len(w.google.Log()))
	}
	if _, err := r.db.ResumePart(t.Context(), "calendar"); err != nil {
		t.Fatal(err)
	}
	r.Resume()
	w.untilTrue(`state = 'off' from reminder_worker.google_accounts where user_id = $1`, user)
	if live := w.live(user); len(live) != 0 {
		t.Errorf("%d copies were left", len(live))
	}
}
