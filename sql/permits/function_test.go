package permits

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// askAt asks the function as if it were a given time.
func askAt(conn *pgx.Conn, quota string, want, allowed int, span, patience time.Duration, at time.Time) (granted int, wait time.Duration, err error) {
	var ms float64
	err = conn.QueryRow(context.Background(), `select granted, wait_ms from reminder_worker.take_permits($1, $2, $3, $4, $5, $6)`,
		quota, want, allowed, span, patience, at).Scan(&granted, &ms)
	return granted, time.Duration(ms * float64(time.Millisecond)).Round(time.Microsecond), err
}

// given is a grant as the model remembers it: usable from start on.
type given struct {
	start time.Time
	n     int
}

// model is what the function promises, without its economies: it forgets nothing and merges nothing.
type model struct {
	allowed int
	span    time.Duration
	given   []given
}

// earliest is the first moment, not before the last grant's, at which n more would fit.
func (m *model) earliest(at time.Time, n int) time.Time {
	start := at
	if len(m.given) > 0 && m.given[len(m.given)-1].start.After(start) {
		start = m.given[len(m.given)-1].start
	}
	moments := []time.Time{start}
	for _, g := range m.given {
		if ends := g.start.Add(m.span); ends.After(start) {
			moments = append(moments, ends)
		}
	}
	slices.SortFunc(moments, time.Time.Compare)
	for _, start := range moments {
		if m.counts(start)+n <= m.allowed {
			return start
		}
	}
	panic("nothing fits an empty log")
}

// counts is how much of a window is used up at a moment after all starts.
func (m *model) counts(at time.Time) (n int) {
	for _, g := range m.given {
		if g.start.Add(m.span).After(at) {
			n += g.n
		}
	}
	return n
}

// most is the largest sum of grants in any window.
func most(log []given, span time.Duration) (n int) {
	for i, first := range log {
		sum := 0
		for _, g := range log[i:] {
			if g.start.Sub(first.start) < span {
				sum += g.n
			}
		}
		n = max(n, sum)
	}
	return n
}

// The function grants no more than allowed in any window, in order, never earlier than the model and later by a hundredth of a span at most for
// each entry that it had to merge: by two in all.
func TestFunctionAgainstModel(t *testing.T) {
	t.Parallel()
	conn := pgtest.New(t).Connect(t)
	rapid.Check(t, func(t *rapid.T) {
		if _, err := conn.Exec(context.Background(), `delete from reminder_worker.permits`); err != nil {
			t.Fatal(err)
		}
		m := &model{allowed: rapid.IntRange(1, 700).Draw(t, "allowed"), span: time.Duration(rapid.IntRange(1, 90_000).Draw(t, "span")) * time.Millisecond}
		at := time.Date(2027, 3, 28, 0, 59, 0, 0, time.UTC)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(m.span)/rapid.SampledFrom([]int64{1, 10, 100, 1000}).Draw(t, "pace")).Draw(t, "pause")).Truncate(time.Microsecond))
			n := rapid.IntRange(1, m.allowed).Draw(t, "want")
			if rapid.Bool().Draw(t, "small") {
				n = 1 + n/100
			}
			patience := time.Duration(rapid.Int64Range(0, 2*int64(m.span)).Draw(t, "patience")).Truncate(time.Microsecond)
			queued := len(m.given) > 0 && m.given[len(m.given)-1].start.Sub(at) > m.span
			granted, wait, err := askAt(conn, "a", n, m.allowed, m.span, patience, at)
			if err != nil {
				t.Fatal(err)
			}
			start, ideal := at.Add(wait), m.earliest(at, n)
			if start.Before(ideal) || start.Sub(ideal) > 2*m.span/100+time.Microsecond {
				t.Fatalf("%d of %d in %s at %s: start after %s, the model after %s", n, m.allowed, m.span, at, wait, ideal.Sub(at))
			}
			if granted != n && granted != 0 || (granted == n) != (wait <= patience && !queued) {
				t.Fatalf("%d of %d granted, wait %s, patience %s", granted, n, wait, patience)
			}
			if granted > 0 {
				m.given = append(m.given, given{start, n})
			}
			checkRow(t, conn)
		}
		if got := most(m.given, m.span); got > m.allowed {
			t.Fatalf("%d in a window of %s, %d allowed", got, m.span, m.allowed)
		}
	})
}

// checkRow holds the row to what its columns say.
func checkRow(t *rapid.T, conn *pgx.Conn) {
	var entries, sum, held int
	var sorted bool
	err := conn.QueryRow(context.Background(), `select cardinality(untils), (select coalesce(sum(c), 0) from unnest(counts) c), held,
		untils = (select coalesce(array_agg(u order by u), '{}') from unnest(untils) u) and cardinality(untils) = cardinality(counts)
		from reminder_worker.permits`).Scan(&entries, &sum, &held, &sorted)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		t.Fatal(err)
	}
	if entries > 303 || sum != held || !sorted && entries > 0 {
		t.Fatalf("the row has %d entries, in order %v, of %d permits, and says %d", entries, sorted, sum, held)
	}
}

// Whatever the clock does, permits are granted again within three spans.
func TestFunctionWhenTheClockIsSet(t *testing.T) {
	t.Parallel()
	conn := pgtest.New(t).Connect(t)
	const span = time.Second
	at := time.Date(2027, 3, 28, 0, 59, 0, 0, time.UTC)
	for i, step := range []time.Duration{-24 * time.Hour, -time.Second, -1500 * time.Millisecond, -2001 * time.Millisecond, -time.Millisecond, time.Hour, 0} {
		if n, _, err := askAt(conn, "a", 10, 10, span, span, at); err != nil || n == 0 {
			t.Fatalf("before step %d: %d granted: %v", i, n, err)
		}
		at = at.Add(step)
		n, wait, err := askAt(conn, "a", 10, 10, span, 0, at)
		if err != nil || wait > 3*span || step <= 0 && n > 0 {
			t.Errorf("step %s: %d granted, wait %s: %v", step, n, wait, err)
		}
		at = at.Add(3 * span)
	}
}

func TestFunctionRefusesNonsense(t *testing.T) {
	t.Parallel()
	conn := pgtest.New(t).Connect(t)
	for _, tt := range []struct {
		want, allowed int
		span          time.Duration
	}{{11, 10, time.Second}, {0, 10, time.Second}, {-1, 10, time.Second}, {1, 0, time.Second}, {1, 10, 0}} {
		_, _, err := askAt(conn, "a", tt.want, tt.allowed, tt.span, 0, time.Now())
		if pe, ok := errors.AsType[*pgconn.PgError](err); !ok || pe.Code != "22023" {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}
