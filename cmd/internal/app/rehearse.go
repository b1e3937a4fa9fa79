package app

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/sql/store"
)

// calm is for how long no connection must have been made before statements are planned ahead of need. To plan them costs the server some 50 ms
// for each connection: while a network comes and goes, what there is to do comes first.
const calm = time.Second

// atOnce is on how many connections they are planned when the program starts: as many as serve one event.
const atOnce = 2

// rehearse plans the statements that events and reminders wait for when it has been calm for a while, on every connection that nobody uses then; on
// one that is used they are planned by that use.
func (a *App) rehearse(ctx context.Context) {
	a.rehearseIdle(ctx, atOnce)
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.route.fresh:
		}
		if a.calms(ctx) {
			a.rehearseIdle(ctx, a.cfg.PoolSize)
		}
	}
}

// calms waits until no connection has been made for a while, and reports whether that came before ctx ended.
func (a *App) calms(ctx context.Context) bool {
	t := time.NewTimer(calm)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-a.route.fresh:
			t.Reset(calm)
		case <-t.C:
			return true
		}
	}
}

// rehearseIdle goes through the connections that nobody uses, one after the other, up to so many.
func (a *App) rehearseIdle(ctx context.Context, most int) {
	for range most {
		conn := a.unrehearsed(ctx)
		if conn == nil {
			return
		}
		run, cancel := context.WithTimeout(context.WithValue(ctx, rehearsalKey{}, true), statementLimit)
		_ = store.Warm(run, conn) // a statement that is refused is told of when it is needed
		cancel()
		visitOf(conn.Conn()).rehearsed = true
		conn.Release()
	}
}

// unrehearsed takes a connection that keeps plans and has not made them, if there is one that nobody uses.
func (a *App) unrehearsed(ctx context.Context) (found *pgxpool.Conn) {
	for _, conn := range a.pool.AcquireAllIdle(ctx) {
		if v := visitOf(conn.Conn()); found == nil && !v.planned.IsZero() && !v.rehearsed {
			found = conn
		} else {
			conn.Release()
		}
	}
	return found
}
