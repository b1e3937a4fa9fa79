package app

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/store"
)

const (
	// statementLimit bounds every statement of the program, from the wait for a connection to the last row. A server that is frozen, or
	// behind a network that swallows everything, gives no other sign.
	statementLimit = 30 * time.Second
	// clockLimit bounds the question for the database's clock, which every sweep asks and which takes no work: so a database that swallows
	// everything is noticed in about the time in which a listener notices it.
	clockLimit = 8 * time.Second
	// pingAfter is how long a connection must have rested to be asked whether it is still alive: that is one more way to the server and
	// back, which a reminder that is due would pay with. What breaks sooner costs one failed statement, after which all are made anew. A little
	// more than SWEEP_INTERVAL is by default, so that the connections of an idle worker, which the sweeps use, are not asked each time.
	pingAfter = 35 * time.Second
	// pingLimit bounds the question whether a connection that rested is still alive, before another is taken.
	pingLimit = 5 * time.Second
)

// bounded is a database whose statements end in time, whatever the server does.
type bounded struct {
	db    store.DBTX
	limit time.Duration
}

var _ store.DBTX = bounded{}

// Exec implements store.DBTX.
func (b bounded) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	return b.db.Exec(ctx, sql, args...)
}

// Query implements store.DBTX. Its time runs until the rows are closed.
func (b bounded) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	rows, err := b.db.Query(ctx, sql, args...)
	if err != nil {
		cancel()
		return rows, err
	}
	return boundedRows{rows, cancel}, nil
}

// QueryRow implements store.DBTX. Its time runs until the row is scanned.
func (b bounded) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	limit := b.limit
	if sql == store.DatabaseNow {
		limit = min(limit, clockLimit)
	}
	if sql == store.DatabaseNow || sql == store.TakePermits {
		// So small that planning them each time is no matter, and asked for on the way to a push: preparing them first would be one more way to
		// the server and back on every new connection.
		args = append([]any{pgx.QueryExecModeExec}, args...)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	return boundedRow{b.db.QueryRow(ctx, sql, args...), cancel}
}

type boundedRows struct {
	pgx.Rows
	cancel context.CancelFunc
}

// Close implements pgx.Rows.
func (r boundedRows) Close() {
	r.Rows.Close()
	r.cancel()
}

type boundedRow struct {
	pgx.Row
	cancel context.CancelFunc
}

// Scan implements pgx.Row.
func (r boundedRow) Scan(dest ...any) error {
	defer r.cancel()
	return r.Row.Scan(dest...)
}
