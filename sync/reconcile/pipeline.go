package reconcile

import "context"

// committing is the batch whose plans are being committed while the next one is claimed: what comes in under load waits for one claim, and not
// for the reminders of those before it. Only the intake touches it; nil: there is none.
type committing chan error

// beginBeside is begin, and does not wait for it: that is for ended, which the next step asks.
func (r *Reconciler) beginBeside(ctx context.Context, batch []planned) {
	if len(batch) == 0 {
		return
	}
	c := make(committing, 1)
	r.committing = c
	go func() {
		err := r.beginAll(ctx, batch)
		c <- err
		if err != nil {
			r.Wake() // to have it told
		}
	}()
}

// ended waits until the batch before is committed, and returns what went wrong with it.
func (r *Reconciler) ended() error {
	if r.committing == nil {
		return nil
	}
	err := <-r.committing
	r.committing = nil
	return err
}

// beginAll is begin, and tells every call that is ahead of its plan what became of it.
func (r *Reconciler) beginAll(ctx context.Context, batch []planned) error {
	err := r.begin(ctx, batch)
	for _, p := range batch {
		p.planned(false) // unless it has been said before
	}
	return err
}
