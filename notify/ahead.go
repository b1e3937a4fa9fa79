package notify

import (
	"context"
	"time"

	"github.com/parentpal/reminder-worker/notify/wheel"
)

// ahead is how long before its time a reminder leaves the wheel and is claimed, so that its claim is through when it is due: also one that is slow
// because the disk is, or the database far away. What the app changes in between comes too late for it.
const ahead = 50 * time.Millisecond

// heldFor is how many batches may be held for their moment, for each connection. All of them together are less than one full batch.
const heldFor = 2

// takePlace waits until the next batch may be claimed: on a connection if it is due, and else on one of the places where batches are held for their
// moment. So what is due at once, as what the app has just written, never waits for what is due later. Of a herd no more is claimed than connections
// carry, for what is claimed when a worker dies waits until the claim ends, and may be sent twice.
func (s *Sender) takePlace(ctx context.Context) (held, ok bool) {
	for {
		left := s.queue.dueIn(s.now())
		if left == 0 || !s.pace.healthy() || s.queue.len() >= s.cfg.Batch {
			return false, s.takeSlot(ctx)
		}
		t := time.NewTimer(left)
		select {
		case <-ctx.Done():
			t.Stop()
			return false, false
		case s.held <- struct{}{}:
			t.Stop()
			return true, true
		case <-s.queue.added: // it may be due
			t.Stop()
		case <-t.C:
		}
	}
}

// pushHeld sends a batch when its moment has come.
func (s *Sender) pushHeld(ctx context.Context, b batch) {
	if len(b.rows) > 0 {
		s.hold(ctx, b)
	}
	connected := len(b.rows) > 0 && s.takeSlot(ctx)
	<-s.held
	if connected {
		s.push(ctx, b)
		s.giveSlots(1)
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
