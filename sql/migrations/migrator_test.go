package migrations_test

import (
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
		"raised with a hint":            {"do $$ begin raise exception 'no' using hint = 'ask first'; end $$;", 1, 1, "0001_faulty.sql:1:1: no\nhint: ask first"},
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
