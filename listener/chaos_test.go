package listener

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// TestNothingIsLostWhateverHappens works as the program does: a writer commits rows
// and says so, the handler takes all rows that are there. The network fails in
// every way it can meanwhile, and still no row is left, with no sweep to help while
// the listener believes that it hears.
func TestNothingIsLostWhateverHappens(t *testing.T) {
	t.Parallel()
	const rounds, rows = 12, 25
	db := pgtest.New(t)
	execute(t, db.URL(), `CREATE TABLE work (id int PRIMARY KEY)`)
	p := newProxy(t, db.URL())
	cfg := quick()
	cfg.ProofInterval, cfg.ProofTimeout = 50*time.Millisecond, 200*time.Millisecond

	taken := make(chan int64, 1<<16)
	start(t, p.source(t), cfg, func(Change) {
		tag, err := db.Pool.Exec(context.Background(), `DELETE FROM work`)
		if err != nil {
			t.Error(err)
		}
		taken <- tag.RowsAffected()
	})
	faults := []func(){
		func() {}, p.cut, func() { p.refuse(true); p.cut() }, p.hold, func() { terminate(t, db.Pool) },
	}
	for round := range rounds {
		faults[round%len(faults)]()
		for i := range rows {
			commitRow(t, db.Pool, round*rows+i)
		}
		p.refuse(false)
		p.flow()
	}
	awaitTotal(t, taken, rounds*rows)
}

// commitRow commits a row and its change, as the triggers do.
func commitRow(t *testing.T, pool *pgxpool.Pool, id int) {
	t.Helper()
	sql := fmt.Sprintf(`BEGIN; INSERT INTO work VALUES (%d); NOTIFY reminder_worker, ''; COMMIT`, id)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Conn().PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

// terminate ends the listener's session from the server's side.
func terminate(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'reminder-worker listener'`)
	if err != nil {
		t.Fatal(err)
	}
}

// awaitTotal returns when the handler has taken that many rows.
func awaitTotal(t *testing.T, taken <-chan int64, want int64) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for total := int64(0); total < want; {
		select {
		case n := <-taken:
			total += n
		case <-limit.C:
			t.Fatalf("%d of %d rows were taken", total, want)
		}
	}
}

func TestReplicasHearTheSameAndNotEachOther(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	cfg := quick()
	cfg.ProofInterval = 10 * time.Millisecond
	a, b := run(t, direct(t, url), cfg), run(t, direct(t, url), cfg)
	a.next(t, Backlog)
	b.next(t, Backlog)
	for _, r := range []*running{a, b} {
		awaitProof(t, r, time.Now()) // each has sent one to the other
	}
	execute(t, url, notify)
	for _, r := range []*running{a, b} {
		if c := r.next(t, Committed); c.Count != 1 {
			t.Errorf("heard %+v, want the one commit", c)
		}
	}
}
