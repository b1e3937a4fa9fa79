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
	ctx, cancel := context.WithTimeout(ctx, b.limit)
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
