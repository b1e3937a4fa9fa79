package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// stranger connects as a new role that has been granted nothing.
func stranger(t *testing.T, db *pgtest.DB) (conn, admin *pgx.Conn, role string) {
	t.Helper()
	conn, admin, role = db.Connect(t), db.Connect(t), "stranger_to_"+db.Name
	exec(t, admin, "create role "+role)
	exec(t, admin, "revoke create on schema public from public") // as it is from PostgreSQL 15 on
	t.Cleanup(func() { _, _ = admin.Exec(context.Background(), "drop owned by "+role+" cascade; drop role "+role) })
	exec(t, conn, "set session authorization "+role)
	return conn, admin, role
}

// Whoever may not migrate is told who that is and what to grant; having been granted just that, the role may.
func TestWhatIsMissingToMigrate(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	conn, admin, role := stranger(t, db)
	m := migrator(t, migrations.Options{})
	_, err := m.Up(t.Context(), conn)
	denied, ok := errors.AsType[*migrations.PermissionError](err)
	want := []string{
		fmt.Sprintf("grant create on database %s to %s;", db.Name, role), fmt.Sprintf("grant usage, create on schema public to %s;", role),
	}
	if !ok || denied.Role != role {
		t.Fatalf("%v, want a PermissionError of %s", err, role)
	}
	if diff := cmp.Diff(want, denied.Grants); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
	text := fmt.Sprintf("create the migrations table: role %q may not: permission denied for database %s\nhint: Run the migrations as the owner", role, db.Name)
	if !strings.HasPrefix(err.Error(), text) || !strings.HasSuffix(err.Error(), denied.Grants[1]) {
		t.Errorf("%q", err)
	}
	exec(t, admin, denied.Grants[0])
	_, err = m.Up(t.Context(), conn)
	fault, ok := errors.AsType[*migrations.StatementError](err)
	if !ok || !strings.Contains(err.Error(), "permission denied for schema public") || !strings.HasSuffix(fault.Hint(), want[1]) {
		t.Errorf("with half of the grants: %v", err)
	}
	exec(t, admin, denied.Grants[1])
	up(t, m, conn)
	if left, err := migrations.MissingGrants(t.Context(), conn); err != nil || len(left) > 0 {
		t.Errorf("after all grants %v are missing: %v", left, err)
	}
}

func TestWhatIsMissingToMigrateTheTablesOfAnother(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	conn, admin, role := stranger(t, db)
	exec(t, admin, older+"create schema reminder_worker")
	got, err := migrations.MissingGrants(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"grant usage, create on schema public to " + role + ";", "grant usage, create on schema reminder_worker to " + role + ";",
		"grant usage on schema auth to " + role + ";", "grant select, references on auth.users to " + role + ";", "grant postgres to " + role + ";"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
}

func TestWhatIsMissingToReadTheRecord(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	conn, admin, role := stranger(t, db)
	m := migrator(t, migrations.Options{FS: shelf()})
	up(t, m, admin)
	_, err := m.Status(t.Context(), conn)
	denied, ok := errors.AsType[*migrations.PermissionError](err)
	if !ok {
		t.Fatalf("%v, want a PermissionError", err)
	}
	want := []string{"grant usage on schema reminder_worker to " + role + ";", "grant select on reminder_worker.migrations to " + role + ";"}
	if diff := cmp.Diff(want, denied.Grants); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
	for _, grant := range denied.Grants {
		exec(t, admin, grant)
	}
	if _, err := m.Status(t.Context(), conn); err != nil {
		t.Error(err)
	}
}
