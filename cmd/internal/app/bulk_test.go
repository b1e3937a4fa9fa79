package app

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/sql/pgtemp"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

func (w *world) checkBulk(users []uuid.UUID, events int) {
	w.t.Helper()
	w.until("every event synced", func() bool {
		return one[int](w, `select count(*)::int from events where status = 'synced'`) == events
	})
	ids := map[string]bool{}
	n := 0
	for _, u := range users {
		for _, e := range w.live(u) {
			ids[e.Private["reminder_worker_event"]] = true
			n++
		}
	}
	if n != events || len(ids) != events {
		w.t.Errorf("%d copies of %d events, want one each of %d", n, len(ids), events)
	}
	if got := one[int](w, `select count(*)::int from reminders where status = 'pending' and plan_revision is not null`); got != 3*events {
		w.t.Errorf("%d reminders planned, want %d", got, 3*events)
	}
}

// Five thousand events in one transaction, then as many in one transaction each from eight connections, while the worker runs.
func TestBulk(t *testing.T) { // not parallel: it measures memory and takes the whole machine
	eachSource(t, testBulk)
}

func testBulk(t *testing.T, s source) {
	w := s.world(t)
	users := w.crowd(50)
	p := w.spawn(slices.Concat(s.settings, []string{"CALENDAR_RATE=0"})...) // more than Google takes in a minute

	each := s.of(5000)
	w.exec(`insert into events (user_id, title, start_ts)
		select ($1::uuid[])[1 + n % 50], 'Bulk ' || n, now() + interval '3 days' + n * interval '1 second' from generate_series(1, $2) n`, users, each)
	w.checkBulk(users, each)
	first := p.resident()

	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for n := i; n < each; n += 8 {
				_, err := w.db.Exec(context.Background(), `insert into events (user_id, title, start_ts) values ($1, $2, now() + interval '3 days')`,
					users[n%len(users)], fmt.Sprintf("Single %d", n))
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	w.checkBulk(users, 2*each)
	second := p.resident()
	t.Logf("the worker holds %d KB after %d events, %d KB after %d", first, each, second, 2*each)
	if second > first+first/2 {
		t.Errorf("memory grew from %d KB to %d KB with the number of events served", first, second)
	}
}

// Postgres restarts under the running worker, in every way it can.
func TestDatabaseRestart(t *testing.T) {
	t.Parallel()
	eachSource(t, testDatabaseRestart)
}

func testDatabaseRestart(t *testing.T, s source) {
	t.Parallel()
	server := pgtest.NewServer(t)
	pool, err := pgxpool.New(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w := newWorldOn(t, pool, server.URL("postgres"))
	w.cfg.ChangeSource = s.name
	a, _ := w.start()
	w.until("ready", a.Ready)
	user, _ := w.user()
	for _, mode := range []pgtemp.Mode{pgtemp.Fast, pgtemp.Immediate, pgtemp.Crash} {
		before := w.event(user, "Before "+mode.String(), 25*time.Hour)
		if err := server.Restart(t.Context(), mode); err != nil {
			t.Fatal(err)
		}
		w.until("database back", func() bool { return w.db.Ping(t.Context()) == nil })
		after := w.event(user, "After "+mode.String(), 25*time.Hour)
		w.untilStatus(before, "synced")
		w.untilStatus(after, "synced")
	}
	if n := len(w.live(user)); n != 6 {
		t.Errorf("%d copies, want 6", n)
	}
	w.until("ready again", func() bool { return a.checkDatabase().OK })
}
