package wal

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/sql/pgtemp"
	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
)

// patience bounds every wait for something that must happen. It is never reached
// unless something is broken.
const patience = 3 * time.Minute

// TestMain has all tests share one server with room for the slots of many. A
// TEST_DATABASE_URL from outside is not used: such a server rarely has it.
func TestMain(m *testing.M) {
	code, err := runOnServer(m)
	if err == nil && code == 0 {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runOnServer(m *testing.M) (int, error) {
	server, err := pgtemp.Start(context.Background(), serverConfig(nil))
	if err != nil {
		return 1, err
	}
	if err := os.Setenv("TEST_DATABASE_URL", server.URL("postgres")); err != nil {
		return 1, err
	}
	code := pgtest.Run(m)
	return code, server.Stop(context.Background())
}

// serverConfig is that of pgtest, with what many tests at once need. settings come
// last.
func serverConfig(settings map[string]string) pgtemp.Config {
	all := map[string]string{"max_replication_slots": "60", "max_wal_senders": "60", "max_wal_size": "256MB"}
	maps.Copy(all, settings)
	return pgtemp.Config{
		BinDir:   os.Getenv("REMINDER_WORKER_PG_BIN"),
		Cache:    filepath.Join(os.TempDir(), fmt.Sprintf("reminder-worker-tests-%d", os.Geteuid())),
		Dir:      pgtemp.MemoryDir(),
		Settings: all,
	}
}

// ownServer is for a test that stops the server, changes it, or holds up others on
// it. It returns a migrated database.
func ownServer(t *testing.T, settings map[string]string) (*pgtemp.Server, *pgxpool.Pool, string) {
	t.Helper()
	server, err := pgtemp.Start(t.Context(), serverConfig(settings))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	url := server.URL("postgres")
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	migrate(t, url)
	return server, pool, url
}

// rig is one test's database, and how it is heard.
type rig struct {
	t    *testing.T
	pool *pgxpool.Pool
	url  string
	log  *lockedBuffer
	cfg  Config
}

func newRig(t *testing.T) *rig {
	t.Helper()
	db := pgtest.New(t)
	return rigOn(t, db.Pool, db.URL())
}

func rigOn(t *testing.T, pool *pgxpool.Pool, url string) *rig {
	cfg := DefaultConfig()
	cfg.SenderTimeout, cfg.StatusInterval = time.Minute, 20*time.Millisecond // nobody need listen while a test writes
	r := &rig{t: t, pool: pool, url: url, log: &lockedBuffer{}, cfg: cfg}
	t.Cleanup(func() { // a database with a slot cannot be dropped, and the server ends a connection after its client has
		r.until("no slot is left", func() bool {
			return !ask[bool](r, `select exists (select from pg_replication_slots where database = current_database())`)
		})
	})
	return r
}

// impatient has the server give up a mute worker as soon as a healthy one, on a
// busy machine, can still be told from it.
func (r *rig) impatient() *rig {
	r.cfg.SenderTimeout = 3 * time.Second
	return r
}

// permanent has the rig use a slot of its own, dropped at the end.
func (r *rig) permanent() *rig {
	r.cfg.Slot = fmt.Sprintf("slot_%d", time.Now().UnixNano())
	name := r.cfg.Slot
	r.t.Cleanup(func() {
		r.until("the slot is dropped", func() bool {
			_, err := r.pool.Exec(context.Background(), `select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1`, name)
			return err == nil
		})
	})
	return r
}

// connect returns a Connect for an address.
func (r *rig) connect(url string) Connect {
	return func(ctx context.Context) (*pgx.Conn, error) {
		cfg, err := pgx.ParseConfig(url)
		if err != nil {
			return nil, err
		}
		cfg.DialFunc = listener.DialFunc()
		r.cfg.Shape(cfg)
		return pgx.ConnectConfig(ctx, cfg)
	}
}

// source returns a source over an address; the rig's own if that is empty.
func (r *rig) source(url string) *Source {
	r.t.Helper()
	if url == "" {
		url = r.url
	}
	s, err := New(r.connect(url), bell{store.New(r.pool), "wal", r.keeps()}, r.cfg, zerolog.New(r.log), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) keeps() time.Duration {
	if r.cfg.Slot != "" {
		return 24 * time.Hour
	}
	return time.Minute
}

// open opens a path that is closed at the end of the test at the latest.
func (r *rig) open(url string) *path {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	p, err := r.source(url).Open(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(p.Close)
	return p.(*path)
}

// next receives the next message that is no pong.
func (r *rig) next(p listener.Path) listener.Message {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	for {
		m, err := p.Receive(ctx)
		if err != nil {
			r.t.Fatal(err)
		}
		if !m.Pong {
			return m
		}
	}
}

// serve receives in the background, acknowledging nothing, until stop.
func (r *rig) serve(p listener.Path) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := p.Receive(ctx); err != nil {
				return
			}
		}
	}()
	stop = func() { cancel(); <-done }
	r.t.Cleanup(stop)
	return stop
}

// say emits one message as the triggers do, in a transaction of its own.
func (r *rig) say(payload string) {
	r.exec(`select pg_logical_emit_message(true, $1, $2)`, prefix, payload)
}

func (r *rig) exec(sql string, args ...any) {
	r.t.Helper()
	if _, err := r.pool.Exec(r.t.Context(), sql, args...); err != nil {
		r.t.Fatalf("%s: %v", sql, err)
	}
}

// ask returns one value.
func ask[T any](r *rig, sql string, args ...any) (v T) {
	r.t.Helper()
	if err := r.pool.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		r.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// confirmed is what the server has been told of the rig's slot, and the end of the
// log.
func (r *rig) confirmed() uint64 {
	r.t.Helper()
	return uint64(ask[int64](r, `select confirmed_flush_lsn - '0/0' from pg_replication_slots where slot_name = $1`, r.cfg.Slot))
}

// until waits for what must come.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(limit) {
			r.t.Fatalf("waited in vain: %s\nlog:\n%s", what, r.log)
		}
	}
}

// logs waits for a line in the log.
func (r *rig) logs(text string) {
	r.t.Helper()
	r.until("the log says "+text, func() bool { return strings.Contains(r.log.String(), text) })
}

// bell is what the triggers look at.
type bell struct {
	db    *store.Queries
	way   string
	keeps time.Duration
}

func (b bell) Open(ctx context.Context, word string) (listener.Opened, error) {
	row, err := b.db.OpenBell(ctx, store.OpenBellParams{Way: b.way, TtlMs: b.keeps.Milliseconds(), Payload: word})
	return listener.Opened{Openings: row.Openings, QueueUsage: row.QueueUsage}, err
}

func (b bell) Send(ctx context.Context, word string) (int64, error) {
	return b.db.SendWord(ctx, store.SendWordParams{Way: b.way, Payload: word})
}

func (b bell) Close(ctx context.Context, sentMs int64, within time.Duration) (bool, error) {
	return b.db.CloseBell(ctx, store.CloseBellParams{Way: b.way, SinceMs: sentMs, WithinMs: within.Milliseconds()})
}

func (b bell) Writers(ctx context.Context, among []string) ([]string, error) {
	return b.db.Writers(ctx, among)
}
