package app

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
)

// wired is the program with its pool, connected to nothing yet.
func wired(t *testing.T, address string) *App {
	t.Helper()
	w := newWorldOn(t, nil, address)
	a, err := New(w.cfg, ops.Build{Version: "test"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	return a
}

// hammer runs many statements with parameters over all connections at once.
func hammer(ctx context.Context, a *App) error {
	var asking errgroup.Group
	for asker := range 12 {
		asking.Go(func() error {
			for i := range 25 {
				var sum int
				if err := a.pool.QueryRow(ctx, "select $1::int + $2::int", asker, i).Scan(&sum); err != nil || sum != asker+i {
					return errors.Join(err, errors.New("asked in vain"))
				}
				if _, err := a.pool.Exec(ctx, "select set_config('reminder_worker.test', $1, true)", "x"); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return asking.Wait()
}

// prepared is how many statements stay prepared on the connection that the question comes through.
func prepared(t *testing.T, a *App) (n int) {
	t.Helper()
	if err := a.pool.QueryRow(t.Context(), "select count(*)::int from pg_prepared_statements where $1", true).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// planning is how the statements of a connection are planned.
func planning(t *testing.T, a *App) (mode string) {
	t.Helper()
	if err := a.pool.QueryRow(t.Context(), "show plan_cache_mode").Scan(&mode); err != nil {
		t.Fatal(err)
	}
	return mode
}

// Statements are prepared where they stay, and only there; who says how they are sent is obeyed.
func TestStatementsArePrepared(t *testing.T) {
	t.Parallel()
	address := pgtest.NewEmpty(t).URL()
	direct := wired(t, address)
	if err := hammer(t.Context(), direct); err != nil {
		t.Error(err)
	}
	if prepared(t, direct) == 0 {
		t.Error("nothing is prepared on a direct connection")
	}
	if got := planning(t, direct); got != "force_generic_plan" {
		t.Errorf("plan_cache_mode is %s on a direct connection", got)
	}
	if told := wired(t, address+"&default_query_exec_mode=exec"); prepared(t, told) != 0 {
		t.Error("a statement was prepared against the operator's word")
	}
	program := findPgBouncer(t)
	if program == "" {
		return
	}
	for _, m := range poolerModes {
		p := startPooler(t, program, address, m.mode, m.size)
		a := wired(t, p.address())
		if err := hammer(t.Context(), a); err != nil {
			t.Errorf("%s mode: %v", m.mode, err)
		}
		if prepared(t, a) != 0 {
			t.Errorf("%s mode: statements are prepared", m.mode)
		}
		if got := planning(t, a); got != "auto" {
			t.Errorf("%s mode: a session that is not ours was set to plan_cache_mode %s", m.mode, got)
		}
	}
	session := startPooler(t, program, address, "session", 12)
	if told := wired(t, session.address()+"&default_query_exec_mode=cache_statement"); prepared(t, told) == 0 {
		t.Error("the operator's word, which is the default, was not heard")
	}
}

// A database that is reached directly at first, and through a pooler after a failover: no statement fails because of it.
func TestRouteTurnsToPooler(t *testing.T) {
	t.Parallel()
	program := findPgBouncer(t)
	if program == "" {
		return
	}
	address := pgtest.NewEmpty(t).URL()
	r := startRelay(t, address)
	a := wired(t, r.address)
	if prepared(t, a) == 0 {
		t.Fatal("nothing is prepared on a direct connection")
	}
	p := startPooler(t, program, address, "transaction", 2)
	r.turn(p.host())
	for deadline := time.Now().Add(patience); a.pool.Ping(t.Context()) != nil; { // the cut connections are found out by the first who asks
		if time.Now().After(deadline) {
			t.Fatal("not connected again")
		}
	}
	if err := hammer(t.Context(), a); err != nil {
		t.Error(err)
	}
	r.turn(r.first)
	for deadline := time.Now().Add(patience); a.pool.Ping(t.Context()) != nil; {
		if time.Now().After(deadline) {
			t.Fatal("not connected again")
		}
	}
	if err := hammer(t.Context(), a); err != nil {
		t.Error(err)
	}
}

// Something that lends connections and passes the server's own process ids on is known by the statements that are not where they were
// prepared.
func TestRouteLearnsFromRefusals(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]pgx.QueryExecMode{"26000": pgx.QueryExecModeCacheDescribe, "42P05": pgx.QueryExecModeCacheDescribe, "42P01": 0} {
		r := newRoute(0)
		r.TraceQueryEnd(t.Context(), nil, pgx.TraceQueryEndData{Err: &pgconn.PgError{Code: code}})
		var cfg pgx.ConnConfig
		if err := r.choose(t.Context(), &cfg); err != nil || cfg.DefaultQueryExecMode != want {
			t.Errorf("%s: %v, %v; want %v", code, cfg.DefaultQueryExecMode, err, want)
		}
	}
}

// relay passes connections on to a server that may be changed.
type relay struct {
	address string // a connection string
	first   string // host and port it began with
	target  atomic.Pointer[string]
	serving sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns map[net.Conn]bool
}

func startRelay(t *testing.T, address string) *relay {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{first: u.Host, conns: map[net.Conn]bool{}}
	r.target.Store(&r.first)
	u.Host = l.Addr().String()
	r.address = u.String()
	r.serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			r.serving.Go(func() { r.pass(client) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); r.cut(); r.serving.Wait() })
	return r
}

func (r *relay) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", *r.target.Load())
	if err != nil {
		return
	}
	defer server.Close()
	r.mu.Lock()
	r.conns[client] = true
	r.mu.Unlock()
	var up sync.WaitGroup
	up.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
	_, _ = io.Copy(client, server)
	_ = client.Close()
	up.Wait()
	r.mu.Lock()
	delete(r.conns, client)
	r.mu.Unlock()
}

// turn leads all connections, from now on, to another server; the present ones end.
func (r *relay) turn(host string) {
	r.target.Store(&host)
	r.cut()
}

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		_ = c.Close()
	}
}

// A plan that was made while a table was small is given up once a statement has become slow, but not over and over.
func TestPlansAreKeptInLine(t *testing.T) {
	t.Parallel()
	a := wired(t, pgtest.NewEmpty(t).URL())
	conn, err := a.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	fits := func() {
		t.Helper()
		if ok, err := a.route.fits(t.Context(), conn.Conn()); !ok || err != nil {
			t.Fatalf("the connection is given up: %v", err)
		}
	}
	v := visitOf(conn.Conn())
	if v.planned.IsZero() {
		t.Fatal("it is not known since when statements are planned")
	}
	var sum int
	if err := conn.QueryRow(t.Context(), "select $1::int + $2::int", 1, 2).Scan(&sum); err != nil || sum != 3 {
		t.Fatal(sum, err)
	}
	v.slow = false // this machine may be
	if _, err := conn.Exec(t.Context(), "select pg_sleep($1)", 2*slowStatement.Seconds()); err != nil {
		t.Fatal(err)
	}
	if !v.slow {
		t.Error("a slow statement was not noticed")
	}
	v.planned = time.Now().Add(time.Hour) // later than any moment at which this looks
	if fits(); !v.slow {
		t.Error("plans that have just been made were given up")
	}
	old := time.Now().Add(-planAge * 3 / 2)
	v.planned = old
	if fits(); v.slow || !v.planned.After(old) {
		t.Errorf("the plans were kept: %+v", v)
	}
	v.slow, v.planned = true, old
	if fits(); !v.slow {
		t.Error("plans are given up again, as soon as for the first time")
	}
	v.planned = time.Now().Add(-2 * planAgeMost)
	if fits(); v.slow {
		t.Error("plans are given up no more")
	}
	if err := conn.QueryRow(t.Context(), "select $1::int + $2::int", 3, 4).Scan(&sum); err != nil || sum != 7 {
		t.Errorf("after that 3 and 4 are %d: %v", sum, err)
	}
}

// Statements that are prepared before they are needed, and are refused then, are held against nobody: the connection is good, and readiness
// speaks of what was to be done and failed.
func TestRehearsalsDoNotCount(t *testing.T) {
	t.Parallel()
	a := wired(t, pgtest.NewEmpty(t).URL()) // without any of the tables
	var held []*pgxpool.Conn
	for range a.cfg.PoolSize {
		conn, err := a.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	for _, conn := range held {
		conn.Release()
	}
	a.rehearseIdle(t.Context(), a.cfg.PoolSize)
	for _, conn := range a.pool.AcquireAllIdle(t.Context()) {
		if v := visitOf(conn.Conn()); v.planned.IsZero() || !v.rehearsed {
			t.Errorf("a connection was not prepared: %+v", v)
		}
		conn.Release()
	}
	if found := a.pulse.refused(); len(found) > 0 || a.pulse.fault() != nil {
		t.Errorf("held against the database: %v, %v", found, a.pulse.fault())
	}
	for range tolerated + 1 {
		if _, err := store.New(a.pool).NextDue(t.Context(), true); err == nil {
			t.Fatal("there is a table")
		}
	}
	if found := a.pulse.refused(); len(found) != 1 {
		t.Errorf("a statement that was needed and refused is not told: %v", found)
	}
}
