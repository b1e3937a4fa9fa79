package listener

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/store"
)

// patience bounds every wait for something that must happen. It is never reached
// unless something is broken.
const patience = 3 * time.Minute

// quick returns settings under which failures are noticed within a test, and the
// sweep runs only while the listener does not hear: a sweep says "deaf".
func quick() Config {
	c := DefaultConfig()
	c.BackoffMin, c.BackoffMax = time.Millisecond, 20*time.Millisecond
	c.SweepInterval, c.SweepDegraded = time.Hour, 10*time.Millisecond
	c.StormCommits = 0
	return c
}

// dialing returns a Connect for one address, through the package's own dialer.
func dialing(url string) Connect {
	return func(ctx context.Context) (*pgx.Conn, error) {
		cfg, err := pgx.ParseConfig(url)
		if err != nil {
			return nil, err
		}
		cfg.DialFunc = DialFunc()
		return pgx.ConnectConfig(ctx, cfg)
	}
}

// storeBell is the bell of the triggers in a migrated database.
type storeBell struct{ db *store.Queries }

func (b storeBell) Open(ctx context.Context, word string) (Opened, error) {
	row, err := b.db.OpenBell(ctx, store.OpenBellParams{Way: "notify", TtlMs: time.Minute.Milliseconds(), Payload: word})
	return Opened{row.Openings, row.QueueUsage}, err
}

func (b storeBell) Send(ctx context.Context, word string) (int64, error) {
	return b.db.SendWord(ctx, store.SendWordParams{Way: "notify", Payload: word})
}

func (b storeBell) Close(ctx context.Context, sentMs int64, within time.Duration) (bool, error) {
	return b.db.CloseBell(ctx, store.CloseBellParams{Way: "notify", SinceMs: sentMs, WithinMs: within.Milliseconds()})
}

func (b storeBell) Writers(ctx context.Context, among []string) ([]string, error) {
	return b.db.Writers(ctx, among)
}

// over returns a source that hears the database at direct through another address.
func over(t testing.TB, via, direct string) Source {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(direct)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 2
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s, err := NewNotifySource(dialing(via), storeBell{store.New(pool)}, "reminder_worker")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// direct is over with nothing in between.
func direct(t testing.TB, url string) Source { t.Helper(); return over(t, url, url) }

// running is a listener under test, and what it has handed on.
type running struct {
	*Listener
	changes chan Change
	log     *lockedBuffer
	stop    func() error
}

// run starts a listener and stops it at the end of the test.
func run(t *testing.T, source Source, cfg Config) *running {
	t.Helper()
	changes := make(chan Change, 1<<16)
	r := start(t, source, cfg, func(c Change) { changes <- c })
	r.changes = changes
	return r
}

// start is run with a handler of the test's own.
func start(t *testing.T, source Source, cfg Config, handle func(Change)) *running {
	t.Helper()
	log := &lockedBuffer{}
	ctx, cancel := context.WithCancel(context.Background())
	l := New(source, cfg, zerolog.New(log), nil)
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx, handle) }()
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return &running{Listener: l, log: log, stop: stop}
}

// next returns the next change of a cause, passing over others.
func (r *running) next(t *testing.T, cause Cause) Change {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		select {
		case c := <-r.changes:
			if c.Cause == cause {
				return c
			}
		case <-limit.C:
			t.Fatalf("no %v change came; status %+v", cause, r.Status())
		}
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func zeroLog() zerolog.Logger { return zerolog.Nop() }

// migrate installs the triggers in a database of the test's own server.
func migrate(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	m, err := migrations.New(migrations.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Up(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
}

// execute runs statements on a connection of their own.
func execute(t *testing.T, url string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}
