package migrations_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

func faults(t *testing.T, conn *pgx.Conn) (found []migrations.Fault, names []string) {
	t.Helper()
	found, err := migrator(t, migrations.Options{}).Faults(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		names = append(names, f.String())
	}
	slices.Sort(names)
	return found, names
}

func wantFaults(t *testing.T, conn *pgx.Conn, want ...string) []migrations.Fault {
	t.Helper()
	found, names := faults(t, conn)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	return found
}

// Every trigger that a migrated database has can be made again: from the files, or from the record.
func TestEveryTriggerIsKnown(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	known := s.lines(`select relation || ' ' || name from reminder_worker.triggers`)
	for _, f := range migrator(t, migrations.Options{}).Triggers() {
		known = append(known, f.Table+" "+f.Name)
	}
	slices.Sort(known)
	there := s.lines(`select n.nspname || '.' || c.relname || ' ' || t.tgname from pg_trigger t
		join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace where not t.tgisinternal`)
	slices.Sort(there)
	s.same("triggers", known, there)
	wantFaults(t, s.conn)
}

// A database that does without some of them is in order, too.
func TestTriggersOfAdoptedTables(t *testing.T) {
	t.Parallel()
	conn := pgtest.NewEmpty(t).Connect(t)
	exec(t, conn, `create schema auth; create table auth.users (id uuid primary key, email text);
		create table public.events (id uuid primary key, user_id uuid, title text, start_ts timestamptz, status text);
		create table public.notification_settings (user_id uuid primary key, time_zone text, locale text)`)
	up(t, migrator(t, migrations.Options{}), conn)
	wantFaults(t, conn)
}

// What is damaged is named, mended, and then as it was.
func TestTriggersAreMended(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	const all = `select tgname || tgenabled::text || pg_get_triggerdef(t.oid) || md5(p.prosrc) from pg_trigger t join pg_proc p on p.oid = t.tgfoid where not tgisinternal order by 1`
	before := s.lines(all)
	s.exec(`drop trigger reminder_worker_events_deleted on public.events`)
	s.exec(`drop trigger reminder_worker_settings_written on public.notification_settings`)
	s.exec(`alter table public.events disable trigger reminder_worker_event_changed`)
	s.exec(`alter table public.reminders enable replica trigger reminder_worker_reminder_changed`)
	s.exec(`create or replace trigger reminder_worker_event_owner_changed after update on public.events
		for each row when (false) execute function reminder_worker.event_owner_changed()`)
	s.exec(`create or replace function reminder_worker.events_truncated() returns trigger language plpgsql as $$ begin return null; end $$`)
	found := wantFaults(t, s.conn,
		"events_truncated() is changed",
		"reminder_worker_event_changed on public.events is disabled",
		"reminder_worker_event_owner_changed on public.events is changed",
		"reminder_worker_events_deleted on public.events is missing",
		"reminder_worker_reminder_changed on public.reminders is disabled",
		"reminder_worker_settings_written on public.notification_settings is missing",
	)
	for _, f := range found {
		if err := migrator(t, migrations.Options{}).Mend(t.Context(), s.conn, f); err != nil {
			t.Error(err)
		}
	}
	wantFaults(t, s.conn)
	s.same("triggers", before, s.lines(all))
	checkPrivileges(s)
}

// Comparing locks nothing that the app writes to.
func TestTriggersAreComparedBesideWriters(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	writer, reader := db.Connect(t), db.Connect(t)
	exec(t, writer, `begin; lock table public.events, public.reminders, public.notification_settings in row exclusive mode`)
	exec(t, reader, `set lock_timeout = '5s'`)
	wantFaults(t, reader)
	exec(t, writer, `rollback`)
}

// A role that owns nothing, may call no trigger's function and may not even read auth.users finds the same, and mends nothing.
func TestTriggersAreComparedByAnyRole(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	owner := db.Connect(t)
	exec(t, owner, `create role mere_reader`)
	t.Cleanup(func() {
		for _, sql := range []string{`drop owned by mere_reader`, `drop role mere_reader`} {
			if _, err := owner.Exec(context.Background(), sql); err != nil {
				t.Error(err)
			}
		}
	})
	exec(t, owner, `grant usage on schema reminder_worker to mere_reader`)
	exec(t, owner, `grant select on reminder_worker.triggers to mere_reader`)
	reader := db.Connect(t)
	exec(t, reader, `set role mere_reader`)
	wantFaults(t, reader)
	exec(t, owner, `alter table public.events disable trigger reminder_worker_event_changed`)
	exec(t, owner, `create or replace trigger reminder_worker_user_metadata_written before update of email on auth.users
		for each row execute function reminder_worker.user_metadata_written()`)
	found := wantFaults(t, reader,
		"reminder_worker_event_changed on public.events is disabled",
		"reminder_worker_user_metadata_written on auth.users is changed",
	)
	for _, f := range found {
		if err := migrator(t, migrations.Options{}).Mend(t.Context(), reader, f); err == nil {
			t.Errorf("%s is mended by a role that owns nothing", f)
		}
	}
}
