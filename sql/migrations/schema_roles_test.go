package migrations_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/pgtemp"
	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
)

// hosted is what a Supabase project looks like to the role that migrates: the schema auth belongs to another, the API roles are
// there, and default privileges hand every new function in public to all of them.
const hosted = `
create role anon; create role authenticated; create role service_role bypassrls;
create role auth_admin; create role app_owner login;
create schema auth authorization auth_admin;
set role auth_admin;
create table auth.users (id uuid primary key, email text, raw_user_meta_data jsonb, created_at timestamptz default now());
create function auth.uid() returns uuid language sql stable as $$
  select nullif(current_setting('request.jwt.claims', true)::jsonb ->> 'sub', '')::uuid $$;
reset role;
grant usage on schema auth to app_owner, anon, authenticated, service_role;
grant all on auth.users to app_owner;
grant create on schema public to app_owner;
grant create on database postgres to app_owner;
alter default privileges for role app_owner in schema public grant all on tables to anon, authenticated, service_role;
alter default privileges for role app_owner in schema public grant all on functions to anon, authenticated, service_role;
insert into auth.users (id) values ('` + anna + `'), ('` + ben + `');`

// login connects to a server of the test's own.
func login(t *testing.T, server *pgtemp.Server, role string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		cfg.User = role
	}
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) }) // the server ends in any case
	return conn
}

func TestHostedSupabase(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	app := &schema{t: t, conn: login(t, server, "")}
	app.exec(hosted)
	owner := login(t, server, "app_owner")
	up(t, migrator(t, migrations.Options{}), owner)

	app.as("authenticated", anna)
	app.exec(`insert into public.events (user_id, title, start_ts) values (auth.uid(), 'Practice', now() + interval '2 days')`)
	app.exec(`insert into public.reminders (event_id, user_id, notify_at_ts) select id, user_id, now() - interval '1 second' from public.events`)
	app.exec(`select public.connect_google_calendar('a token'), public.register_push_token('ExponentPushToken[a]', 'ios')`)
	app.exec(`update public.events set title = 'Match'`)

	serveAs(t, owner)

	if got := app.line(`select concat_ws(' ', status, google_calendar_id, (select string_agg(status, ' ' order by status) from public.reminders)) from public.events`); got != "synced g1 pending sent" {
		t.Errorf("after the worker: %q", got)
	}
	app.exec(`delete from public.events`)
	left, err := store.New(owner).ClaimRemovals(t.Context(), store.ClaimRemovalsParams{MaxRows: 10, LeaseMs: 1000})
	if err != nil || len(left) != 1 {
		t.Errorf("%d removals, want 1: %v", len(left), err)
	}
	app.exec(`reset role`)
	checkPrivileges(app)

	app.exec(`update auth.users set email = 'ben@example.org' where id = $1`, ben)
	made, err := store.New(owner).DelegateAccounts(t.Context(), store.DelegateAccountsParams{Users: ids(uuid.MustParse(ben)), Domains: texts("example.org")})
	if err != nil || len(made) != 1 {
		t.Errorf("%d accounts of the service account, want 1: %v", len(made), err)
	}
}

// serveAs takes one event and its reminder through their lives by the statements of the worker.
func serveAs(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	q := store.New(conn)
	events, err := q.ClaimEvents(t.Context(), store.ClaimEventsParams{MaxRows: 10, MaxBytes: 65536, LeaseMs: 60_000})
	if err != nil || len(events) != 1 || events[0].RefreshToken != "a token" {
		t.Fatalf("claimed %d events: %v", len(events), err)
	}
	e := events[0]
	_, err = q.CommitPlans(t.Context(), store.CommitPlansParams{
		EventIds: ids(e.ID), Revisions: []int64{e.SyncRevision}, Leases: times(e.LeaseUntil), WithdrawReasons: texts(""), GoogleIds: texts("g1"),
		CalendarIds: texts("primary"), BuryCopies: []bool{false}, ReminderEventIds: ids(e.ID), NotifyAts: times(e.StartTs.Add(-1e9)),
		LeadSeconds: []int32{1}, Messages: texts(""), Statuses: texts("pending"), Reasons: texts(""),
	})
	if err != nil {
		t.Fatalf("commit plans: %v", err)
	}
	_, err = q.RecordSyncs(t.Context(), store.RecordSyncsParams{
		EventIds: ids(e.ID), UserIds: ids(e.UserID), Revisions: []int64{e.SyncRevision}, Statuses: texts("synced"), ErrorMessages: texts(""),
		RetryMs: []int64{-1}, CountAttempts: []bool{false}, GoogleIds: texts("g1"), CalendarIds: texts("primary"), Generations: []int32{0},
		Etags: texts("1"), Hashes: texts(""),
	})
	if err != nil {
		t.Fatalf("record syncs: %v", err)
	}
	due, err := q.DueReminders(t.Context(), store.DueRemindersParams{MaxRows: 10})
	if err != nil {
		t.Fatalf("due reminders: %v", err)
	}
	rows, err := q.ClaimReminders(t.Context(), store.ClaimRemindersParams{Ids: due, LeaseMs: 60_000})
	if err != nil || len(rows) != 1 || len(rows[0].Tokens) != 1 {
		t.Fatalf("claimed reminders %+v: %v", rows, err)
	}
	_, err = q.RecordPushes(t.Context(), store.RecordPushesParams{
		Ids: ids(rows[0].ID), Leases: times(rows[0].Lease), Statuses: texts("sent"), RetryMs: []int64{0}, CountAttempts: []bool{false},
		SentAts: times(rows[0].NotifyAtTs), ErrorMessages: texts(""), PushReminderIds: ids(rows[0].ID), PushTokens: rows[0].Tokens,
		PushStates: texts("accepted"), TicketIds: texts("t"), ErrorCodes: texts(""), PushErrors: texts(""), PushSentAts: times(rows[0].NotifyAtTs),
		LatenessMs: []int64{0}, PayloadBytes: []int32{1}, RetireReasons: texts(""), Projects: texts(""), ReceiptDelayMs: 1,
	})
	if err != nil {
		t.Fatalf("record pushes: %v", err)
	}
}

// checkPrivileges holds the API roles to what is meant for them.
func checkPrivileges(s *schema) {
	s.t.Helper()
	s.same("functions of public, and who may call them", []string{
		"connect_google_calendar authenticated", "disconnect_google_calendar authenticated", "dismiss_reminders authenticated",
		"register_push_token authenticated", "restore_reminders authenticated", "resume_google_calendar authenticated", "snooze_reminder authenticated", "unregister_push_token authenticated",
	}, s.lines(`select p.proname || ' ' || string_agg(r.rolname, ' ' order by r.rolname)
		from pg_proc p, pg_roles r
		where p.pronamespace = 'public'::regnamespace and r.rolname in ('anon', 'authenticated', 'service_role') and has_function_privilege(r.oid, p.oid, 'execute')
		group by p.proname order by 1`))
	s.same("what API roles may do in reminder_worker", nil, s.lines(`
		select r.rolname || ' uses the schema' from pg_roles r
		where r.rolname in ('anon', 'authenticated', 'service_role') and has_schema_privilege(r.oid, 'reminder_worker', 'usage, create')
		union all
		select r.rolname || ' ' || c.relname from pg_roles r, pg_class c
		where r.rolname in ('anon', 'authenticated', 'service_role') and c.relnamespace = 'reminder_worker'::regnamespace and c.relkind in ('r', 'v', 'S', 'p')
			and has_table_privilege(r.oid, c.oid, 'select, insert, update, delete, truncate, references, trigger')
		union all
		select r.rolname || ' ' || p.proname from pg_roles r, pg_proc p
		where r.rolname in ('anon', 'authenticated', 'service_role') and p.pronamespace = 'reminder_worker'::regnamespace
			and has_function_privilege(r.oid, p.oid, 'execute') order by 1`))
	s.same("what anon may do with the app's tables", nil, s.lines(`select c.relname::text from pg_class c
		where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname in ('events', 'reminders', 'children', 'notification_settings')
			and has_any_column_privilege('anon', c.oid, 'select, insert, update, references')`))
	s.same("tables of public without row level security", nil, s.lines(`select relname::text from pg_class
		where relnamespace = 'public'::regnamespace and relname in ('events', 'reminders', 'children', 'notification_settings') and not relrowsecurity`))
}

func TestPlainPostgresWithoutCreaterole(t *testing.T) {
	t.Parallel()
	server := pgtest.NewServer(t)
	admin := login(t, server, "")
	exec(t, admin, `create role app_owner login; grant create on database postgres to app_owner; grant create on schema public to app_owner`)
	owner := &schema{t: t, conn: login(t, server, "app_owner")}
	up(t, migrator(t, migrations.Options{}), owner.conn)
	owner.exec(`insert into auth.users (id) values ($1)`, anna)
	owner.exec(`insert into public.events (user_id, title, start_ts) values ($1, 'Practice', now() + interval '2 days')`, anna)
	owner.exec(`insert into public.reminders (event_id, user_id, notify_at_ts) select id, user_id, now() - interval '1 second' from public.events`)
	owner.exec(`update auth.users set google_refresh_token = 'a token', expo_push_token = 'ExponentPushToken[a]'`)
	serveAs(t, owner.conn)
	if got := owner.line(`select count(*)::text from pg_roles where rolname in ('anon', 'authenticated', 'service_role')`); got != "0" {
		t.Errorf("%s API roles were made by a role that may not", got)
	}
}

func TestPlainPostgresMadeFromNothing(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	checkPrivileges(s)
	s.same("tables", []string{
		"auth.users", "public.children", "public.events", "public.notification_settings", "public.reminders", "reminder_worker.audits",
		"reminder_worker.calendar_copies", "reminder_worker.cleanups", "reminder_worker.deliveries", "reminder_worker.google_accounts", "reminder_worker.pauses",
		"reminder_worker.permits", "reminder_worker.push_devices", "reminder_worker.time_zones", "reminder_worker.triggers", "reminder_worker.user_deletions",
	}, s.lines(`select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind = 'r' and n.nspname in ('auth', 'public', 'reminder_worker') and c.relname !~ 'migration' order by 1`))
}

func TestUsersSeeAndChangeTheirOwn(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.exec(settledEvent)
	s.exec(`insert into public.children (id, user_id, name) values ('cccccccc-0000-0000-0000-000000000001', $1, 'Kim')`, anna)
	const denied, hidden = "42501", "row-level security"
	event := s.line(`select id::text from public.events`)

	s.as("authenticated", anna)
	s.exec(`update public.events set (user_id, title, start_ts, end_ts, location, prep_items, status, child_id)
		= (user_id, 'Match', start_ts, start_ts + interval '1 hour', 'Field 3', '{cleats}', 'pending', 'cccccccc-0000-0000-0000-000000000001')`)
	s.exec(`update public.reminders set notify_at_ts = notify_at_ts + interval '1 minute', message = 'Hello', status = 'pending' where plan_revision is null`)
	for _, column := range []string{"sync_revision", "sync_attempts", "sync_due_at", "sync_lease_until", "google_calendar_id", "error_message"} {
		s.refused(denied, "permission denied", `update public.events set `+column+` = null`)
	}
	for _, column := range []string{"plan_revision", "planned_for_ts", "next_attempt_at", "changed_xid", "retry_count", "lost_claims", "sent_at_ts", "user_id", "event_id"} {
		s.refused(denied, "permission denied", `update public.reminders set `+column+` = null`)
	}
	s.refused(denied, "permission denied", `insert into public.events (user_id, title, start_ts, sync_due_at) values ($1, 'x', now(), null)`, anna)
	s.refused(denied, hidden, `insert into public.events (user_id, title, start_ts) values ($1, 'x', now())`, ben)
	s.refused(denied, hidden, `update public.events set user_id = $1`, ben)
	s.refused(denied, "permission denied", `select from reminder_worker.google_accounts`)
	s.refused(denied, "permission denied", `select reminder_worker.put_google_account($1, 'stolen')`, ben)

	s.as("authenticated", ben)
	for _, sql := range []string{`select from public.events`, `select from public.reminders`, `select from public.children`,
		`update public.events set title = 'mine now'`, `update public.reminders set message = 'mine now'`, `delete from public.events`, `delete from public.reminders`} {
		tag, err := s.conn.Exec(t.Context(), sql)
		if err != nil || tag.RowsAffected() != 0 {
			t.Errorf("%s: ben reached %d of anna's rows: %v", sql, tag.RowsAffected(), err)
		}
	}
	s.refused(denied, hidden, `insert into public.reminders (event_id, user_id, notify_at_ts) values ($1, $2, now())`, event, ben)
	s.refused(denied, hidden, `insert into public.events (user_id, title, start_ts, child_id) values ($1, 'x', now(), 'cccccccc-0000-0000-0000-000000000001')`, ben)

	s.as("anon", "")
	for _, table := range []string{"events", "reminders", "children"} {
		s.refused(denied, "permission denied", `select from public.`+table)
	}
	s.refused(denied, "permission denied", `select public.register_push_token('ExponentPushToken[a]')`)
}

func TestFunctionsOfTheApp(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.as("authenticated", "")
	for _, call := range []string{`connect_google_calendar('t')`, `disconnect_google_calendar()`, `resume_google_calendar()`, `register_push_token('ExponentPushToken[a]')`} {
		s.refused("28000", "no signed-in user", `select public.`+call)
	}
	s.as("authenticated", anna)
	for _, token := range []string{`null`, `''`, `'  '`, `repeat('x', 2049)`} {
		s.refused("22023", "provider_refresh_token", `select public.connect_google_calendar(`+token+`)`)
	}
	for _, token := range []string{`null`, `''`, `'ExponentPushToken[]'`, `'ExponentPushToken[a'`, `'fcm:abc'`, `'ExponentPushToken[' || repeat('x', 200) || ']'`,
		`E'ExponentPushToken[a]\n'`, `' ExponentPushToken[a]'`, `E'ExponentPushToken[a\nb]'`, `'ExponentPushToken[a b]'`, `E'ExponentPushToken[\x7f]'`, `'ExpoPushToken[a[b]]'`, `'ExpoPushToken[ü]'`, `'ExpoPushToken["]'`} {
		s.refused("22023", "getExpoPushTokenAsync", `select public.register_push_token(`+token+`)`)
	}
	s.as("authenticated", "someone@example.org")
	for _, call := range []string{`connect_google_calendar('t')`, `disconnect_google_calendar()`, `resume_google_calendar()`, `register_push_token('ExponentPushToken[a]')`} {
		s.refused("28000", "its token is no UUID Sign the user in with Supabase Auth", `select public.`+call)
	}
	s.as("authenticated", "cccccccc-0000-0000-0000-000000000003") // was deleted
	for _, call := range []string{`connect_google_calendar('t')`, `register_push_token('ExponentPushToken[a]')`} {
		s.refused("28000", "does not exist The account was deleted", `select public.`+call)
	}
	s.as("authenticated", anna)
	for _, token := range []string{"ExponentPushToken[a]", "ExpoPushToken[b]", "01234567-89ab-cdef-0123-456789abcdef"} {
		s.exec(`select public.register_push_token($1, 'ios')`, token)
	}
	s.exec(`select public.connect_google_calendar(' one '), public.connect_google_calendar('two')`)
	s.as("authenticated", ben)
	s.exec(`select public.register_push_token('ExponentPushToken[a]')`)
	s.exec(`select public.unregister_push_token('ExpoPushToken[b]')`) // not his: nothing happens
	s.exec(`select public.disconnect_google_calendar()`)
	s.as("authenticated", anna)
	s.exec(`select public.unregister_push_token('01234567-89ab-cdef-0123-456789abcdef')`)
	s.exec(`reset role`)
	s.same("devices", []string{
		"01234567-89ab-cdef-0123-456789abcdef a ios signed out in the app", "ExpoPushToken[b] a ios", "ExponentPushToken[a] b ios",
	}, s.lines(`select concat_ws(' ', token, left(user_id::text, 1), platform, retired_reason) from reminder_worker.push_devices order by token collate "C"`))
	s.same("accounts", []string{"a two connected", "b  off disconnected in the app"}, // remembered, though there was nothing yet
		s.lines(`select concat_ws(' ', left(user_id::text, 1), refresh_token, state, reason) from reminder_worker.google_accounts`))
}

func TestRelinkingWakesWhatWaited(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.exec(`insert into public.events (user_id, title, start_ts, status) select $1, title, now() + at, status from (values
		('waits', interval '1 day', 'scheduled'), ('over', interval '-1 day', 'scheduled'), ('done', interval '1 day', 'synced'),
		('cancelled', interval '1 day', 'cancelled')) v (title, at, status)`, anna)
	s.exec(`insert into public.events (user_id, title, start_ts, status) values ($1, 'another user', now() + interval '1 day', 'scheduled')`, ben)
	s.as("authenticated", anna)
	s.exec(`select public.connect_google_calendar('token'), public.disconnect_google_calendar(), public.connect_google_calendar('token')`)
	s.exec(`reset role`)
	s.same("due", []string{"waits"}, s.lines(`select title from public.events where sync_due_at is not null`))
}
