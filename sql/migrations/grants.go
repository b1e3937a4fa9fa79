package migrations

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// upGrants lists what the role would have to be granted in order to migrate. It asks catalogs only, which every role may.
const upGrants = `
	select format('grant create on database %I to %I;', current_database(), current_user)
	where not has_database_privilege(current_database(), 'create')
		and (select count(*) from pg_catalog.pg_namespace where nspname in ('auth', 'reminder_worker')) < 2
	union all
	select format('grant usage, create on schema %I to %I;', nspname, current_user) from pg_catalog.pg_namespace
	where nspname in ('public', 'reminder_worker') and not (has_schema_privilege(oid, 'usage') and has_schema_privilege(oid, 'create'))
	union all
	select format('grant usage on schema auth to %I;', current_user) from pg_catalog.pg_namespace
	where nspname = 'auth' and not has_schema_privilege(oid, 'usage')
	union all
	select format('grant select, references on auth.users to %I;', current_user)
	from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
	where n.nspname = 'auth' and c.relname = 'users' and not (has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'references'))
	union all
	select distinct format('grant %I to %I;', pg_get_userbyid(c.relowner), current_user)
	from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
	where n.nspname = 'public' and c.relname in ('events', 'reminders') and not pg_has_role(c.relowner, 'usage')`

// readGrants lists what the role would have to be granted in order to read the record.
const readGrants = `
	select format('grant usage on schema reminder_worker to %I;', current_user) from pg_catalog.pg_namespace
	where nspname = 'reminder_worker' and not has_schema_privilege(oid, 'usage')
	union all
	select format('grant select on reminder_worker.migrations to %I;', current_user)
	from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
	where n.nspname = 'reminder_worker' and c.relname = 'migrations' and not has_table_privilege(c.oid, 'select')`

// MissingGrants returns the statements that would allow the role of conn to migrate, for the owner of the database; none when it may.
func MissingGrants(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	_, grants, err := askGrants(ctx, conn, upGrants)
	return grants, err
}

func askGrants(ctx context.Context, conn *pgx.Conn, query string) (role string, grants []string, err error) {
	err = conn.QueryRow(ctx, `select current_user::text, array(`+query+`)::text[]`, pgx.QueryExecModeExec).Scan(&role, &grants)
	if err != nil {
		return "", nil, fmt.Errorf("ask for privileges: %w", err)
	}
	return role, grants, nil
}

// denied turns a refusal for want of privileges into a PermissionError. In a transaction that has failed nothing can be asked: the error
// then names the role that connected, and no grants.
func denied(ctx context.Context, conn *pgx.Conn, action string, err error, query string) error {
	if !hasCode(err, insufficientPrivilege) {
		return fmt.Errorf("%s: %w", action, err)
	}
	role, grants, unanswered := askGrants(ctx, conn, query)
	if unanswered != nil {
		role = conn.Config().User
	}
	return &PermissionError{Action: action, Role: role, Grants: grants, Err: err}
}

// ledgerError says that it was the record, and not a file, that could not be made.
type ledgerError struct{ error }

func (e ledgerError) Unwrap() error { return e.error }

// explainDenial adds to an error of apply what the role lacks, if that is the cause. The transaction has failed by now, so it is ended
// before asking.
func explainDenial(ctx context.Context, conn *pgx.Conn, tx pgx.Tx, err error) error {
	const action = "create the migrations table"
	ledger, isLedger := errors.AsType[ledgerError](err)
	switch pgErr, ok := errors.AsType[*pgconn.PgError](err); {
	case isLedger && (!ok || pgErr.Code != insufficientPrivilege || tx.Rollback(ctx) != nil):
		return fmt.Errorf("%s: %w", action, ledger.error)
	case isLedger:
		return denied(ctx, conn, action, ledger.error, upGrants)
	}
	if fault, ok := errors.AsType[*StatementError](err); ok && fault.Err.Code == insufficientPrivilege && tx.Rollback(ctx) == nil {
		_, fault.Grants, _ = askGrants(ctx, conn, upGrants) // without them the message says less
	}
	return err
}
