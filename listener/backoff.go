package listener

import "time"

// backoff computes the pauses between failed connections.
type backoff struct {
	min, max time.Duration
	jitter   func(time.Duration) time.Duration
	next     time.Duration // 0 means min
}

// pause returns how long to wait now and doubles the next one.
func (b *backoff) pause() time.Duration {
	d := max(b.next, b.min)
	b.next = min(2*d, b.max)
	return b.jitter(min(d, b.max))
}

// reset makes the next pause the shortest one again.
func (b *backoff) reset() { b.next = 0 }
