package migrations_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

func TestPrintedFilesCountAsApplied(t *testing.T) {
	t.Parallel()
	m := migrator(t, migrations.Options{AppVersion: `it's v1\2`})
	var all bytes.Buffer
	if err := m.Print(&all, 1); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(all.String(), `set_config('lock_timeout', '2000ms', true)`) {
		t.Error("the script waits for other locks than Up does")
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
	const columns = `select string_agg(concat_ws(' ', table_schema, table_name, column_name, data_type, column_default, is_nullable), E'\n' order by table_schema, table_name, column_name)
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
