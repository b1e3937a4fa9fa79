package reconcile

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

func TestMain(m *testing.M) {
	code := pgtest.Run(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// patienceOfTests is how long a test waits for what must come: a broken program is told by it, not a slow machine.
const patienceOfTests = 3 * time.Minute

// world is a database, a Google, and families.
type world struct {
	t      *testing.T
	pool   *pgxpool.Pool
	url    string
	google *gcalfake.Server
	cfg    Config
	gcal   gcal.Config
	log    journal
	names  map[uuid.UUID]string // of users at Google, where that is not their id; written before a reconciler is started

	statements statements
	mu         sync.Mutex
	armed      map[uuid.UUID]time.Time
}

func newWorld(t *testing.T, change ...func(*gcalfake.Config)) *world {
	t.Helper()
	db := pgtest.New(t)
	gc := gcalfake.Config{ClientID: "client", ClientSecret: "client-secret"}
	for _, f := range change {
		f(&gc)
	}
	google, err := gcalfake.Start(gc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(google.Close)
	w := &world{t: t, pool: db.Pool, url: db.URL(), google: google, cfg: DefaultConfig(), gcal: gcal.DefaultConfig(), armed: map[uuid.UUID]time.Time{}, names: map[uuid.UUID]string{}}
	w.cfg.RetryBase, w.cfg.RetryMax, w.cfg.SweepInterval = 20*time.Millisecond, 200*time.Millisecond, 25*time.Millisecond
	w.cfg.ProjectPause = 100 * time.Millisecond
	w.gcal.CalendarURL, w.gcal.TokenURL, w.gcal.RevokeURL = google.CalendarURL(), google.TokenURL(), google.RevokeURL()
	w.gcal.ClientID, w.gcal.ClientSecret = "client", "client-secret"
	t.Cleanup(func() {
		for _, v := range google.Violations() {
			t.Errorf("request violates Google's description: %s: %s", v.Op, v.Problem)
		}
	})
	return w
}

// reconciler makes one on connections of its own, which are named worker.
func (w *world) reconciler() *Reconciler {
	w.t.Helper()
	pc, err := pgxpool.ParseConfig(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	pc.MaxConns = 4
	pc.ConnConfig.RuntimeParams["application_name"] = "worker"
	pc.ConnConfig.Tracer = &w.statements
	pool, err := pgxpool.NewWithConfig(context.Background(), pc)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(pool.Close)
	client, err := gcal.New(w.gcal)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	log := zerolog.New(&w.log).Level(zerolog.InfoLevel)
	r, err := New(store.New(pool), client, w.cfg, log, NewMetrics(nil), w.arm)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) arm(reminders []Armed) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range reminders {
		w.armed[r.ID] = r.At
	}
}

// start runs a reconciler until stop is called, or the test ends.
func (w *world) start() (r *Reconciler, stop func()) {
	w.t.Helper()
	r = w.reconciler()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, context.Background()) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("run: %v", err)
		}
	})
	w.t.Cleanup(stop)
	return r, stop
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(context.Background(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

func one[T any](w *world, sql string, args ...any) T {
	w.t.Helper()
	var v T
	if err := w.pool.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// user makes a user with a connected calendar.
func (w *world) user() uuid.UUID {
	w.t.Helper()
	id := one[uuid.UUID](w, `insert into auth.users (email) values ('parent@example.org') returning id`)
	w.connect(id)
	return id
}

// name is who a user is at Google.
func (w *world) name(user uuid.UUID) string {
	if name := w.names[user]; name != "" {
		return name
	}
	return user.String()
}

func (w *world) connect(user uuid.UUID) {
	w.t.Helper()
	w.exec(`select reminder_worker.put_google_account($1, $2)`, user, w.google.Grant(w.name(user)))
}

func (w *world) event(user uuid.UUID, title string) uuid.UUID {
	w.t.Helper()
	return one[uuid.UUID](w, `insert into events (user_id, title, start_ts) values ($1, $2, now() + interval '2 days') returning id`, user, title)
}

func (w *world) events(user uuid.UUID, n int) {
	w.t.Helper()
	w.exec(`insert into events (user_id, title, start_ts)
		select $1, 'Practice ' || n, now() + interval '2 days' from generate_series(1, $2) n`, user, n)
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(patienceOfTests)
	for !ok() {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain for %s\n%s", what, w.log.tail())
		}
		select {
		case <-w.t.Context().Done():
			w.t.FailNow()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// untilTrue waits for a condition on the rows.
func (w *world) untilTrue(condition string, args ...any) {
	w.t.Helper()
	w.until(condition, func() bool { return one[bool](w, `select `+condition, args...) })
}

func (w *world) untilStatus(event uuid.UUID, status string) {
	w.t.Helper()
	w.untilTrue(`status = $2 and sync_lease_until is null from events where id = $1`, event, status)
}

// untilAll waits until every event has a status and nobody holds one.
func (w *world) untilAll(status string) {
	w.t.Helper()
	w.untilTrue(`not exists (select from events where status <> $1 or sync_lease_until is not null)`, status)
}

// live are the copies in a user's calendar that are not cancelled.
func (w *world) live(user uuid.UUID) (events []gcalfake.Event) {
	for _, e := range w.google.Events(w.name(user)) {
		if e.Status != "cancelled" {
			events = append(events, e)
		}
	}
	return events
}

// wantCopies checks that a user has one copy of each of so many events, and no twin.
func (w *world) wantCopies(user uuid.UUID, n int) {
	w.t.Helper()
	of := map[string]int{}
	for _, e := range w.live(user) {
		of[e.Private["reminder_worker_event"]]++
	}
	total := 0
	for event, copies := range of {
		total += copies
		if copies != 1 {
			w.t.Errorf("event %s has %d copies", event, copies)
		}
	}
	if total != n {
		w.t.Errorf("user has %d copies, want %d", total, n)
	}
}

// held is a call of Google that waits for the test.
type held struct {
	begun chan struct{} // closed when the call has reached Google
	let   func()        // lets it go on
}

// hold makes the first request of an operation wait, for one user or, if that is nil, for anybody.
func (w *world) hold(op string, user uuid.UUID) held {
	begun, release := make(chan struct{}), make(chan struct{})
	var met atomic.Bool
	w.google.Fail(func(r gcalfake.Request) *gcalfake.Fault {
		if r.Op != op || user != uuid.Nil && r.User != w.name(user) {
			return nil
		}
		if met.CompareAndSwap(false, true) {
			close(begun)
			<-release
		}
		return nil
	})
	h := held{begun: begun, let: sync.OnceFunc(func() { close(release) })}
	w.t.Cleanup(h.let)
	return h
}

func (w *world) await(what string, c <-chan struct{}) {
	w.t.Helper()
	select {
	case <-c:
	case <-time.After(patienceOfTests):
		w.t.Fatalf("waited in vain for %s\n%s", what, w.log.tail())
	}
}

// asked counts the requests of an operation.
func (w *world) asked(op string) int {
	n := 0
	for _, r := range w.google.Log() {
		if r.Op == op {
			n++
		}
	}
	return n
}

// journal keeps what is logged.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) count(part string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.buf.String(), part)
}

func (j *journal) tail() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.buf.String()
	return s[max(0, len(s)-3000):]
}

// statements counts what the worker asks of the database.
type statements struct{ n atomic.Int64 }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.n.Add(1)
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
