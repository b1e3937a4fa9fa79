package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/seal"
)

const (
	leaveBatch  = 16  // accounts of one statement, whose consents are given back at once
	leaveCopies = 500 // copies of theirs that one statement makes tombstones
	// leaveWait is how long to wait for copies that are being removed, at first.
	leaveWait = 500 * time.Millisecond
	// leaveWaitMax is the longest such wait, and the longest pause between attempts.
	leaveWaitMax = time.Minute
	// leaveRest is the shortest time between two looks: most changes are none of somebody leaving.
	leaveRest = 200 * time.Millisecond
)

// keepLeaving lets users go who have left, until stopped is closed: it waits until their copies are removed, which is done like any removal,
// gives their consents back to Google, and turns their accounts off. While calendars are paused by hand nobody leaves.
func (r *Reconciler) keepLeaving(ctx context.Context, stopped <-chan struct{}) {
	if r.cal == nil {
		return // one that writes calendars sees to it
	}
	for {
		until := r.cfg.SweepInterval
		if !r.byHand.Load() {
			until = min(until, r.untilLeaving(ctx))
		}
		if until <= 0 {
			if err := r.leave(ctx); err != nil {
				r.m.databaseErrors.Inc()
				r.log.Error().Err(err).Msg("leaving not done")
			}
		}
		least, due := time.NewTimer(leaveRest), time.NewTimer(max(until, leaveRest))
		select {
		case <-stopped:
			return
		case <-least.C:
		}
		select {
		case <-stopped:
			return
		case <-r.left:
		case <-due.C:
		}
	}
}

func (r *Reconciler) untilLeaving(ctx context.Context) time.Duration {
	ms, err := r.db.NextLeavingDue(ctx)
	if err != nil {
		return time.Second
	}
	return time.Duration(min(ms, 1e9) * float64(time.Millisecond))
}

// leave takes one batch of accounts.
func (r *Reconciler) leave(ctx context.Context) error {
	rows, err := r.db.ClaimLeavings(ctx, store.ClaimLeavingsParams{
		MaxRows: leaveBatch, MaxCopies: leaveCopies, LeaseMs: (r.cfg.CallTimeout + r.cfg.Lease).Milliseconds(),
	})
	if err != nil {
		return fmt.Errorf("claim leavings: %w", err)
	}
	if len(rows) == 0 {
		return nil
	}
	if rows[0].Buried > 0 {
		r.Wake()
	}
	arg := store.RecordLeavingsParams{}
	var mu sync.Mutex
	var calls sync.WaitGroup
	for _, row := range rows {
		calls.Go(func() {
			retry, reason := r.letLeave(ctx, row)
			mu.Lock()
			defer mu.Unlock()
			arg.UserIds = append(arg.UserIds, row.UserID)
			arg.Consents = append(arg.Consents, row.ConnectedAt)
			arg.RetryMs = append(arg.RetryMs, millis(retry))
			arg.Reasons = append(arg.Reasons, storable(reason))
		})
	}
	calls.Wait()
	if ctx.Err() != nil {
		return nil // the claim ends by itself
	}
	if err := r.db.RecordLeavings(ctx, arg); err != nil {
		return fmt.Errorf("record leavings: %w", err)
	}
	return nil
}

// letLeave says when to look again at one account, and why; never: it is done with.
func (r *Reconciler) letLeave(ctx context.Context, row store.ClaimLeavingsRow) (time.Duration, string) {
	reason := "disconnected in the app"
	tried := int(row.LeaveAttempts) - 1
	ended := reason
	switch {
	case row.State != accountLeaving: // nothing can be removed any more, and the row says why
		ended = cmp.Or(row.Reason, reason)
	case row.CopiesLeft && !row.Expired:
		return r.cfg.Jitter(grow(leaveWait, leaveWaitMax, tried)), reason + "; copies are being removed"
	case row.CopiesLeft:
		ended = reason + "; copies that could not be removed within a day are left"
	}
	if !row.LeaveRevoke {
		return never, ended
	}
	err := r.revoke(ctx, row)
	switch {
	case err == nil:
		return never, ended
	case row.Expired:
		r.log.Error().Err(err).Stringer("user", row.UserID).Msg("consent not given back to Google")
		return never, reason + "; the consent could not be given back within a day: " + err.Error()
	}
	r.log.WithLevel(levelOfLeaving(err)).Err(err).Stringer("user", row.UserID).Msg("consent not yet given back to Google")
	return r.cfg.Jitter(grow(leaveWait, leaveWaitMax, tried)), reason + "; the consent is being given back: " + err.Error()
}

// revoke gives a consent back. A token that nobody can ever read is none.
func (r *Reconciler) revoke(ctx context.Context, row store.ClaimLeavingsRow) error {
	if row.RefreshToken == "" {
		return nil // a service account acted for the user
	}
	token, err := r.cfg.Keys.Open(row.UserID, row.RefreshToken)
	if unknown := (*seal.UnknownKeyError)(nil); errors.As(err, &unknown) {
		return fmt.Errorf("open refresh token: %w", err)
	}
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.CallTimeout)
	defer cancel()
	if err := r.cal.Revoke(ctx, token); err != nil {
		return err
	}
	r.cal.Forget(row.UserID)
	return nil
}

func levelOfLeaving(err error) zerolog.Level {
	if e, ok := errors.AsType[*gcal.Error](err); ok && e.Kind == gcal.Retry {
		return zerolog.WarnLevel
	}
	return zerolog.ErrorLevel
}
