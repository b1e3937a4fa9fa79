package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/store"
)

const (
	// barFor is how long an event is left alone whose row cannot be updated.
	barFor = 10 * time.Minute
	// maxBarred bounds how many such events are remembered; beyond it the oldest are tried again.
	maxBarred = 10_000
)

// barred are events that no claim can take, because their row refuses every update: a constraint that it violates since before it was
// made, or a trigger of the app's that raises. One of them would keep all others from being claimed. Only the intake touches it.
type barred map[uuid.UUID]time.Time

// skip lists those that are still to be left alone.
func (b barred) skip() []uuid.UUID {
	now := time.Now()
	maps.DeleteFunc(b, func(_ uuid.UUID, until time.Time) bool { return now.After(until) })
	return slices.Collect(maps.Keys(b))
}

func (b barred) add(id uuid.UUID) {
	if len(b) >= maxBarred {
		clear(b)
	}
	b[id] = time.Now().Add(barFor)
}

// claim takes up to plans events that are to be planned and up to copies that wait for Google. If one row refuses to be updated it is
// found, reported and left alone, and the others are taken one at a time until then.
func (r *Reconciler) claim(ctx context.Context, plans, copies int) ([]store.ClaimEventsRow, error) {
	rows, err := r.claimRows(ctx, plans, copies)
	if !refusesRow(err) {
		return rows, err
	}
	first, err := r.claimOne(ctx, false)
	if err != nil {
		return nil, err
	}
	second, err := r.claimOne(ctx, true)
	return append(first, second...), err
}

// claimOne takes one event, or bars it.
func (r *Reconciler) claimOne(ctx context.Context, waiting bool) ([]store.ClaimEventsRow, error) {
	plans, copies := 1, 0
	if waiting {
		plans, copies = 0, 1
	}
	rows, err := r.claimRows(ctx, plans, copies)
	if !refusesRow(err) {
		return rows, err
	}
	id, found := r.db.FirstDueEvent(ctx, store.FirstDueEventParams{Planned: waiting, Skip: r.barred.skip()})
	if found != nil {
		return nil, fmt.Errorf("find the row at fault: %w", found)
	}
	if id != uuid.Nil {
		r.barred.add(id)
		r.Wake()
		r.log.Error().Err(err).Stringer("event", id).Dur("for", barFor).
			Msg("event left alone: its row cannot be updated, mend the row, the constraint or the trigger")
	}
	return nil, nil
}

func (r *Reconciler) claimRows(ctx context.Context, plans, copies int) ([]store.ClaimEventsRow, error) {
	arg := store.ClaimEventsParams{
		MaxRows: int32(plans), MaxCopies: int32(copies), MaxBytes: maxTextBytes, NoteCopies: r.cal != nil && r.callable() > 0, OwnGrants: r.ownGrants(), Domains: r.domains(),
		LeaseMs: r.cfg.Lease.Milliseconds(), Worker: r.worker, Skip: r.barred.skip(),
	}
	rows, err := r.db.ClaimEvents(ctx, arg)
	if arg.NoteCopies && lockedOut(err) { // by a user who is being deleted
		arg.NoteCopies = false
		rows, err = r.db.ClaimEvents(ctx, arg)
	}
	if err != nil {
		return nil, fmt.Errorf("claim events: %w", err)
	}
	return rows, nil
}

// refusesRow reports whether a row refused to be updated: for its data (SQLSTATE classes 22 and 23), or because a trigger raised (P0).
func refusesRow(err error) bool {
	var pe *pgconn.PgError
	return refusesData(err) || errors.As(err, &pe) && strings.HasPrefix(pe.Code, "P0")
}
