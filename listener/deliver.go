package listener

import (
	"context"
	"time"
)

// deliver hands on changes and sweeps, one at a time, until ctx ends. It is the
// only caller of handle.
func (l *Listener) deliver(ctx context.Context, handle func(Change)) {
	swept := time.Now()
	sweep := time.NewTimer(l.sweepPace())
	defer sweep.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-l.box.ready:
			if l.deliverPending(ctx, handle) == Backlog {
				swept = time.Now() // a backlog looks at all a sweep would
			}
		case <-l.paced:
			// The pace has changed: a sweep may be due at once.
		case <-sweep.C:
			l.hand(handle, Change{Cause: Sweep, At: time.Now()})
			swept = time.Now()
		}
		sweep.Reset(time.Until(swept.Add(l.sweepPace())))
	}
}

// deliverPending gives the pending change its time to fold, hands it on and
// returns its cause, or 0 when ctx ended first or nothing was pending.
func (l *Listener) deliverPending(ctx context.Context, handle func(Change)) Cause {
	first, ok := l.box.peek()
	if !ok || !sleep(ctx, time.Until(first.At.Add(l.cfg.Fold))) {
		return 0
	}
	c, _ := l.box.take()
	l.hand(handle, c)
	return c.Cause
}

func (l *Listener) hand(handle func(Change), c Change) {
	l.metrics.changes.WithLabelValues(c.Cause.String()).Inc()
	handle(c)
	if c.acks != nil {
		c.acks.handled(c.upto)
	}
}

// sweepPace is the time between two sweeps in the present state.
func (l *Listener) sweepPace() time.Duration {
	if l.board.listening() {
		return l.cfg.SweepInterval
	}
	return l.cfg.SweepDegraded
}

// repace tells the deliverer that the pace may have changed.
func (l *Listener) repace() {
	select {
	case l.paced <- struct{}{}:
	default: // it has been told already
	}
}

// sleep waits for d and reports whether ctx was still alive then.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
