package page

import (
	"context"
	"errors"

	"github.com/google/uuid"
)

// Source reads what the page shows. Each read is bounded, in rows and in time. An error is shown to whoever looks, so
// it holds no secrets.
type Source interface {
	// Readiness is as it is now. It asks nobody, and returns at once.
	Readiness() Readiness
	// Overview is what is coming and what waits where.
	Overview(ctx context.Context) (Overview, error)
	// Story is what is known about an event, by its own id or by that of one of its reminders. It is an ErrUnknown where
	// nothing is.
	Story(ctx context.Context, id uuid.UUID) (Story, error)
	// Failures are what has failed, grouped by reason.
	Failures(ctx context.Context) (Failures, error)
	// Connections are the users' Google accounts.
	Connections(ctx context.Context) (Connections, error)
	// Devices are the users' devices.
	Devices(ctx context.Context) (Devices, error)
	// System is the program itself.
	System(ctx context.Context) (System, error)
}

// ErrUnknown says that no row has the id, nor had one that is remembered.
var ErrUnknown = errors.New("neither an event nor a reminder has this id")

// Actions change something. An error is shown to whoever asked, so it holds no secrets.
type Actions interface {
	// Retry makes what has failed due again. What was done before an error comes with it.
	Retry(ctx context.Context, r RetryRequest) (RetryResult, error)
	// Pause has all workers leave a part ("calendar" or "push") alone until Resume.
	Pause(ctx context.Context, part, reason string) error
	// Resume ends a pause; of a part that is not paused it changes nothing.
	Resume(ctx context.Context, part string) error
}

// RetryRequest says what is to be tried again: what it names, or all that failed for a reason, or all.
type RetryRequest struct {
	// Events and Reminders are ids, at most 1,000 together.
	Events    []uuid.UUID `json:"events,omitempty"`
	Reminders []uuid.UUID `json:"reminders,omitempty"`
	// Reason is that of a group of Failures.
	Reason string `json:"reason,omitempty"`
	// All is everything that has failed.
	All bool `json:"all,omitempty"`
}

// RetryResult says what became of a request.
type RetryResult struct {
	// Events and Reminders are how many are due again.
	Events    int `json:"events"`
	Reminders int `json:"reminders"`
	// TooLate are reminders that were left, for their event has begun.
	TooLate int `json:"too_late"`
	// Unchanged had not failed, or somebody was at them.
	Unchanged int `json:"unchanged"`
	// Unknown are ids of nothing.
	Unknown int `json:"unknown"`
	// More says that the time was up before all was done: what was done stands, and the same request goes on with the rest.
	More bool `json:"more,omitempty"`
}

// PauseRequest names a part and says why it is to rest.
type PauseRequest struct {
	// Part is "calendar" or "push".
	Part string `json:"part"`
	// Reason is shown wherever the pause is; it may be empty, and has at most 200 characters.
	Reason string `json:"reason,omitempty"`
}
