package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
)

// tenth makes a crowd a tenth as large.
var tenth = strings.NewReplacer("200000", "20000", "99999", "9999", "20000", "2000")

// keep is an age in milliseconds that most rows of the crowd exceed.
const keep = 30 * 24 * 60 * 60 * 1000

func ofCleanup(b batch) map[string]asked {
	return map[string]asked{
		"CleanupDue": {func(ctx context.Context, q *store.Queries) { _, _ = q.CleanupDue(ctx) }, nil}, // one row
		"TakeCleanup": {func(ctx context.Context, q *store.Queries) {
			_, _ = q.TakeCleanup(ctx, store.TakeCleanupParams{HoldMs: 60_000})
		}, nil},
		"NoteCleanup": {func(ctx context.Context, q *store.Queries) {
			_, _ = q.NoteCleanup(ctx, store.NoteCleanupParams{Removed: []byte("{}")})
		}, nil},
		"ReleaseCleanup": {func(ctx context.Context, q *store.Queries) { _ = q.ReleaseCleanup(ctx, startOf(0)) }, nil},
		"EndCleanup": {func(ctx context.Context, q *store.Queries) {
			_, _ = q.EndCleanup(ctx, store.EndCleanupParams{Removed: []byte("{}")})
		}, nil},
		"TableBlocks": {func(ctx context.Context, q *store.Queries) { _, _ = q.TableBlocks(ctx) }, nil},
		"OldReminders": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.OldReminders(ctx, store.OldRemindersParams{FromPlace: "(0,0)", ToPlace: "(8,0)", KeepMs: keep, MaxRows: 1000})
			},
			[]string{"events_pkey", "deliveries_pkey"},
		},
		"RemoveReminders": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.RemoveReminders(ctx, store.RemoveRemindersParams{Ids: b.reminders, KeepMs: keep})
			},
			[]string{"reminders_pkey", "deliveries_pkey"},
		},
		"OldEvents": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.OldEvents(ctx, store.OldEventsParams{FromPlace: "(0,0)", ToPlace: "(8,0)", KeepMs: keep, KeepFailedMs: keep, MaxRows: 1000})
			},
			[]string{"reminders_event_id_notify_at_ts_key", "deliveries_pkey", "calendar_copies_pkey"},
		},
		"LockEvents": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.LockEvents(ctx, store.LockEventsParams{Ids: b.events, KeepMs: keep, KeepFailedMs: keep})
			},
			[]string{"events_pkey"},
		},
		"RemoveEvents": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.RemoveEvents(ctx, b.events) },
			[]string{"events_pkey", "reminders_pkey", "deliveries_pkey", "calendar_copies_pkey"},
		},
		"OldRemovals": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.OldRemovals(ctx, store.OldRemovalsParams{FromPlace: "(0,0)", ToPlace: "(8,0)", KeepMs: keep, MaxRows: 1000})
			},
			[]string{"events_pkey", "google_accounts_pkey"},
		},
		"RemoveRemovals": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.RemoveRemovals(ctx, store.RemoveRemovalsParams{EventIds: b.events, UserIds: b.users})
			},
			[]string{"calendar_copies_pkey"},
		},
		"OldDevices": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.OldDevices(ctx, store.OldDevicesParams{FromPlace: "(0,0)", ToPlace: "(8,0)", KeepMs: keep, MaxRows: 1000})
			},
			[]string{"reminders_push_token_idx"},
		},
		"RemoveDevices": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.RemoveDevices(ctx, store.RemoveDevicesParams{Ids: b.events, KeepMs: keep})
			},
			[]string{"push_devices_pkey", "reminders_push_token_idx"},
		},
		"ForgetDeletions": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.ForgetDeletions(ctx, store.ForgetDeletionsParams{KeepMs: keep, MaxRows: 1000})
			}, nil,
		},
	}
}

func ofUsers(b batch) map[string]asked {
	user := b.users[0]
	return map[string]asked{
		"UserHoldings": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.UserHoldings(ctx, user) },
			[]string{"events_user_id_idx", "reminders_user_id_idx", "calendar_copies_user_idx", "push_devices_user_idx"},
		},
		"ExportSettings": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.ExportSettings(ctx, user) },
			[]string{"notification_settings_pkey"},
		},
		"ExportAccounts": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.ExportAccounts(ctx, user) },
			[]string{"google_accounts_pkey"},
		},
		"ExportChildren": {func(ctx context.Context, q *store.Queries) { _, _ = q.ExportChildren(ctx, user) }, nil}, // a function
		"ExportDevices": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.ExportDevices(ctx, user) },
			[]string{"push_devices_user_idx", "push_devices_user_retired_idx"},
		},
		"ExportEvents": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.ExportEvents(ctx, user) },
			[]string{"events_user_id_idx"},
		},
		"ExportReminders": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.ExportReminders(ctx, user) },
			[]string{"reminders_user_id_idx"},
		},
		"ExportDeliveries": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.ExportDeliveries(ctx, user) },
			[]string{"reminders_user_id_idx", "deliveries_pkey"},
		},
		"ExportCopies": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.ExportCopies(ctx, user) },
			[]string{"calendar_copies_user_idx"},
		},
		"ExportDeletions": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.ExportDeletions(ctx, user) }, nil, // of few rows
		},
		"ForgetUser": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.ForgetUser(ctx, store.ForgetUserParams{UserID: user})
			}, nil, // see TestForgettingReadsByIndex
		},
		"ForgetStep": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.ForgetStep(ctx, store.ForgetStepParams{ID: user, MaxRows: 1000})
			}, nil, // likewise
		},
		"DueDeletions":    {func(ctx context.Context, q *store.Queries) { _, _ = q.DueDeletions(ctx, 10) }, nil},
		"NextDeletionDue": {func(ctx context.Context, q *store.Queries) { _, _ = q.NextDeletionDue(ctx) }, nil},
		"PostponeDeletion": {func(ctx context.Context, q *store.Queries) {
			_ = q.PostponeDeletion(ctx, store.PostponeDeletionParams{ID: user})
		}, nil},
		"DeletionState": {func(ctx context.Context, q *store.Queries) { _, _ = q.DeletionState(ctx, user) }, nil},
	}
}

// Old rows are found by reading so many blocks of a table and no more, whether the arguments are known or not, and whatever there is in it.
func TestCleanupReadsRanges(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	walks := map[string]string{
		"OldReminders": "reminders", "OldEvents": "events", "OldRemovals": "calendar_copies", "OldDevices": "push_devices",
	}
	asked := taped(t, ofCleanup(newBatch(t, conn, 100)))
	ranged := func(when, name string, plan node) {
		t.Helper()
		found := false
		plan.walk(func(n node) {
			if n.Relation == walks[name] && n.Range != "" {
				found = n.Type == "Tid Range Scan" && strings.Contains(n.Range, ">=") && strings.Contains(n.Range, "<")
			}
		})
		if !found {
			t.Errorf("%s, %s: no range of %s is read: %+v", name, when, walks[name], plan)
		}
	}
	for _, then := range []string{"select", tenth.Replace(crowd), "analyze"} {
		if _, err := conn.Exec(t.Context(), then); err != nil {
			t.Fatal(err)
		}
		worker := db.Connect(t)
		if _, err := worker.Exec(t.Context(), store.Planning, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
		for name := range walks {
			p := asked[name]
			if then != "select" {
				ranged("custom", name, explain(t, conn, p.sql, p.args...))
			}
			ranged("as the worker plans it", name, explainGeneric(t, worker, name, p.sql, len(p.args)))
		}
	}
}
