package wheel

import (
	"context"
	"time"
)

// sleeper waits for a duration or a signal, whichever is first, more exactly
// than a timer alone.
type sleeper struct {
	wake   <-chan struct{}
	timer  *time.Timer
	napped bool // the last wait was a nap
}

func newSleeper(wake <-chan struct{}) *sleeper {
	t := time.NewTimer(forever)
	t.Stop()
	return &sleeper{wake: wake, timer: t}
}

func (s *sleeper) stop() { s.timer.Stop() }

// until waits for at most d; it may return early, and the caller looks at the
// clock anyway. The last stretch before a due time is a nap, which the system
// ends to within a tenth of a millisecond; it cannot be interrupted, but is short.
// A clock that has not moved on during a nap is a timer's business.
func (s *sleeper) until(ctx context.Context, d time.Duration) {
	if canNap && d <= early && !s.napped {
		s.napped = true
		nap(d)
		return
	}
	s.napped = false
	if canNap && early < d && d < maxSleep {
		d -= early
	}
	var alarm <-chan time.Time
	if d != forever {
		s.timer.Reset(d)
		defer s.timer.Stop()
		alarm = s.timer.C
	}
	select {
	case <-alarm:
	case <-s.wake:
	case <-ctx.Done():
	}
}

// Pause waits for d, or until ctx ends, as exactly as the wheel does.
func Pause(ctx context.Context, d time.Duration) {
	end := time.Now().Add(d)
	s := newSleeper(nil)
	defer s.stop()
	for left := d; left > 0 && ctx.Err() == nil; left = time.Until(end) {
		s.until(ctx, left)
	}
}
