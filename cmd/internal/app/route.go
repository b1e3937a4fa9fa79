package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/sql/store"
)

// route knows what lies between the pool and the server: whether it is a pooler that lends server connections, and whether the server is
// still the one that the connections were made to. Every connection is examined when it is made, in one question, and none is made to a
// server that takes no writes. Make it with newRoute.
type route struct {
	chosen     pgx.QueryExecMode // the operator's choice; zero: it depends on what is found
	pooled     atomic.Bool       // the latest connection goes through a pooler
	shared     atomic.Bool       // a prepared statement was not there, or there already: something lends connections and hides it
	generation atomic.Uint64     // of connections: a new one begins with every reset
	pool       atomic.Pointer[pgxpool.Pool]
	fresh      chan struct{} // capacity 1: a connection has statements that are not planned yet
}

// visit is what is known about one connection.
type visit struct {
	generation uint64
	pooled     bool
	prepares   bool      // statements stay prepared on the server
	planned    time.Time // since when those that are prepared have been planned; zero: each is planned for itself
	slow       bool      // one of them took long since
	given      int       // how often they have been given up for that
	rehearsed  bool      // those that are waited for are planned
}

const (
	// slowStatement is how long a statement takes that may have a bad plan.
	slowStatement = 25 * time.Millisecond
	// planAge is how old plans are at least that are given up for it: making them anew takes some milliseconds, and that may not be the reason.
	// It doubles each time, up to planAgeMost: what stays slow is so for another reason.
	planAge     = time.Second
	planAgeMost = time.Minute
)

func newRoute(chosen pgx.QueryExecMode) *route {
	return &route{chosen: chosen, fresh: make(chan struct{}, 1)}
}

// unplanned says that there is something to rehearse.
func (r *route) unplanned() {
	select {
	case r.fresh <- struct{}{}:
	default:
	}
}

// visitKey is where a connection keeps its visit.
const visitKey = "visit"

// chosenMode is how the operator wants statements to be sent (default_query_exec_mode), or zero. The driver's parser takes the setting for
// itself, and does not tell its default from the same by choice; the plain one leaves it.
func chosenMode(connString string) pgx.QueryExecMode {
	plain, err := pgconn.ParseConfig(connString)
	if err != nil || plain.RuntimeParams["default_query_exec_mode"] == "" {
		return 0
	}
	cfg, err := pgx.ParseConfig(connString)
	if err != nil {
		return 0
	}
	return cfg.DefaultQueryExecMode
}

// guard has the route examine every connection of a pool that is made with cfg.
func (r *route) guard(cfg *pgxpool.Config) {
	cfg.ConnConfig.ValidateConnect = both(r.examine, cfg.ConnConfig.ValidateConnect)
	cfg.BeforeConnect, cfg.AfterConnect, cfg.PrepareConn = r.choose, r.note, r.fits
}

// both asks the one, then the operator's condition (target_session_attrs), if there is any. In this order a server that takes no writes is
// refused in words, whatever the condition.
func both(first, operators pgconn.ValidateConnectFunc) pgconn.ValidateConnectFunc {
	if operators == nil {
		return first
	}
	return func(ctx context.Context, pc *pgconn.PgConn) error {
		if err := first(ctx, pc); err != nil {
			return err
		}
		return operators(ctx, pc)
	}
}

// examine refuses a server that takes no writes, so that the next host is tried, and sees whether there is a pooler.
func (r *route) examine(ctx context.Context, pc *pgconn.PgConn) error {
	generation := r.generation.Load() // before asking: what changes meanwhile ends this generation
	s, err := askServer(ctx, pc)
	if err == nil {
		err = s.writable(pc)
	}
	if err != nil {
		return err
	}
	r.pooled.Store(s.pooled)
	pc.CustomData()[visitKey] = &visit{generation: generation, pooled: s.pooled}
	return nil
}

// choose picks how statements are sent. A pooler in transaction mode has every statement run on whatever server connection is free, where
// what was prepared on another is not known: there, what a statement takes and returns is asked once, and each run is one round trip of
// its own. In session mode that does no harm. What anybody's LISTEN has left on such a server connection comes to whoever is lent it, and
// would be kept for ever.
func (r *route) choose(_ context.Context, cfg *pgx.ConnConfig) error {
	cfg.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) {}
	switch {
	case r.chosen != 0:
		cfg.DefaultQueryExecMode = r.chosen
	case r.pooled.Load() || r.shared.Load():
		cfg.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	return nil
}

// note remembers how the connection sends statements, and has those that stay prepared planned once. Behind a pooler the session is not ours to set.
func (r *route) note(ctx context.Context, conn *pgx.Conn) error {
	store.Register(conn.TypeMap())
	v := visitOf(conn)
	v.prepares = conn.Config().DefaultQueryExecMode == pgx.QueryExecModeCacheStatement
	if !v.prepares || v.pooled || r.shared.Load() {
		return nil
	}
	if _, err := conn.PgConn().Exec(ctx, store.Planning).ReadAll(); err != nil {
		return fmt.Errorf("set how statements are planned: %w", err)
	}
	v.planned = time.Now()
	r.unplanned()
	return nil
}

// fits tells the pool to make another connection in place of one that would prepare statements where they do not stay: the first that
// leads through a pooler. Where a statement has become slow, all are planned anew: a table may have grown by far since they were.
func (r *route) fits(ctx context.Context, conn *pgx.Conn) (bool, error) {
	v := visitOf(conn)
	if r.chosen == 0 && v.prepares && (v.pooled || r.shared.Load()) {
		return false, nil
	}
	if v.slow && time.Since(v.planned) > min(planAge<<min(v.given, 16), planAgeMost) {
		v.slow, v.planned, v.given, v.rehearsed = false, time.Now(), v.given+1, false
		if _, err := conn.PgConn().Exec(ctx, `discard plans`).ReadAll(); err != nil {
			return false, nil //nolint:nilerr // another connection is made in its place
		}
		r.unplanned()
	}
	return true, nil
}

func visitOf(conn *pgx.Conn) *visit {
	if v, ok := conn.PgConn().CustomData()[visitKey].(*visit); ok {
		return v
	}
	return &visit{}
}

var _ pgx.QueryTracer = (*route)(nil)

// beganKey is where a statement's context keeps when it began.
type beganKey struct{}

// TraceQueryStart remembers when. What is run for nothing is planned then, and slow for that; what is shown to a person may be slow.
func (r *route) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if ctx.Value(rehearsalKey{}) != nil || isAside(ctx) {
		return ctx
	}
	return context.WithValue(ctx, beganKey{}, time.Now())
}

// TraceQueryEnd looks for signs that the server is no longer what the connections were made to, or its tables what the plans were made for.
func (r *route) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	if began, ok := ctx.Value(beganKey{}).(time.Time); ok && conn != nil && time.Since(began) > slowStatement {
		if v := visitOf(conn); !v.planned.IsZero() {
			v.slow = true
		}
	}
	pe, answered := errors.AsType[*pgconn.PgError](data.Err)
	switch {
	case data.Err == nil, ctx.Err() != nil: // a statement that was given up closes its connection, and tells nothing of the others
	case answered && (pe.Code == unknownStatement || pe.Code == duplicateStatement):
		r.shared.Store(true)
	case answered && (pe.Code == readOnly || goesAway(pe)), !answered && conn.IsClosed():
		r.leave(visitOf(conn).generation)
	}
}

// leave has all connections of a generation replaced: where one led to a server that has gone, or takes no writes any more, the others do
// too, and a string of several hosts is to be read from its beginning. The connections of an older generation have been given up already.
func (r *route) leave(generation uint64) {
	if pool := r.pool.Load(); pool != nil && r.generation.CompareAndSwap(generation, generation+1) {
		pool.Reset()
	}
}
