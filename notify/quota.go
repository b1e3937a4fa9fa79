package notify

import (
	"context"
	"errors"
	"time"
)

// Quota is how many messages may be offered to Expo, by all that send for the same project.
type Quota interface {
	// Take waits until n messages may be offered, at most a batch, and returns until when that may be done; zero: for ever. It fails when
	// ctx ends and, having taken nothing, as soon as it is known that ctx's deadline comes first. An error with a method
	// RetryAfter() time.Duration tells when it would not. What used is called with, once, is when their request had been written; if it
	// is not, they count for as long as they might have been kept. It is nil if nobody wants to know.
	Take(ctx context.Context, n int) (until time.Time, used func(time.Time), err error)
}

// permit is the leave to offer so many messages.
type permit struct {
	until time.Time // zero: for ever
	used  func(time.Time)
}

// admitInTime waits until n messages may be offered, of a claim made at began. It says no, at once, if that would come too late; then nothing
// is claimed until it is worth another try.
func (s *Sender) admitInTime(ctx context.Context, began time.Time, n int) (p permit, ok bool) {
	ctx, cancel := context.WithDeadline(ctx, s.lastRequest(began))
	defer cancel()
	var err error
	if p.until, p.used, err = s.quota.Take(ctx, n); err == nil {
		return p, s.inTime(began)
	}
	var later interface{ RetryAfter() time.Duration }
	if errors.As(err, &later) {
		s.pace.idle(later.RetryAfter())
	}
	return p, false
}
