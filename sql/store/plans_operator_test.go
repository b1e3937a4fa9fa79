package store_test

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// ofOperator is what an operator's commands ask.
func ofOperator(b batch) map[string]asked {
	page := store.FailedEventsParams{Before: "infinity", BeforeID: uuid.Max, Since: time.Now().Add(-7 * day), MaxRows: 500}
	const limit = 10_000
	return map[string]asked{
		"Pauses": {func(ctx context.Context, q *store.Queries) { _, _ = q.Pauses(ctx) }, nil},
		"PausePart": {func(ctx context.Context, q *store.Queries) {
			_, _ = q.PausePart(ctx, store.PausePartParams{Part: "push", Reason: "trial"})
		}, nil},
		"ResumePart": {func(ctx context.Context, q *store.Queries) { _, _ = q.ResumePart(ctx, "calendar") }, []string{"google_accounts_leave_due_idx", "google_accounts_pkey"}},
		"ReasonOf":   {func(ctx context.Context, q *store.Queries) { _, _ = q.ReasonOf(ctx, "gave up after 5 attempts") }, nil},
		"FailureReasons": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.FailureReasons(ctx, store.FailureReasonsParams{OfEvents: true, Since: page.Since, MaxRows: limit})
			},
			nil, // of the two, which is known only when it is asked; see below
		},
		"FailedEvents": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.FailedEvents(ctx, page) },
			[]string{"events_failed_idx"},
		},
		"FailedReminders": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.FailedReminders(ctx, store.FailedRemindersParams(page))
			},
			[]string{"reminders_failed_idx"},
		},
		"RetryFailedEvents": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.RetryFailedEvents(ctx, store.RetryFailedEventsParams{Ids: b.events})
			},
			[]string{"events_pkey"},
		},
		"RetryFailedReminders": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.RetryFailedReminders(ctx, store.RetryFailedRemindersParams{Ids: b.reminders})
			},
			[]string{"reminders_pkey", "events_pkey"},
		},
		"WorkWaiting": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.WorkWaiting(ctx, limit) },
			[]string{"events_unplanned_idx", "events_planned_idx", "calendar_copies_due_idx", "reminders_due_idx", "deliveries_receipt_due_idx"},
		},
		"People": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.People(ctx, limit) },
			[]string{"google_accounts_state_idx", "push_devices_user_idx"},
		},
		"Workers":    {func(ctx context.Context, q *store.Queries) { _, _ = q.Workers(ctx) }, nil},
		"QuotasUsed": {func(ctx context.Context, q *store.Queries) { _, _ = q.QuotasUsed(ctx, []string{"expo"}) }, nil}, // some rows, each by its key
	}
}
