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
	s := &bench{b: b, conn: conn, q: store.New(conn), user: uuid.New()}
	for _, statement := range []string{
		crowd,
		`set session_replication_role = replica`,
		`update public.events set sync_due_at = null, sync_lease_until = null, status = 'synced' where sync_due_at is not null`,
		`update reminder_worker.calendar_copies set due_at = null, tombstoned_at = null where due_at is not null`,
		`update public.reminders set status = 'sent' where status <> 'sent'`,
		`set session_replication_role = origin`,
		`vacuum analyze`,
		`set plan_cache_mode = ` + planning, "set jit = off", "set enable_seqscan = off",
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
					timed(s, spent, "next", func(ctx context.Context) (store.NextDueRow, error) { return s.q.NextDue(ctx) })
					served += size
				}
				for name, d := range spent {
					b.ReportMetric(float64(d.Microseconds())/float64(served), name+"-us/event")
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(served), "us/event")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}
