package app

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

const (
	// failureAge is how far back failures are told, and retried together: of events that began, and of reminders that were due, since then. What is
	// older can be retried by its id.
	failureAge = 7 * 24 * time.Hour
	// countLimit is up to how many rows are counted. Where there are more, the latest count.
	countLimit = 10_000
)

// Failure is a reason for which events or reminders have failed.
type Failure struct {
	// Reason is their error_message without what is only one row's: reminder_worker.reason_of.
	Reason string `json:"reason"`
	// Count is how many have failed for it, of the latest 10,000.
	Count int `json:"count"`
	// Example is one of them, the latest.
	Example uuid.UUID `json:"example"`
	// Latest is when it begins, or was due; zero: at no time.
	Latest time.Time `json:"latest,omitzero"`
}

// Failures are those of the last seven days and to come, by reason, the most frequent first.
type Failures struct {
	Events    []Failure `json:"events"`
	Reminders []Failure `json:"reminders"`
}

// Failures tells what has failed and why. It reads 10,000 rows of each kind at most.
func (a *App) Failures(ctx context.Context) (Failures, error) {
	return readFailures(ctx, a.store(), time.Now())
}

// readFailures tells those since failureAge before now.
func readFailures(ctx context.Context, db *store.Queries, now time.Time) (all Failures, err error) {
	if all.Events, err = failuresOf(ctx, db, true, now); err != nil {
		return all, err
	}
	all.Reminders, err = failuresOf(ctx, db, false, now)
	return all, err
}

func failuresOf(ctx context.Context, db *store.Queries, events bool, now time.Time) ([]Failure, error) {
	rows, err := db.FailureReasons(ctx, store.FailureReasonsParams{OfEvents: events, Since: now.Add(-failureAge), MaxRows: countLimit})
	if err != nil {
		return nil, fmt.Errorf("read failures: %w", err)
	}
	found := make([]Failure, len(rows))
	for i, row := range rows {
		found[i] = Failure{Reason: row.Reason, Count: int(row.Failed), Example: row.Example, Latest: known(row.Latest)}
	}
	return found, nil
}

// known is a time of which the statements say by the epoch that there is none.
func known(t time.Time) time.Time {
	if t.Unix() == 0 {
		return time.Time{}
	}
	return t.UTC()
}
