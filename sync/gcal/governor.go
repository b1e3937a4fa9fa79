package gcal

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
)

// governor finds out how many requests Google takes where that is less than was thought: a project may have an older quota, and not all of
// Google's limits are published. Until requests of several users are refused for their rate it does nothing. Then it lets nothing through
// for a moment, tries with one, goes on at the rate that was taken last, and from then on feels slowly for more. Each worker governs itself:
// together they settle on what there is, since whoever is refused yields.
type governor struct {
	now func() time.Time

	mu    sync.Mutex
	rate  float64               // requests a second; 0: as many as come
	top   float64               // the rate at which requests were refused last
	next  time.Time             // when the next request may go
	grown time.Time             // when rate was last raised
	until time.Time             // nothing goes before
	hold  time.Duration         // the last pause; the next one is twice as long
	probe chan struct{}         // closed when the one that is tried has come back; nil: none is
	eased time.Time             // when requests were taken again after the last pause
	taken [meterSlots]int       // requests that were taken, by slot of time
	slot  int64                 // the newest of them
	users map[uuid.UUID]*record // of late
	since time.Time             // when users was begun
}

// record is how a user's requests have fared.
type record struct {
	refused    int       // how many
	seen, last time.Time // when there was one, and when one was refused
}

const (
	meterSlots = 11 // a second, and the slot that is not over
	meterSlot  = time.Second / (meterSlots - 1)

	// It takes manyUsers, and one in manyShare of those who make requests, refused within a second to say that they are not each at fault.
	manyUsers = 5
	manyShare = 10
	// memory is for how long records are kept.
	memory = 30 * time.Second
	// firstHold and lastHold bound the pauses. A quota by the minute may be used up for most of one.
	firstHold = 50 * time.Millisecond
	lastHold  = 16 * time.Second
	// patient is how long a call waits for its turn.
	patient = 2 * time.Second
	// lowestRate is that of a request every other second: less would hold calls for longer than they live.
	lowestRate = 0.5
	// A refusal right after requests were taken again says that the rate was far too high, a later one that it was a little.
	yieldALot    = 0.8
	yieldALittle = 0.97
	// Growth in a second: cautious near the rate that was refused, else quick.
	growSlowly  = 0.003
	growAtLeast = 0.3 // requests a second
	growQuickly = 0.2
	nearTop     = 0.95
	// freeAgain is at how many times the rate that was refused there is no limit any more.
	freeAgain = 3
)

// verdict is what an admitted request came to.
type verdict int

const (
	neutral verdict = iota // says nothing about rates
	accepted
	overRate
)

// governed is the error of a request whose turn is not worth waiting for.
type governed struct{ wait time.Duration }

func (g governed) Error() string {
	return "Google takes fewer requests than are made: the next goes in " + g.wait.Round(time.Millisecond).String()
}

// RetryAfter makes it a pause of all accounts.
func (g governed) RetryAfter() time.Duration { return g.wait }

// admit waits for a request's turn, or for the end of ctx; not for long: then the error says when to come back. The returned function must be
// called with what came of the request; it reports whether the request was refused as many others are, so that trying it again is for this
// governor to pace.
func (g *governor) admit(ctx context.Context, user uuid.UUID) (done func(verdict) (again bool), err error) {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	for {
		wait, probe, ok := g.turn()
		if ok {
			return func(v verdict) bool { return g.settle(user, v, probe) }, nil
		}
		if wait > patient {
			return nil, governed{wait}
		}
		if probe == nil {
			err = pauseFor(ctx, wait)
		} else {
			err = waitFor(ctx, probe)
		}
		if err != nil {
			return nil, err
		}
	}
}

func pauseFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return notAdmitted(ctx)
	case <-t.C:
		return nil
	}
}

func waitFor(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return notAdmitted(ctx)
	case <-done:
		return nil
	}
}

// notAdmitted is why a call ended that waited for its turn. Nothing was sent: that its time is over says nothing about Google.
func notAdmitted(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return governed{meterSlot}
}

// turn lets a request through (ok), or says how long to wait, or for which probe. A request that goes as a probe is given it.
func (g *governor) turn() (wait time.Duration, probe chan struct{}, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	switch {
	case now.Before(g.until):
		return g.until.Sub(now), nil, false
	case g.probe != nil:
		return 0, g.probe, false
	case g.hold > 0 && g.eased.IsZero():
		g.probe = make(chan struct{})
		return 0, g.probe, true
	case g.rate == 0:
		return 0, nil, true
	}
	if g.grow(now); g.rate == 0 {
		return 0, nil, true
	}
	if now.Before(g.next) {
		return g.next.Sub(now), nil, false
	}
	// A moment's idleness may be made up for, more may not: that would be a burst.
	if late := now.Add(-meterSlot / 10); g.next.Before(late) {
		g.next = late
	}
	g.next = g.next.Add(time.Duration(float64(time.Second) / g.rate))
	return 0, nil, true
}

// grow raises the rate as time passes in which requests are made.
func (g *governor) grow(now time.Time) {
	passed := min(now.Sub(g.grown), time.Second).Seconds()
	g.grown = now
	by := growQuickly
	if g.rate > nearTop*g.top && g.rate < g.top/nearTop {
		by = max(growSlowly, growAtLeast/g.rate)
	}
	if g.rate *= 1 + by*passed; g.rate > freeAgain*g.top {
		g.rate, g.top = 0, 0
	}
}

// settle notes what a request came to.
func (g *governor) settle(user uuid.UUID, v verdict, probe chan struct{}) (again bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	if probe != nil {
		g.probe = nil
		close(probe)
	}
	r := g.recordOf(user, now)
	switch v {
	case accepted:
		g.count(now)
		if probe != nil {
			g.eased, g.next = now, now
		}
	case overRate:
		r.refused++
		r.last = now
		return g.refused(r, now, probe != nil)
	}
	return false
}

// recordOf is the record of a user who makes requests now.
func (g *governor) recordOf(user uuid.UUID, now time.Time) *record {
	if g.users == nil || now.Sub(g.since) > memory {
		g.forget(now)
	}
	r := g.users[user]
	if r == nil {
		r = &record{}
		g.users[user] = r
	}
	r.seen = now
	return r
}

// forget begins the records anew, and keeps those of users who are at a limit of their own.
func (g *governor) forget(now time.Time) {
	maps.DeleteFunc(g.users, func(_ uuid.UUID, r *record) bool { return !g.own(r) || now.Sub(r.last) > memory })
	if g.users == nil {
		g.users = map[uuid.UUID]*record{}
	}
	g.since = now
}

// own reports whether a user is at a limit of their own, for which Google has the same word. The first refusal of each user may be everybody's; if it
// was, the rate is lower now, and there is rarely a second.
func (g *governor) own(r *record) bool { return r.refused > 1 }

// many reports whether requests of so many users were refused within a second that it is not they.
func (g *governor) many(now time.Time) bool {
	active, refused := 0, 0
	for _, r := range g.users {
		if now.Sub(r.seen) > time.Second {
			continue
		}
		if active++; now.Sub(r.last) <= time.Second && !g.own(r) {
			refused++
		}
	}
	return refused >= manyUsers && refused*manyShare >= active
}

func (g *governor) refused(r *record, now time.Time, probe bool) (again bool) {
	switch {
	case g.own(r):
		return false
	case now.Before(g.until), g.hold > 0 && g.eased.IsZero() && !probe:
		return true // it was on the wire when the pause began
	case probe:
		g.hold = min(2*g.hold, lastHold)
	case g.rate == 0 && !g.many(now):
		return false // their own affair, for all that is known
	default:
		g.yield(now)
		g.hold = max(firstHold, time.Duration(2*float64(time.Second)/g.rate))
	}
	g.eased, g.until = time.Time{}, now.Add(g.hold)
	return true
}

// yield lowers the rate below what was refused, or what was taken instead.
func (g *governor) yield(now time.Time) {
	steady := now.Sub(g.eased) > time.Second // no pause falls into what is measured
	switch taken := g.measured(now); {
	case g.rate == 0:
		g.top = taken
	case steady:
		g.top = min(g.rate, max(taken, yieldALot*g.rate))
	default:
		g.top = g.rate
	}
	if g.rate = g.top * yieldALittle; !steady {
		g.rate = g.top * yieldALot
	}
	g.rate = max(g.rate, lowestRate)
	g.top = max(g.top, g.rate)
	g.next, g.grown = now, now
}

// count notes that a request was taken.
func (g *governor) count(now time.Time) {
	g.advance(now)
	g.taken[g.slot%meterSlots]++
}

// measured is how many were taken in a second, of late.
func (g *governor) measured(now time.Time) float64 {
	g.advance(now)
	all := 0
	for _, k := range g.taken {
		all += k
	}
	oldest, newest := g.taken[(g.slot+1)%meterSlots], g.taken[g.slot%meterSlots]
	return float64(all - min(oldest, newest))
}

func (g *governor) advance(now time.Time) {
	slot := now.UnixNano() / int64(meterSlot)
	for s := max(g.slot, slot-meterSlots) + 1; s <= slot; s++ {
		g.taken[s%meterSlots] = 0
	}
	g.slot = max(g.slot, slot)
}

// verdictOf is what an exchange that failed says about the rate of requests. Of the reasons for a pause only one may be everybody's.
func verdictOf(e *Error) verdict {
	switch {
	case e.Kind == Throttled && (e.Reason == "rateLimitExceeded" || e.Reason == "RATE_LIMIT_EXCEEDED" || e.Status == http.StatusTooManyRequests):
		return overRate
	case e.Kind != Throttled && e.Status >= 400 && e.Status < 500:
		return accepted // it was looked at
	}
	return neutral
}
