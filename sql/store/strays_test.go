package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// passedOn makes an event that one worker claimed and planned, and that passed to another when the claim ended.
func (b *base) passedOn() (first, second store.ClaimEventsRow) {
	b.t.Helper()
	first = b.copied()
	b.exec(`update events set sync_lease_until = now() - interval '1 second', sync_due_at = now()`)
	rows := must[[]store.ClaimEventsRow](b.t)(b.q.ClaimEvents(b.ctx(),
		store.ClaimEventsParams{MaxRows: 10, MaxCopies: 10, MaxBytes: 1 << 16, LeaseMs: lease.Milliseconds(), Worker: uuid.New()}))
	if len(rows) != 1 {
		b.t.Fatalf("%d events passed on, want 1", len(rows))
	}
	return first, rows[0]
}

// A worker that wrote a copy after its claim had passed to another does not take part in recording: the event is served once more, and
// Google is asked what it has.
func TestLateWriterIsSetRight(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.event(b.user(), day)
	late, row := b.passedOn()
	other := ask[uuid.UUID](b, `select sync_worker from events`)
	p := synced("synced", row)
	p.Worker, p.Hashes[0] = other, "new"
	b.record(p)
	if diff := cmp.Diff([]store.RecordSyncsRow{{EventID: late.ID, DueAgain: true}}, b.record(synced("synced", late))); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	next := b.claimEvent()
	if next.Status != "pending" || next.SyncRevision <= row.SyncRevision || !next.HasCopy || next.CopyHash != "" || next.CopyEtag == "" {
		t.Errorf("claimed %+v", next)
	}
}

// The same while the other is still at work: its result does not count as the last word.
func TestLateWriterMakesTheOtherAskAgain(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.event(b.user(), day)
	late, row := b.passedOn()
	other := ask[uuid.UUID](b, `select sync_worker from events`)
	b.record(synced("synced", late))
	if n := len(b.claimEvents()); n != 0 {
		t.Fatalf("%d events taken from the worker that holds them", n)
	}
	p := synced("synced", row)
	p.Worker = other
	if answer := b.record(p); len(answer) != 1 || !answer[0].DueAgain {
		t.Errorf("answer %+v, want due again", answer)
	}
	if next := b.claimEvent(); next.CopyHash != "" {
		t.Errorf("claimed %+v, want a copy of unknown content", next)
	}
}

// A worker that wrote nothing changes nothing once its claim has passed on.
func TestLateLoserChangesNothing(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.event(b.user(), day)
	late, _ := b.passedOn()
	p := synced("failed", late)
	p.GoogleIds[0] = ""
	if answer := b.record(p); len(answer) != 0 {
		t.Errorf("answer %+v, want none", answer)
	}
	if !ask[bool](b, `select status = 'pending' and sync_lease_until is not null and sync_revision = $1 from events`, late.SyncRevision) {
		t.Error("the other worker's claim was touched")
	}
}

// A copy that was written after its tombstone had been removed and forgotten is remembered as one.
func TestOrphanBecomesATombstone(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user()
	b.event(user, day)
	b.exec(`select reminder_worker.put_google_account($1, 'token')`, user)
	late := b.copied()
	b.exec(`delete from events`)
	b.exec(`delete from reminder_worker.calendar_copies`)
	if answer := b.record(synced("synced", late)); len(answer) != 1 || !answer[0].DueAgain {
		t.Errorf("answer %+v, want due again", answer)
	}
	if got := ask[string](b, `select google_event_id from reminder_worker.calendar_copies where tombstoned_at is not null and due_at <= now()`); got != "g"+late.ID.String() {
		t.Errorf("tombstone of %s", got)
	}
}

// Nobody extends or releases what another holds.
func TestLeasesAreTheHolders(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.event(b.user(), day)
	_, row := b.passedOn()
	ids := []uuid.UUID{row.ID}
	if held := must[[]uuid.UUID](t)(b.q.ExtendEventLeases(t.Context(), store.ExtendEventLeasesParams{EventIds: ids, LeaseMs: day.Milliseconds()})); len(held) != 0 {
		t.Errorf("extended %v", held)
	}
	if err := b.q.ReleaseEvents(t.Context(), store.ReleaseEventsParams{EventIds: ids}); err != nil {
		t.Fatal(err)
	}
	if !ask[bool](b, `select sync_lease_until = $1 from events`, row.LeaseUntil) {
		t.Error("the lease was touched")
	}
}
