package migrations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// DefaultLockTimeout is short enough for the app's users to wait through.
const DefaultLockTimeout = 2 * time.Second

// Options say how a Migrator works. The zero value is a good one.
type Options struct {
	// FS holds the files. Nil means the embedded ones.
	FS fs.FS

	// TurnTimeout is how long to wait while another process migrates,
	// in whole milliseconds. Zero means 30 seconds.
	TurnTimeout time.Duration

	// LockTimeout is how long a statement of a migration waits for a lock that
	// the app holds, in whole milliseconds; the app's queries queue behind it
	// meanwhile. Zero means DefaultLockTimeout.
	LockTimeout time.Duration

	// AppVersion is recorded beside each migration that this program applies.
	AppVersion string

	// Logf is told about each file that was applied. Nil means nobody is told.
	Logf func(format string, args ...any)
}

// Migrator brings databases up to one set of files. It keeps no state between
// calls and may be used from several goroutines.
type Migrator struct {
	opts  Options
	files []Migration
}

// New reads the files and checks their numbering.
func New(opts Options) (*Migrator, error) {
	if opts.FS == nil {
		opts.FS = embedded
	}
	if opts.TurnTimeout == 0 {
		opts.TurnTimeout = 30 * time.Second
	}
	if opts.LockTimeout == 0 {
		opts.LockTimeout = DefaultLockTimeout
	}
	if opts.Logf == nil {
		opts.Logf = func(string, ...any) {}
	}
	files, err := Load(opts.FS)
	if err != nil {
		return nil, err
	}
	return &Migrator{opts: opts, files: files}, errors.Join(
		checkTimeout("turn timeout", opts.TurnTimeout), checkTimeout("lock timeout", opts.LockTimeout))
}

// checkTimeout refuses what the server would read as "no limit".
func checkTimeout(name string, d time.Duration) error {
	if d < time.Millisecond || d > time.Hour {
		return fmt.Errorf("check migration options: %s %s is not between 1ms and 1h", name, d)
	}
	return nil
}

// Up applies what is pending, in order, and returns what it applied. On an error
// the files it returns stay applied and the next call continues after them.
func (m *Migrator) Up(ctx context.Context, conn *pgx.Conn) ([]Migration, error) {
	pending, err := m.Pending(ctx, conn)
	if err != nil {
		return nil, err
	}
	var applied []Migration
	for _, next := range pending {
		done, err := m.applyInTurn(ctx, conn, next)
		if err != nil {
			return applied, err
		}
		if done {
			applied = append(applied, next)
			m.opts.Logf("applied %s", next.File)
		}
	}
	return applied, nil
}

// Pending returns the files that the database does not have yet, or the error
// that keeps Up from applying them. It changes nothing and takes no lock.
func (m *Migrator) Pending(ctx context.Context, conn *pgx.Conn) ([]Migration, error) {
	records, err := readLedger(ctx, conn)
	if err != nil {
		return nil, err
	}
	return m.compare(records)
}

// compare holds the record against the files. What was recorded has to be the
// beginning of the list, unchanged.
func (m *Migrator) compare(records []record) ([]Migration, error) {
	if len(records) == 0 {
		return m.files, nil
	}
	newest, program := records[len(records)-1], m.files[len(m.files)-1]
	if newest.Version > program.Version {
		return nil, &NewerError{Database: newest.Version, Program: program.Version, AppVersion: newest.AppVersion}
	}
	var faults []error
	for i, file := range m.files[:newest.Version] {
		if i >= len(records) || records[i].Version != file.Version {
			return nil, errors.Join(append(faults, &GapError{Missing: file, Applied: newest.Version})...)
		}
		if records[i].Checksum != file.Checksum {
			faults = append(faults, &ChangedError{Migration: file, Recorded: records[i].Checksum})
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return m.files[newest.Version:], nil
}

// applyInTurn applies one file unless another process was faster, which it can
// only know once it holds the lock.
func (m *Migrator) applyInTurn(ctx context.Context, conn *pgx.Conn, next Migration) (done bool, err error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return false, fmt.Errorf("begin %s: %w", next.File, err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // nothing to roll back after the commit
	if err := m.takeTurn(ctx, tx); err != nil {
		return false, m.explainLock(ctx, conn, tx, err)
	}
	pending, err := m.Pending(ctx, conn)
	if err != nil || len(pending) == 0 || pending[0].Version != next.Version {
		return false, err
	}
	if err := m.apply(ctx, conn, next); err != nil {
		return false, explainDenial(ctx, conn, tx, err)
	}
	if err := tx.Commit(ctx); err != nil {
		return false, fmt.Errorf("commit %s: %w", next.File, err)
	}
	return true, nil
}

// apply runs a file as one string and records it, inside the caller's transaction.
func (m *Migrator) apply(ctx context.Context, conn *pgx.Conn, next Migration) error {
	if _, err := conn.Exec(ctx, ledgerSQL, pgx.QueryExecModeSimpleProtocol); err != nil {
		return ledgerError{err}
	}
	if err := runFile(ctx, conn, next); err != nil {
		return err
	}
	if conn.PgConn().TxStatus() != 'T' {
		return fmt.Errorf("apply %s: the file ends the transaction it runs in; take its commit or rollback out", next.File)
	}
	_, err := conn.Exec(ctx, `insert into reminder_worker.migrations (version, name, checksum, app_version) values ($1, $2, $3, $4)`,
		pgx.QueryExecModeExec, next.Version, next.Name, next.Checksum, m.opts.AppVersion)
	if err != nil {
		return fmt.Errorf("record %s: %w", next.File, err)
	}
	return nil
}

// runFile sends the whole file at once and counts the statements that succeed,
// so that an error without a position can be placed as well.
func runFile(ctx context.Context, conn *pgx.Conn, m Migration) error {
	results := conn.PgConn().Exec(ctx, m.SQL)
	succeeded := 0
	for results.NextResult() {
		if _, err := results.ResultReader().Close(); err == nil {
			succeeded++
		}
	}
	err := results.Close()
	if err == nil {
		return nil
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return locate(m, pgErr, succeeded)
	}
	return fmt.Errorf("apply %s: %w", m.File, err)
}
