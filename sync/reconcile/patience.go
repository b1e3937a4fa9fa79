package reconcile

import (
	"maps"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal"
)

// patience is what calls have taught about accounts and is not in a row yet, or never will be: so that what waits in a lane, or was
// claimed a moment too early, does not make the same experience once more. An entry counts for one consent only: a user who connects again
// starts afresh.
type patience struct {
	base, limit time.Duration // pauses of a user whose calls are stuck

	mu       sync.Mutex
	pauses   map[uuid.UUID]userPause
	refusals map[uuid.UUID]refusal
	since    map[uuid.UUID]bool // users whose calls have failed since anybody's was answered
	throttle map[uuid.UUID]throttle

	outages   int       // pauses of everybody since anybody's call was answered
	outageEnd time.Time // when the last of them is over
}

// consentOf tells one consent of a user from the next: by the refresh token, or for one that is delegated by address and time.
func consentOf(a gcal.Account) string {
	if a.Delegated() {
		return a.Subject + " since " + a.Consent.String()
	}
	return a.RefreshToken
}

// userPause is a time before which one user's calendar is not called.
type userPause struct {
	consent string
	until   time.Time
	why     string
	times   int // how often in a row calls were stuck
}

// throttle is the last pause that Google asked for.
type throttle struct {
	at   time.Time
	last time.Duration
}

// refusal is a consent that Google has refused.
type refusal struct {
	consent string
	until   time.Time // zero until the account is parked
}

const (
	// stuckTime is how long a failing call must have taken to hold up what is behind it.
	stuckTime = time.Second
	// failedUsers is how many users' calls in a row must have failed to say that it is not they.
	failedUsers = 3
	// outageLimit is the longest pause of everybody because calls fail.
	outageLimit = 30 * time.Second
	// throttleLimit is how far the pauses of a user grow whose requests are refused for their rate: it is counted over a minute.
	throttleLimit = time.Minute
)

// throttled is for how long an account is to be left alone of which Google would have a pause of d: for longer if it has asked before,
// within the last minute.
func (p *patience) throttled(a gcal.Account, d time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.throttle == nil {
		p.throttle = map[uuid.UUID]throttle{}
	}
	maps.DeleteFunc(p.throttle, func(_ uuid.UUID, t throttle) bool { return now.Sub(t.at) > throttleLimit+t.last })
	if t, before := p.throttle[a.UserID]; before {
		d = max(d, min(2*t.last, throttleLimit))
	}
	p.throttle[a.UserID] = throttle{now, d}
	return d
}

// left is for how much longer an account is left alone, and why; 0: it may be called.
func (p *patience) left(a gcal.Account) (time.Duration, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, paused := p.pauses[a.UserID]
	if !paused || u.consent != consentOf(a) {
		return 0, ""
	}
	return max(0, time.Until(u.until)), u.why
}

// pause leaves an account alone for d.
func (p *patience) pause(a gcal.Account, d time.Duration, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(a, userPause{until: time.Now().Add(d), why: why})
}

// set is called with mu held.
func (p *patience) set(a gcal.Account, u userPause) {
	if p.pauses == nil {
		p.pauses = map[uuid.UUID]userPause{}
	}
	longAgo := time.Now().Add(-p.limit)
	maps.DeleteFunc(p.pauses, func(_ uuid.UUID, old userPause) bool { return old.until.Before(longAgo) })
	u.consent = consentOf(a)
	p.pauses[a.UserID] = u
}

// failed notes that an account's call failed, and if it took long, pauses the account, each time for longer. It returns for how long everybody
// is to pause, each time for longer, if calls of several users have failed and none was answered.
func (p *patience) failed(a gcal.Account, stuck bool) (all time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if stuck {
		times := p.pauses[a.UserID].times
		d := grow(p.base, p.limit, times)
		p.set(a, userPause{until: time.Now().Add(d), why: "Google did not answer in time for this user's calendar", times: times + 1})
	}
	if p.since == nil {
		p.since = map[uuid.UUID]bool{}
	}
	p.since[a.UserID] = true
	if len(p.since) < failedUsers {
		return 0
	}
	now := time.Now()
	if !now.Before(p.outageEnd) { // what was on the wire together is one failure
		p.outageEnd = now.Add(grow(p.base, max(p.base, outageLimit), p.outages))
		p.outages++
	}
	return p.outageEnd.Sub(now)
}

// answered notes that Google talks to an account, and so to all.
func (p *patience) answered(a gcal.Account) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pauses, a.UserID)
	clear(p.since)
	p.outages, p.outageEnd = 0, time.Time{}
}

// refuse notes that Google has refused an account's grant.
func (p *patience) refuse(a gcal.Account) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusals == nil {
		p.refusals = map[uuid.UUID]refusal{}
	}
	now := time.Now()
	maps.DeleteFunc(p.refusals, func(_ uuid.UUID, old refusal) bool { return !old.until.IsZero() && old.until.Before(now) })
	p.refusals[a.UserID] = refusal{consent: consentOf(a)}
}

// refused reports whether Google has refused this grant.
func (p *patience) refused(a gcal.Account) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, known := p.refusals[a.UserID]
	return known && old.consent == consentOf(a) && (old.until.IsZero() || time.Now().Before(old.until))
}

// parked notes that the rows of users' accounts say so now. What was claimed before that may still be on its way, for a claim's
// time at most.
func (p *patience) parked(users []uuid.UUID, lease time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range users {
		if old, known := p.refusals[u]; known {
			p.refusals[u] = refusal{consent: old.consent, until: time.Now().Add(lease)}
		}
	}
}
