package notify

import (
	"context"
	"sync"
	"time"

	"github.com/parentpal/reminder-worker/notify/wheel"
)

const (
	// aheadMost is the longest that a reminder is claimed ahead of its time: what the app changes in between comes too late for it.
	aheadMost = 50 * time.Millisecond
	// aheadFirst is what a claim is taken to last before there was one.
	aheadFirst = 2 * time.Millisecond
	// aheadStep is the least change of the lead that the wheel is told.
	aheadStep = 500 * time.Microsecond
)

// lead is how long before its time a reminder leaves the wheel, so that its claim is through when it is due, however far away the database is:
// twice what claims have taken of late, for one may wait for another.
type lead struct {
	mu     sync.Mutex
	claim  time.Duration // what a claim takes; zero: none was made
	offset time.Duration // the database's clock minus ours
	told   time.Duration // the lead that the wheel has been told
}

func (l *lead) now() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.due()
}

// due is called with mu held.
func (l *lead) due() time.Duration {
	claim := l.claim
	if claim == 0 {
		claim = aheadFirst
	}
	return min(2*claim, aheadMost)
}

// set tells the wheel of another offset.
func (l *lead) set(w *wheel.Wheel, offset time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.offset, l.told = offset, l.due()
	w.SetOffset(l.offset + l.told)
}

// learn takes in how long a claim has taken. One that was slow by chance counts little.
func (l *lead) learn(w *wheel.Wheel, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	took = min(took, aheadMost)
	if l.claim == 0 {
		l.claim = took
	}
	l.claim += (took - l.claim) / 8
	if change := l.due() - l.told; change >= aheadStep || change <= -aheadStep {
		l.told = l.due()
		w.SetOffset(l.offset + l.told)
	}
}

// hold waits until a batch is due by the database's clock, and reports whether that comes in time for its claim: a clock may have been set back.
func (s *Sender) hold(ctx context.Context, b batch) bool {
	for {
		left := b.due.Sub(s.now())
		if left <= 0 {
			return true
		}
		if ctx.Err() != nil || !s.inTime(b.began) {
			return false
		}
		wheel.Pause(ctx, min(left, time.Second))
	}
}
