package reconcile

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// Claims of a batch whose plans did not count are given back at once, but for those rows that the app is at; those are given back when it
// is done, and not only when their claims end.
func TestOneLockedRowDoesNotKeepOthersClaimed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Lease = time.Hour
	r, user := w.reconciler(), w.user()
	w.events(user, 3)
	rows, err := r.claimRows(t.Context(), 10, 0)
	if err != nil || len(rows) != 3 {
		t.Fatalf("claimed %d, %v", len(rows), err)
	}
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `select from events where id = $1 for update`, rows[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := r.giveBack(t.Context(), claimedAt(time.Now(), rows)...); err != nil {
		t.Fatal(err)
	}
	w.untilTrue(`(select count(*) from events where sync_lease_until is null) = 2`)
	if len(r.owed.claims) != 1 || r.restFor(time.Minute) != lockedRest {
		t.Errorf("%d claims are owed, next rest %s", len(r.owed.claims), r.restFor(time.Minute))
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.payBack(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.untilTrue(`(select count(*) from events where sync_lease_until is null) = 3`)
	if len(r.owed.claims) != 0 || r.restFor(time.Minute) != time.Minute {
		t.Errorf("%d claims are owed, next rest %s", len(r.owed.claims), r.restFor(time.Minute))
	}
}

// What is owed for longer than a claim lasts is owed no more.
func TestOwedClaimsEnd(t *testing.T) {
	t.Parallel()
	r := newWorld(t).reconciler()
	row := store.ClaimEventsRow{ID: uuid.New()}
	r.owed.add(claimedAt(time.Now().Add(-2*r.cfg.Lease), []store.ClaimEventsRow{row}))
	if err := r.payBack(t.Context()); err != nil || len(r.owed.claims) != 0 {
		t.Errorf("%d are owed, %v", len(r.owed.claims), err)
	}
}

func claimedAt(at time.Time, rows []store.ClaimEventsRow) (batch []planned) {
	for _, row := range rows {
		batch = append(batch, planned{row: row, claimed: at})
	}
	return batch
}
