package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
)

// serve carries one job into the user's calendar, if that is still to be done, and passes on what became of it.
func (r *Reconciler) serve(stopping, work context.Context, j *job) {
	if o, known := r.attempt(stopping, work, j); known {
		r.results <- r.behindPlan(o)
	} else {
		r.flight.remove(j) // the event is gone, or another worker has it: its row tells what is next
	}
}

// attempt makes the call of a job unless something stands against it. Once stopping has ended no job is begun any more.
func (r *Reconciler) attempt(stopping, work context.Context, j *job) (o outcome, known bool) {
	if !r.flight.held(j) {
		return o, false
	}
	if stopping.Err() != nil {
		return outcome{job: j, released: true}, true
	}
	if r.byHand.Load() {
		return outcome{job: j, status: eventPending, message: pausedByHand}, true
	}
	if left, why := r.pause.left(); left > 0 {
		return outcome{job: j, status: eventPending, retry: left, message: why}, true
	}
	if left, why := r.service.left(); left > 0 && j.account.Delegated() {
		return outcome{job: j, status: eventPending, retry: left, message: why}, true
	}
	if left, why := r.patience.left(j.account); left > 0 {
		return outcome{job: j, status: eventPending, retry: left, message: why}, true
	}
	if r.patience.refused(j.account) {
		return reconnect(outcome{job: j, retry: never}, "the grant was refused"), true
	}
	return r.carry(work, j)
}

// carry makes the call. What became of it is not known when the claim was lost before the answer came: Google may do it still, so
// nothing is recorded, and what is next waits until the claim would have ended.
func (r *Reconciler) carry(work context.Context, j *job) (o outcome, known bool) {
	ctx, cancel := context.WithTimeout(work, r.cfg.CallTimeout)
	defer cancel()
	until, stands := r.flight.begin(j, cancel)
	if !stands {
		return o, false
	}
	if j.removal { // within its claim, so that it cannot meet a later write of the same copy
		ctx, cancel = context.WithDeadline(ctx, until)
		defer cancel()
	}
	began := time.Now()
	c, err := r.call(ctx, j)
	took := time.Since(began)
	r.m.observeCall(j.removal, err, took)
	if work.Err() != nil && err != nil {
		return outcome{job: j, released: true}, true // the grace is over: what the call did will be found out by the next one
	}
	if err != nil && !r.flight.held(j) {
		return o, false
	}
	r.callTook.Store((3*r.callTook.Load() + int64(took)) / 4) // two at once lose one: it is an estimate
	return r.learn(j.account, r.judge(j, c, err), err, took), true
}

// learn draws from one call what the next ones are to know: those that wait in the lane, and everybody's if Google as a whole is away. Then
// it is not the event's fault, and no attempt is used.
func (r *Reconciler) learn(a gcal.Account, o outcome, err error, took time.Duration) outcome {
	switch {
	case ofService(err):
		r.patience.pause(a, o.retry, o.message) // perhaps without having asked Google
	case o.reconnect != "":
		r.patience.refuse(a)
	case o.pause > 0:
		r.patience.pause(a, o.pause, o.why)
	case o.counts && failedByItself(err):
		if e, ok := errors.AsType[*gcal.Error](err); ok {
			took -= e.Waited
		}
		all := r.patience.failed(a, took >= stuckTime)
		if all > 0 {
			r.holdAll(zerolog.ErrorLevel, all, "Google fails for everybody: "+err.Error())
			o.counts, o.retry = false, max(o.retry, all)
		}
	default:
		r.patience.answered(a)
	}
	return o
}

// ofService reports whether a call failed because the service account is refused.
func ofService(err error) bool {
	e, ok := errors.AsType[*gcal.Error](err)
	return ok && e.Service
}

// failedByItself reports whether a call failed in a way that says nothing of its event.
func failedByItself(err error) bool {
	e, ok := errors.AsType[*gcal.Error](err)
	return !ok || e.Kind == gcal.Retry
}

// holdAll keeps away from every calendar for d.
func (r *Reconciler) holdAll(level zerolog.Level, d time.Duration, why string) {
	if left, _ := r.pause.left(); left == 0 {
		r.log.WithLevel(level).Dur("pause", d).Str("reason", why).Msg("all calendars paused")
	}
	r.pause.set(time.Now().Add(d), why)
}

func (r *Reconciler) call(ctx context.Context, j *job) (gcal.Copy, error) {
	switch {
	case j.removal:
		return gcal.Copy{}, r.remove(ctx, j)
	case j.makes != "":
		return j.known, r.makeCalendar(ctx, j)
	}
	c, err := r.cal.Upsert(ctx, j.account, j.content, j.known)
	if j.account.CalendarID == j.home || !impossible(err) {
		return c, err
	}
	// The calendar that the copy was on its way to cannot be written, and the user has chosen another one since.
	err = r.db.NoteTarget(ctx, store.NoteTargetParams{EventID: j.event, UserID: j.user, Gone: j.account.CalendarID, CalendarID: j.home})
	if err != nil {
		return c, fmt.Errorf("note copy: %w", err)
	}
	j.account.CalendarID = j.home
	if j.known.Calendar == j.home {
		j.known.Calendar = ""
		j.known.Hash = "" // the move may have been carried out: Google is to be asked
	}
	return r.cal.Upsert(ctx, j.account, j.content, j.known)
}

// impossible reports whether a calendar is gone, or Google refuses to have it written: because it is another's, or the consent does not cover it.
func impossible(err error) bool {
	e, ok := errors.AsType[*gcal.Error](err)
	return ok && (e.Kind == gcal.CalendarGone || e.Status == http.StatusForbidden && (e.Kind == gcal.Permanent || e.Kind == gcal.Reconnect && e.Op != gcal.OpToken))
}

// noteRenewal writes down the id that a copy is to have from now on: should we die at that moment, the next one finds it.
func (r *Reconciler) noteRenewal(ctx context.Context, a gcal.Account, event uuid.UUID, is gcal.Copy) error {
	err := r.db.NoteRenewal(ctx, store.NoteRenewalParams{
		EventID: event, UserID: a.UserID, CalendarID: a.CalendarID, GoogleEventID: is.GoogleID, Generation: int32(is.Generation),
	})
	if err != nil {
		return fmt.Errorf("note copy: %w", err)
	}
	return nil
}

// remove takes a copy out of the calendar where it stands, and out of the one that it was being moved to, though one of them may refuse it.
func (r *Reconciler) remove(ctx context.Context, j *job) error {
	err := r.cal.Delete(ctx, j.account, j.known)
	if j.target == "" || err != nil && !impossible(err) {
		return err
	}
	there := j.account
	there.CalendarID = j.target
	return cmp.Or(r.cal.Delete(ctx, there, gcal.Copy{GoogleID: cmp.Or(j.targetID, gcal.NewGoogleID(j.event, 0))}), err)
}
