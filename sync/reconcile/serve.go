package reconcile

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal"
)

// serve carries one job into the user's calendar, if that is still to be done, and passes on what became of it. Once stopping
// has ended no job is begun any more.
func (r *Reconciler) serve(stopping, work context.Context, j *job) {
	if !r.flight.held(j) || j.removal && time.Now().After(j.holdsUntil) {
		r.flight.remove(j) // the event is gone, or another worker has it: its row tells what is next
		return
	}
	if stopping.Err() != nil {
		r.results <- outcome{job: j, released: true}
		return
	}
	if left, why := r.pause.left(); left > 0 {
		r.results <- outcome{job: j, status: eventPending, retry: left, message: why}
		return
	}
	if r.wasRefused(j.account) {
		r.results <- reconnect(outcome{job: j, retry: never}, "the grant was refused")
		return
	}
	ctx, cancel := context.WithTimeout(work, r.callTime(j))
	defer cancel()
	began := time.Now()
	c, err := r.call(ctx, j)
	r.m.observeCall(j.removal, err, time.Since(began))
	if work.Err() != nil && err != nil {
		r.results <- outcome{job: j, released: true} // the grace is over: what the call did will be found out by the next one
		return
	}
	o := r.judge(j, c, err)
	if o.reconnect != "" {
		r.noteRefusal(j.account)
	}
	r.results <- o
}

func (r *Reconciler) call(ctx context.Context, j *job) (gcal.Copy, error) {
	if j.removal {
		return gcal.Copy{}, r.cal.Delete(ctx, j.account, j.known)
	}
	return r.cal.Upsert(ctx, j.account, j.content, j.known)
}

// callTime keeps a removal within its claim, so that it cannot meet a later write of the same copy.
func (r *Reconciler) callTime(j *job) time.Duration {
	if j.removal {
		return min(r.cfg.CallTimeout, time.Until(j.holdsUntil))
	}
	return r.cfg.CallTimeout
}

// A refused grant is remembered until the account is parked, so that one refusal stops the jobs already in the lane.

func (r *Reconciler) wasRefused(a gcal.Account) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	token, refused := r.refusal[a.UserID]
	return refused && token == a.RefreshToken
}

func (r *Reconciler) noteRefusal(a gcal.Account) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusal[a.UserID] = a.RefreshToken
}

func (r *Reconciler) forgetRefusals(users []uuid.UUID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range users {
		delete(r.refusal, u)
	}
}
