package wal

import (
	"context"
	"testing"
	"time"
)

// An answer that is interrupted in the middle is read on where it was left.
func TestAnAnswerInPieces(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l, err := dial(t.Context(), r.connect(r.url))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	// Until this lock is free the second half does not come; the first is more than
	// the server keeps back.
	holder, err := r.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Release()
	if _, err := holder.Exec(t.Context(), `select pg_advisory_lock(1)`); err != nil {
		t.Fatal(err)
	}
	if err := l.ask(`select repeat('x', 1000) from generate_series(1, 100); select pg_advisory_lock_shared(1)`); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if rows, err := l.answer(short); err == nil {
			t.Errorf("got %v before the second half", rows)
		}
		cancel()
	}
	if _, err := holder.Exec(t.Context(), `select pg_advisory_unlock(1)`); err != nil {
		t.Fatal(err)
	}
	rows, err := l.answer(t.Context())
	if len(rows) != 101 || err != nil {
		t.Errorf("got %d rows of 101, error %v", len(rows), err)
	}
	if rows, err := l.query(t.Context(), `select 'next'`); err != nil || len(rows) != 1 || rows[0][0] != "next" {
		t.Errorf("then %v, %v", rows, err)
	}
	if _, err := l.query(t.Context(), `select 1/0`); !hasCode(err, "22012") || l.asked {
		t.Errorf("a refusal is %v", err)
	}
	if _, err := l.query(t.Context(), `select 1`); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
}
