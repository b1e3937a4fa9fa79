package app

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// each poolerMode is tried with fewer server connections than the worker has clients where that is possible.
var poolerModes = []struct {
	mode string
	size int
}{{"transaction", 2}, {"session", 12}}

// The whole way from an empty database to a push, through a pooler in either mode, over two lives of the worker.
func TestBehindPgBouncer(t *testing.T) {
	t.Parallel()
	program := findPgBouncer(t)
	if program == "" {
		return
	}
	for _, m := range poolerModes {
		t.Run(m.mode, func(t *testing.T) {
			t.Parallel()
			db := pgtest.NewEmpty(t)
			p := startPooler(t, program, db.URL(), m.mode, m.size)
			w := newWorldOn(t, db.Pool, p.address())
			var log journal
			a, stop := w.startLogging(&log)
			w.until("ready", a.Ready)
			w.serveMany(20)
			stop()
			a, stop = w.startLogging(&log)
			w.until("ready again", a.Ready)
			w.serveMany(20)
			if refused := a.pulse.refused(); len(refused) > 0 {
				t.Errorf("refused: %+v", refused)
			}
			stop()
			if text := log.String(); strings.Contains(text, "prepared statement") {
				t.Errorf("a statement was prepared on one connection and looked for on another:\n%s", text)
			}
		})
	}
}

// startLogging is start with a log to look into.
func (w *world) startLogging(log *journal) (a *App, stop func()) {
	w.t.Helper()
	a, err := New(w.cfg, ops.Build{Version: "test"}, zerolog.New(log).Level(zerolog.InfoLevel))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("run: %v", err)
		}
	}
	w.t.Cleanup(func() {
		stop()
		if w.t.Failed() {
			w.t.Log(log.String())
		}
	})
	return a, stop
}

// serveMany sees the events of several users through: copies, reminders, and a push each.
func (w *world) serveMany(n int) {
	w.t.Helper()
	before := len(w.expo.Pushes())
	events := make([]uuid.UUID, n)
	users := make([]uuid.UUID, n)
	for i := range events {
		users[i], _ = w.user()
		events[i] = w.event(users[i], "Soccer practice", 30*time.Minute+2*time.Second)
	}
	w.until("copies", func() bool {
		return one[int](w, `select count(*)::int from events where status = 'synced' and id = any($1)`, events) == n
	})
	for _, u := range users {
		if copies := w.live(u); len(copies) != 1 {
			w.t.Errorf("%d copies, want 1", len(copies))
		}
	}
	w.until("pushes", func() bool { return len(w.expo.Pushes()) >= before+n })
	w.until("receipts", func() bool {
		return one[int](w, `select count(*)::int from reminders where lead_seconds = 1800 and status = 'sent' and event_id = any($1)`, events) == n
	})
	if got := len(w.expo.Pushes()) - before; got != n {
		w.t.Errorf("%d pushes, want %d", got, n)
	}
}

// Workers that start at the same time through a pooler in transaction mode migrate in turns, each file once.
func TestMigrateBehindPgBouncer(t *testing.T) {
	t.Parallel()
	program := findPgBouncer(t)
	if program == "" {
		return
	}
	db := pgtest.NewEmpty(t)
	p := startPooler(t, program, db.URL(), "transaction", 3)
	w := newWorldOn(t, db.Pool, p.address())
	var starting errgroup.Group
	for range 4 {
		a, err := New(w.cfg, ops.Build{Version: "test"}, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		defer a.close()
		starting.Go(func() error { return a.prepare(t.Context()) })
	}
	if err := starting.Wait(); err != nil {
		t.Fatal(err)
	}
	if twice := one[int](w, `select count(*)::int - count(distinct version)::int from reminder_worker.migrations`); twice != 0 {
		t.Errorf("%d files were applied twice", twice)
	}
	if left := one[int](w, `select count(*)::int from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`); left != 0 {
		t.Errorf("%d locks were left behind", left)
	}
}

// A pooler whose server connections are all taken is told from a server that is not there.
func TestPoolerIsExhausted(t *testing.T) {
	t.Parallel()
	program := findPgBouncer(t)
	if program == "" {
		return
	}
	p := startPooler(t, program, pgtest.NewEmpty(t).URL(), "session", 1)
	taken, err := Connect(t.Context(), Config{DatabaseURL: p.address()})
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(t.Context(), taken)
	if err := taken.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := wired(t, p.address()+"&connect_timeout=1")
	err = a.prepare(t.Context())
	if e, ok := errors.AsType[*UnreachableError](err); !ok || !strings.Contains(e.Reason, "answers nothing in time") || !strings.Contains(e.Fix, "pool size") {
		t.Errorf("%v", err)
	}
}
