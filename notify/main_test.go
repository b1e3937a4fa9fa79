package notify

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
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sql/permits"
	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
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

// patience is how long a test waits for what must come: a broken program is told by it, not a slow machine.
const patience = 3 * time.Minute

// world is a database, an Expo, and families with phones.
type world struct {
	t     *testing.T
	pool  *pgxpool.Pool
	url   string
	expo  *expofake.Server
	cfg   Config
	quota permits.Config // without limit unless a test sets one
	log   journal
	reg   *prometheus.Registry
	key   string // the access token that the sender uses
}

func newWorld(t *testing.T, change ...func(*expofake.Config)) *world {
	t.Helper()
	db := pgtest.New(t)
	ec := expofake.DefaultConfig()
	ec.Rate = 0
	for _, f := range change {
		f(&ec)
	}
	push, err := expofake.Start(ec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { push.Close() })
	w := &world{t: t, pool: db.Pool, url: db.URL(), expo: push, cfg: DefaultConfig(), reg: prometheus.NewRegistry(), key: ec.AccessToken}
	w.cfg.RetryBase, w.cfg.RetryMax, w.cfg.PauseMin, w.cfg.PauseMax = 10*time.Millisecond, 50*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond
	w.cfg.SweepGrace = 100 * time.Millisecond
	w.quota = permits.Config{Quota: "expo", Window: time.Second, Keep: 50 * time.Millisecond, Margin: 50 * time.Millisecond, Chunk: 1}
	w.cfg.ReceiptDelay = 50 * time.Millisecond
	return w
}

// sender makes one on connections of its own, which are named worker.
func (w *world) sender() *Sender {
	w.t.Helper()
	pc, err := pgxpool.ParseConfig(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	pc.MaxConns = 6
	pc.ConnConfig.RuntimeParams["application_name"] = "worker"
	pool, err := pgxpool.NewWithConfig(context.Background(), pc)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(pool.Close)
	ec := expo.DefaultConfig()
	ec.URL, ec.AccessToken = w.expo.URL(), w.key
	client, err := expo.New(ec)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	w.reg = prometheus.NewRegistry()
	log := zerolog.New(&w.log).Level(zerolog.InfoLevel)
	quota, err := permits.New(store.New(pool), w.quota, log, permits.NewMetrics(nil))
	if err != nil {
		w.t.Fatal(err)
	}
	s, err := New(store.New(pool), client, quota, w.cfg, log, NewMetrics(w.reg))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// start runs a sender with a filled wheel until stop is called, or the test ends.
func (w *world) start() (s *Sender, stop func()) {
	w.t.Helper()
	s = w.sender()
	stop = w.run(context.Background(), s)
	s.Look(Window)
	w.until("wheel filled", s.Ready)
	return s, stop
}

func (w *world) run(work context.Context, s *Sender) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, work) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("run: %v", err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// sweep asks a sender to look for what is overdue, again and again, until the test ends.
func (w *world) sweep(s *Sender) { w.repeatedly(50*time.Millisecond, func() { s.Look(Overdue) }) }

// repeatedly does something again and again until the test ends.
func (w *world) repeatedly(d time.Duration, do func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(d)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				do()
			}
		}
	}()
	w.t.Cleanup(func() { close(done); <-ended })
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

// user makes a user with so many phones.
func (w *world) user(phones int) (id uuid.UUID, tokens []string) {
	w.t.Helper()
	id = one[uuid.UUID](w, `insert into auth.users (email) values ('parent@example.org') returning id`)
	for range phones {
		token := "ExponentPushToken[" + uuid.NewString() + "]"
		w.register(id, token)
		tokens = append(tokens, token)
	}
	return id, tokens
}

func (w *world) register(user uuid.UUID, token string) {
	w.t.Helper()
	w.expo.Register(token)
	w.exec(`select reminder_worker.put_push_device($1, $2, 'ios')`, user, token)
}

// event makes one that needs no reconciling any more.
func (w *world) event(user uuid.UUID, in time.Duration) uuid.UUID {
	w.t.Helper()
	return one[uuid.UUID](w, `insert into events (user_id, title, start_ts, location, status) values ($1, 'Recital', now() + $2, 'Field 3', 'synced') returning id`, user, in)
}

// planned makes a reminder as planning writes it.
func (w *world) planned(event uuid.UUID, in time.Duration) uuid.UUID {
	w.t.Helper()
	return one[uuid.UUID](w, `insert into reminders (event_id, user_id, notify_at_ts, message, plan_revision, planned_for_ts)
		select id, user_id, clock_timestamp() + $2, 'Field 3', sync_revision, start_ts from events where id = $1 returning id`, event, in)
}

// own makes a reminder of the app's own, on an event of its own.
func (w *world) own(user uuid.UUID, in time.Duration) uuid.UUID {
	w.t.Helper()
	return one[uuid.UUID](w, `insert into reminders (event_id, user_id, notify_at_ts, message)
		values ($1, $2, clock_timestamp() + $3, 'Pack the violin') returning id`, w.event(user, 5*time.Hour), user, in)
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
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
	w.until(condition, func() bool {
		holds := one[*bool](w, `select `+condition, args...)
		return holds != nil && *holds
	})
}

func (w *world) untilStatus(reminder uuid.UUID, status string) {
	w.t.Helper()
	w.untilTrue(`status = $2 from reminders where id = $1`, reminder, status)
}

// reminder is a row as the tests look at it.
func (w *world) reminder(id uuid.UUID) string {
	w.t.Helper()
	return one[string](w, `select format('%s, %s tries, %s', status, retry_count, coalesce(error_message, '-')) from reminders where id = $1`, id)
}

// pushesOf returns the accepted pushes of one reminder.
func (w *world) pushesOf(id uuid.UUID) (pushes []expofake.Push) {
	for _, p := range w.expo.Pushes() {
		if p.CollapseID == id.String() {
			pushes = append(pushes, p)
		}
	}
	return pushes
}

// hold makes the first request to Expo wait until it is let go.
func (w *world) hold() (begun <-chan struct{}, let func()) {
	started, release := make(chan struct{}), make(chan struct{})
	var met atomic.Bool
	w.expo.Fail(func(r expofake.Request) *expofake.Fault {
		if r.Endpoint == expofake.SendEndpoint && met.CompareAndSwap(false, true) {
			close(started)
			<-release
		}
		return nil
	})
	let = sync.OnceFunc(func() { close(release) })
	w.t.Cleanup(let)
	return started, let
}

func (w *world) await(what string, c <-chan struct{}) {
	w.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		w.t.Fatalf("waited in vain for %s\n%s", what, w.log.tail())
	}
}

// metric is the sum of a counter's series.
func (w *world) metric(name string) float64 {
	w.t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != "reminder_worker_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
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

func list[T any](w *world, sql string, args ...any) []T {
	w.t.Helper()
	rows, err := w.pool.Query(context.Background(), sql, args...)
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return found
}
