package reconcile

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/seal"
)

// outcome is what became of one event or removal, to be recorded.
type outcome struct {
	job *job
	// status and message are the event's.
	status, message string
	// retry is after how long the row is due again; negative: it is done with.
	retry time.Duration
	// counts says that an attempt was used.
	counts bool
	// copy is what Google has now, nil if that did not change.
	copy *gcal.Copy
	// released says the job was not begun and goes back unserved.
	released bool
	// unplanned says that the event's reminders could not be committed.
	unplanned bool
	// gone says that a removal succeeded.
	gone bool
	// reconnect is why the account is to be parked; empty: it is not.
	reconnect string
	// pause is for how long the user's calendar is to be left alone, because of why.
	pause time.Duration
	why   string
	// lost is a calendar that is gone.
	lost string
}

const never = time.Duration(-1)

// pausedByHand tells a developer of the app what an event waits for. Why it was paused is the operator's.
const pausedByHand = "calendars are paused by hand"

// done is the outcome of an event that needs no calendar.
func done(j *job, status, message string) outcome {
	return outcome{job: j, status: status, message: message, retry: never}
}

// judge turns what Google said into what is recorded.
func (r *Reconciler) judge(j *job, c gcal.Copy, err error) outcome {
	o := outcome{job: j, status: eventPending, retry: never}
	switch {
	case err == nil && j.makes != "":
		o.retry = j.wait // it is written when it is noted where
		return o
	case err == nil:
		o.status, o.copy, o.gone = eventSynced, &c, j.removal
		if !j.removal && (j.account.CalendarID != j.home || j.ends) {
			o.status, o.retry = eventPending, 0 // where it was to go before; the user has chosen another calendar since, or none
		}
		return o
	}
	if c.GoogleID != "" && c.GoogleID != j.known.GoogleID {
		o.copy = &c // the id had to be given up: the next attempt goes on from there
	}
	var ge *gcal.Error
	if !errors.As(err, &ge) {
		o.message = err.Error()
		return r.again(o)
	}
	o.message = ge.Told()
	switch ge.Kind {
	case gcal.CalendarGone:
		r.log.Warn().Err(ge).Stringer("user", j.user).Str("calendar", j.account.CalendarID).Msg("a user's calendar is gone")
		o.lost = j.account.CalendarID
		return r.refused(o, ge)
	case gcal.Permanent:
		return r.refused(o, ge)
	case gcal.Throttled:
		o.retry, o.why = ge.RetryAfter, ge.Error()
		switch {
		case r.byHand.Load() && ge.Reason == gcal.ReasonOwnQuota: // paused in the middle of several requests
			o.retry, o.message = 0, pausedByHand
		case ge.Reason == gcal.ReasonOwnUserQuota: // it is known for how long
			o.pause, o.retry = ge.RetryAfter, r.cfg.Jitter(ge.RetryAfter)
		case !ge.Shared():
			o.pause = r.patience.throttled(j.account, ge.RetryAfter)
			o.retry = o.pause
		default:
			r.holdAll(levelOf(ge), ge.RetryAfter, ge.Error())
		}
		return o
	case gcal.Reconnect:
		return reconnect(o, ge.Error())
	case gcal.Project:
		if ge.Service {
			return r.refusedService(o, ge)
		}
		o.retry, o.message = r.cfg.ProjectPause, ge.Error()+". "+ge.Advice()
		r.holdAll(zerolog.ErrorLevel, o.retry, o.message)
		return o
	default:
		o = r.again(o)
		if o.retry >= 0 {
			o.retry = max(o.retry, ge.RetryAfter)
		}
		return o
	}
}

// levelOf tells a quota of our own that is used up, which is nobody's fault, from one of Google's.
func levelOf(ge *gcal.Error) zerolog.Level {
	if ge.Reason == gcal.ReasonOwnQuota || ge.Reason == gcal.ReasonPaced {
		return zerolog.WarnLevel
	}
	return zerolog.ErrorLevel
}

// refused is for good, except that a removal Google will not carry out is asked for again, rarely: it is not forgotten.
func (r *Reconciler) refused(o outcome, ge *gcal.Error) outcome {
	if o.job.removal {
		o.retry, o.counts = r.cfg.RetryMax, true
		return o
	}
	o.status, o.message = eventFailed, ge.Told()+". "+ge.Advice()
	return o
}

func reconnect(o outcome, why string) outcome {
	o.reconnect = why
	o.status, o.message = eventScheduled, waitsForConsent(why)
	switch {
	case o.job.account.Delegated() && o.job.removal:
		o.message = fmt.Sprintf("still in Google Calendar: the service account cannot act for the user (%s).", why)
	case o.job.account.Delegated():
		o.message = waitsForService(why)
	case o.job.removal:
		o.message = fmt.Sprintf("still in Google Calendar: access has ended (%s). It is removed when the user connects Google Calendar again.", why)
	}
	return o
}

// unopenedPause is how long an event is left alone whose user's refresh token this worker cannot open.
const unopenedPause = 5 * time.Second

// unopened is the outcome where an account's refresh token cannot be read. If it is our keys that are wrong, nobody is marked, and no attempt
// is used: with the right ones all goes on.
func (r *Reconciler) unopened(j *job, err error) outcome {
	if unknown := (*seal.UnknownKeyError)(nil); !errors.As(err, &unknown) {
		return reconnect(outcome{job: j, retry: never}, err.Error())
	}
	r.m.unopened.Inc()
	if left, _ := r.locked.left(); left == 0 {
		r.locked.set(time.Now().Add(r.cfg.ProjectPause), err.Error())
		r.log.Error().Err(err).Stringer("user", j.user).Msg("refresh tokens cannot be read: TOKEN_ENCRYPTION_KEY lacks a key")
	}
	// Soon, for another worker may have the key.
	return outcome{
		job: j, status: eventPending, retry: r.cfg.Jitter(min(r.cfg.ProjectPause, unopenedPause)),
		message: "the user's refresh token cannot be read: " + err.Error(),
	}
}

func waitsForConsent(why string) string {
	return fmt.Sprintf("not in Google Calendar: access has ended (%s). It is written when the user connects Google Calendar again.", why)
}

// waitsForService is about a user for whom the service account cannot act, and who has nothing to renew.
func waitsForService(why string) string {
	return fmt.Sprintf("not in Google Calendar: the service account cannot act for the user (%s). It is tried again with one of their next events, after a day.", why)
}

// again counts an attempt and pauses, until the attempts are used up.
func (r *Reconciler) again(o outcome) outcome {
	tried := o.job.attempts + 1
	if tried >= r.cfg.MaxAttempts && !o.job.removal {
		o.status, o.message = eventFailed, fmt.Sprintf("gave up after %d attempts: %s", tried, o.message)
		return o
	}
	o.retry, o.counts = r.backoff(o.job.attempts), true
	return o
}

// backoff is the pause after so many failed attempts before this one.
func (r *Reconciler) backoff(attempts int) time.Duration {
	return r.cfg.Jitter(grow(r.cfg.RetryBase, r.cfg.RetryMax, attempts))
}

// grow doubles base so many times, up to limit.
func grow(base, limit time.Duration, times int) time.Duration {
	d := base
	for i := 0; i < times && d < limit; i++ {
		d *= 2
	}
	return min(d, limit)
}

// equalJitter returns between half of d and d.
func equalJitter(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2+1)
}
