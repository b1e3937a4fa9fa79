package migrations_test

import (
	"strings"
	"testing"

	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// older is a database as an older service left it: columns that may be null, lists of states of its own, no column of the worker's,
// tokens in auth.users, work half done.
const older = `
create schema auth;
create table auth.users (id uuid primary key, email varchar(255), google_refresh_token text, expo_push_token text, updated_at timestamptz);
insert into auth.users (id, google_refresh_token, expo_push_token, updated_at) values
  ('` + anna + `', 'annas token', 'ExponentPushToken[shared]', '2025-01-01'),
  ('` + ben + `', '', 'ExponentPushToken[shared]', '2025-02-01');
create table public.children (id uuid primary key, parent_id uuid, name text);
create table public.events (
  id uuid primary key default gen_random_uuid(), user_id uuid, child_id uuid, title varchar(200), start_ts timestamptz, end_ts timestamptz,
  location text, prep_items text[], colour text default 'blue', google_calendar_id text, error_message text,
  status text default 'pending' check (status in ('pending', 'synced', 'archived')));
create table public.reminders (
  id uuid primary key default gen_random_uuid(), event_id uuid references public.events (id) on delete cascade, user_id uuid,
  notify_at_ts timestamptz, message text not null, push_token text not null default '', retry_count smallint,
  status varchar(20) constraint reminder_states check (status = any (array['pending', 'sent', 'failed'])));
alter table public.reminders alter push_token drop default;
insert into public.events (id, user_id, title, start_ts, status, google_calendar_id) values
  ('eeeeeeee-0000-0000-0000-000000000001', '` + anna + `', 'waits', '2099-01-02 10:00+00', 'pending', null),
  ('eeeeeeee-0000-0000-0000-000000000002', '` + anna + `', 'done', '2099-01-02 10:00+00', 'synced', 'an id of the old service'),
  ('eeeeeeee-0000-0000-0000-000000000003', '` + anna + `', 'kept', '2020-01-02 10:00+00', 'archived', ''),
  ('eeeeeeee-0000-0000-0000-000000000004', null, 'nobody''s', 'infinity', null, 'orphan'),
  ('eeeeeeee-0000-0000-0000-000000000005', '` + ben + `', null, null, 'pending', null);
insert into public.reminders (event_id, user_id, notify_at_ts, message, push_token, status)
  select id, user_id, start_ts - lead, 'at ' || lead, '', 'pending' from public.events, (values (interval '24 hours'), ('3 hours'), ('30 minutes'), ('45 minutes')) v (lead)
  where title = 'done';
insert into public.reminders (event_id, user_id, notify_at_ts, message, push_token, status) values
  ('eeeeeeee-0000-0000-0000-000000000003', '` + anna + `', '2020-01-01 10:00+00', 'out', 'ExponentPushToken[own]', 'sent'),
  ('eeeeeeee-0000-0000-0000-000000000004', null, 'infinity', 'never', '', 'pending'),
  ('eeeeeeee-0000-0000-0000-000000000004', null, null, 'when?', '', 'pending');
create policy theirs on public.events using (true);
grant select on public.events to public;`

// adopt migrates a database prepared with sql.
func adopt(t *testing.T, sql string) *schema {
	t.Helper()
	s := &schema{t: t, conn: pgtest.NewEmpty(t).Connect(t)}
	s.exec(sql)
	up(t, migrator(t, migrations.Options{}), s.conn)
	return s
}

func TestOlderDatabaseIsAdopted(t *testing.T) {
	t.Parallel()
	s := adopt(t, older)
	s.same("events", []string{
		"waits pending due", "done synced", "kept archived", "nobody's pending due", "pending due",
	}, s.lines(`select concat_ws(' ', title, status, case when sync_due_at <= now() then 'due' end) from public.events order by id`))
	s.same("reminders", []string{
		"at 00:30:00 pending 1800 t", "at 00:45:00 pending", "at 03:00:00 pending 10800 t", "at 24:00:00 pending 86400 t",
		"never pending", "out sent", "when? pending",
	}, s.lines(`select concat_ws(' ', r.message, r.status, r.lead_seconds, r.planned_for_ts = e.start_ts) from public.reminders r join public.events e on e.id = r.event_id order by 1`))
	s.same("copies", []string{"done an id of the old service"}, s.lines(`select concat_ws(' ', e.title, k.google_event_id)
		from reminder_worker.calendar_copies k join public.events e on e.id = k.event_id`))
	s.same("accounts", []string{"a annas token connected"}, s.lines(`select concat_ws(' ', left(user_id::text, 1), refresh_token, state) from reminder_worker.google_accounts`))
	s.same("devices", []string{"b ExponentPushToken[shared]"}, s.lines(`select concat_ws(' ', left(user_id::text, 1), token) from reminder_worker.push_devices`))
	s.same("what was the app's own", []string{"5 blue", "theirs", "off"}, append(append(
		s.lines(`select concat_ws(' ', count(*), min(colour)) from public.events`),
		s.lines(`select polname::text from pg_policy where polrelid = 'public.events'::regclass`)...),
		s.lines(`select case when relrowsecurity then 'on' else 'off' end from pg_class where oid = 'public.events'::regclass`)...))
}

func TestAdoptedTablesTakeBothListsOfStates(t *testing.T) {
	t.Parallel()
	s := adopt(t, older)
	for _, state := range []string{"synced", "archived", "scheduled", "failed", "cancelled", "pending"} {
		s.exec(`update public.events set status = $1`, state)
	}
	for _, state := range []string{"pending", "sending", "sent", "failed", "cancelled", "expired", "skipped"} {
		s.exec(`update public.reminders set status = $1`, state)
	}
	s.refused("23514", "events_status_check", `update public.events set status = 'nonsense'`)
	s.refused("23514", "reminder_states", `update public.reminders set status = 'nonsense'`)
}

func TestAdoptedTablesAreServed(t *testing.T) {
	t.Parallel()
	s := adopt(t, older)
	s.exec(`delete from public.events`)
	s.exec(`update auth.users set google_refresh_token = 'a token', expo_push_token = 'ExponentPushToken[a]' where id = $1`, anna)
	s.exec(`insert into public.events (user_id, title, start_ts) values ($1, 'new', now() + interval '2 days')`, anna)
	s.exec(`insert into public.reminders (event_id, user_id, notify_at_ts, message) select id, user_id, now() - interval '1 second', 'mine' from public.events`)
	serveAs(t, s.conn)
	s.same("states", []string{"synced pending sent"},
		s.lines(`select status || ' ' || (select string_agg(status, ' ' order by status) from public.reminders) from public.events`))
}

func TestTokensWrittenTheOldWay(t *testing.T) {
	t.Parallel()
	s := adopt(t, older)
	s.exec(`update auth.users set google_refresh_token = 'bens token', expo_push_token = 'ExponentPushToken[new]' where id = $1`, ben)
	s.exec(`insert into auth.users (id, google_refresh_token, expo_push_token) values ('cccccccc-0000-0000-0000-000000000003', 'c', 'ExponentPushToken[c]')`)
	s.exec(`update reminder_worker.google_accounts set state = 'needs_reconnect' where refresh_token = 'annas token'`)
	s.exec(`update auth.users set google_refresh_token = google_refresh_token, expo_push_token = expo_push_token`) // a full row, saved again
	s.same("accounts", []string{"a annas token needs_reconnect", "b bens token connected", "c c connected"},
		s.lines(`select concat_ws(' ', left(user_id::text, 1), refresh_token, state) from reminder_worker.google_accounts order by 1`))
	s.same("devices", []string{"b ExponentPushToken[new]", "c ExponentPushToken[c]"},
		s.lines(`select concat_ws(' ', left(user_id::text, 1), token) from reminder_worker.push_devices where retired_at is null order by 1`))
	s.exec(`update auth.users set google_refresh_token = null, expo_push_token = null where id = $1`, ben)
	s.same("accounts", []string{"off: the token was removed from auth.users"}, s.lines(`select state || ': ' || reason from reminder_worker.google_accounts where user_id = $1`, ben))
	s.same("devices", []string{
		"ExponentPushToken[new]: the token was removed from auth.users",
		"ExponentPushToken[shared]: another token took its place in auth.users",
	}, s.lines(`select token || ': ' || retired_reason from reminder_worker.push_devices where retired_at is not null order by token`))
}

// The app's own statement succeeds whatever it writes; what is no token is not used, and ends the use of the one before.
func TestTokensThatAreNoneWrittenTheOldWay(t *testing.T) {
	t.Parallel()
	s := adopt(t, older+`
		update auth.users set google_refresh_token = repeat('x', 2049), expo_push_token = 'fcm:old' where id = '`+anna+`';
		update auth.users set google_refresh_token = ' bens token ' where id = '`+ben+`';`)
	const state = `select concat_ws(' ', left(u.id::text, 1), a.refresh_token, a.state, d.token) from auth.users u
		left join reminder_worker.google_accounts a on a.user_id = u.id
		left join reminder_worker.push_devices d on d.user_id = u.id and d.retired_at is null order by 1`
	s.same("taken over", []string{"a", "b bens token connected ExponentPushToken[shared]"}, s.lines(state))
	s.exec(`update auth.users set google_refresh_token = repeat('y', 2049), expo_push_token = E'ExponentPushToken[a\nb]'`)
	s.same("longer and broken", []string{"a", "b bens token connected"}, s.lines(state))
	s.exec(`update auth.users set google_refresh_token = '  ', expo_push_token = 'ExponentPushToken[b]' where id = $1`, ben)
	s.same("blank", []string{"a", "b bens token off ExponentPushToken[b]"}, s.lines(state))
}

// The worker's schema may be dropped with all that it holds: what it left in the app's tables fits, and so do the functions of the app.
func TestDroppedSchemaIsMadeAgain(t *testing.T) {
	t.Parallel()
	s := adopt(t, older)
	s.exec(`drop schema reminder_worker cascade`)
	up(t, migrator(t, migrations.Options{}), s.conn)
	s.same("devices", []string{"ExponentPushToken[shared]"}, s.lines(`select token from reminder_worker.push_devices`))
	s.exec(`update auth.users set google_refresh_token = 'another' where id = $1`, anna)
	s.same("accounts", []string{"another"}, s.lines(`select refresh_token from reminder_worker.google_accounts`))
	for _, table := range []string{"public.events", "public.reminders"} {
		if s.line(`select count(*)::text from pg_trigger where tgrelid = $1::text::regclass and not tgisinternal`, table) == "0" {
			t.Errorf("%s has no triggers", table)
		}
	}
	s.exec(`select set_config('request.jwt.claims', '{"sub": "` + ben + `"}', false)`)
	s.exec(`select public.register_push_token('ExponentPushToken[a]'), public.connect_google_calendar('token')`)
}

func TestTablesThatCannotBeAdopted(t *testing.T) {
	t.Parallel()
	const (
		users     = `create schema auth; create table auth.users (id uuid primary key);`
		events    = `create table public.events (id uuid primary key, user_id uuid, title text, start_ts timestamptz, status text`
		reminders = `create table public.reminders (id uuid primary key default gen_random_uuid(), event_id uuid, user_id uuid, notify_at_ts timestamptz, status text`
	)
	for name, c := range map[string]struct{ sql, want string }{
		"state is an enum": {`create type state as enum ('pending'); create table public.events (id uuid primary key, user_id uuid, title text, start_ts timestamptz, status state)`,
			"public.events.status is state, needed is text"},
		"time without zone": {`create table public.events (id uuid primary key, user_id uuid, title text, start_ts timestamp, status text)`,
			"public.events.start_ts is timestamp without time zone, needed is timestamp with time zone"},
		"numbers for ids": {`create table public.events (id bigint primary key, user_id uuid, title text, start_ts timestamptz, status text)`,
			"public.events.id is bigint, needed is uuid"},
		"no state": {`create table public.events (id uuid primary key, user_id uuid, title text, start_ts timestamptz)`,
			"public.events has no column status (text)"},
		"things as json": {`create table public.events (id uuid primary key, user_id uuid, title text, start_ts timestamptz, status text, prep_items jsonb)`,
			"public.events.prep_items is jsonb, needed is text[]"},
		"a column of ours, of another type": {events + `, sync_due_at text)`, "public.events.sync_due_at is text, needed is timestamp with time zone: it is the worker's own"},
		"a column of ours that takes nulls": {events + `, sync_revision bigint default 1)`, "public.events.sync_revision is not NOT NULL with a default"},
		"a column of ours that takes none":  {events + `, sync_lease_until timestamptz not null default now())`, "public.events.sync_lease_until is NOT NULL"},
		"a counter of ours, too small":      {reminders + `, lead_seconds smallint)`, "public.reminders.lead_seconds is smallint, needed is integer"},
		"no key": {`create table public.events (id uuid, user_id uuid, title text, start_ts timestamptz, status text)`,
			"public.events has no primary key on id: alter table public.events add primary key (id)"},
		"a key of two": {`create table public.children (id uuid, name text, primary key (id, name))`, "public.children has no primary key on id"},
		"partitions": {`create table public.events (id uuid primary key, user_id uuid, title text, start_ts timestamptz, status text) partition by hash (id)`,
			"public.events is a partitioned table, needed is an ordinary table"},
		"a view": {`create view public.reminders as select gen_random_uuid() as id, id as event_id, id as user_id, now() as notify_at_ts, 'pending' as status from auth.users`,
			"public.reminders is a view"},
		"a generated state": {`create table public.events (id uuid primary key, user_id uuid, title text, start_ts timestamptz, status text generated always as ('pending') stored)`,
			"public.events.status is generated, needed is a plain column: alter table public.events alter column status drop expression"},
		"a short error":     {events + `, error_message varchar(80))`, "public.events.error_message is character varying(80), needed is text or varchar of 1000 and more: alter table public.events alter column error_message type text"},
		"a short message":   {reminders + `, message varchar(255))`, "public.reminders.message is character varying(255)"},
		"numbers for users": {`drop table auth.users; create table auth.users (id bigint primary key);`, "auth.users.id is bigint, needed is uuid"},
		"two faults":        {events + `, sync_worker text, sync_planned text)`, "sync_worker is text, needed is uuid: it is the worker's own, so drop or rename it\n  public.events.sync_planned is text"},
		"a column that planning does not know": {`create table public.reminders (id uuid primary key default gen_random_uuid(), event_id uuid, user_id uuid, notify_at_ts timestamptz, status text, channel text not null)`,
			"public.reminders.channel is NOT NULL and has no default"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &schema{t: t, conn: pgtest.NewEmpty(t).Connect(t)}
			s.exec(users + c.sql)
			err := upErr(t, s.conn)
			if !strings.Contains(err.Message, c.want) || !strings.HasPrefix(err.Message, "existing tables cannot be adopted:") || err.Hint == "" {
				t.Errorf("refused with %q, hint %q", err.Message, err.Hint)
			}
			if got := s.line(`select count(*)::text from pg_class where relname in ('calendar_copies', 'reminders') and relnamespace <> 'public'::regnamespace`); got != "0" {
				t.Error("a refused migration left something behind")
			}
		})
	}
}

func TestTablesOfAnotherOwner(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	exec(t, login(t, server, ""), older+`create role app_owner login; grant create on database postgres to app_owner;
		grant create on schema public to app_owner; grant all on schema auth to app_owner; grant all on auth.users to app_owner;
		alter table public.events owner to app_owner;`)
	err := upErr(t, login(t, server, "app_owner"))
	if want := "role app_owner does not own public.reminders"; !strings.Contains(err.Message, want) {
		t.Errorf("refused with %q, want %q", err.Message, want)
	}
}
