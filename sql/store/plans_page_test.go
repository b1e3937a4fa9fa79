package store_test

import (
	"context"
	"time"

	"github.com/parentpal/reminder-worker/sql/store"
)

// ofPage is what the live page asks.
func ofPage(b batch) map[string]asked {
	const limit = 1001
	since := time.Now().Add(-7 * day)
	return map[string]asked{
		"RemindersAhead": {func(ctx context.Context, q *store.Queries) { _, _ = q.RemindersAhead(ctx, limit) }, []string{"reminders_due_idx"}},
		"NextReminders":  {func(ctx context.Context, q *store.Queries) { _, _ = q.NextReminders(ctx, 10) }, []string{"reminders_due_idx", "events_pkey"}},
		"WorkStanding": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.WorkStanding(ctx, store.WorkStandingParams{MaxLooked: 200, MaxRows: limit, Since: since})
			},
			[]string{
				"events_unplanned_idx", "events_planned_idx", "calendar_copies_due_idx", "reminders_due_idx", "deliveries_receipt_due_idx",
				"events_failed_idx", "reminders_failed_idx",
			},
		},
		"FailureGroups": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.FailureGroups(ctx, store.FailureGroupsParams{Since: since, MaxRows: 2000, MaxExamples: 500})
			},
			[]string{"events_failed_idx", "reminders_failed_idx", "calendar_copies_due_idx", "events_pkey"},
		},
		"EventOfReminder": {func(ctx context.Context, q *store.Queries) { _, _ = q.EventOfReminder(ctx, b.reminders[0]) }, []string{"reminders_pkey"}},
		"StoryEvent":      {func(ctx context.Context, q *store.Queries) { _, _ = q.StoryEvent(ctx, b.events[0]) }, []string{"events_pkey"}},
		"StoryCopies": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.StoryCopies(ctx, store.StoryCopiesParams{EventID: b.events[0], MaxRows: 20})
			},
			[]string{"calendar_copies_pkey"},
		},
		"StoryReminders": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.StoryReminders(ctx, store.StoryRemindersParams{EventID: b.events[0], MaxRows: 201})
			},
			[]string{"reminders_event_id_notify_at_ts_key"},
		},
		"StoryDeliveries": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.StoryDeliveries(ctx, store.StoryDeliveriesParams{ReminderIds: b.reminders, MaxRows: limit})
			},
			[]string{"deliveries_pkey"},
		},
		"AccountReasons":    {func(ctx context.Context, q *store.Queries) { _, _ = q.AccountReasons(ctx, 10_001) }, []string{"google_accounts_state_idx"}},
		"ReconnectAccounts": {func(ctx context.Context, q *store.Queries) { _, _ = q.ReconnectAccounts(ctx, 101) }, []string{"google_accounts_reconnect_idx"}},
		"DevicePlatforms":   {func(ctx context.Context, q *store.Queries) { _, _ = q.DevicePlatforms(ctx, 10_000) }, []string{"push_devices_user_idx"}},
		"RetiredDevices":    {func(ctx context.Context, q *store.Queries) { _, _ = q.RetiredDevices(ctx, 1000) }, []string{"push_devices_retired_idx"}},
	}
}
