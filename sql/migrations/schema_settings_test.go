package migrations_test

import (
	"strings"
	"testing"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// Users see and change their own settings, and nobody else's.
func TestSettingsAreTheUsersOwn(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.as("authenticated", anna)
	s.exec(`insert into public.notification_settings (user_id, quiet_from, quiet_until, time_zone, locale, hour_cycle, reminder_minutes)
		values ($1, '22:00', '07:00', ' Europe/Berlin ', 'de-AT', 'h24', '{60,10}')`, anna)
	s.exec(`insert into public.notification_settings (user_id, push_enabled) values ($1, false)
		on conflict (user_id) do update set push_enabled = excluded.push_enabled`, anna)
	if got := s.line(`select concat_ws(' ', push_enabled, calendar_enabled, reminder_minutes, quiet_from, time_zone) from public.notification_settings`); got != "f t {60,10} 22:00:00 Europe/Berlin" {
		t.Errorf("anna's settings are %q", got)
	}
	s.exec(`update public.notification_settings set quiet_from = '22:15:59.9', quiet_until = '24:00'`)
	if got := s.line(`select concat_ws(' ', quiet_from, quiet_until) from public.notification_settings`); got != "22:15:00 00:00:00" {
		t.Errorf("quiet hours with seconds, until the end of the day, are kept as %q; want whole minutes, and midnight", got)
	}
	s.refused("42501", "row-level security", `insert into public.notification_settings (user_id) values ($1)`, ben)
	s.refused("42501", "permission denied", `update public.notification_settings set updated_at = now()`)
	s.refused("42501", "row-level security", `update public.notification_settings set user_id = $1`, ben)
	s.as("authenticated", ben)
	for _, sql := range []string{`select from public.notification_settings`, `update public.notification_settings set push_enabled = true`, `delete from public.notification_settings`} {
		tag, err := s.conn.Exec(t.Context(), sql)
		if err != nil || tag.RowsAffected() != 0 {
			t.Errorf("%s: ben reached %d of anna's rows: %v", sql, tag.RowsAffected(), err)
		}
	}
	s.as("anon", "")
	s.refused("42501", "permission denied", `select from public.notification_settings`)
}

// A zone that came with the server's update is learned, a known one costs one look into a small table.
func TestZonesAreLearned(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.exec(`delete from reminder_worker.time_zones where name in ('Asia/Tokyo', 'Europe/Rome')`)
	known := s.line(`select count(*)::text from reminder_worker.time_zones`)
	s.as("authenticated", anna)
	s.exec(`insert into public.notification_settings (user_id, time_zone) values ($1, 'asia/tokyo')`, anna)
	s.refused("22023", "resolvedOptions", `update public.notification_settings set time_zone = 'Asia/Tokio'`)
	s.exec(`reset role`)
	s.same("zones", []string{known, "Asia/Tokyo"}, s.lines(`(select (count(*) - 1)::text from reminder_worker.time_zones)
		union all select time_zone from public.notification_settings`))
}

func TestSettingsAreJudgedWhenWritten(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.as("authenticated", anna)
	for _, zone := range []string{`'Mars/Olympus'`, `'Foo/Bar+3'`, `'America/Foo-3'`, `'posix/Europe/Berlin'`, `'CET'`, `'PST'`, `'+02:00'`, `'Europe/Berlin'';--'`, `repeat('A', 10000)`, `'<UTC>-3'`} {
		s.refused("22023", "resolvedOptions", `insert into public.notification_settings (user_id, time_zone) values ('`+anna+`', `+zone+`)`)
	}
	for column, values := range map[string][]string{
		"reminder_minutes": {`'{-1}'`, `'{86401}'`, `array_fill(1, array[17])`, `'{1,null}'`},
		"locale":           {`'x'`, `'de_'`, `'english language'`, `repeat('de-', 40)`},
		"hour_cycle":       {`'12'`, `'h25'`},
	} {
		for _, v := range values {
			s.refused("23514", "notification_settings_"+column, `insert into public.notification_settings (user_id, `+column+`) values ('`+anna+`', `+v+`)`)
		}
	}
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "America/Port-au-Prince", "Etc/GMT+3", "GMT", ""} {
		s.exec(`insert into public.notification_settings (user_id, time_zone) values ($1, $2) on conflict (user_id) do update set time_zone = excluded.time_zone`, anna, zone)
	}
	s.exec(`update public.notification_settings set time_zone = 'europe/BERLIN'`)
	if got := s.line(`select time_zone from public.notification_settings`); got != "Europe/Berlin" {
		t.Errorf("a zone by another spelling is stored as %q", got)
	}
	event := `insert into public.events (user_id, title, start_ts, reminder_minutes, push_data) values ('` + anna + `', 'x', now(), `
	for _, v := range []string{`'{-5}', null`, `'{1,null}', null`} {
		s.refused("23514", "events_reminder_minutes_sane", event+v+`)`)
	}
	for _, v := range []string{`null, '[]'`, `null, '"x"'`, `null, jsonb_build_object('a', repeat('x', 1024))`} {
		s.refused("23514", "events_push_data_small_object", event+v+`)`)
	}
	s.exec(event + `'{}', '{"url": "parentpal://events/1"}')`)
}

// A change of what decides about times has the user's coming events planned anew, and nothing else.
func TestSettingsReplan(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.exec(`insert into public.events (user_id, title, start_ts, status) select u::uuid, title, now() + at, status from unnest(array['` + anna + `', '` + ben + `']) u, (values
		('coming', interval '1 day', 'synced'), ('waits', interval '1 day', 'scheduled'), ('over', interval '-1 day', 'synced'), ('bad', interval '1 day', 'failed'),
		('off', interval '1 day', 'cancelled')) v (title, at, status)`)
	s.exec(`insert into public.notification_settings (user_id) values ('` + ben + `')`)
	const due = `select concat_ws(' ', left(user_id::text, 1), title, status, sync_revision) from public.events where sync_due_at is not null order by 1`
	s.same("due before", nil, s.lines(due))
	for _, c := range []struct {
		name, change string
		want         []string
	}{
		{"first, with nothing in it", `insert into public.notification_settings (user_id) values ('` + anna + `')`, nil},
		{"first, with quiet hours", `insert into public.notification_settings (user_id, quiet_from, quiet_until) values ('` + anna + `', '22:00', '07:00')`, []string{"a coming pending 2", "a waits pending 2"}},
		{"push", `update public.notification_settings set push_enabled = false`, nil},
		{"language", `update public.notification_settings set locale = 'de', hour_cycle = 'h12'`, nil},
		{"zone", `update public.notification_settings set time_zone = 'Europe/Berlin'`, []string{"b coming pending 2", "b waits pending 2"}},
		{"the same zone", `update public.notification_settings set time_zone = null`, nil},
		{"minutes", `update public.notification_settings set reminder_minutes = '{}'`, []string{"b coming pending 2", "b waits pending 2"}},
		{"calendar", `update public.notification_settings set calendar_enabled = false`, []string{"b coming pending 2", "b waits pending 2"}},
		{"days", `update public.notification_settings set all_day_at = '09:00'`, []string{"b coming pending 2", "b waits pending 2"}},
		{"given up", `delete from public.notification_settings`, []string{"b coming pending 2", "b waits pending 2"}},
		{"an event's own minutes", `update public.events set reminder_minutes = '{5}' where title = 'coming' and user_id = '` + ben + `'`, []string{"b coming pending 2"}},
		{"what pushes carry", `update public.events set push_data = '{}'`, nil},
	} {
		s.exec(`begin`)
		s.exec(c.change)
		s.same(c.name, c.want, s.lines(due))
		s.exec(`rollback`)
	}
}

// An app that had settings of its own keeps them, its grants, and whatever it writes there.
func TestSettingsOfAnOlderServiceAreAdopted(t *testing.T) {
	t.Parallel()
	s := adopt(t, older+`
		create table public.notification_settings (user_id uuid primary key, push_enabled boolean, time_zone varchar(40), colour text,
			updated_at bigint default 7, locale text not null default '');
		insert into public.notification_settings values ('`+anna+`', null, 'CET', 'blue');
		grant select on public.notification_settings to public;`)
	if got := s.line(`select concat_ws(' ', coalesce(push_enabled::text, 'null'), calendar_enabled, time_zone, colour) from public.notification_settings`); got != "null t CET blue" {
		t.Errorf("adopted settings are %q", got)
	}
	s.exec(`update public.notification_settings set time_zone = 'whatever it writes', colour = 'red'`)
	s.exec(`insert into public.notification_settings (user_id, time_zone) values ('` + ben + `', 'PST')`)
	if got := s.line(`select string_agg(concat_ws(' ', updated_at, length(locale)), ', ') from public.notification_settings`); got != "7 0, 7 0" {
		t.Errorf("columns of the app's own were written: %s", got)
	}
	if got := s.line(`select case when relrowsecurity then 'on' else 'off' end from pg_class where oid = 'public.notification_settings'::regclass`); got != "off" {
		t.Errorf("row level security is %s", got)
	}
}

func TestSettingsThatCannotBeAdopted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ sql, words string }{
		"no unique user": {`create table public.notification_settings (user_id uuid, kind text);`, "no unique user_id"},
		"other types":    {`create table public.notification_settings (user_id uuid primary key, quiet_from text, time_zone integer);`, "quiet_from is text, needed is time without time zone"},
		"on events":      {`alter table public.events add column reminder_minutes text;`, "public.events.reminder_minutes is text, needed is integer[]"},
		"on reminders":   {`alter table public.reminders add column push_data text;`, "public.reminders.push_data is text, needed is jsonb"},
		"a count": {`alter table public.reminders add column lost_claims integer not null default 0;`,
			"public.reminders.lost_claims is integer not null, needed is integer, and may be null"},
		"a sum": {`alter table public.reminders add column lost_claims integer generated always as (2) stored;`,
			"public.reminders.lost_claims is integer generated, needed is integer, and may be null"},
		"a view's name": {`create table public.reminder_deliveries (id integer);`, "public.reminder_deliveries is there already"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &schema{t: t, conn: pgtest.NewEmpty(t).Connect(t)}
			s.exec(older + c.sql)
			if pe := upErr(t, s.conn); !strings.Contains(pe.Message, c.words) || pe.Hint == "" {
				t.Errorf("refused with %q, hint %q", pe.Message, pe.Hint)
			}
		})
	}
}
