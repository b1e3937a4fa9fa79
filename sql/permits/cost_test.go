package permits

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/pgtemp"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// migrated is a pool on a server of the test's own, with the schema.
func migrated(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	m, err := migrations.New(migrations.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Up(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// server is one whose commits wait for the disk.
type server struct {
	t    *testing.T
	conn *pgxpool.Conn
}

func (s server) exec(sql string) {
	s.t.Helper()
	if _, err := s.conn.Exec(s.t.Context(), sql); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s server) count(sql string) (n int64) {
	s.t.Helper()
	// PostgreSQL 14 tells what it has counted once in a while, later ones when they are asked to.
	s.exec(`do $$ begin
		if current_setting('server_version_num')::int < 150000 then perform pg_sleep(1); else perform pg_stat_force_next_flush(); end if;
	end $$`)
	if err := s.conn.QueryRow(s.t.Context(), sql).Scan(&n); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// flushes counts those of the log while f runs n times.
func (s server) flushes(n int, f func()) int64 {
	synced := `select wal_sync from pg_stat_wal`
	if s.count(`select current_setting('server_version_num')::bigint`) >= 180000 {
		synced = `select sum(fsyncs)::bigint from pg_stat_io where object = 'wal'`
	}
	before := s.count(synced)
	for range n {
		f()
	}
	return s.count(synced) - before
}

// The row is found by its key, and a grant waits for no disk.
func TestGrantsAreCheap(t *testing.T) {
	t.Parallel()
	pg, err := pgtemp.Start(t.Context(), pgtemp.Config{BinDir: os.Getenv("REMINDER_WORKER_PG_BIN"), Durable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pg.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	pool := migrated(t, pg.URL("postgres"))
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	s := server{t, conn}
	s.exec(`create table plain (n integer)`)
	const times = 500
	if n := s.flushes(times, func() { s.exec(`insert into plain values (1)`) }); n < times/2 {
		t.Fatalf("%d flushes for %d commits: they are not counted", n, times)
	}
	const scans, finds = `select seq_scan from pg_stat_user_tables where relname = 'permits'`, `select idx_scan from pg_stat_user_tables where relname = 'permits'`
	read, found := s.count(scans), s.count(finds)
	n := s.flushes(times, func() {
		s.exec(`select granted from reminder_worker.take_permits('expo', 1, 600, '1 second', '1 second')`)
	})
	if n > times/20 {
		t.Errorf("%d flushes for %d grants: they wait for the disk", n, times)
	}
	if read, found = s.count(scans)-read, s.count(finds)-found; read > 0 || found < times {
		t.Errorf("%d reads of the whole table, %d by its key", read, found)
	}
}

// BenchmarkTake is one Take after the other, each with a statement.
func BenchmarkTake(b *testing.B) {
	cfg := Config{Quota: "expo", Allowed: 1_000_000, Window: time.Second, Keep: 50 * time.Millisecond, Chunk: 1}
	l := newLimiter(b, pgtest.New(b).Pool, cfg)
	var times []time.Duration
	for b.Loop() {
		began := time.Now()
		if _, _, err := l.Take(b.Context(), 1); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-us")
}
