package permits

import (
	"fmt"
	"time"
)

// WaitError says that permits cannot be had in the time that their taker has.
type WaitError struct {
	Quota string
	// Wait is after how long it is worth another try.
	Wait time.Duration
	// Err is why the database could not be asked; nil: the quota is used up.
	Err error
}

// Error implements error.
func (e *WaitError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("take permits of quota %s: %v", e.Quota, e.Err)
	}
	return fmt.Sprintf("quota %s is used up for %s", e.Quota, e.Wait.Round(time.Millisecond))
}

// RetryAfter is Wait, for callers that do not know this type.
func (e *WaitError) RetryAfter() time.Duration { return e.Wait }

// Unwrap gives errors.Is and errors.As the cause.
func (e *WaitError) Unwrap() error { return e.Err }
