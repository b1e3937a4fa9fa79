package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// owed are claims that are to be given back and could not be, because somebody else is at their rows. They are tried again with every look
// until they have ended by themselves. Only the intake touches it.
type owed map[uuid.UUID]planned

// giveBack ends the claims of events that changed under our hands, or that somebody else was at.
func (r *Reconciler) giveBack(ctx context.Context, lost ...planned) error {
	if len(lost) == 0 {
		return nil
	}
	r.Wake()
	for _, p := range lost {
		r.owed[p.row.ID] = p
	}
	return r.payBack(ctx)
}

// payBack gives back what is owed and can be given.
func (r *Reconciler) payBack(ctx context.Context) error {
	var arg store.GiveBackEventsParams
	for id, p := range r.owed {
		if time.Since(p.claimed) > r.cfg.Lease {
			delete(r.owed, id) // it has ended
			continue
		}
		arg.EventIds = append(arg.EventIds, id)
		arg.Revisions = append(arg.Revisions, p.row.SyncRevision)
		arg.Leases = append(arg.Leases, p.row.LeaseUntil)
	}
	if len(arg.EventIds) == 0 {
		return nil
	}
	locked, err := r.db.GiveBackEvents(ctx, arg)
	if err != nil {
		return fmt.Errorf("give back events: %w", err)
	}
	left := make(owed, len(locked))
	for _, id := range locked {
		left[id] = r.owed[id]
	}
	r.owed = left
	return nil
}
