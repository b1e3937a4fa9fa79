package notify

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
)

// pace is how fast the sender goes after requests have failed as a whole: a rest that doubles, then one reminder at a time, then twice
// as many with each success.
type pace struct {
	cfg Config

	mu       sync.Mutex
	failures int                    // in a row
	size     int                    // reminders in the next batch
	until    time.Time              // no request before
	success  time.Time              // when a request was last taken
	doubted  time.Time              // when a request last failed that was not a suspect alone
	strikes  map[uuid.UUID]struct{} // reminders refused since, each with nothing else in its request
	why      string
	idleTill time.Time // nothing is claimed before: it could not be offered in time
}

func newPace(cfg Config) *pace { return &pace{cfg: cfg, size: cfg.Batch} }

// failed notes a failed request and returns how long to rest: at least atLeast, which is what the service asked for. Requests that
// were on the wire together are one failure. One of a suspect alone says little of the others.
func (p *pace) failed(why string, atLeast time.Duration, suspect bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !suspect {
		p.doubted = now
	}
	rest := atLeast
	if !now.Before(p.until) {
		rest = max(rest, p.cfg.Jitter(grow(p.cfg.PauseMin, p.cfg.PauseMax, p.failures)))
		p.failures++
	}
	p.size = 1
	if until := now.Add(rest); until.After(p.until) {
		p.until, p.why = until, why
	}
	return p.until.Sub(now)
}

// succeeded notes that a request was taken which was made at began. It ends a rest, unless others have failed since.
func (p *pace) succeeded(began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failures > 0 && !began.After(p.doubted) {
		return // an older request that was still on the wire
	}
	now := time.Now()
	p.failures, p.why, p.success, p.strikes = 0, "", now, nil
	if p.until.After(now) {
		p.until = now
	}
	p.size = min(2*p.size, p.cfg.Batch)
}

// provenFor is for how long a request that was taken shows that Expo takes ours.
const provenFor = 5 * time.Minute

// proven reports whether requests are taken at present: one was not long ago, and none has failed since.
func (p *pace) proven() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failures == 0 && !p.success.IsZero() && time.Since(p.success) < provenFor
}

// maxStrikes is how many reminders may be refused for themselves, one after the other and nothing taken in between, before it is not they that
// are at fault but we.
const maxStrikes = 3

// strike notes that a reminder was refused with nothing else in its request, and reports whether it seems to be at fault itself: something was
// taken before, and not many others have been refused since.
func (p *pace) strike(id uuid.UUID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.strikes == nil {
		p.strikes = map[uuid.UUID]struct{}{}
	}
	if len(p.strikes) < maxStrikes {
		p.strikes[id] = struct{}{}
	}
	return p.failures == 0 && !p.success.IsZero() && len(p.strikes) < maxStrikes
}

// healthy reports whether the last request did not fail.
func (p *pace) healthy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failures == 0
}

// left is for how much longer to rest, and why.
func (p *pace) left() (time.Duration, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, time.Until(p.until)), p.why
}

// idle keeps from claiming for d.
func (p *pace) idle(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idleTill = time.Now().Add(d)
}

// hold is for how much longer nothing is to be claimed.
func (p *pace) hold() time.Duration {
	left, _ := p.left()
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(left, time.Until(p.idleTill))
}

// wait rests as long as it must and returns how many reminders to take.
func (p *pace) wait(ctx context.Context) int {
	for {
		left := p.hold()
		if left <= 0 || ctx.Err() != nil {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.size
		}
		sleep(ctx, left)
	}
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
