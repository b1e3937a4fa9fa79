package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/store"
)

// copied claims the one due event and notes a copy of it.
func (b *base) copied() store.ClaimEventsRow {
	b.t.Helper()
	row := b.claimEvent()
	b.commit(new(plan).event(row).copied("g" + row.ID.String()))
	return row
}

func (b *base) claimRemovals() []store.ClaimRemovalsRow {
	b.t.Helper()
	return must[[]store.ClaimRemovalsRow](b.t)(b.q.ClaimRemovals(b.ctx(), store.ClaimRemovalsParams{MaxRows: 100, LeaseMs: lease.Milliseconds()}))
}

func TestRecordSyncsWritesStateAndCopy(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	id := b.event(b.user(), day)
	row := b.copied()
	if again := b.record(synced("synced", row)); len(again) != 0 {
		t.Errorf("due again or busy: %+v", again)
	}
	got := ask[string](b, `select concat_ws(' ', e.status, e.google_calendar_id = 'g' || e.id, e.sync_due_at is null, e.sync_lease_until is null,
		k.generation, k.etag, k.content_hash, k.written_at is not null)
		from events e join reminder_worker.calendar_copies k on k.event_id = e.id where e.id = $1`, id)
	if diff := cmp.Diff(`synced t t t 1 "1" hash t`, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

func TestRecordSyncsRetries(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.event(b.user(), day)
	p := synced("pending", b.claimEvent())
	p.RetryMs[0], p.CountAttempts[0], p.ErrorMessages[0] = 3_600_000, true, "Google is away"
	b.record(p)
	if !ask[bool](b, `select status = 'pending' and sync_attempts = 1 and sync_lease_until is null and error_message = 'Google is away'
		and sync_due_at between now() + interval '59 minutes' and now() + interval '61 minutes' from events`) {
		t.Error("the retry is not in the row")
	}
}

func TestEventChangedInFlightIsDueAtOnce(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	id := b.event(b.user(), day)
	row := b.copied()
	b.exec(`update events set title = 'Match'`)
	if rows := b.claimEvents(); len(rows) != 0 {
		t.Fatal("a second worker took an event in flight")
	}
	again := b.record(synced("synced", row))
	if diff := cmp.Diff([]store.RecordSyncsRow{{EventID: id, DueAgain: true}}, again); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	next := b.claimEvent()
	if next.Status != "pending" || next.Title != "Match" || next.SyncAttempts != 0 || !next.HasCopy || next.CopyHash != "" {
		t.Errorf("claimed %+v", next)
	}
}

func TestCancelledInFlightStaysCancelled(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.event(b.user(), day)
	b.settled()
	b.exec(`update events set status = 'cancelled'`)
	p := synced("pending", b.claimEvent())
	p.RetryMs[0] = 0
	b.record(p)
	if row := b.claimEvent(); row.Status != "cancelled" {
		t.Errorf("a retry turned a cancelled event %s", row.Status)
	}
}

func TestEventDeletedInFlight(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	id := b.event(b.user(), day)
	row := b.copied()
	b.exec(`delete from events`)
	if rows := b.claimRemovals(); len(rows) != 0 {
		t.Fatal("a removal overtook the write under way")
	}
	if !ask[bool](b, `select due_at > now() + interval '30 seconds' from reminder_worker.calendar_copies`) {
		t.Error("the tombstone is not due when the claim ends")
	}
	again := b.record(synced("synced", row))
	if diff := cmp.Diff([]store.RecordSyncsRow{{EventID: id, DueAgain: true}}, again); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	rows := b.claimRemovals()
	if len(rows) != 1 || rows[0].GoogleEventID != "g"+id.String() || rows[0].Etag != `"1"` {
		t.Errorf("removals %+v, want the copy as it was written", rows)
	}
}

func TestUserChangedInFlight(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	former := b.user()
	b.event(former, day)
	row := b.copied()
	b.exec(`update events set user_id = $1`, b.user())
	if again := b.record(synced("synced", row)); len(again) == 0 {
		t.Error("nothing is due again")
	}
	if rows := b.claimRemovals(); len(rows) != 1 || rows[0].UserID != former {
		t.Errorf("removals %+v, want the former user's copy", rows)
	}
	if next := b.claimEvent(); next.HasCopy {
		t.Error("the new user has the former one's copy")
	}
	if ask[bool](b, `select google_calendar_id is not null from events`) {
		t.Error("the event points to the former user's copy")
	}
}

// removal buries the copy of a settled event, and claims the removal.
func (b *base) removal() (event uuid.UUID, row store.ClaimRemovalsRow) {
	b.t.Helper()
	event = b.event(b.user(), day)
	b.record(synced("synced", b.copied()))
	b.exec(`update events set status = 'cancelled' where id = $1`, event)
	cancelled := b.claimEvent()
	b.commit(new(plan).event(cancelled).buried())
	p := synced("cancelled", cancelled)
	p.GoogleIds[0] = ""
	b.record(p)
	rows := b.claimRemovals()
	if len(rows) != 1 {
		b.t.Fatalf("%d removals, want 1", len(rows))
	}
	return event, rows[0]
}

func TestUncancelWaitsForARemovalUnderWay(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	event, removal := b.removal()
	b.exec(`update events set status = 'pending' where id = $1`, event)
	row := b.claimEvent()
	if row.HasCopy {
		t.Error("a tombstone counts as a copy")
	}
	if rows := b.commit(new(plan).event(row).copied("g" + event.String())); len(rows) != 0 {
		t.Fatal("a plan counted while the copy is being removed")
	}
	b.exec(`update events set sync_lease_until = null, sync_due_at = now() where id = $1`, event)
	_, err := b.q.RecordRemovals(t.Context(), store.RecordRemovalsParams{EventIds: []uuid.UUID{event}, UserIds: []uuid.UUID{removal.UserID}, Leases: []time.Time{removal.LeaseUntil},
		Gone: []bool{true}, RetryMs: []int64{-1}, ErrorMessages: []string{""}})
	if err != nil {
		t.Fatal(err)
	}
	row = b.claimEvent()
	if rows := b.commit(new(plan).event(row).copied("g" + event.String())); len(rows) == 0 {
		t.Error("the event waits for a removal that is over")
	}
}

func TestUncancelRevivesACopyNotYetRemoved(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	event, removal := b.removal()
	if err := b.q.ReleaseRemovals(t.Context(), store.ReleaseRemovalsParams{EventIds: []uuid.UUID{event}, UserIds: []uuid.UUID{removal.UserID}}); err != nil {
		t.Fatal(err)
	}
	b.exec(`update events set status = 'pending' where id = $1`, event)
	if rows := b.commit(new(plan).event(b.claimEvent()).copied("g")); len(rows) == 0 {
		t.Fatal("the plan did not count")
	}
	if rows := b.claimRemovals(); len(rows) != 0 {
		t.Error("a revived copy is still to be removed")
	}
	late := store.RecordRemovalsParams{EventIds: []uuid.UUID{event}, UserIds: []uuid.UUID{removal.UserID}, Leases: []time.Time{removal.LeaseUntil},
		Gone: []bool{true}, RetryMs: []int64{-1}, ErrorMessages: []string{""}}
	if _, err := b.q.RecordRemovals(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if n := ask[int](b, `select count(*) from reminder_worker.calendar_copies where tombstoned_at is null`); n != 1 {
		t.Error("a removal recorded too late forgot a living copy")
	}
}

// TestRemovalRecordedFarTooLate: a worker has removed a copy and cannot say so until its claim is long over. The event took place after all, had
// its copy written again, and was deleted then. What the worker has to say is of another time.
func TestRemovalRecordedFarTooLate(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	event, removal := b.removal()
	b.exec(`update reminder_worker.calendar_copies set lease_until = lease_until - interval '1 hour', due_at = now()`)
	removal.LeaseUntil = removal.LeaseUntil.Add(-hour)
	b.exec(`update events set status = 'pending' where id = $1`, event)
	b.record(synced("synced", b.copied()))
	b.exec(`delete from events where id = $1`, event)
	late := store.RecordRemovalsParams{EventIds: []uuid.UUID{event}, UserIds: []uuid.UUID{removal.UserID}, Leases: []time.Time{removal.LeaseUntil},
		Gone: []bool{true}, RetryMs: []int64{-1}, ErrorMessages: []string{""}}
	if _, err := b.q.RecordRemovals(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	rows := b.claimRemovals()
	if len(rows) != 1 {
		t.Fatalf("%d removals, want that of the copy written since", len(rows))
	}
	late.Leases[0] = rows[0].LeaseUntil
	if _, err := b.q.RecordRemovals(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	if n := ask[int](b, `select count(*) from reminder_worker.calendar_copies`); n != 0 {
		t.Error("a removal that was carried out is not recorded")
	}
}

// TestRemovalOfAnEventThatIsHeld: the copy of an event of who has left is gone while the app is at the event's row. It is not forgotten before the
// event can be told that it has none: it would pass for written when its user connects again.
func TestRemovalOfAnEventThatIsHeld(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	event := b.event(b.user(), day)
	b.record(synced("synced", b.copied()))
	b.exec(`update reminder_worker.calendar_copies set tombstoned_at = now(), due_at = now()`)
	removed := func() {
		t.Helper()
		rows := b.claimRemovals()
		if len(rows) != 1 {
			t.Fatalf("%d removals, want 1", len(rows))
		}
		_, err := b.q.RecordRemovals(impatient(t), store.RecordRemovalsParams{EventIds: []uuid.UUID{event}, UserIds: []uuid.UUID{rows[0].UserID},
			Leases: []time.Time{rows[0].LeaseUntil}, Gone: []bool{true}, RetryMs: []int64{-1}, CountAttempts: []bool{true}, ErrorMessages: []string{""}})
		if err != nil {
			t.Fatal(err)
		}
	}
	tx := b.begin()
	in(t, tx, `update events set title = title where id = $1`, event)
	removed()
	if !ask[bool](b, `select due_at > now() and lease_until is null and attempts = 0 from reminder_worker.calendar_copies`) {
		t.Error("the removal is not asked for again, or has cost an attempt")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.exec(`update reminder_worker.calendar_copies set due_at = now()`)
	removed()
	if n := ask[int](b, `select count(*) from reminder_worker.calendar_copies`); n != 0 {
		t.Error("the copy is not forgotten")
	}
	if status := ask[string](b, `select status from events where google_calendar_id is null`); status != "scheduled" {
		t.Errorf("the event is %s, want scheduled", status)
	}
}

// TestRemovalClaimedDuringPlanning is the narrow case: the removal is claimed, but not yet committed, while planning looks.
func TestRemovalClaimedDuringPlanning(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	event, removal := b.removal()
	if err := b.q.ReleaseRemovals(t.Context(), store.ReleaseRemovalsParams{EventIds: []uuid.UUID{event}, UserIds: []uuid.UUID{removal.UserID}}); err != nil {
		t.Fatal(err)
	}
	b.exec(`update events set status = 'pending' where id = $1`, event)
	row := b.claimEvent()
	tx := b.begin()
	claimed, err := b.q.WithTx(tx).ClaimRemovals(t.Context(), store.ClaimRemovalsParams{MaxRows: 10, LeaseMs: lease.Milliseconds()})
	if err != nil || len(claimed) != 1 {
		t.Fatalf("claimed %d removals: %v", len(claimed), err)
	}
	if rows := b.commit(new(plan).event(row).copied("g")); len(rows) != 0 {
		t.Error("a plan counted while a removal was being claimed")
	}
}

// TestRemovalPutOffWhileConnecting: the removal found no account that is connected, and its user connects one at that very moment, before or
// after. Either way it is not left to wait for the next time.
func TestRemovalPutOffWhileConnecting(t *testing.T) {
	t.Parallel()
	for _, firstRecorded := range []bool{false, true} {
		b := newBase(t)
		event, removal := b.removal()
		b.exec(`insert into reminder_worker.google_accounts (user_id, refresh_token, state) values ($1, 'old', 'off')`, removal.UserID)
		record, connect := b.begin(), b.begin()
		putOff := func() {
			_, err := b.q.WithTx(record).RecordRemovals(impatient(t), store.RecordRemovalsParams{EventIds: []uuid.UUID{event},
				UserIds: []uuid.UUID{removal.UserID}, Leases: []time.Time{removal.LeaseUntil}, Gone: []bool{false}, RetryMs: []int64{-1}, ErrorMessages: []string{"waits"}})
			if err != nil {
				t.Fatal(err)
			}
		}
		const put = `select reminder_worker.put_google_account($1, 'token')`
		if firstRecorded {
			putOff()
			connected := make(chan error, 1)
			go func() {
				_, err := connect.Exec(impatient(t), put, removal.UserID)
				connected <- err
			}()
			b.untilLocked(impatient(t), connect)
			if err := errors.Join(record.Commit(t.Context()), <-connected); err != nil {
				t.Fatal(err)
			}
		} else {
			in(t, connect, put, removal.UserID)
			putOff()
			if err := record.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := connect.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !ask[bool](b, `select coalesce(due_at <= now() + interval '1 second', false) from reminder_worker.calendar_copies`) {
			t.Errorf("recorded first: %v; the removal is not due", firstRecorded)
		}
	}
}

// untilLocked waits until a transaction waits for a row.
func (b *base) untilLocked(ctx context.Context, tx pgx.Tx) {
	b.t.Helper()
	for !ask[bool](b, `select exists (select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock')`, tx.Conn().PgConn().PID()) {
		if ctx.Err() != nil {
			b.t.Fatal("the transaction waits for nobody")
		}
	}
}

func TestRemovalRetriesAndWaitsForTheAccount(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	event, removal := b.removal()
	arg := store.RecordRemovalsParams{EventIds: []uuid.UUID{event}, UserIds: []uuid.UUID{removal.UserID}, Leases: []time.Time{removal.LeaseUntil},
		Gone: []bool{false}, RetryMs: []int64{0}, ErrorMessages: []string{"Google is away"}}
	if _, err := b.q.RecordRemovals(t.Context(), arg); err != nil {
		t.Fatal(err)
	}
	rows := b.claimRemovals()
	if len(rows) != 1 || rows[0].Attempts != 1 {
		t.Fatalf("removals %+v, want one with one attempt", rows)
	}
	arg.RetryMs[0], arg.Leases[0] = -1, rows[0].LeaseUntil
	if _, err := b.q.RecordRemovals(t.Context(), arg); err != nil {
		t.Fatal(err)
	}
	if ask[bool](b, `select due_at is not null from reminder_worker.calendar_copies`) {
		t.Error("a removal without an account is due")
	}
	b.exec(`select reminder_worker.put_google_account($1, 'a new token')`, removal.UserID)
	if rows := b.claimRemovals(); len(rows) != 1 || rows[0].RefreshToken != "a new token" {
		t.Errorf("removals %+v, want the one that waited", rows)
	}
}

func TestMarkReconnectSparesANewToken(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	first, second := b.user(), b.user()
	b.exec(`select reminder_worker.put_google_account(u, 'old') from unnest(array[$1::uuid, $2]) u`, first, second)
	b.exec(`select reminder_worker.put_google_account($1, 'new')`, second)
	n := must[int64](t)(b.q.MarkReconnect(t.Context(), store.MarkReconnectParams{
		UserIds: []uuid.UUID{first, second}, RefreshTokens: []string{"old", "old"}, Reasons: []string{"revoked", "revoked"}}))
	got := list[string](b, `select state from reminder_worker.google_accounts order by refresh_token`)
	if diff := cmp.Diff([]string{"connected", "needs_reconnect"}, got); n != 1 || diff != "" {
		t.Errorf("marked %d (-want +got):\n%s", n, diff)
	}
}

func TestRotatedTokenReplacesOnlyTheOld(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user()
	b.exec(`select reminder_worker.put_google_account($1, 'one')`, user)
	consent := list[time.Time](b, `select connected_at from reminder_worker.google_accounts`)[0]
	rotate := func(consent time.Time, token string, want int64) {
		t.Helper()
		n := must[int64](t)(b.q.StoreRotatedToken(t.Context(), store.StoreRotatedTokenParams{UserID: user, Consent: consent, OldToken: "one", NewToken: token}))
		if n != want {
			t.Errorf("%q replaced %d tokens, want %d", token, n, want)
		}
	}
	rotate(consent.Add(-time.Second), "its token is stored again", 1)
	rotate(consent, "two", 1)
	b.exec(`update reminder_worker.google_accounts set refresh_token = 'sealed:two'`)
	rotate(consent, "three", 1)
	b.exec(`select reminder_worker.put_google_account($1, 'new')`, user)
	rotate(consent, "four", 0)
	b.exec(`select reminder_worker.put_google_account($1, 'one')`, user)
	rotate(consent, "five", 1)
	b.exec(`select reminder_worker.put_google_account($1, 'new')`, user)
	if got := list[string](b, `select refresh_token from reminder_worker.google_accounts`)[0]; got != "new" {
		t.Errorf("stored is %q", got)
	}
}

// Only what is still there as it was read is replaced, and nothing that somebody is at is waited for.
func TestReplaceTokens(t *testing.T) {
	t.Parallel()
	b, ctx := newBase(t), impatient(t)
	theirs, free := b.occupied()
	moved := b.user()
	b.exec(`select reminder_worker.put_google_account($1, 'moved on')`, moved)
	users := []uuid.UUID{theirs.UserID, free.UserID, moved}
	n, err := b.q.ReplaceTokens(ctx, store.ReplaceTokensParams{UserIds: users, OldTokens: repeat("token", 3), NewTokens: repeat("sealed:x", 3)})
	if err != nil || n != 1 {
		t.Errorf("%d replaced, want 1, %v", n, err)
	}
	rows := must[[]store.UnsealedTokensRow](t)(b.q.UnsealedTokens(ctx, 10))
	if len(rows) != 2 {
		t.Errorf("%d are unsealed, want 2", len(rows))
	}
}

func TestPauseAccountNeverShortens(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user()
	b.exec(`select reminder_worker.put_google_account($1, 'one')`, user)
	for _, ms := range []int64{hour.Milliseconds(), 1000} {
		if err := b.q.PauseAccount(t.Context(), store.PauseAccountParams{UserID: user, PauseMs: ms, Reason: "quota"}); err != nil {
			t.Fatal(err)
		}
	}
	if !ask[bool](b, `select paused_until > now() + interval '50 minutes' from reminder_worker.google_accounts`) {
		t.Error("a second pause shortened the first")
	}
}

// TestRemovalOfTheOldOwnersCopy: an event was given to somebody with a copy of their own under the same id. It is looked at again if it has been
// written, and left alone if nothing is to be written.
func TestRemovalOfTheOldOwnersCopy(t *testing.T) {
	t.Parallel()
	for status, again := range map[string]bool{"synced": true, "pending": true, "scheduled": false, "failed": false, "cancelled": false} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			b := newBase(t)
			event, heir := b.event(b.user(), day), b.user()
			b.record(synced("synced", b.copied()))
			b.exec(`update events set user_id = $1`, heir)
			b.record(synced("synced", b.copied()))
			b.exec(`update events set status = $1, sync_due_at = null, sync_lease_until = null, sync_planned = sync_revision`, status)
			b.exec(`update events set sync_due_at = null, sync_planned = sync_revision`) // what the triggers make of that
			before := ask[int64](b, `select sync_revision from events`)
			rows := b.claimRemovals()
			if len(rows) != 1 || rows[0].UserID == heir {
				t.Fatalf("removals %+v, want that of the old owner's", rows)
			}
			answers, err := b.q.RecordRemovals(t.Context(), store.RecordRemovalsParams{EventIds: []uuid.UUID{event}, UserIds: []uuid.UUID{rows[0].UserID},
				Leases: []time.Time{rows[0].LeaseUntil}, Gone: []bool{true}, RetryMs: []int64{-1}, CountAttempts: []bool{false}, ErrorMessages: []string{""}})
			if err != nil {
				t.Fatal(err)
			}
			if got := len(answers) == 1 && answers[0].DueAgain; got != again {
				t.Errorf("due again: %v, want %v", got, again)
			}
			if got := ask[bool](b, `select sync_revision > $1 and status = 'pending' and sync_due_at is not null from events`, before); got != again {
				t.Errorf("served again: %v, want %v", got, again)
			}
			if hash := ask[string](b, `select content_hash from reminder_worker.calendar_copies where user_id = $1`, heir); hash != "" {
				t.Errorf("the copy's hash is kept: %s", hash)
			}
		})
	}
}
