package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// parent makes a user with a connected calendar.
func (b *base) parent() uuid.UUID {
	b.t.Helper()
	user := b.user()
	b.exec(`select reminder_worker.put_google_account($1, 'token')`, user)
	return user
}

// looks takes the one account that is being left, as the worker does when it looks again.
func (b *base) looks() store.ClaimLeavingsRow {
	b.t.Helper()
	b.exec(`update reminder_worker.google_accounts set leave_due_at = now() where leave_due_at is not null`)
	rows := must[[]store.ClaimLeavingsRow](b.t)(b.q.ClaimLeavings(b.ctx(), store.ClaimLeavingsParams{MaxRows: 10, MaxCopies: 100, LeaseMs: lease.Milliseconds()}))
	if len(rows) != 1 {
		b.t.Fatalf("%d accounts are left, want 1", len(rows))
	}
	return rows[0]
}

// Nobody has left while a worker may write for them still: it holds an event of theirs, be the copy known or forgotten. Until then the copy
// is not to be removed.
func TestLeavingWaitsForWhatIsHeld(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.parent()
	b.event(user, day)
	row := b.copied()
	b.as(user, `select public.disconnect_google_calendar(remove_copies => true)`)
	for range 4 {
		if got := b.looks(); !got.CopiesLeft || got.Buried != 0 {
			t.Errorf("while it is held: %+v", got)
		}
	}
	b.exec(`delete from reminder_worker.calendar_copies`)
	if got := b.looks(); !got.CopiesLeft {
		t.Errorf("while it is held and forgotten: %+v", got)
	}
	b.record(synced("synced", row)) // what becomes of that: see TestOrphanOfWhoHasLeft
	b.exec(`update reminder_worker.calendar_copies set tombstoned_at = null, due_at = null`)
	if got := b.looks(); !got.CopiesLeft || got.Buried != 1 {
		t.Errorf("once it is recorded: %+v", got)
	}
	if len(b.claimRemovals()) != 1 {
		t.Error("the copy is not to be removed")
	}
	b.exec(`delete from reminder_worker.calendar_copies`)
	if got := b.looks(); got.CopiesLeft {
		t.Errorf("once it is removed: %+v", got)
	}
}

// A claim that began before the user left may not be committed yet at the first looks. An event that no claim can take keeps nobody for ever.
func TestLeavingWaitsForWhatIsBeingClaimed(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.parent()
	b.event(user, day)
	b.as(user, `select public.disconnect_google_calendar(remove_copies => true)`)
	for range 3 {
		if got := b.looks(); !got.CopiesLeft {
			t.Errorf("while it is due: %+v", got)
		}
	}
	if got := b.looks(); got.CopiesLeft {
		t.Errorf("after three looks: %+v", got)
	}
}

// A copy that was written after its tombstone had been removed and forgotten is one that the user did not want to stay.
func TestOrphanOfWhoHasLeft(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		leaves string
		want   string
	}{
		"being left":       {`select public.disconnect_google_calendar(remove_copies => true)`, "scheduled tombstone"},
		"left":             {`select public.disconnect_google_calendar(remove_copies => true)`, "scheduled tombstone"},
		"left with copies": {`select public.disconnect_google_calendar()`, "synced hash"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBase(t)
			user := b.parent()
			b.event(user, day)
			late := b.copied()
			b.as(user, tt.leaves)
			b.exec(`delete from reminder_worker.calendar_copies`)
			if name == "left" {
				b.exec(`update reminder_worker.google_accounts set state = 'off', refresh_token = '', leave_due_at = null, leave_until = null`)
				b.as(user, `select public.disconnect_google_calendar()`) // as at a sign-out
			}
			answer := b.record(synced("synced", late))
			got := ask[string](b, `select concat_ws(' ', e.status, case when k.due_at <= now() then 'tombstone' end, nullif(k.content_hash, ''))
				from events e join reminder_worker.calendar_copies k on k.event_id = e.id and k.google_event_id = e.google_calendar_id`)
			b.same("event and copy", tt.want, got)
			if again := len(answer) == 1 && answer[0].DueAgain; again != (tt.want != "synced hash") {
				t.Errorf("answer %+v", answer)
			}
		})
	}
}

// A removal does not count during which the copy was written, or may have been: it is removed again, when the claim has ended, and not before.
func TestRemovalOvertakenByAWrite(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		result func(*store.RecordSyncsParams)
		counts bool
	}{
		"written": {func(*store.RecordSyncsParams) {}, false},
		"failed": {func(p *store.RecordSyncsParams) {
			p.GoogleIds[0], p.Etags[0], p.Statuses[0], p.RetryMs[0], p.CountAttempts[0] = "", "", "pending", 1000, true
		}, false},
		"not written": {func(p *store.RecordSyncsParams) { p.GoogleIds[0], p.Etags[0], p.Statuses[0] = "", "", "scheduled" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBase(t)
			b.event(b.parent(), day)
			late := b.copied()
			b.exec(`update reminder_worker.calendar_copies set tombstoned_at = now(), due_at = now()`)
			removal := b.claimRemovals()[0]
			p := synced("synced", late)
			tt.result(&p)
			b.record(p)
			_, err := b.q.RecordRemovals(t.Context(), store.RecordRemovalsParams{
				EventIds: []uuid.UUID{late.ID}, UserIds: []uuid.UUID{late.UserID}, Leases: []time.Time{removal.LeaseUntil},
				Gone: []bool{true}, RetryMs: []int64{-1}, ErrorMessages: []string{""},
			})
			if err != nil {
				t.Fatal(err)
			}
			if forgotten := ask[bool](b, `select count(*) = 0 from reminder_worker.calendar_copies`); forgotten != tt.counts {
				t.Fatalf("the copy is forgotten: %v", forgotten)
			}
			if tt.counts {
				return
			}
			if rows := b.claimRemovals(); len(rows) != 0 {
				t.Errorf("removed twice at a time: %+v", rows)
			}
			b.exec(`update reminder_worker.calendar_copies set due_at = due_at - interval '1 hour', lease_until = lease_until - interval '1 hour'`)
			if rows := b.claimRemovals(); len(rows) != 1 || rows[0].GoogleEventID != "g"+late.ID.String() {
				t.Errorf("to be removed: %+v", rows)
			}
		})
	}
}

// What was asked for at a disconnect is done though the app asks for less after that, as at a sign-out, and does not take longer for it. Who
// connects again has asked for nothing.
func TestDisconnectedTwice(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.parent()
	stands := func(want string) {
		t.Helper()
		b.same("account", want, ask[string](b, `select concat_ws(' ', state, case when leave_copies then 'copies' end, case when leave_revoke then 'consent' end,
			case when leave_until > now() + interval '23 hours' then 'a day' when leave_until > now() then 'less' end,
			case when leave_due_at <= now() then 'due' end, nullif(refresh_token, '')) from reminder_worker.google_accounts`))
	}
	b.as(user, `select public.disconnect_google_calendar(remove_copies => true, revoke => null)`)
	stands("leaving copies a day due token")
	b.exec(`update reminder_worker.google_accounts set leave_until = now() + interval '1 hour', leave_due_at = now() + interval '1 minute'`)
	b.as(user, `select public.disconnect_google_calendar()`)
	stands("leaving copies less due token")
	b.as(user, `select public.disconnect_google_calendar(revoke => true)`)
	stands("leaving copies consent a day due token")
	b.exec(`select reminder_worker.put_google_account($1, '')`, user)
	stands("leaving copies consent a day due token")
	b.exec(`select reminder_worker.put_google_account($1, 'another')`, user)
	stands("connected another")
	b.as(user, `select public.disconnect_google_calendar()`)
	stands("off another")
	b.as(user, `select public.disconnect_google_calendar(remove_copies => true)`)
	stands("leaving copies a day due another")
}

// An older app clears its column in auth.users when it signs a user out. That turns an account off, unless it is being left: for that the
// token is needed.
func TestTokenClearedWhileLeaving(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	stays, leaves := b.user(), b.user()
	b.exec(`update auth.users set google_refresh_token = 'token'`)
	b.as(leaves, `select public.disconnect_google_calendar(remove_copies => true)`)
	b.exec(`update auth.users set google_refresh_token = null`)
	b.same("one who does not leave", "off token the token was removed from auth.users", b.account(stays))
	b.same("one who leaves", "leaving token disconnected in the app", b.account(leaves))
	b.exec(`update auth.users set google_refresh_token = 'another' where id = $1`, leaves)
	b.same("back again", "connected another", b.account(leaves))
}

// Whose address is another by now has nothing removed from the calendar of the old one, nor from that of the new one.
func TestDelegatedLeavesWithAnotherAddress(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"anna.new@example.com", "anna@example.org", ""} {
		b := newBase(t)
		user := b.member("anna@example.com")
		b.delegate(user)
		b.as(user, `select public.disconnect_google_calendar(remove_copies => true)`)
		b.same("stands", []string{"anna@example.com leaving"}, b.delegate(user))
		b.exec(`update auth.users set email = nullif($1, '')`, address)
		b.same("stands", []string(nil), b.delegate(user))
		b.same("account", "off anna@example.com disconnected in the app; copies are left in the calendar of anna@example.com, "+
			"which is not the user's confirmed address any more", b.account(user))
		if got := b.looks(); got.State != "off" { // which ends it: see letLeave
			t.Errorf("looked at: %+v", got)
		}
	}
}
