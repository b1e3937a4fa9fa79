package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// boundedPool is a pool of one connection as the program has it, with a limit of its own.
func boundedPool(t *testing.T, limit time.Duration) (bounded, *pulse) {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(pgtest.NewEmpty(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	p := &pulse{}
	cfg.MaxConns, cfg.ConnConfig.Tracer = 1, p
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := pool.Ping(t.Context()); err != nil { // the limit is not for connecting
		t.Fatal(err)
	}
	return bounded{pool, limit}, p
}

// A server that does not answer costs a statement its limit and no more, and is noticed, whichever way it is asked.
func TestStatementsAreBounded(t *testing.T) {
	t.Parallel()
	const endless = "-- name: Endless :exec\nselect 1 from pg_sleep(3600)"
	for name, ask := range map[string]func(context.Context, bounded) error{
		"Exec": func(ctx context.Context, b bounded) error { _, err := b.Exec(ctx, endless); return err },
		"QueryRow": func(ctx context.Context, b bounded) error {
			var n int
			return b.QueryRow(ctx, endless).Scan(&n)
		},
		"Query": func(ctx context.Context, b bounded) error {
			rows, err := b.Query(ctx, endless)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
			}
			return rows.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, p := boundedPool(t, 500*time.Millisecond)
			if err := ask(t.Context(), b); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%v, want the end of the time", err)
			}
			if err := p.fault(); err == nil || !strings.Contains(err.Error(), "no answer to Endless in time") {
				t.Errorf("fault %v", err)
			}
			called, cancel := context.WithCancel(t.Context())
			cancel()
			p.lost.Store(nil)
			if err := ask(called, b); !errors.Is(err, context.Canceled) || p.fault() != nil {
				t.Errorf("called off: %v, fault %v", err, p.fault())
			}
		})
	}
}

// Within the limit rows can be read to their end, and connections come back.
func TestBoundedRows(t *testing.T) {
	t.Parallel()
	b, p := boundedPool(t, patience)
	for range 3 {
		rows, err := b.Query(t.Context(), "select generate_series(1, 3)")
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for rows.Next() {
			var n int
			if err := rows.Scan(&n); err != nil {
				t.Fatal(err)
			}
			got = append(got, n)
		}
		rows.Close()
		if err := rows.Err(); err != nil || !slices.Equal(got, []int{1, 2, 3}) {
			t.Errorf("%v, %v", got, err)
		}
		var one int
		if err := b.QueryRow(t.Context(), "select 1").Scan(&one); err != nil || one != 1 {
			t.Errorf("%d, %v", one, err)
		}
		if _, err := b.Exec(t.Context(), "select 1"); err != nil {
			t.Error(err)
		}
	}
	rows, err := b.Query(t.Context(), "select nonsense")
	if err == nil {
		t.Error("no error")
		rows.Close()
	}
	if err := p.fault(); err != nil {
		t.Error(err)
	}
}
