package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
)

// crowd fills the tables as years of use do: 200,000 events of 20,000 users, nearly all settled, a few thousand due. Triggers and foreign keys rest
// meanwhile. The ids are md5(kind || number), so that tests can name rows.
const crowd = `
set session_replication_role = replica;
insert into auth.users (id, email)
  select md5('u' || n)::uuid, n || '@example.org' from generate_series(0, 99999) n;
insert into public.events (id, user_id, title, start_ts, status, sync_due_at, sync_lease_until)
  select md5('e' || n)::uuid, md5('u' || n % 20000)::uuid, 'Practice', now() + (n - 180000) * interval '1 minute',
    case when n % 100 = 0 then 'pending' else 'synced' end,
    case when n % 100 = 0 then now() - interval '1 minute' end,
    case when n % 200 = 0 then now() - interval '1 minute' end
  from generate_series(1, 200000) n;
insert into public.reminders (id, event_id, user_id, notify_at_ts, message, status, plan_revision, planned_for_ts, lead_seconds, changed_xid, next_attempt_at)
  select md5('r' || n)::uuid, md5('e' || n)::uuid, md5('u' || n % 20000)::uuid, now() + (n - 190000) * interval '1 minute' , 'Field 3',
    case when n < 188000 then 'sent' when n < 188500 then 'sending' else 'pending' end, 1, now() + (n - 180000) * interval '1 minute', 1800,
    (n + 1000)::text::xid8, case when n between 188000 and 188499 then now() end
  from generate_series(1, 200000) n;
insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, tombstoned_at, due_at)
  select md5('e' || n)::uuid, md5('u' || n % 20000)::uuid, 'g' || n,
    case when n % 100 = 1 then now() end, case when n % 100 = 1 then now() - interval '1 minute' end
  from generate_series(1, 200000) n;
insert into reminder_worker.deliveries (reminder_id, token, state, ticket_id, sent_at, lateness_ms, receipt_due_at)
  select md5('r' || n)::uuid, 'ExponentPushToken[' || n || ']', 'delivered', 't' || n, now(), 3,
    case when n % 100 = 0 then now() - interval '1 minute' end
  from generate_series(1, 200000) n;
insert into reminder_worker.google_accounts (user_id, refresh_token)
  select md5('u' || n)::uuid, 'token' || n from generate_series(0, 99999) n;
insert into reminder_worker.push_devices (token, user_id)
  select 'ExponentPushToken[' || n || ']', md5('u' || n)::uuid from generate_series(0, 99999) n;
insert into public.notification_settings (user_id, quiet_from, quiet_until)
  select md5('u' || n)::uuid, '22:00', '07:00' from generate_series(0, 99999) n;
set session_replication_role = origin;`

// crowded are the tables of the crowd that no statement may read as a whole.
var crowded = []string{"events", "reminders", "calendar_copies", "deliveries", "google_accounts", "push_devices", "users", "notification_settings"}

// idOf is the id that crowd gives to the nth row of a kind.
func idsOf(t *testing.T, conn *pgx.Conn, kind string, from, count int) []uuid.UUID {
	t.Helper()
	rows, err := conn.Query(t.Context(), `select md5($1 || n)::uuid from generate_series($2::int, $3::int) n`, kind, from, from+count-1)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func repeat[T any](v T, n int) []T { return slices.Repeat([]T{v}, n) }

// batch is the arguments of the statements for so many rows.
type batch struct {
	events, users, reminders []uuid.UUID
	tokens                   []string
}

func newBatch(t *testing.T, conn *pgx.Conn, n int) batch {
	t.Helper()
	b := batch{events: idsOf(t, conn, "e", 100, n), users: idsOf(t, conn, "u", 100, n), reminders: idsOf(t, conn, "r", 188000, n)}
	for i := range n {
		b.tokens = append(b.tokens, fmt.Sprintf("ExponentPushToken[%d]", 188000+i))
	}
	return b
}

// asked is one statement with arguments, and the indexes it is expected to read by.
type asked struct {
	ask     func(context.Context, *store.Queries)
	indexes []string
}

// questions is every statement with arguments of a usual batch. DatabaseNow reads no table, and neither does what calls a function.
func questions(b batch) map[string]asked {
	all := map[string]asked{"DatabaseNow": {func(ctx context.Context, q *store.Queries) { _, _ = q.DatabaseNow(ctx) }, nil}}
	for _, part := range []map[string]asked{ofFunctions(), ofEvents(b), ofPlans(b), ofAccounts(b), ofCopies(b), ofReminders(b), ofPushes(b), ofAudits(b), ofRepairs(b), ofOperator(b), ofPage(b), ofCleanup(b), ofUsers(b)} {
		maps.Copy(all, part)
	}
	return all
}

func ofFunctions() map[string]asked {
	return map[string]asked{
		"ForgetPermits": {
			func(ctx context.Context, q *store.Queries) {
				_ = q.ForgetPermits(ctx, store.ForgetPermitsParams{Quotas: []string{"google_user:a"}, IdleUs: 1_000_000})
			},
			nil,
		},
		"TakePermits": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.TakePermits(ctx, store.TakePermitsParams{Quota: "expo", Want: 1, Allowed: 600, SpanUs: 1e6})
			}, nil, // the function reads one row by its key: see the tests of sql/permits
		},
		"OpenBell": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.OpenBell(ctx, store.OpenBellParams{Way: "notify", TtlMs: 30_000, Payload: "proof"})
			}, nil,
		},
		"CloseBell": {func(ctx context.Context, q *store.Queries) {
			_, _ = q.CloseBell(ctx, store.CloseBellParams{Way: "notify"})
		}, nil},
		"SendWord": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.SendWord(ctx, store.SendWordParams{Way: "notify", Payload: "told"})
			}, nil,
		},
		"DelegateAccounts": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.DelegateAccounts(ctx, store.DelegateAccountsParams{Domains: []string{"example.org"}})
			}, nil, // see TestDelegationReadsByIndex
		},
		"Writers": {func(ctx context.Context, q *store.Queries) { _, _ = q.Writers(ctx, []string{"3/77"}) }, nil},
	}
}

func ofEvents(b batch) map[string]asked {
	limit, now := int32(len(b.events)), time.Now()
	return map[string]asked{
		"ClaimEvents": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.ClaimEvents(ctx, store.ClaimEventsParams{MaxRows: limit, MaxCopies: limit, MaxBytes: 65536, LeaseMs: 15000})
			},
			[]string{"events_unplanned_idx", "events_planned_idx", "events_pkey", "google_accounts_pkey", "calendar_copies_pkey"},
		},
		"GiveBackEvents": {
			func(ctx context.Context, q *store.Queries) {
				n := len(b.events)
				_, _ = q.GiveBackEvents(ctx, store.GiveBackEventsParams{EventIds: b.events, Revisions: repeat(int64(1), n), Leases: repeat(now, n)})
			},
			[]string{"events_pkey"},
		},
		"ExtendEventLeases": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.ExtendEventLeases(ctx, store.ExtendEventLeasesParams{EventIds: b.events, LeaseMs: 15000})
			},
			[]string{"events_pkey"},
		},
		"ReleaseEvents": {
			func(ctx context.Context, q *store.Queries) {
				_ = q.ReleaseEvents(ctx, store.ReleaseEventsParams{EventIds: b.events})
			},
			[]string{"events_pkey"},
		},
		"NextDue": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.NextDue(ctx, true) },
			[]string{"events_unplanned_idx", "events_planned_idx", "calendar_copies_due_idx"},
		},
		"OldestDue": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.OldestDue(ctx) },
			[]string{"events_unplanned_idx", "events_planned_idx", "calendar_copies_due_idx", "reminders_due_idx", "deliveries_receipt_due_idx"},
		},
		"FirstDueEvent": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.FirstDueEvent(ctx, store.FirstDueEventParams{}) },
			[]string{"events_unplanned_idx"},
		},
	}
}

func ofPlans(b batch) map[string]asked {
	n, now := len(b.events), time.Now()
	commit := store.CommitPlansParams{
		EventIds: b.events, Revisions: repeat(int64(1), n), Leases: repeat(now, n), WithdrawReasons: repeat("moved", n),
		GoogleIds: repeat("g", n), CalendarIds: repeat("primary", n), BuryCopies: repeat(false, n),
	}
	for _, id := range b.events {
		commit.ReminderEventIds = append(commit.ReminderEventIds, id, id, id)
	}
	commit.NotifyAts, commit.LeadSeconds, commit.Messages = repeat(now, 3*n), repeat(int32(1800), 3*n), repeat("Field 3", 3*n)
	commit.Statuses, commit.Reasons = repeat("pending", 3*n), repeat("", 3*n)
	syncs := store.RecordSyncsParams{
		EventIds: b.events, UserIds: b.users, Revisions: repeat(int64(1), n), Statuses: repeat("synced", n), ErrorMessages: repeat("", n),
		RetryMs: repeat(int64(-1), n), CountAttempts: repeat(false, n), GoogleIds: repeat("g", n), CalendarIds: repeat("primary", n),
		Generations: repeat(int32(0), n), Etags: repeat("1", n), Hashes: repeat("h", n),
	}
	return map[string]asked{
		"CommitPlans": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.CommitPlans(ctx, commit) },
			[]string{"events_pkey", "reminders_event_id_notify_at_ts_key", "calendar_copies_pkey"},
		},
		"RecordSyncs": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.RecordSyncs(ctx, syncs) },
			[]string{"events_pkey"},
		},
	}
}

func ofAccounts(b batch) map[string]asked {
	n := len(b.users)
	return map[string]asked{
		"MarkReconnect": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.MarkReconnect(ctx, store.MarkReconnectParams{UserIds: b.users, RefreshTokens: repeat("token", n), Reasons: repeat("revoked", n)})
			},
			[]string{"google_accounts_pkey"},
		},
		"PauseAccount": {
			func(ctx context.Context, q *store.Queries) {
				_ = q.PauseAccount(ctx, store.PauseAccountParams{UserID: b.users[0], PauseMs: 1000, Reason: "quota"})
			},
			[]string{"google_accounts_pkey"},
		},
		"RecallScheduled": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.RecallScheduled(ctx, store.RecallScheduledParams{After: b.users[0], MaxRows: 100})
			},
			[]string{"events_waiting_idx", "google_accounts_pkey"},
		},
		"WaitingUsers": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.WaitingUsers(ctx, store.WaitingUsersParams{After: b.users[0], MaxRows: 100})
			},
			[]string{"events_waiting_idx"},
		},
		"ClaimNotices": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.ClaimNotices(ctx, store.ClaimNoticesParams{MaxRows: 50, LeaseMs: 15000})
			},
			[]string{"google_accounts_notice_due_idx", "push_devices_user_idx"},
		},
		"RetireDevices": {
			func(ctx context.Context, q *store.Queries) {
				_ = q.RetireDevices(ctx, store.RetireDevicesParams{Tokens: repeat("ExponentPushToken[x]", n), Before: time.Now(), Reason: "gone"})
			},
			[]string{"push_devices_token_key"},
		},
		"RecordNotices": {
			func(ctx context.Context, q *store.Queries) {
				_ = q.RecordNotices(ctx, store.RecordNoticesParams{
					UserIds: b.users, Leases: repeat(time.Now(), n), RetryMs: repeat(int64(-1), n), Counts: repeat(true, n), Told: repeat(true, n), ErrorMessages: repeat("", n),
				})
			},
			[]string{"google_accounts_pkey"},
		},
		"UnsealedTokens": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.UnsealedTokens(ctx, 100) },
			[]string{"google_accounts_unsealed_idx"},
		},
		"StoredTokens": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.StoredTokens(ctx, store.StoredTokensParams{After: b.users[0], MaxRows: 100})
			},
			[]string{"google_accounts_pkey"},
		},
		"ReplaceTokens": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.ReplaceTokens(ctx, store.ReplaceTokensParams{UserIds: b.users, OldTokens: repeat("token", n), NewTokens: repeat("sealed:", n)})
			},
			[]string{"google_accounts_pkey"},
		},
		"BeginCalendar": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.BeginCalendar(ctx, store.BeginCalendarParams{UserID: b.users[0], MakingMs: 1000})
			},
			[]string{"google_accounts_pkey"},
		},
		"EndCalendar": {
			func(ctx context.Context, q *store.Queries) {
				_ = q.EndCalendar(ctx, store.EndCalendarParams{UserID: b.users[0], CalendarID: "family@group.calendar.google.com", Consent: time.Now()})
			},
			[]string{"google_accounts_pkey"},
		},
		"LoseCalendars": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.LoseCalendars(ctx, store.LoseCalendarsParams{UserIds: b.users, CalendarIds: repeat("family@group.calendar.google.com", n)})
			},
			[]string{"google_accounts_pkey", "calendar_copies_user_idx", "events_pkey"},
		},
		"ClaimLeavings": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.ClaimLeavings(ctx, store.ClaimLeavingsParams{MaxRows: 16, MaxCopies: 500, LeaseMs: 15000})
			},
			[]string{"google_accounts_leave_due_idx", "calendar_copies_user_idx", "events_pkey", "events_user_id_idx"},
		},
		"RecordLeavings": {
			func(ctx context.Context, q *store.Queries) {
				_ = q.RecordLeavings(ctx, store.RecordLeavingsParams{
					UserIds: b.users, Consents: repeat(time.Now(), n), RetryMs: repeat(int64(-1), n), Reasons: repeat("", n),
				})
			},
			[]string{"google_accounts_pkey"},
		},
		"NextLeavingDue": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.NextLeavingDue(ctx) },
			[]string{"google_accounts_leave_due_idx"},
		},
		"StoreRotatedToken": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.StoreRotatedToken(ctx, store.StoreRotatedTokenParams{UserID: b.users[0], Consent: time.Now(), OldToken: "a", NewToken: "b"})
			},
			[]string{"google_accounts_pkey"},
		},
	}
}

func ofCopies(b batch) map[string]asked {
	n, limit := len(b.events), int32(len(b.events))
	removals := store.RecordRemovalsParams{
		EventIds: b.events, UserIds: b.users, Gone: repeat(true, n), RetryMs: repeat(int64(0), n), ErrorMessages: repeat("", n),
		Leases: repeat(time.Now(), n),
	}
	return map[string]asked{
		"ClaimRemovals": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.ClaimRemovals(ctx, store.ClaimRemovalsParams{MaxRows: limit, LeaseMs: 15000})
			},
			[]string{"calendar_copies_due_idx", "calendar_copies_pkey", "google_accounts_pkey"},
		},
		"RecordRemovals": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.RecordRemovals(ctx, removals) },
			[]string{"calendar_copies_pkey", "events_pkey"},
		},
		"NoteRenewal": {
			func(ctx context.Context, q *store.Queries) {
				_ = q.NoteRenewal(ctx, store.NoteRenewalParams{EventID: b.events[0], UserID: b.users[0], CalendarID: "primary", GoogleEventID: "g", Generation: 1})
			},
			[]string{"calendar_copies_pkey"},
		},
		"NoteTarget": {
			func(ctx context.Context, q *store.Queries) {
				_ = q.NoteTarget(ctx, store.NoteTargetParams{EventID: b.events[0], UserID: b.users[0], Gone: "a", CalendarID: "b"})
			},
			[]string{"calendar_copies_pkey"},
		},
		"ReleaseRemovals": {
			func(ctx context.Context, q *store.Queries) {
				_ = q.ReleaseRemovals(ctx, store.ReleaseRemovalsParams{EventIds: b.events, UserIds: b.users})
			},
			[]string{"calendar_copies_pkey"},
		},
	}
}

func ofReminders(b batch) map[string]asked {
	now := time.Now()
	return map[string]asked{
		"WindowPage": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.WindowPage(ctx, store.WindowPageParams{After: now.Add(-hour), Until: now.Add(hour), MaxRows: 2000})
			},
			[]string{"reminders_due_idx"},
		},
		"ChangedReminders": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.ChangedReminders(ctx, store.ChangedRemindersParams{SinceXid: 200900, Until: now.Add(day), MaxRows: 50_000})
			},
			[]string{"reminders_changed_idx"},
		},
		"DueReminders": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.DueReminders(ctx, store.DueRemindersParams{GraceMs: 5000, MaxRows: 2000})
			},
			[]string{"reminders_due_idx", "events_pkey"},
		},
		"ClaimReminders": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.ClaimReminders(ctx, store.ClaimRemindersParams{Ids: b.reminders, SlackMs: 20, LeaseMs: 15000})
			},
			[]string{"reminders_pkey", "events_pkey", "deliveries_pkey", "push_devices_user_idx", "push_devices_token_key", "notification_settings_pkey"},
		},
		"Deadlines": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.Deadlines(ctx, b.reminders) },
			[]string{"reminders_pkey", "events_pkey"},
		},
		"UnclaimedReminders": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.UnclaimedReminders(ctx, b.reminders) },
			[]string{"reminders_pkey", "events_pkey"},
		},
	}
}

func ofPushes(b batch) map[string]asked {
	n, now := len(b.reminders), time.Now()
	pushes := store.RecordPushesParams{
		Ids: b.reminders, Leases: repeat(now, n), Statuses: repeat("sent", n), RetryMs: repeat(int64(0), n), CountAttempts: repeat(true, n),
		SentAts: repeat(now, n), ErrorMessages: repeat("", n), PushReminderIds: b.reminders, PushTokens: b.tokens, PushStates: repeat("accepted", n),
		TicketIds: repeat("t", n), ErrorCodes: repeat("", n), PushErrors: repeat("", n), PushSentAts: repeat(now, n), LatenessMs: repeat(int64(3), n),
		PayloadBytes: repeat(int32(600), n), RetireReasons: repeat("gone", n), Projects: repeat("", n), LargeBytes: 3072, ReceiptDelayMs: 900_000,
	}
	settle := store.SettleDeliveriesParams{
		ReminderIds: b.reminders, Tokens: b.tokens, TicketIds: repeat("t", n), States: repeat("delivered", n), ErrorCodes: repeat("", n),
		ErrorMessages: repeat("", n), Gone: repeat(true, n), RetryMs: repeat(int64(0), n), CountAttempts: repeat(true, n), MaxAttempts: 5, LargeBytes: 3072,
	}
	return map[string]asked{
		"RecordPushes": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.RecordPushes(ctx, pushes) },
			[]string{"reminders_pkey", "push_devices_token_key"},
		},
		"ClaimReceipts": {
			func(ctx context.Context, q *store.Queries) {
				_, _ = q.ClaimReceipts(ctx, store.ClaimReceiptsParams{MaxRows: 300, AgainMs: 300_000})
			},
			[]string{"deliveries_receipt_due_idx", "deliveries_pkey"},
		},
		"SettleDeliveries": {
			func(ctx context.Context, q *store.Queries) { _, _ = q.SettleDeliveries(ctx, settle) },
			[]string{"deliveries_pkey", "push_devices_token_key"},
		},
	}
}

// TestPlansReadByIndex holds every statement to reading a crowd of rows by index: planned for its arguments, planned for any,
// planned while nothing is known of the tables, as after a bulk load, and planned before the first row was written.
func TestPlansReadByIndex(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	all := questions(newBatch(t, conn, 100))
	if diff := cmp.Diff(methods(), keys(all)); diff != "" {
		t.Fatalf("statements without a question (-store +asked):\n%s", diff)
	}
	asked := taped(t, all)
	early := planAtOnce(t, db.Connect(t), asked)
	if _, err := conn.Exec(t.Context(), crowd); err != nil {
		t.Fatal(err)
	}
	for name, p := range asked {
		judge(t, name+", without statistics", explain(t, conn, p.sql, p.args...), nil)
	}
	if _, err := conn.Exec(t.Context(), "analyze"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(planAtOnce(t, db.Connect(t), asked), early); diff != "" {
		t.Errorf("planned while there was no row (-later +early):\n%s", diff)
	}
	for name, a := range all {
		t.Run(name, func(t *testing.T) {
			p := asked[name]
			judge(t, "custom", explain(t, conn, p.sql, p.args...), a.indexes)
			judge(t, "generic", explainGeneric(t, conn, name, p.sql, len(p.args)), a.indexes)
		})
	}
}

// TestPlansOfFewRows: a plan that a session keeps is as old as the last ANALYZE, and the tables grow meanwhile. So it may not read all of one
// because there is little in it, whatever there is when it is made.
func TestPlansOfFewRows(t *testing.T) {
	t.Parallel()
	for name, few := range map[string]*strings.Replacer{
		"a hundred": strings.NewReplacer("200000", "100", "99999", "99", "20000", "50"),
		"thousands": strings.NewReplacer("200000", "2000", "99999", "99", "20000", "100"),
		"more":      strings.NewReplacer("200000", "20000", "99999", "999", "20000", "500"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			conn := db.Connect(t)
			asked := taped(t, questions(newBatch(t, conn, 100)))
			for _, then := range []string{few.Replace(crowd), "analyze"} {
				if _, err := conn.Exec(t.Context(), then); err != nil {
					t.Fatal(err)
				}
				planAtOnce(t, db.Connect(t), asked)
			}
		})
	}
}

// taped is what each question asks, with its arguments.
func taped(t *testing.T, all map[string]asked) map[string]tape {
	t.Helper()
	found := map[string]tape{}
	for name, a := range all {
		var p tape
		a.ask(t.Context(), store.New(&p))
		found[name] = p
	}
	return found
}

// planAtOnce is how rows are looked up by each statement in a session of the worker's that plans it now.
func planAtOnce(t *testing.T, conn *pgx.Conn, asked map[string]tape) map[string][]string {
	t.Helper()
	if _, err := conn.Exec(t.Context(), store.Planning, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for name, p := range asked {
		plan := explainGeneric(t, conn, name, p.sql, len(p.args))
		judge(t, name+", as the worker plans it", plan, nil)
		plan.walk(func(n node) {
			if n.Index != "" {
				found[name] = append(found[name], n.index())
			}
		})
		slices.Sort(found[name])
		found[name] = slices.Compact(found[name])
	}
	return found
}

// explain is the plan for these arguments.
func explain(t *testing.T, conn *pgx.Conn, sql string, args ...any) node {
	t.Helper()
	return planOf(t, conn, "explain (format json) "+sql, args...)
}

// explainGeneric is the plan for arguments unknown, which a prepared statement may get after a few runs.
func explainGeneric(t *testing.T, conn *pgx.Conn, name, sql string, params int) node {
	t.Helper()
	call := name
	if params > 0 {
		call += "(" + strings.Join(repeat("null", params), ", ") + ")"
	}
	for _, statement := range []string{"set plan_cache_mode = force_generic_plan", "prepare " + name + " as " + sql} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return planOf(t, conn, "explain (format json) execute "+call)
}

func planOf(t *testing.T, conn *pgx.Conn, sql string, args ...any) node {
	t.Helper()
	var text []byte
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal(text, &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan
}

// node is a part of a plan, as EXPLAIN tells it.
type node struct {
	Type     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Index    string `json:"Index Name"`
	Cond     string `json:"Index Cond"`
	Range    string `json:"TID Cond"`
	Parts    []node `json:"Plans"`
}

// index is the one that a node reads by. A copy is found by event and user in two of them.
func (n node) index() string {
	if n.Index == "calendar_copies_user_idx" && strings.Contains(n.Cond, "event_id = ") {
		return "calendar_copies_pkey"
	}
	return n.Index
}

func (n node) walk(see func(node)) {
	see(n)
	for _, part := range n.Parts {
		part.walk(see)
	}
}

func judge(t *testing.T, kind string, plan node, want []string) {
	t.Helper()
	used := map[string]bool{}
	plan.walk(func(n node) {
		used[n.Index], used[n.index()] = true, true
		if n.Type == "Seq Scan" && slices.Contains(crowded, n.Relation) {
			t.Errorf("%s plan: reads all of %s", kind, n.Relation)
		}
		for _, part := range n.Parts {
			if part.Index != "" && part.Cond == "" && n.Type != "Limit" {
				t.Errorf("%s plan: reads all of index %s", kind, part.Index)
			}
		}
	})
	for _, index := range want {
		if !used[index] {
			t.Errorf("%s plan: does not use %s", kind, index)
		}
	}
	if t.Failed() {
		text, _ := json.MarshalIndent(plan, "", "  ") // a plan that was read can be written
		t.Logf("%s plan: %s", kind, text)
	}
}
