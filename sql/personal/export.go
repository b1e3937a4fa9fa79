package personal

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/store"
)

// The name and the version of the document.
const (
	Format  = "reminder-worker/user-export"
	Version = 1
)

// Database is where the rows are.
type Database interface {
	store.DBTX
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
}

// Holdings are what is held about a user, in rows.
type Holdings struct {
	Known bool // auth.users has the user

	Events, Reminders, Copies, Devices, Settings, Accounts, Children int64
	Deletions                                                        int64 // 1: the user is being forgotten
}

// None reports whether there is nothing.
func (h Holdings) None() bool {
	return h.Events+h.Reminders+h.Copies+h.Devices+h.Settings+h.Accounts+h.Children+h.Deletions == 0
}

// UnknownError says that nothing is held about a user, and that the app does not know them either.
type UnknownError struct{ User uuid.UUID }

// Error implements error.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("there is no user %s in auth.users, and nothing is held about one", e.User)
}

// Look counts what is held about a user. For one who is nowhere known it fails with an UnknownError.
func Look(ctx context.Context, db store.DBTX, user uuid.UUID) (Holdings, error) {
	row, err := store.New(db).UserHoldings(ctx, user)
	if err != nil {
		return Holdings{}, fmt.Errorf("count what is held about the user: %w", err)
	}
	h := Holdings{
		Known: row.Exists, Events: row.Events, Reminders: row.Reminders, Copies: row.Copies, Devices: row.Devices, Settings: row.Settings,
		Accounts: row.Accounts, Children: row.Children, Deletions: row.Deletions,
	}
	if !h.Known && h.None() {
		return h, &UnknownError{user}
	}
	return h, nil
}

// section is a kind of rows in the document, and the statement that answers them.
type section struct{ name, sql string }

var sections = []section{
	{"settings", store.ExportSettings},
	{"google_accounts", store.ExportAccounts},
	{"children", store.ExportChildren},
	{"devices", store.ExportDevices},
	{"events", store.ExportEvents},
	{"reminders", store.ExportReminders},
	{"deliveries", store.ExportDeliveries},
	{"copies", store.ExportCopies},
	{"deletions", store.ExportDeletions},
}

// rowLimit is how long the database may take to answer the next row.
const rowLimit = time.Minute

// Export writes the document about a user to out, and returns how many rows of each kind are in it. Of an unknown user it writes nothing and fails with an
// UnknownError. After any other error what was written is not whole.
func Export(ctx context.Context, db Database, user uuid.UUID, out io.Writer) (rows map[string]int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e := &exporter{out: bufio.NewWriterSize(out, 64<<10), patience: time.AfterFunc(rowLimit, func() { cancel(errSilent) }), rows: map[string]int64{}}
	defer e.patience.Stop()
	o := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	tx, err := db.BeginTx(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("begin to read: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing was written
	if err := e.document(ctx, tx, user); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	return e.rows, nil
}

var errSilent = fmt.Errorf("the database has not answered for %s", rowLimit)

// exporter is one document under way.
type exporter struct {
	out      *bufio.Writer
	patience *time.Timer // runs while the database is asked
	rows     map[string]int64
}

func (e *exporter) document(ctx context.Context, tx pgx.Tx, user uuid.UUID) error {
	if _, err := tx.Exec(ctx, "set local timezone = 'UTC'"); err != nil {
		return fmt.Errorf("set the time zone: %w", err)
	}
	if _, err := Look(ctx, tx, user); err != nil {
		return err
	}
	now, err := store.New(tx).DatabaseNow(ctx)
	if err != nil {
		return fmt.Errorf("read the database's clock: %w", err)
	}
	fmt.Fprintf(e.out, "{\"format\":%q,\"version\":%d,\"exported_at\":%q,\"user_id\":%q", Format, Version, now.NowTs.UTC().Format(time.RFC3339Nano), user)
	for _, s := range sections {
		if err := e.section(ctx, tx, user, s); err != nil {
			return fmt.Errorf("export %s: %w", s.name, err)
		}
	}
	if _, err := e.out.WriteString("\n}\n"); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := e.out.Flush(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// section writes the rows of one kind, each in a line of its own.
func (e *exporter) section(ctx context.Context, tx pgx.Tx, user uuid.UUID, s section) error {
	fmt.Fprintf(e.out, ",\n%q:[", s.name)
	rows, err := tx.Query(ctx, s.sql, user)
	if err != nil {
		return err
	}
	defer rows.Close()
	for e.patience.Reset(rowLimit); rows.Next(); e.patience.Reset(rowLimit) {
		e.patience.Stop() // who reads may take their time
		var row json.RawMessage
		if err := rows.Scan(&row); err != nil {
			return err
		}
		if e.rows[s.name] > 0 {
			_ = e.out.WriteByte(',') // kept until the next write
		}
		_ = e.out.WriteByte('\n')
		if _, err := e.out.Write(row); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		e.rows[s.name]++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	_, err = e.out.WriteString("]")
	return err
}
