package reconcile

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// The life of an event: its copy and its reminders follow, and a row written again without a change costs nothing.
func TestLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user, other := w.user(), w.user()
	event := w.event(user, "Soccer practice")
	w.untilStatus(event, "synced")
	w.wantCopies(user, 1)
	w.untilTrue(`(select count(*) from reminders where event_id = $1 and status = 'pending') = 3`, event)
	w.mu.Lock()
	if len(w.armed) != 3 {
		t.Errorf("%d reminders armed, want 3", len(w.armed))
	}
	w.mu.Unlock()

	w.exec(`update events set title = 'Final' where id = $1`, event)
	w.until("edited copy", func() bool { c := w.live(user); return len(c) == 1 && c[0].Summary == "Final" })
	w.untilStatus(event, "synced")
	before := len(w.google.Log())
	w.exec(`update events set status = 'pending' where id = $1`, event)
	w.untilStatus(event, "synced")
	if n := len(w.google.Log()) - before; n != 0 {
		t.Errorf("an unchanged event cost %d requests, want none", n)
	}

	w.exec(`update events set status = 'cancelled' where id = $1`, event)
	w.until("removed copy", func() bool { return len(w.live(user)) == 0 })
	w.untilTrue(`(select count(*) from reminders where event_id = $1 and status = 'cancelled' and error_message = 'the event was cancelled') = 3`, event)
	w.untilTrue(`not exists (select from reminder_worker.calendar_copies)`)

	w.exec(`update events set status = 'pending' where id = $1`, event)
	w.untilStatus(event, "synced")
	w.wantCopies(user, 1)
	w.untilTrue(`(select count(*) from reminders where event_id = $1 and status = 'pending') = 3`, event)

	w.exec(`update events set user_id = $2 where id = $1`, event, other)
	w.until("copy at the other user's", func() bool { return len(w.live(other)) == 1 && len(w.live(user)) == 0 })
	w.untilTrue(`(select count(*) from reminders where event_id = $1 and user_id = $2 and status = 'pending') = 3`, event, other)

	w.exec(`delete from events where id = $1`, event)
	w.until("removed copy", func() bool { return len(w.live(other)) == 0 })
	w.untilTrue(`not exists (select from reminder_worker.calendar_copies)`)
}

// An event that changes while Google is being called is served again, and ends right.
func TestChangedInFlight(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	h := w.hold(gcalfake.OpInsert, user)
	event := w.event(user, "Old")
	w.await("insert", h.begun)
	w.exec(`update events set title = 'New', start_ts = start_ts + interval '1 day' where id = $1`, event)
	h.let()
	w.untilStatus(event, "synced")
	w.wantCopies(user, 1)
	if c := w.live(user); c[0].Summary != "New" {
		t.Errorf("copy says %q, want New", c[0].Summary)
	}
	w.untilTrue(`(select count(*) from reminders r join events e on e.id = r.event_id where r.status = 'pending' and r.planned_for_ts = e.start_ts) = 3`)
	w.untilTrue(`(select count(*) from reminders where status = 'pending') = 3`)
}

// What is deleted, cancelled or given away while it is being written leaves no copy behind.
func TestGoneInFlight(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]string{
		"deleted":    `delete from events where id = $1`,
		"cancelled":  `update events set status = 'cancelled' where id = $1`,
		"given away": `update events set user_id = (select id from auth.users where id <> user_id limit 1) where id = $1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cfg.Lease = time.Second
			w.start()
			user := w.user()
			one[uuid.UUID](w, `insert into auth.users (email) values ('nobody@example.org') returning id`)
			h := w.hold(gcalfake.OpInsert, user)
			event := w.event(user, "Short-lived")
			w.await("insert", h.begun)
			w.exec(how, event)
			h.let()
			w.until("copy written", func() bool { return len(w.google.Events(user.String())) == 1 })
			w.until("copy removed", func() bool { return len(w.live(user)) == 0 })
			w.untilTrue(`not exists (select from reminder_worker.calendar_copies where user_id = $1)`, user)
		})
	}
}

// The deletion of an event that waits in its user's lane does not even begin to write it.
func TestDeletedWhileWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Lease = time.Second
	w.start()
	user := w.user()
	h := w.hold(gcalfake.OpInsert, user)
	first := w.event(user, "First")
	w.await("insert", h.begun)
	second := w.event(user, "Second")
	w.untilTrue(`sync_lease_until is not null from events where id = $1`, second)
	w.exec(`delete from events where id = $1`, second)
	h.let()
	w.untilStatus(first, "synced")
	w.untilTrue(`(select count(*) from reminder_worker.calendar_copies) = 1`)
	w.wantCopies(user, 1)
}

// A withdrawn consent costs one token request however many events wait; connecting again drains them without twins.
func TestRevokedGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user()
	w.events(user, 50)
	w.google.RevokeUser(user.String())
	w.start()
	w.untilAll("scheduled")
	if n := w.asked(gcalfake.OpToken); n != 1 {
		t.Errorf("%d token requests, want 1", n)
	}
	w.untilTrue(`state = 'needs_reconnect' and reason like '%invalid_grant%' from reminder_worker.google_accounts where user_id = $1`, user)
	if n := one[int](w, `select count(*)::int from events where error_message like 'not in Google Calendar: access has ended%connects Google Calendar again.'`); n != 50 {
		t.Errorf("%d events say what to do, want 50", n)
	}
	if n := one[int](w, `select count(*)::int from reminders where status = 'pending'`); n != 150 {
		t.Errorf("%d reminders, want 150 in spite of Google", n)
	}
	w.connect(user)
	w.untilAll("synced")
	w.wantCopies(user, 50)
	if n := one[int](w, `select count(*)::int from reminders`); n != 150 {
		t.Errorf("%d reminders after the reconnect, want 150", n)
	}
}

// A tombstone of a user who is not connected waits for the reconnect.
func TestRemovalWaitsForConsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	event := w.event(user, "Practice")
	w.untilStatus(event, "synced")
	w.google.RevokeUser(user.String())
	w.exec(`delete from events where id = $1`, event)
	w.untilTrue(`exists (select from reminder_worker.calendar_copies where due_at is null and tombstoned_at is not null and error_message <> '')`)
	w.connect(user)
	w.until("removed copy", func() bool { return len(w.live(user)) == 0 })
	w.untilTrue(`not exists (select from reminder_worker.calendar_copies)`)
}

// Google fails for a while: attempts are counted with growing pauses, then all is well.
func TestGoogleRecovers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	heal := w.google.Fail(gcalfake.Always(gcalfake.OpInsert, gcalfake.Status(500, "backendError")))
	w.start()
	user := w.user()
	event := w.event(user, "Practice")
	w.untilTrue(`sync_attempts >= 3 and status = 'pending' and error_message like '%backendError%' from events where id = $1`, event)
	heal()
	w.untilStatus(event, "synced")
	w.untilTrue(`sync_attempts = 0 and error_message is null from events where id = $1`, event)
	w.wantCopies(user, 1)
}

// After the last attempt the event is failed and says so; a change of the row begins anew.
func TestAttemptsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.MaxAttempts = 3
	heal := w.google.Fail(gcalfake.Always(gcalfake.OpInsert, gcalfake.Status(500, "backendError")))
	w.start()
	user := w.user()
	event := w.event(user, "Practice")
	w.untilStatus(event, "failed")
	w.untilTrue(`error_message like 'gave up after 3 attempts: google insert: status 500%' from events where id = $1`, event)
	if n := w.asked(gcalfake.OpInsert); n != 3 {
		t.Errorf("%d inserts, want 3", n)
	}
	heal()
	w.exec(`update events set status = 'pending' where id = $1`, event)
	w.untilStatus(event, "synced")
}

// A fault of our own registration stops every calendar, marks nobody and uses no attempt.
func TestProjectFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.ProjectPause = 200 * time.Millisecond
	heal := w.google.Fail(gcalfake.Always(gcalfake.OpToken, gcalfake.Fault{Status: 401, Reason: "invalid_client"}))
	r, _ := w.start()
	users := []uuid.UUID{w.user(), w.user(), w.user()}
	for _, u := range users {
		w.events(u, 5)
	}
	w.untilTrue(`(select count(*) from events where status = 'pending' and error_message like '%invalid_client%GOOGLE_CLIENT_SECRET%') = 15`)
	w.until("pause", func() bool { left, why := r.Paused(); return left > 0 && strings.Contains(why, "invalid_client") })
	w.untilTrue(`not exists (select from reminder_worker.google_accounts where state <> 'connected' or paused_until is not null)`)
	if n := one[int](w, `select sum(sync_attempts)::int from events`); n != 0 {
		t.Errorf("%d attempts used, want none", n)
	}
	if w.log.count(`"level":"error"`) == 0 {
		t.Error("no error was logged")
	}
	if n := one[int](w, `select count(*)::int from reminders where status = 'pending'`); n != 45 {
		t.Errorf("%d reminders, want 45 in spite of Google", n)
	}
	heal()
	w.untilAll("synced")
	for _, u := range users {
		w.wantCopies(u, 5)
	}
}

// Quota of one user pauses that user, after one call, and nobody else.
func TestThrottledUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	throttled, other := w.user(), w.user()
	fault := gcalfake.Status(403, "quotaExceeded")
	fault.RetryAfter = time.Hour
	w.google.Fail(gcalfake.ForUser(throttled.String(), gcalfake.Always(gcalfake.OpInsert, fault)))
	w.events(throttled, 20)
	w.events(other, 20)
	r, _ := w.start()
	w.untilTrue(`not exists (select from events where user_id = $1 and status <> 'synced')`, other)
	w.untilTrue(`not exists (select from events where user_id = $1 and (sync_lease_until is not null or sync_due_at < now() + interval '50 minutes'))`, throttled)
	w.untilTrue(`paused_until > now() + interval '50 minutes' and state = 'connected' from reminder_worker.google_accounts where user_id = $1`, throttled)
	inserts := 0
	for _, q := range w.google.Log() {
		if q.Op == gcalfake.OpInsert && q.User == throttled.String() {
			inserts++
		}
	}
	if inserts != 1 {
		t.Errorf("%d calls of a throttled user, want 1", inserts)
	}
	if n := one[int](w, `select sum(sync_attempts)::int from events`); n != 0 {
		t.Errorf("%d attempts used, want none", n)
	}
	if left, why := r.Paused(); left > 0 {
		t.Errorf("everybody is paused: %s", why)
	}
}

// The answer to an insert is lost after Google has taken it: one copy, not two.
func TestAmbiguousInsert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.google.Fail(gcalfake.Next(3, gcalfake.OpInsert, gcalfake.Fault{Lose: true}))
	w.start()
	user := w.user()
	w.events(user, 10)
	w.untilAll("synced")
	w.wantCopies(user, 10)
	if n := len(w.google.Events(user.String())); n != 10 {
		t.Errorf("%d copies were ever made, want 10", n)
	}
}

// One row that the database will not plan fails alone. Its copy, which began beside the plan, stays: the event is what it says.
func TestRefusedPlanFailsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.MaxAttempts = 2
	w.exec(`alter table reminders add constraint no_poison check (message not like '%poison%')`)
	user := w.user()
	w.events(user, 9)
	bad := one[uuid.UUID](w, `insert into events (user_id, title, start_ts, location) values ($1, 'Bad', now() + interval '2 days', 'poison') returning id`, user)
	w.start()
	w.untilStatus(bad, "failed")
	w.untilTrue(`error_message like 'gave up after 2 attempts: could not be planned%no_poison%' from events where id = $1`, bad)
	w.untilTrue(`(select count(*) from events where status = 'synced') = 9`)
	w.wantCopies(user, 10)
}

// One result that the database will not take is dropped; the others are recorded.
func TestRefusedResultIsDropped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user()
	w.exec(`alter table events add constraint no_poison check (title <> 'poison' or status = 'pending')`)
	w.event(user, "poison")
	w.events(user, 9)
	w.start()
	w.untilTrue(`(select count(*) from events where status = 'synced') = 9`)
	w.wantCopies(user, 10)
}

// Without a calendar client, or without an account, events are scheduled and have their reminders.
func TestWithoutCalendar(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	off := w.user()
	w.exec(`update reminder_worker.google_accounts set state = 'off'`)
	none := one[uuid.UUID](w, `insert into auth.users (email) values ('nobody@example.org') returning id`)
	r := w.reconciler()
	w.events(off, 2)
	w.events(none, 2)
	if err := r.Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	connected := w.user()
	w.events(connected, 2)
	r = w.reconciler()
	r.cal = nil
	if err := r.Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	w.untilTrue(`(select count(*) from events where status = 'scheduled' and error_message is null) = 6`)
	w.untilTrue(`(select count(*) from reminders where status = 'pending') = 18`)
	if n := len(w.google.Log()); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

// A copy is removed, which nobody hears of, and its event takes place after all; the first attempt to write the copy fails. What is remembered of
// the copy must not pass for the copy.
func TestRestoredAfterARemovalUnheardOf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.RetryBase, w.cfg.RetryMax = time.Hour, time.Hour
	user := w.user()
	event := w.event(user, "Practice")
	w.google.Fail(gcalfake.Next(1, gcalfake.OpDelete, gcalfake.Fault{Lose: true}))
	r, _ := w.start()
	w.untilStatus(event, "synced")
	w.exec(`update events set status = 'cancelled' where id = $1`, event)
	r.Wake()
	w.untilTrue(`attempts = 1 and lease_until is null from reminder_worker.calendar_copies where event_id = $1`, event)
	w.google.Fail(gcalfake.Next(1, gcalfake.OpInsert, gcalfake.Status(503, "backendError")))
	w.exec(`update events set status = 'pending' where id = $1`, event)
	r.Wake()
	w.untilTrue(`sync_attempts = 1 and sync_lease_until is null from events where id = $1`, event)
	w.wantCopies(user, 0)
	w.exec(`update events set sync_due_at = now() where id = $1`, event)
	r.Wake()
	w.untilStatus(event, "synced")
	w.wantCopies(user, 1)
}

// A copy has to be written under another id, since Google keeps the deleted one, and the worker has no chance to say so. The id was noted before,
// so that the copy is removed with its event.
func TestRenewedCopyIsNotForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *gcalfake.Config) { c.RefuseUndelete = true })
	w.cfg.Lease = time.Second
	user := w.user()
	event := w.event(user, "Practice")
	r, _ := w.start()
	w.untilStatus(event, "synced")
	if err := w.google.UserDelete(user.String(), w.live(user)[0].ID); err != nil {
		t.Fatal(err)
	}
	w.exec(`alter table events add constraint speechless check (title <> 'Match' or status <> 'synced')`)
	w.exec(`update events set title = 'Match' where id = $1`, event)
	r.Wake()
	w.until("a result that cannot be recorded", func() bool { return w.log.count("results not recorded") > 0 })
	w.wantCopies(user, 1)
	w.exec(`delete from events where id = $1`, event)
	r.Wake()
	w.untilTrue(`not exists (select from reminder_worker.calendar_copies)`)
	w.wantCopies(user, 0)
}

// A state of the app's own is none of ours.
func TestForeignStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user()
	event := w.event(user, "Draft")
	w.exec(`update events set status = 'draft', sync_due_at = now() where id = $1`, event)
	if err := w.reconciler().Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	w.untilTrue(`status = 'draft' and sync_due_at is null and sync_lease_until is null from events where id = $1`, event)
	if n := one[int](w, `select count(*)::int from reminders`); n != 0 {
		t.Errorf("%d reminders of a draft", n)
	}
}

func TestNewRefusesBadConfig(t *testing.T) {
	t.Parallel()
	cfg := Config{Offsets: []time.Duration{-1, time.Hour, time.Hour}}
	err := cfg.Validate()
	if err == nil {
		t.Fatal("a config full of faults is valid")
	}
	for _, part := range []string{
		"offset -1ns", "given twice", "zone", "batch 0", "concurrency", "lease", "call timeout",
		"retry base", "max attempts", "project pause", "sweep interval", "jitter",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("fault about %q is not reported: %v", part, err)
		}
	}
	if _, err := New(nil, nil, cfg, zerolog.Nop(), NewMetrics(nil), nil); err == nil {
		t.Error("a reconciler was made of it")
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("default config: %v", err)
	}
}
