package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
)

// alsoRemovals takes the removals that are due as well. They are few, so that a step which leaves nothing behind asks first whether there are
// any: the answer says how long to rest, too.
func (r *Reconciler) alsoRemovals(ctx context.Context, took taken) (taken, error) {
	limit := r.callable()
	if limit == 0 {
		return took, nil
	}
	if !took.more {
		asked := time.Now()
		due, err := r.db.NextDue(ctx, !r.byHand.Load())
		if err != nil {
			return took, fmt.Errorf("ask what is due next: %w", err)
		}
		if due.RemovalsMs > 0 {
			took.until = asked.Add(fromNow(min(due.EventsMs, due.RemovalsMs)))
			return took, nil
		}
	}
	n, err := r.takeRemovals(ctx, limit)
	took.removals, took.more = n, took.more || n == limit
	return took, err
}

// fromNow is when to look for what is due in ms milliseconds.
func fromNow(ms float64) time.Duration {
	return max(time.Duration(min(ms, 1e9)*float64(time.Millisecond)), 0) + time.Millisecond
}

// takeRemovals claims tombstones and hands them to the lanes.
func (r *Reconciler) takeRemovals(ctx context.Context, limit int) (int, error) {
	if limit <= 0 {
		return 0, nil
	}
	claimed := time.Now()
	rows, err := r.db.ClaimRemovals(ctx, store.ClaimRemovalsParams{MaxRows: int32(limit), LeaseMs: r.cfg.Lease.Milliseconds()})
	if err != nil {
		return 0, fmt.Errorf("claim removals: %w", err)
	}
	r.findRemovals(ctx, rows)
	for _, row := range rows {
		r.dispatchRemoval(row, claimed.Add(r.cfg.Lease))
	}
	return len(rows), nil
}

func (r *Reconciler) dispatchRemoval(row store.ClaimRemovalsRow, holdsUntil time.Time) {
	j := &job{
		event: row.EventID, user: row.UserID, attempts: int(row.Attempts), removal: true, lease: row.LeaseUntil, holdsUntil: holdsUntil,
		account: gcal.Account{UserID: row.UserID, Subject: row.Subject, Consent: row.ConnectedAt, CalendarID: row.CalendarID}, stored: row.RefreshToken,
		target: row.TargetCalendarID, targetID: row.TargetEventID,
		known: gcal.Copy{GoogleID: row.GoogleEventID, Generation: int(row.Generation), ETag: row.Etag, Hash: row.ContentHash},
	}
	now := row.LeaseUntil.Add(-r.cfg.Lease)
	switch {
	case r.cal == nil, row.AccountState == accountUnserved:
		r.settle(outcome{job: j, retry: r.cfg.RetryMax, message: "waits for a worker that writes this user's calendar"})
	case row.AccountState == accountUndecided:
		r.settle(outcome{job: j, retry: r.cfg.Jitter(undecidedPause), message: undecided})
	case !removable(&row):
		r.settle(outcome{job: j, retry: never, message: "waits until the user connects Google Calendar again"})
	case row.AccountPausedUntil.After(now):
		r.settle(outcome{job: j, retry: row.AccountPausedUntil.Sub(now), message: "Google asked for a pause of this user's calendar"})
	default:
		r.unseal(j)
	}
}
