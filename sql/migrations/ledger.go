package migrations

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ledgerSQL makes the table that records what was applied. It asks before it
// creates the schema, because `create schema if not exists` wants the right to
// create even when there is nothing to do.
const ledgerSQL = `do $ledger$
begin
  if to_regnamespace('reminder_worker') is null then
    create schema reminder_worker;
    revoke all on schema reminder_worker from public;
  end if;
  if to_regclass('reminder_worker.migrations') is null then
    create table reminder_worker.migrations (
      version int primary key,
      name text not null,
      checksum text not null,
      applied_at timestamptz not null default now(),
      app_version text not null default ''
    );
    revoke all on table reminder_worker.migrations from public;
  end if;
end
$ledger$`

// record is one row of the ledger.
type record struct {
	Version    int
	Name       string
	Checksum   string
	AppliedAt  time.Time
	AppVersion string
}

// readLedger returns the rows in order; a ledger that does not exist is empty.
// It needs nothing but the right to read.
func readLedger(ctx context.Context, conn *pgx.Conn) ([]record, error) {
	exists, err := ledgerExists(ctx, conn)
	if err != nil || !exists {
		return nil, err
	}
	rows, err := conn.Query(ctx, `select version, name, checksum, applied_at, app_version
		from reminder_worker.migrations order by version`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, denied(ctx, conn, "read recorded migrations", err, readGrants)
	}
	records, err := pgx.CollectRows(rows, pgx.RowToStructByPos[record])
	if err != nil {
		return nil, denied(ctx, conn, "read recorded migrations", err, readGrants)
	}
	return records, nil
}

// ledgerExists reads the catalog itself: to_regclass is refused to a role that
// may not use the schema, and would look like a broken database.
func ledgerExists(ctx context.Context, conn *pgx.Conn) (exists bool, err error) {
	err = conn.QueryRow(ctx, `select exists (
		select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where n.nspname = 'reminder_worker' and c.relname = 'migrations')`,
		pgx.QueryExecModeSimpleProtocol).Scan(&exists)
	if err != nil {
		return false, fmt.Errorf("look for recorded migrations: %w", err)
	}
	return exists, nil
}
