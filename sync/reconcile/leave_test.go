package reconcile

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// leaves is that a user disconnects in the app.
func (w *world) leaves(user uuid.UUID, copies, revoke bool) {
	w.t.Helper()
	w.exec(`select set_config('request.jwt.claims', json_build_object('sub', $1::text)::text, true), public.disconnect_google_calendar(remove_copies => $2, revoke => $3)`,
		user, copies, revoke)
}

func (w *world) untilOff(user uuid.UUID) {
	w.t.Helper()
	w.untilTrue(`state = 'off' and leave_due_at is null from reminder_worker.google_accounts where user_id = $1`, user)
}

// What a user asks for who disconnects is done, and nothing else. Connecting again brings everything back, once.
func TestLeave(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		copies, revoke bool
	}{{"leave all", false, false}, {"remove copies", true, false}, {"give back", false, true}, {"remove copies and give back", true, true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start()
			w.start()
			user, other := w.user(), w.user()
			w.events(user, 20)
			w.events(other, 2)
			w.untilAll("synced")

			w.leaves(user, tt.copies, tt.revoke)
			w.untilOff(user)
			left, revoked := 20, 0
			if tt.copies {
				left = 0
			}
			if tt.revoke {
				revoked = 1
			}
			w.wantCopies(user, left)
			w.wantCopies(other, 2)
			if n := w.google.Count(gcalfake.OpRevoke, -1); n != revoked {
				t.Errorf("%d consents were given back, want %d", n, revoked)
			}
			if kept := one[bool](w, `select refresh_token <> '' from reminder_worker.google_accounts where user_id = $1`, user); kept != (!tt.copies && !tt.revoke) {
				t.Errorf("the token is kept: %v", kept)
			}
			if n := one[int](w, `select count(*)::int from events where user_id = $1 and (google_calendar_id is not null or status = 'synced')`, user); n != left {
				t.Errorf("%d events say that they are in Google, want %d", n, left)
			}
			if n := one[int](w, `select count(*)::int from reminders where user_id = $1 and status = 'pending'`, user); n != 60 {
				t.Errorf("%d reminders are pending, want 60", n)
			}
			w.events(user, 1)
			w.untilTrue(`count(*) = 1 from events where user_id = $1 and created_at = (select max(created_at) from events) and status = 'scheduled'`, user)

			w.connect(user)
			w.untilAll("synced")
			w.wantCopies(user, 21)
		})
	}
}

// A write under way when the user leaves is undone as well.
func TestLeaveDuringAWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	w.events(user, 3)
	w.untilAll("synced")
	h := w.hold(gcalfake.OpInsert, user)
	w.event(user, "Late")
	w.await("insert", h.begun)
	w.leaves(user, true, true)
	w.untilTrue(`reason like '%being removed' from reminder_worker.google_accounts`)
	h.let()
	w.untilOff(user)
	w.wantCopies(user, 0)
	if n := w.google.Count(gcalfake.OpRevoke, 200); n != 1 {
		t.Errorf("%d consents were given back", n)
	}
}

// A write that lasts longer than a lease, for the lease is extended, is waited for by another worker that lets the user leave: what is written then
// is removed, too.
func TestLeaveDuringALongWrite(t *testing.T) {
	t.Parallel()
	for _, op := range []string{gcalfake.OpInsert, gcalfake.OpGet} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			user := w.user()
			w.event(user, "Practice")
			if op == gcalfake.OpGet { // one that is written already
				_, stop := w.start()
				w.untilAll("synced")
				stop()
				w.exec(`update events set title = 'Final'`)
			}
			h := w.hold(op, user)
			_, stop := w.start()
			w.await("the request", h.begun)
			w.start()
			w.leaves(user, true, true)
			w.untilTrue(`leave_attempts > 0 from reminder_worker.google_accounts`)
			// As when the lease of that moment is over, which has been extended since.
			w.exec(`update reminder_worker.calendar_copies set due_at = now() where tombstoned_at is not null`)
			w.untilTrue(`not exists (select from reminder_worker.calendar_copies where tombstoned_at is not null)`)
			for range 4 { // looks, of which the fourth does not heed any more what is due
				looks := one[int](w, `select leave_attempts from reminder_worker.google_accounts`)
				w.exec(`update reminder_worker.google_accounts set leave_due_at = now() where leave_due_at is not null`)
				w.untilTrue(`state = 'off' or leave_attempts > $1 from reminder_worker.google_accounts`, looks)
			}
			if one[bool](w, `select state = 'off' from reminder_worker.google_accounts`) {
				t.Error("off while the write is under way")
			}
			h.let()
			w.exec(`update reminder_worker.google_accounts set leave_attempts = 0, leave_due_at = now() where leave_due_at is not null`)
			w.untilOff(user)
			stop()
			w.wantCopies(user, 0)
			if n := one[int](w, `select count(*)::int from reminder_worker.calendar_copies`); n > 0 {
				t.Errorf("%d copies are remembered", n)
			}
			if got := one[string](w, `select status from events`); got != "scheduled" {
				t.Errorf("the event is %s", got)
			}
		})
	}
}

// Whoever connects again while copies are still being removed has all of them in the end.
func TestLeaveAndComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	w.events(user, 10)
	w.untilAll("synced")
	h := w.hold(gcalfake.OpDelete, user)
	w.leaves(user, true, true)
	w.await("removal", h.begun)
	w.connect(user)
	h.let()
	w.untilTrue(`not exists (select from events where status <> 'synced' or sync_due_at is not null)
		and not exists (select from reminder_worker.calendar_copies where tombstoned_at is not null)`)
	w.wantCopies(user, 10)
	if n := w.google.Count(gcalfake.OpRevoke, -1); n > 0 {
		t.Errorf("the consent of one who has come back was given back")
	}
}

// Where access has ended nothing can be removed any more: the account is off, and says so.
func TestLeaveWithoutAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	w.events(user, 3)
	w.untilAll("synced")
	w.google.RevokeUser(user.String())
	w.google.Fail(gcalfake.ForUser(user.String(), gcalfake.Always(gcalfake.OpDelete, gcalfake.Status(401, "authError"))))
	w.leaves(user, true, true)
	w.untilOff(user)
	if got := one[string](w, `select reason from reminder_worker.google_accounts`); !strings.Contains(got, "access had ended") {
		t.Errorf("reason %s", got)
	}
	if n := one[int](w, `select count(*)::int from reminder_worker.google_accounts where notice_due_at is not null`); n > 0 {
		t.Error("one who has left is asked to connect again")
	}
	w.leaves(user, true, true) // again: there is nothing to do
	w.untilOff(user)
}

// The app signs the user out while they leave, and an older one takes the token out of auth.users as well: what was asked for is done.
func TestLeaveAndSignedOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user()
	w.exec(`update auth.users set google_refresh_token = $2 where id = $1`, user, w.google.Grant(user.String()))
	_, stop := w.start()
	w.events(user, 3)
	w.untilAll("synced")
	stop()
	w.leaves(user, true, true)
	w.leaves(user, false, false)
	w.exec(`update auth.users set google_refresh_token = null`)
	w.start()
	w.untilOff(user)
	w.wantCopies(user, 0)
	if n := w.google.Count(gcalfake.OpRevoke, 200); n != 1 {
		t.Errorf("%d consents were given back", n)
	}
	if kept := one[bool](w, `select refresh_token <> '' from reminder_worker.google_accounts`); kept {
		t.Error("the token is kept")
	}
}

// An account that is turned off by hand meanwhile has nothing removed any more, and is not asked about for a day; its consent is given back.
func TestLeaveAndTurnedOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user()
	_, stop := w.start()
	w.events(user, 3)
	w.untilAll("synced")
	stop()
	w.leaves(user, true, true)
	w.exec(`update reminder_worker.google_accounts set state = 'off', reason = 'by hand'`)
	w.start()
	w.untilOff(user)
	w.untilTrue(`count(*) = 3 from reminder_worker.calendar_copies where tombstoned_at is not null and due_at is null`)
	if n := w.google.Count(gcalfake.OpRevoke, 200); n != 1 {
		t.Errorf("%d consents were given back", n)
	}
	if got := one[string](w, `select reason from reminder_worker.google_accounts`); got != "by hand" {
		t.Errorf("reason %s", got)
	}
}

// Whom a service account acts for, and who has another address when they leave, is off at once, and says so: in the calendar of the old address
// nothing may be removed. What is left there waits, and is not asked about again and again.
func TestDelegatedLeavesWithAnotherAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"new@example.org", "new@example.net"} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.employ("example.org")
			user := w.user()
			w.join(user, "example.org")
			_, stop := w.start()
			w.events(user, 3)
			w.untilAll("synced")
			stop()
			w.exec(`update auth.users set email = $1`, address)
			w.leaves(user, true, true)
			w.google.ResetLog()
			_, stop = w.start()
			w.untilOff(user)
			w.untilTrue(`count(*) = 3 from reminder_worker.calendar_copies where tombstoned_at is not null and due_at is null and error_message like 'waits until%'`)
			stop()
			w.wantCopies(user, 3)
			if n := len(w.google.Log()); n > 0 {
				t.Errorf("Google was asked %d times", n)
			}
			if got := one[string](w, `select reason from reminder_worker.google_accounts`); !strings.Contains(got, "are left in the calendar of "+w.name(user)) {
				t.Errorf("reason %s", got)
			}
		})
	}
}

// Google does not take a consent back at once, or not within the time there is.
func TestLeaveUnheard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user, unlucky := w.user(), w.user()
	w.google.Fail(gcalfake.ForUser(user.String(), gcalfake.Next(2, gcalfake.OpRevoke, gcalfake.Status(503, ""))))
	w.google.Fail(gcalfake.ForUser(unlucky.String(), gcalfake.Always(gcalfake.OpRevoke, gcalfake.Status(503, ""))))
	w.leaves(user, false, true)
	w.leaves(unlucky, false, true)
	w.untilOff(user)
	if n := w.google.Count(gcalfake.OpRevoke, 200); n != 1 {
		t.Errorf("%d consents were given back", n)
	}
	w.untilTrue(`leave_attempts > 1 and state = 'leaving' from reminder_worker.google_accounts where user_id = $1`, unlucky)
	w.exec(`update reminder_worker.google_accounts set leave_until = now(), leave_due_at = now() where user_id = $1`, unlucky)
	w.untilOff(unlucky)
	if got := one[string](w, `select reason from reminder_worker.google_accounts where user_id = $1`, unlucky); !strings.Contains(got, "could not be given back within a day") {
		t.Errorf("reason %s", got)
	}
}

// Who is served by a service account chooses a calendar, leaves, and comes back like others; there is no consent to give back.
func TestDelegatedLeaveAndResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const domain = "example.org"
	w.employ(domain)
	user := w.user()
	w.join(user, domain)
	w.choose(user, "google_calendar_name", "Family")
	w.start()
	w.events(user, 5)
	w.untilAll("failed") // the scope that is delegated does not cover the making of calendars
	if got := one[string](w, `select distinct error_message from events`); !strings.Contains(got, "google_calendar_name is for users with a consent of their own") {
		t.Errorf("says %s", got)
	}
	family := w.google.AddCalendar(w.names[user], "Family")
	w.choose(user, "google_calendar", family)
	w.untilAll("synced")
	w.wantCopies(user, 5)
	if got := w.live(user)[0].Calendar; got != family {
		t.Errorf("stands in %s", got)
	}

	w.leaves(user, true, true)
	w.untilOff(user)
	w.wantCopies(user, 0)
	if n := w.google.Count(gcalfake.OpRevoke, -1); n > 0 {
		t.Errorf("%d consents were given back that were none", n)
	}
	w.events(user, 1)
	w.untilAll("scheduled")

	w.exec(`select set_config('request.jwt.claims', json_build_object('sub', $1::text)::text, true), public.resume_google_calendar()`, user)
	w.untilAll("synced")
	w.wantCopies(user, 6)
}
