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
	failures int       // in a row
	size     int       // reminders in the next batch
	until    time.Time // no request before
	why      string
	idleTill time.Time     // nothing is claimed before: it could not be offered in time
	resumed  chan struct{} // closed when a person lets the sender go on; nil: none has paused it

	taken   time.Time              // when the last request was made that Expo has taken
	doubted time.Time              // when a request last failed that was not for one reminder alone
	strikes map[uuid.UUID]struct{} // reminders refused since, each with nothing else in its request
	foreign map[string]time.Time   // when another project's devices were first refused
}

func newPace(cfg Config) *pace { return &pace{cfg: cfg, size: cfg.Batch} }

// failed notes a failed request and returns how long to rest: at least atLeast, which is what the service asked for. Requests that
// were on the wire together are one failure.
func (p *pace) failed(why string, atLeast time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.doubted = now
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
	p.failures, p.why, p.strikes, p.until = 0, "", nil, time.Time{}
	if began.After(p.taken) {
		p.taken = began
	}
	p.size = min(2*p.size, p.cfg.Batch)
}

// takenSince reports whether Expo has taken a request that was made after t.
func (p *pace) takenSince(t time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failures == 0 && p.taken.After(t)
}

// maxStrikes is how many reminders may be refused for themselves, with nothing taken in between, before it is not they that are at fault but we.
const maxStrikes = 3

// strike notes that a reminder was refused with nothing else in its request, and returns how many were since Expo last took anything.
func (p *pace) strike(id uuid.UUID) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.strikes == nil {
		p.strikes = map[uuid.UUID]struct{}{}
	}
	if len(p.strikes) < maxStrikes {
		p.strikes[id] = struct{}{}
	}
	return len(p.strikes)
}

// maxForeign bounds how many other projects are remembered.
const maxForeign = 100

// refusedFirst returns when another project's devices were first refused, which is now if they never were; known tells.
func (p *pace) refusedFirst(project string) (first time.Time, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if first, known = p.foreign[project]; known {
		return first, true
	}
	if p.foreign == nil || len(p.foreign) >= maxForeign {
		p.foreign = map[string]time.Time{}
	}
	first = time.Now()
	p.foreign[project] = first
	return first, false
}

// healthy reports whether the last request did not fail.
func (p *pace) healthy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failures == 0
}

// pause has nothing offered until resume.
func (p *pace) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed == nil {
		p.resumed = make(chan struct{})
	}
}

// resume ends pause.
func (p *pace) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed != nil {
		close(p.resumed)
		p.resumed = nil
	}
}

// paused reports whether a person has paused the sender.
func (p *pace) paused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resumed != nil
}

// left is for how much longer to rest, and why.
func (p *pace) left() (time.Duration, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, time.Until(p.until)), p.why
}

// allows reports whether so many reminders may be offered in one request now, and if not, why in words.
func (p *pace) allows(reminders int) (why string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.resumed != nil {
		return "pushing is paused by hand", false
	}
	return "at rest after " + p.why, !time.Now().Before(p.until) && (p.failures == 0 || reminders <= p.size)
}

// idle keeps from claiming for d.
func (p *pace) idle(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idleTill = time.Now().Add(d)
}

// hold is for how much longer nothing is to be claimed; resumed, if there is one, is closed when a person lets the sender go on.
func (p *pace) hold() (left time.Duration, resumed <-chan struct{}) {
	left, _ = p.left()
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(left, time.Until(p.idleTill)), p.resumed
}

// wait rests as long as it must and returns how many reminders to take.
func (p *pace) wait(ctx context.Context) int {
	for {
		left, resumed := p.hold()
		switch {
		case ctx.Err() != nil, left <= 0 && resumed == nil:
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.size
		case resumed != nil:
			select {
			case <-ctx.Done():
			case <-resumed:
			}
		default:
			sleep(ctx, left)
		}
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
