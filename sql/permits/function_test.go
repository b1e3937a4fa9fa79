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

// askAt asks the function as if it were a given time, as a worker of an older version does.
func askAt(conn *pgx.Conn, quota string, want, allowed int, span, patience time.Duration, at time.Time) (granted int, wait time.Duration, err error) {
	var ms float64
	err = conn.QueryRow(context.Background(), `select granted, wait_ms from reminder_worker.take_permits($1, $2, $3, $4, $5, $6)`,
		quota, want, allowed, span, patience, at).Scan(&granted, &ms)
	return granted, time.Duration(ms * float64(time.Millisecond)).Round(time.Microsecond), err
}

// tellAt asks likewise, and tells of permits that were used.
func tellAt(conn *pgx.Conn, want, allowed int, span, patience time.Duration, used []use, at time.Time) (granted int, wait time.Duration, ends time.Time, err error) {
	endings, counts, spares := []time.Time{}, []int{}, []time.Duration{}
	for _, u := range used {
		endings, counts, spares = append(endings, u.ends), append(counts, u.n), append(spares, u.spare)
	}
	var ms float64
	var until *time.Time
	err = conn.QueryRow(context.Background(), `select granted, wait_ms, ends from reminder_worker.take_permits('a', $1, $2, $3, $4, $5, $6, $7, $8)`,
		want, allowed, span, patience, endings, counts, spares, at).Scan(&granted, &ms, &until)
	if until != nil {
		ends = *until
	}
	return granted, time.Duration(ms * float64(time.Millisecond)).Round(time.Microsecond), ends, err
}

// given is a grant as the model remembers it: usable from start on, and counted until ends.
type given struct {
	start, ends time.Time
	n           int
	row         time.Time // until when the row counts it
	told        bool
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
		if g.ends.After(start) {
			moments = append(moments, g.ends)
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
		if g.ends.After(at) {
			n += g.n
		}
	}
	return n
}

// tell picks grants that were used sooner than they might have been.
func (m *model) tell(t *rapid.T, at time.Time) (used []use) {
	for i := range m.given {
		g := &m.given[i]
		if g.told || rapid.IntRange(0, 3).Draw(t, "told") > 0 {
			continue
		}
		spare := time.Duration(rapid.Int64Range(1, int64(m.span)/2+1).Draw(t, "spare")).Truncate(time.Microsecond)
		used = append(used, use{ends: g.row, n: g.n, spare: spare})
		if g.told = true; g.row.After(at) && g.row.Add(-spare).Before(g.ends) {
			g.ends = g.row.Add(-spare)
		}
	}
	return used
}

// The function grants no more than allowed in any window, in order, never earlier than the model and later by a hundredth of a span at most for
// each entry that it had to merge: by three in all. What was used sooner than it might have been counts for so much shorter.
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
			granted, wait, ends, err := tellAt(conn, n, m.allowed, m.span, patience, m.tell(t, at), at)
			if err != nil {
				t.Fatal(err)
			}
			start, ideal := at.Add(wait), m.earliest(at, n)
			if start.Before(ideal) || start.Sub(ideal) > 3*m.span/100+time.Microsecond {
				t.Fatalf("%d of %d in %s at %s: start after %s, the model after %s", n, m.allowed, m.span, at, wait, ideal.Sub(at))
			}
			if granted != n && granted != 0 || (granted == n) != (wait <= patience && !queued) {
				t.Fatalf("%d of %d granted, wait %s, patience %s", granted, n, wait, patience)
			}
			if granted > 0 {
				m.given = append(m.given, given{start: start, ends: start.Add(m.span), n: n, row: ends})
			}
			checkRow(t, conn)
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
