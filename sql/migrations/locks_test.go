package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

func TestStatementsDoNotQueueBehindALongTransaction(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	conn, app := db.Connect(t), db.Connect(t)
	first := files("0001_books.sql", "create table public.books (id int primary key);\ninsert into public.books values (1);\n")
	up(t, migrator(t, migrations.Options{FS: first}), conn)
	tx, err := app.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, app, "select from public.books")
	_, err = migrator(t, migrations.Options{FS: shelf(), LockTimeout: 20 * time.Millisecond}).Up(t.Context(), conn)
	fault, ok := errors.AsType[*migrations.StatementError](err)
	if !ok || !fault.LockTimeout() || !strings.Contains(err.Error(), "at: alter table public.books") ||
		!strings.Contains(err.Error(), "\nhint: A long transaction is using the table") {
		t.Errorf("error is %v, want a lock timeout of the alter table", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{2}, up(t, migrator(t, migrations.Options{FS: shelf()}), conn)); diff != "" {
		t.Errorf("applied afterwards (-want +got):\n%s", diff)
	}
}

func TestLockErrorNamesTheHolder(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	slow, conn := db.Connect(t), db.Connect(t)
	exec(t, slow, "set application_name = 'slow migrator'")
	ctx, cancel := context.WithCancel(t.Context())
	sleeper := migrator(t, migrations.Options{FS: files("0001_slow.sql", "select pg_sleep(600);")})
	g := errgroup.Group{}
	g.Go(func() error {
		_, err := sleeper.Up(ctx, slow)
		if !errors.Is(err, context.Canceled) {
			return fmt.Errorf("slow migrator: %w", err)
		}
		return nil
	})
	awaitLock(t, conn)
	_, err := migrator(t, migrations.Options{FS: shelf(), TurnTimeout: 20 * time.Millisecond}).Up(t.Context(), conn)
	busy, ok := errors.AsType[*migrations.LockError](err)
	if !ok || busy.Holder == nil || busy.Holder.Application != "slow migrator" || !strings.Contains(err.Error(), `application "slow migrator"`) {
		t.Errorf("error is %v, want a LockError that names the holder", err)
	}
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]int{1, 2}, up(t, migrator(t, migrations.Options{FS: shelf()}), conn)); diff != "" {
		t.Errorf("applied afterwards (-want +got):\n%s", diff)
	}
}

// awaitLock waits until somebody in this database holds an advisory lock.
func awaitLock(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	const query = `select exists (select from pg_locks where locktype = 'advisory' and granted
		and database = (select oid from pg_database where datname = current_database()))`
	deadline := time.Now().Add(time.Minute)
	for !ask[bool](t, conn, query) {
		if time.Now().After(deadline) {
			t.Fatal("nobody took the lock")
		}
	}
}

func TestNothingToDoTakesNoLock(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	m := migrator(t, migrations.Options{FS: shelf(), TurnTimeout: time.Millisecond, LockTimeout: time.Hour})
	conn := db.Connect(t)
	up(t, migrator(t, migrations.Options{FS: shelf()}), conn)
	exec(t, conn, "set default_transaction_read_only = on")
	exec(t, db.Connect(t), "begin; lock table reminder_worker.migrations in exclusive mode") // readers pass
	if again := up(t, m, conn); again != nil {
		t.Errorf("applied again: %v", again)
	}
}

func TestRolesWithFewRights(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	admin := db.Connect(t)
	owner, reader, stranger := "owner_of_"+db.Name, "reader_of_"+db.Name, "stranger_to_"+db.Name
	for _, role := range []string{owner, reader, stranger} {
		exec(t, admin, "create role "+role+" login")
		t.Cleanup(func() {
			_, _ = admin.Exec(context.Background(), "reassign owned by "+role+" to postgres")
			_, _ = admin.Exec(context.Background(), "drop owned by "+role+"; drop role "+role)
		})
	}
	exec(t, admin, "create schema reminder_worker authorization "+owner) // a role that may not create schemas
	m := migrator(t, migrations.Options{FS: files("0001_a.sql", "create table reminder_worker.a (id int);")})
	as := func(role string) *pgx.Conn {
		conn := db.Connect(t)
		exec(t, conn, "set session authorization "+role)
		return conn
	}
	if diff := cmp.Diff([]int{1}, up(t, m, as(owner))); diff != "" {
		t.Errorf("applied by the owner of the schema (-want +got):\n%s", diff)
	}
	exec(t, admin, "grant usage on schema reminder_worker to "+reader+"; grant select on reminder_worker.migrations to "+reader)
	if states, err := m.Status(t.Context(), as(reader)); err != nil || states[0].Verdict != migrations.Applied {
		t.Errorf("status for a reader: %v (%v)", states, err)
	}
	if _, err := m.Status(t.Context(), as(stranger)); err == nil {
		t.Error("a stranger may read the private schema")
	}
}
