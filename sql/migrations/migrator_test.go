package migrations_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// files makes a file system of migrations from name and text, in turn.
func files(nameAndText ...string) fs.FS {
	made := fstest.MapFS{}
	for i := 0; i < len(nameAndText); i += 2 {
		made[nameAndText[i]] = &fstest.MapFile{Data: []byte(nameAndText[i+1])}
	}
	return made
}

// shelf is a small set that works.
func shelf() fs.FS {
	return files(
		"0001_books.sql", "create table public.books (id int primary key);\ninsert into public.books values (1);\n",
		"0002_titles.sql", "alter table public.books add column title text;",
	)
}

func migrator(t *testing.T, opts migrations.Options) *migrations.Migrator {
	t.Helper()
	m, err := migrations.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// up applies and returns the versions applied.
func up(t *testing.T, m *migrations.Migrator, conn *pgx.Conn) []int {
	t.Helper()
	applied, err := m.Up(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return versions(applied)
}

func versions(list []migrations.Migration) (found []int) {
	for _, m := range list {
		found = append(found, m.Version)
	}
	return found
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func ask[T any](t *testing.T, conn *pgx.Conn, query string) (answer T) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

func TestUpAppliesEachFileOnce(t *testing.T) {
	t.Parallel()
	conn := pgtest.NewEmpty(t).Connect(t)
	var told []string
	m := migrator(t, migrations.Options{FS: shelf(), AppVersion: "v1.2.3", Logf: func(format string, args ...any) {
		told = append(told, fmt.Sprintf(format, args...))
	}})
	for _, want := range [][]int{{1, 2}, nil} {
		if diff := cmp.Diff(want, up(t, m, conn)); diff != "" {
			t.Errorf("applied (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff([]string{"applied 0001_books.sql", "applied 0002_titles.sql"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	states, err := m.Status(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	want := []migrations.State{
		{Version: 1, Name: "books", Verdict: migrations.Applied, AppVersion: "v1.2.3"},
		{Version: 2, Name: "titles", Verdict: migrations.Applied, AppVersion: "v1.2.3"},
	}
	for i := range states {
		if states[i].AppliedAt.IsZero() {
			t.Errorf("version %d was applied at no time", states[i].Version)
		}
		states[i].AppliedAt = time.Time{}
	}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func TestEmbeddedFilesApplyTwice(t *testing.T) {
	t.Parallel()
	conn := pgtest.NewEmpty(t).Connect(t)
	all, err := migrations.List()
	if err != nil {
		t.Fatal(err)
	}
	m := migrator(t, migrations.Options{})
	if diff := cmp.Diff(versions(all), up(t, m, conn)); diff != "" {
		t.Errorf("applied (-want +got):\n%s", diff)
	}
	if again := up(t, m, conn); again != nil {
		t.Errorf("applied again: %v", again)
	}
}

func TestFiveAtOnceApplyEachFileOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	m := migrator(t, migrations.Options{FS: shelf()})
	applied := make([][]migrations.Migration, 5)
	g, ctx := errgroup.WithContext(t.Context())
	for i := range applied {
		conn := db.Connect(t)
		g.Go(func() (err error) {
			applied[i], err = m.Up(ctx, conn)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	times := map[int]int{}
	for _, one := range applied {
		for _, version := range versions(one) {
			times[version]++
		}
	}
	if diff := cmp.Diff(map[int]int{1: 1, 2: 1}, times); diff != "" {
		t.Errorf("how often each version was applied (-want +got):\n%s", diff)
	}
	if got := ask[int](t, db.Connect(t), "select count(*) from books"); got != 1 {
		t.Errorf("%d books, want 1", got)
	}
}

func TestUpContinuesAfterAFailure(t *testing.T) {
	t.Parallel()
	conn := pgtest.NewEmpty(t).Connect(t)
	broken := migrator(t, migrations.Options{FS: files(
		"0001_books.sql", "create table public.books (id int primary key);",
		"0002_titles.sql", "alter table public.books add column title text; select 1/0;",
	)})
	applied, err := broken.Up(t.Context(), conn)
	if err == nil {
		t.Fatal("a broken file was applied")
	}
	if diff := cmp.Diff([]int{1}, versions(applied)); diff != "" {
		t.Errorf("applied before the failure (-want +got):\n%s", diff)
	}
	repaired := migrator(t, migrations.Options{FS: files(
		"0001_books.sql", "create table public.books (id int primary key);",
		"0002_titles.sql", "alter table public.books add column title text;",
	)})
	if diff := cmp.Diff([]int{2}, up(t, repaired, conn)); diff != "" {
		t.Errorf("applied after the repair (-want +got):\n%s", diff)
	}
}

func TestUpRefusesADatabaseThatDiffers(t *testing.T) {
	t.Parallel()
	changed, gap, newer := &migrations.ChangedError{}, &migrations.GapError{}, &migrations.NewerError{}
	for name, test := range map[string]struct {
		edit   string
		target any
		want   string
	}{
		"changed":    {"update reminder_worker.migrations set checksum = 'x' where version = 1", &changed, "0001_books.sql was changed after"},
		"gap":        {"delete from reminder_worker.migrations where version = 1", &gap, "0001_books.sql is not recorded as applied, but version 2 is"},
		"newer":      {"insert into reminder_worker.migrations values (3, 'y', 'z', now(), 'v9.9.9')", &newer, "the database is at version 3, this program knows 2; it was migrated by v9.9.9"},
		"gap behind": {"delete from reminder_worker.migrations where version = 1; update reminder_worker.migrations set checksum = 'x'", &gap, "0001_books.sql"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := pgtest.NewEmpty(t).Connect(t)
			m := migrator(t, migrations.Options{FS: shelf()})
			up(t, m, conn)
			exec(t, conn, test.edit)
			_, err := m.Up(t.Context(), conn)
			if !errors.As(err, test.target) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %T with %q", err, test.target, test.want)
			}
		})
	}
}

func TestStatusOfADatabaseThatDiffers(t *testing.T) {
	t.Parallel()
	conn := pgtest.NewEmpty(t).Connect(t)
	m := migrator(t, migrations.Options{FS: shelf()})
	verdicts := func() (found []migrations.Verdict) {
		states, err := m.Status(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range states {
			found = append(found, s.Verdict)
		}
		return found
	}
	if diff := cmp.Diff([]migrations.Verdict{migrations.Pending, migrations.Pending}, verdicts()); diff != "" {
		t.Errorf("before the first Up (-want +got):\n%s", diff)
	}
	up(t, m, conn)
	exec(t, conn, `update reminder_worker.migrations set checksum = 'x' where version = 1;
		delete from reminder_worker.migrations where version = 2;
		insert into reminder_worker.migrations (version, name, checksum) values (7, 'later', 'z'), (0, 'earlier', 'z')`)
	want := []migrations.Verdict{migrations.Unknown, migrations.Changed, migrations.Pending, migrations.Unknown}
	if diff := cmp.Diff(want, verdicts()); diff != "" {
		t.Errorf("after tampering (-want +got):\n%s", diff)
	}
}

func TestLineEndingsDoNotChangeAFile(t *testing.T) {
	t.Parallel()
	conn := pgtest.NewEmpty(t).Connect(t)
	up(t, migrator(t, migrations.Options{FS: files("0001_a.sql", "select 1;\nselect 2;\n")}), conn)
	if again := up(t, migrator(t, migrations.Options{FS: files("0001_a.sql", "\ufeffselect 1;\r\nselect 2;\r\n")}), conn); again != nil {
		t.Errorf("applied again: %v", again)
	}
}

func TestStatementErrorPlacesTheFault(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sql          string
		line, column int
		contains     string
	}{
		"syntax, after wide characters": {"select 'Zürich – 東京';\nselect 'é', selct;\n", 2, 13, `at: select 'é', selct;`},
		"unknown table":                 {"select 1;\n\n  select *\n  from nowhere;\n", 4, 8, `relation "nowhere" does not exist`},
		"no position":                   {"-- one\ncreate table t (id int primary key);\ninsert into t values (1);\n/* two */ insert into t\nvalues (1);\n", 4, 11, "detail: Key (id)=(1) already exists."},
		"inside a block":                {"select 1;\ndo $$\nbegin\n  perform no_such(1);\nend $$;\n", 2, 1, "where: PL/pgSQL function inline_code_block line 3 at PERFORM; in: SELECT no_such(1)"},
		"raised with a hint":            {"do $$ begin raise exception 'no' using hint = 'ask first'; end $$;", 1, 1, "hint: ask first"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := pgtest.NewEmpty(t).Connect(t)
			_, err := migrator(t, migrations.Options{FS: files("0001_faulty.sql", test.sql)}).Up(t.Context(), conn)
			fault, ok := errors.AsType[*migrations.StatementError](err)
			if !ok {
				t.Fatalf("error is %v, want a StatementError", err)
			}
			if fault.Line != test.line || fault.Column != test.column {
				t.Errorf("fault is at %d:%d, want %d:%d", fault.Line, fault.Column, test.line, test.column)
			}
			where := fmt.Sprintf("0001_faulty.sql:%d:%d", test.line, test.column)
			if !strings.Contains(err.Error(), where) || !strings.Contains(err.Error(), test.contains) {
				t.Errorf("error is %q, want %q and %q in it", err, where, test.contains)
			}
			if ask[bool](t, conn, "select to_regnamespace('reminder_worker') is not null") {
				t.Error("the failed first file left a schema behind")
			}
		})
	}
}

func TestAFileMustNotEndItsTransaction(t *testing.T) {
	t.Parallel()
	conn := pgtest.NewEmpty(t).Connect(t)
	_, err := migrator(t, migrations.Options{FS: files("0001_a.sql", "select 1; commit;")}).Up(t.Context(), conn)
	if err == nil || !strings.Contains(err.Error(), "take its commit or rollback out") {
		t.Errorf("error is %v, want a refusal", err)
	}
}

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
	if !ok || !fault.LockTimeout() || !strings.Contains(err.Error(), "at: alter table public.books") {
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

func TestPrintedFilesCountAsApplied(t *testing.T) {
	t.Parallel()
	m := migrator(t, migrations.Options{AppVersion: `it's v1\2`})
	var all bytes.Buffer
	if err := m.Print(&all, 1); err != nil {
		t.Fatal(err)
	}
	conn := pgtest.NewEmpty(t).Connect(t)
	exec(t, conn, all.String())
	exec(t, conn, all.String()) // changes nothing
	if applied := up(t, m, conn); applied != nil {
		t.Errorf("applied again: %v", applied)
	}
	if got := ask[string](t, conn, "select distinct app_version from reminder_worker.migrations"); got != `it's v1\2` {
		t.Errorf("recorded program is %q", got)
	}
}

func TestPrintedSchemaIsTheSame(t *testing.T) {
	t.Parallel()
	m := migrator(t, migrations.Options{})
	byUp, byPrint := pgtest.NewEmpty(t).Connect(t), pgtest.NewEmpty(t).Connect(t)
	up(t, m, byUp)
	var all bytes.Buffer
	if err := m.Print(&all, 1); err != nil {
		t.Fatal(err)
	}
	exec(t, byPrint, all.String())
	const columns = `select string_agg(concat_ws(' ', table_schema, table_name, column_name, data_type, column_default, is_nullable), E'\n' order by 1)
		from information_schema.columns where table_schema in ('public', 'auth', 'reminder_worker')`
	const routines = `select string_agg(pg_get_functiondef(p.oid), E'\n' order by p.oid::regprocedure::text) from pg_proc p
		where p.pronamespace in ('public'::regnamespace, 'auth'::regnamespace, 'reminder_worker'::regnamespace)`
	for _, query := range []string{columns, routines} {
		if diff := cmp.Diff(ask[string](t, byUp, query), ask[string](t, byPrint, query)); diff != "" {
			t.Errorf("schema by Up and by Print differ:\n%s", diff)
		}
	}
}

func TestPrintFromALaterVersion(t *testing.T) {
	t.Parallel()
	m := migrator(t, migrations.Options{FS: shelf()})
	var second bytes.Buffer
	if err := m.Print(&second, 2); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(second.String(), "0001_books.sql") {
		t.Error("the first file was printed too")
	}
	conn := pgtest.NewEmpty(t).Connect(t)
	if _, err := conn.Exec(t.Context(), second.String()); err == nil || !strings.Contains(err.Error(), "0002_titles.sql does not follow") {
		t.Errorf("without the first file: %v, want a refusal", err)
	}
	up(t, migrator(t, migrations.Options{FS: files("0001_books.sql", "create table public.books (id int primary key);\ninsert into public.books values (1);\n")}), conn)
	exec(t, conn, second.String())
	if applied := up(t, m, conn); applied != nil {
		t.Errorf("applied again: %v", applied)
	}
	exec(t, conn, "update reminder_worker.migrations set checksum = 'x' where version = 2")
	if _, err := conn.Exec(t.Context(), second.String()); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("over another text: %v, want a refusal", err)
	}
	for _, from := range []int{-1, 0, 3} {
		if err := m.Print(&second, from); err == nil {
			t.Errorf("printed from %d", from)
		}
	}
}
