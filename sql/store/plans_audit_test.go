package store_test

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

func ofAudits(b batch) map[string]asked {
	now, limit := time.Now(), int32(len(b.events))
	return map[string]asked{
		"EventsPage": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.EventsPage(ctx, store.EventsPageParams{After: b.events[0], MaxRows: limit})
			}, []string{"events_pkey"},
		},
		"EventsOfUserPage": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.EventsOfUserPage(ctx, store.EventsOfUserPageParams{UserID: b.users[0], MaxRows: limit})
			}, []string{"events_user_id_idx"},
		},
		"EventFaults": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.EventFaults(ctx, store.EventFaultsParams{Ids: b.events, OwnGrants: true, Domains: []string{}, OverdueMs: 600_000})
			}, []string{"events_pkey", "google_accounts_pkey", "notification_settings_pkey", "calendar_copies_pkey"},
		},
		"EventsToPlan": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.EventsToPlan(ctx, store.EventsToPlanParams{Ids: b.events, MaxBytes: 65536, Since: now})
			}, []string{"events_pkey", "google_accounts_pkey", "notification_settings_pkey", "calendar_copies_pkey"},
		},
		"RemindersOfEvents": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.RemindersOfEvents(ctx, b.events) },
			[]string{"events_pkey", "reminders_event_id_notify_at_ts_key"},
		},
		"EndlessReminders": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.EndlessReminders(ctx, limit) },
			[]string{"reminders_due_idx"},
		},
		"ReminderFaults": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.ReminderFaults(ctx, store.ReminderFaultsParams{Ids: b.reminders, OverdueMs: 600_000})
			}, []string{"reminders_pkey", "events_pkey"},
		},
		"CopiesPage": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.CopiesPage(ctx, store.CopiesPageParams{AfterEvent: b.events[0], AfterUser: b.users[0], MaxRows: limit})
			}, []string{"calendar_copies_pkey"},
		},
		"CopiesOfUserPage": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.CopiesOfUserPage(ctx, store.CopiesOfUserPageParams{UserID: b.users[0], MaxRows: limit})
			}, []string{"calendar_copies_user_idx"},
		},
		"CopyFaults": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.CopyFaults(ctx, store.CopyFaultsParams{EventIds: b.events, UserIds: b.users, OwnGrants: true, Domains: []string{}})
			}, []string{"calendar_copies_pkey", "events_pkey", "google_accounts_pkey"},
		},
		"PausedAccounts": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.PausedAccounts(ctx, store.PausedAccountsParams{After: b.users[0], MaxRows: limit})
			}, []string{"google_accounts_pkey"},
		},
		"AccountToRead": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.AccountToRead(ctx, b.users[0]) },
			[]string{"google_accounts_pkey", "calendar_copies_user_idx"},
		},
		"AccountsPage": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.AccountsPage(ctx, store.AccountsPageParams{After: b.users[0], MaxRows: 50})
			}, []string{"google_accounts_pkey", "calendar_copies_user_idx"},
		},
		"CopiesOfAccount": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.CopiesOfAccount(ctx, store.CopiesOfAccountParams{UserID: b.users[0], Since: now, MaxRows: limit})
			}, []string{"calendar_copies_user_idx"}, // and of the events those of the user
		},
		"RecordedCopies": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.RecordedCopies(ctx, store.RecordedCopiesParams{UserID: b.users[0], EventIds: b.events})
			}, []string{"calendar_copies_pkey", "events_pkey"},
		},
		"TakeTurn": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.TakeTurn(ctx, store.TakeTurnParams{Name: "background", LeaseMs: 60_000})
			}, nil, // one row
		},
		"EndTurn": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.EndTurn(ctx, store.EndTurnParams{Name: "background", Found: []byte("{}")})
			}, nil,
		},
		"TurnDue": {func(ctx context.Context, q *store.Queries) { _, _ = q.TurnDue(ctx, "background") }, nil},
	}
}

func ofRepairs(b batch) map[string]asked {
	n := len(b.events)
	return map[string]asked{
		"ServeEvents": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.ServeEvents(ctx, store.ServeEventsParams{
					EventIds: b.events, Revisions: repeat(int64(1), n), Queue: repeat(false, n), Forget: repeat(true, n),
				})
			}, []string{"events_pkey", "calendar_copies_pkey"},
		},
		"BuryCopies": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.BuryCopies(ctx, store.BuryCopiesParams{EventIds: b.events, UserIds: b.users})
			}, []string{"calendar_copies_pkey", "events_pkey"},
		},
		"QueueRemovals": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.QueueRemovals(ctx, store.QueueRemovalsParams{EventIds: b.events, UserIds: b.users})
			}, []string{"calendar_copies_pkey"},
		},
		"RemoveEntries": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.RemoveEntries(ctx, store.RemoveEntriesParams{
					UserID: b.users[0], Keys: b.events, EventIds: b.events, CalendarIds: repeat("primary", n), GoogleIds: repeat("g", n),
				})
			}, []string{"calendar_copies_pkey", "events_pkey"},
		},
		"NameCopies": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.NameCopies(ctx, store.NameCopiesParams{
					UserID: b.users[0], EventIds: b.events, Revisions: repeat(int64(1), n), CalendarIds: repeat("primary", n),
					GoogleIds: repeat("g", n), Generations: repeat(int32(0), n),
				})
			}, []string{"events_pkey"},
		},
		"ResumeAccounts": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.ResumeAccounts(ctx, b.users) },
			[]string{"google_accounts_pkey"},
		},
		"RetryReminders": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.RetryReminders(ctx, b.reminders) },
			[]string{"reminders_pkey"},
		},
		"NoteGone": {
			func(ctx context.Context, q *store.Queries) {
				_ = q.NoteGone(ctx, store.NoteGoneParams{UserID: b.users[0], EventIds: b.events})
			}, []string{"calendar_copies_user_idx"},
		},
		"NoteAudited": {
			func(ctx context.Context, q *store.Queries) { _ = q.NoteAudited(ctx, b.users[0]) },
			[]string{"google_accounts_pkey"},
		},
		"QueuedStill": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.QueuedStill(ctx, append([]uuid.UUID{}, b.events...))
			}, []string{"events_pkey"},
		},
	}
}
