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
	// RetryAfter() time.Duration tells when it would not.
	Take(ctx context.Context, n int) (until time.Time, err error)
}

// admitInTime waits until n messages may be offered, of a claim made at began. It says no, at once, if that would come too late; then nothing
// is claimed until it is worth another try.
func (s *Sender) admitInTime(ctx context.Context, began time.Time, n int) (until time.Time, ok bool) {
	ctx, cancel := context.WithDeadline(ctx, s.lastRequest(began))
	defer cancel()
	until, err := s.quota.Take(ctx, n)
	if err == nil {
		return until, s.inTime(began)
	}
	var later interface{ RetryAfter() time.Duration }
	if errors.As(err, &later) {
		s.pace.idle(later.RetryAfter())
	}
	return until, false
}
