package reconcile

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// owed are claims that are to be given back and could not be, because somebody else is at their rows. They are tried again with every look
// until they have ended by themselves.
type owed struct {
	mu     sync.Mutex
	claims map[uuid.UUID]planned // guarded by mu
}

func (o *owed) none() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.claims) == 0
}

func (o *owed) add(lost []planned) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.claims == nil {
		o.claims = map[uuid.UUID]planned{}
	}
	for _, p := range lost {
		o.claims[p.row.ID] = p
	}
}

// giveBack ends the claims of events that changed under our hands, or that somebody else was at.
func (r *Reconciler) giveBack(ctx context.Context, lost ...planned) error {
	if len(lost) == 0 {
		return nil
	}
	r.Wake()
	r.owed.add(lost)
	return r.payBack(ctx)
}

// payBack gives back what is owed and can be given.
func (r *Reconciler) payBack(ctx context.Context) error {
	r.owed.mu.Lock()
	defer r.owed.mu.Unlock()
	var arg store.GiveBackEventsParams
	for id, p := range r.owed.claims {
		if time.Since(p.claimed) > r.cfg.Lease {
			delete(r.owed.claims, id) // it has ended
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
	left := make(map[uuid.UUID]planned, len(locked))
	for _, id := range locked {
		left[id] = r.owed.claims[id]
	}
	r.owed.claims = left
	return nil
}
