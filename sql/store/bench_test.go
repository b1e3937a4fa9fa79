package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
)

// bench is a connection to a crowd none of which is due, as the worker's is, and a user who has connected Google.
type bench struct {
	b    *testing.B
	conn *pgx.Conn
	q    *store.Queries
	user uuid.UUID
}

func newBench(b *testing.B, planning string) *bench {
	b.Helper()
	ctx := b.Context()
	conn := pgtest.New(b).Connect(b)
	store.Register(conn.TypeMap())
	s := &bench{b: b, conn: conn, q: store.New(conn), user: uuid.New()}
	for _, statement := range []string{
		crowd,
		`set session_replication_role = replica`,
		`update public.events set sync_due_at = null, sync_lease_until = null, status = 'synced' where sync_due_at is not null`,
		`update reminder_worker.calendar_copies set due_at = null, tombstoned_at = null where due_at is not null`,
		`update public.reminders set status = 'sent' where status <> 'sent'`,
		`set session_replication_role = origin`,
		`vacuum analyze`,
		store.Planning,
		`set plan_cache_mode = ` + planning,
	} {
		if _, err := conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			b.Fatal(err)
		}
	}
	s.exec(`insert into auth.users (id, email) values ($1, 'parent@example.org')`, s.user)
	s.exec(`insert into reminder_worker.google_accounts (user_id, refresh_token) values ($1, 'token')`, s.user)
	return s
}

func (s *bench) exec(sql string, args ...any) {
	s.b.Helper()
	if _, err := s.conn.Exec(s.b.Context(), sql, args...); err != nil {
		s.b.Fatalf("%s: %v", sql, err)
	}
}

// write makes n events of the user.
func (s *bench) write(n int) {
	s.b.Helper()
	s.exec(`insert into public.events (user_id, title, start_ts) select $1, 'Practice', date_trunc('second', now()) + interval '50 hours'
		from generate_series(1, $2::integer)`, s.user, n)
}

// spent adds what each statement takes.
type spent map[string]time.Duration

// report divides it by how many rows were served.
func (s spent) report(b *testing.B, served int) {
	for name, d := range s {
		b.ReportMetric(float64(d.Microseconds())/float64(served), name+"-us/row")
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(served), "us/row")
	b.ReportMetric(0, "ns/op")
}

func timed[T any](s *bench, spent spent, name string, ask func(context.Context) (T, error)) T {
	s.b.Helper()
	began := time.Now()
	v, err := ask(s.b.Context())
	if err != nil {
		s.b.Fatal(err)
	}
	spent[name] += time.Since(began)
	return v
}

// BenchmarkServe takes events through all statements that one which is new asks for: claimed, planned with three reminders, recorded as
// synced. What it reports is each statement's time, by event.
func BenchmarkServe(b *testing.B) {
	for _, planning := range []string{"auto", "force_generic_plan"} {
		for _, size := range []int{1, 100, 500} {
			b.Run(fmt.Sprintf("%s/%d", planning, size), func(b *testing.B) {
				s := newBench(b, planning)
				spent := spent{}
				served := 0
				for b.Loop() {
					b.StopTimer()
					s.write(size)
					b.StartTimer()
					rows := timed(s, spent, "claim", func(ctx context.Context) ([]store.ClaimEventsRow, error) {
						return s.q.ClaimEvents(ctx, store.ClaimEventsParams{
							MaxRows: int32(size), MaxCopies: 100, MaxBytes: 65536, LeaseMs: lease.Milliseconds(), Worker: s.user,
						})
					})
					if len(rows) != size {
						b.Fatalf("%d events claimed, want %d", len(rows), size)
					}
					p := new(plan)
					for _, row := range rows {
						p.event(row).copied("g"+row.ID.String()).before(row, day, 3*hour, hour/2)
					}
					counted := timed(s, spent, "plan", func(ctx context.Context) ([]store.CommitPlansRow, error) {
						return s.q.CommitPlans(ctx, p.CommitPlansParams)
					})
					if len(counted) != 4*size {
						b.Fatalf("%d rows answered, want %d", len(counted), 4*size)
					}
					r := synced("synced", rows...)
					r.Worker = s.user
					timed(s, spent, "record", func(ctx context.Context) ([]store.RecordSyncsRow, error) { return s.q.RecordSyncs(ctx, r) })
					timed(s, spent, "removals", func(ctx context.Context) ([]store.ClaimRemovalsRow, error) {
						return s.q.ClaimRemovals(ctx, store.ClaimRemovalsParams{MaxRows: 100, LeaseMs: lease.Milliseconds()})
					})
					timed(s, spent, "next", func(ctx context.Context) (store.NextDueRow, error) { return s.q.NextDue(ctx, true) })
					served += size
				}
				spent.report(b, served)
			})
		}
	}
}

// BenchmarkPush takes reminders that are due at one instant through both statements that a push asks for.
func BenchmarkPush(b *testing.B) {
	for _, size := range []int{1, 100, 500} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := newBench(b, "force_generic_plan")
			s.exec(`select reminder_worker.put_push_device($1, 'ExponentPushToken[mine]', 'ios')`, s.user)
			spent := spent{}
			sent := 0
			for b.Loop() {
				b.StopTimer()
				ids := s.due(size)
				b.StartTimer()
				rows := timed(s, spent, "claim", func(ctx context.Context) ([]store.ClaimRemindersRow, error) {
					return s.q.ClaimReminders(ctx, store.ClaimRemindersParams{Ids: ids, SlackMs: 20, LeaseMs: lease.Milliseconds()})
				})
				if len(rows) != size || len(rows[0].Tokens) != 1 {
					b.Fatalf("%d reminders claimed, want %d", len(rows), size)
				}
				p := accepted(rows)
				timed(s, spent, "record", func(ctx context.Context) ([]uuid.UUID, error) { return s.q.RecordPushes(ctx, p) })
				sent += size
			}
			spent.report(b, sent)
		})
	}
}

// due makes n reminders that are due now.
func (s *bench) due(n int) []uuid.UUID {
	s.b.Helper()
	rows, err := s.conn.Query(s.b.Context(), `with e as (
			insert into public.events (user_id, title, start_ts, status) select $1, 'Practice', date_trunc('second', now()) + interval '30 minutes', 'synced'
			from generate_series(1, $2::integer)
			returning id, user_id
		)
		insert into public.reminders (event_id, user_id, notify_at_ts, message) select id, user_id, now() - interval '1 millisecond', 'Field 3' from e
		returning id`, s.user, n)
	if err != nil {
		s.b.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		s.b.Fatal(err)
	}
	return ids
}

// accepted is the argument of RecordPushes for reminders that were all taken.
func accepted(rows []store.ClaimRemindersRow) store.RecordPushesParams {
	p := store.RecordPushesParams{LargeBytes: 3072, ReceiptDelayMs: 900_000}
	now := time.Now()
	for _, r := range rows {
		p.Ids, p.PushReminderIds = append(p.Ids, r.ID), append(p.PushReminderIds, r.ID)
		p.Leases, p.PushTokens = append(p.Leases, r.Lease), append(p.PushTokens, r.Tokens[0])
	}
	n := len(rows)
	p.Statuses, p.RetryMs, p.CountAttempts, p.SentAts, p.ErrorMessages = repeat("sent", n), repeat(int64(0), n), repeat(true, n), repeat(now, n), repeat("", n)
	p.PushStates, p.TicketIds, p.ErrorCodes, p.PushErrors = repeat("accepted", n), repeat("t", n), repeat("", n), repeat("", n)
	p.PushSentAts, p.LatenessMs, p.PayloadBytes, p.RetireReasons, p.Projects = repeat(now, n), repeat(int64(3), n), repeat(int32(600), n), repeat("", n), repeat("", n)
	return p
}
