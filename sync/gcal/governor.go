package gcal

import (
	"context"
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

	mu       sync.Mutex
	rate     float64               // requests a second; 0: as many as come
	top      float64               // the rate at which requests were refused last
	next     time.Time             // when the next request may go
	grown    time.Time             // when rate was last raised
	until    time.Time             // nothing goes before
	hold     time.Duration         // the last pause; the next one is twice as long
	probe    chan struct{}         // closed when the one that is tried has come back; nil: none is
	eased    time.Time             // when requests were taken again after the last pause
	taken    [meterSlots]int       // requests that were taken, by slot of time
	slot     int64                 // the newest of them
	refusals map[uuid.UUID]refusal // by user
}

// refusal is when a user's request was refused for its rate.
type refusal struct{ at time.Time }

const (
	meterSlots = 11 // a second, and the slot that is not over
	meterSlot  = time.Second / (meterSlots - 1)

	// manyUsers refused within a second are not each at fault.
	manyUsers = 3
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
	began := g.now()
	for {
		wait, probe, ok := g.turn()
		if ok {
			return func(v verdict) bool { return g.settle(user, v, probe) }, nil
		}
		if wait > patient || g.now().Sub(began) > patient {
			return nil, governed{max(wait, meterSlot)}
		}
		if probe != nil {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-probe:
			}
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		case <-t.C:
		}
	}
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
	g.grow(now)
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
		by = growSlowly
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
	switch v {
	case accepted:
		g.count(now)
		delete(g.refusals, user)
		if probe != nil {
			g.eased, g.next = now, now
		}
	case overRate:
		return g.refused(user, now, probe != nil)
	}
	return false
}

func (g *governor) refused(user uuid.UUID, now time.Time, probe bool) (many bool) {
	if g.refusals == nil {
		g.refusals = map[uuid.UUID]refusal{}
	}
	maps.DeleteFunc(g.refusals, func(_ uuid.UUID, r refusal) bool { return now.Sub(r.at) > time.Second })
	g.refusals[user] = refusal{now}
	if g.rate == 0 && len(g.refusals) < manyUsers {
		return false // their own affair, for all that is known
	}
	switch {
	case now.Before(g.until):
		return true // it was on the wire when the pause began
	case probe || g.hold > 0 && g.eased.IsZero():
		g.hold = min(2*g.hold, lastHold)
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
