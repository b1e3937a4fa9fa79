package migrations_test

import (
	"strconv"
	"testing"
)

// practice is an event of anna's in a week, with a reminder of each state that a person may see.
const practice = `
insert into public.events (id, user_id, title, start_ts, status) values ('eeeeeeee-0000-0000-0000-000000000001', '` + anna + `', 'Practice', now() + interval '2 hours', 'synced');
insert into public.reminders (id, event_id, user_id, notify_at_ts, message, status, plan_revision, planned_for_ts, lead_seconds)
  select v.id::uuid, e.id, e.user_id, e.start_ts - lead * interval '1 second', 'Field 3', v.status, 1, e.start_ts, lead
  from public.events e, (values ('dddddddd-0000-0000-0000-000000000001', 10800, 'sent'), ('dddddddd-0000-0000-0000-000000000002', 1800, 'pending')) v (id, lead, status);`

const (
	shown  = "'dddddddd-0000-0000-0000-000000000001'"
	coming = "'dddddddd-0000-0000-0000-000000000002'"
)

func TestSnooze(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.exec(practice)
	const after = `select concat_ws(' ', round(extract(epoch from e.start_ts - r.notify_at_ts) / 60), r.status, r.snoozed_from is not null, r.plan_revision, r.error_message)
		from public.reminders r join public.events e on e.id = r.event_id order by r.notify_at_ts`
	for _, c := range []struct {
		name, call string
		want       []string
	}{
		{"for ten minutes", `select public.snooze_reminder(` + shown + `, minutes => 10)`, []string{"180 sent f 1", "110 pending t", "30 pending f 1"}},
		{"until a time", `select public.snooze_reminder(` + shown + `, now() + interval '1 hour')`, []string{"180 sent f 1", "60 pending t", "30 pending f 1"}},
		{"past the start", `select public.snooze_reminder(` + shown + `, minutes => 1440)`, []string{"180 sent f 1", "30 pending f 1", "1 pending t"}},
		{"until another comes", `select public.snooze_reminder(` + shown + `, (select notify_at_ts from public.reminders where id = ` + coming + `))`, []string{"180 sent f 1", "30 pending f 1"}},
		{"twice the same", `select public.snooze_reminder(` + shown + `, minutes => 20), public.snooze_reminder(` + shown + `, minutes => 20)`, []string{"180 sent f 1", "100 pending t", "30 pending f 1"}},
		{"twice", `select public.snooze_reminder(` + shown + `, minutes => 20); select public.snooze_reminder(` + shown + `, minutes => 40)`, []string{"180 sent f 1", "80 pending t", "30 pending f 1"}},
		{"what was put off", `select public.snooze_reminder(` + shown + `, minutes => 20);
			select public.snooze_reminder((select id from public.reminders where snoozed_from is not null), minutes => 40)`, []string{"180 sent f 1", "80 pending t", "30 pending f 1"}},
	} {
		s.exec(`begin`)
		s.as("authenticated", anna)
		s.exec(c.call)
		s.exec(`reset role`)
		s.same(c.name, c.want, s.lines(after))
		s.exec(`rollback`)
	}
	s.exec(`begin`)
	s.as("authenticated", anna)
	s.exec(`select public.snooze_reminder(` + coming + `, minutes => 100)`)
	got := s.line(`select status || ': ' || left(error_message, 26) from public.reminders where id = ` + coming)
	s.exec(`rollback`)
	if got != "skipped: put off by the user until " {
		t.Errorf("one that was still to come is %q", got)
	}
}

func TestSnoozeRefuses(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.exec(practice)
	s.as("authenticated", anna)
	for call, words := range map[string]string{
		shown + `)`: "not both", shown + `, now() + interval '1 hour', 5)`: "not both", shown + `, minutes => 0)`: "1 to 43200", shown + `, minutes => 43201)`: "1 to 43200",
		shown + `, 'infinity')`: "not both", shown + `, now() - interval '1 minute')`: "in the future",
	} {
		s.refused("22023", words, `select public.snooze_reminder(`+call)
	}
	s.refused("PT404", "reminderId", `select public.snooze_reminder(gen_random_uuid(), minutes => 5)`)
	s.as("authenticated", ben)
	s.refused("PT404", "no such reminder of this user", `select public.snooze_reminder(`+shown+`, minutes => 5)`)
	s.refused("PT404", "no such event of this user", `select public.dismiss_reminders('eeeeeeee-0000-0000-0000-000000000001')`)
	s.as("authenticated", "")
	s.refused("28000", "no signed-in user", `select public.snooze_reminder(`+shown+`, minutes => 5)`)
	s.exec(`reset role`)
	s.exec(`update public.events set start_ts = now() + interval '50 seconds'`)
	s.as("authenticated", anna)
	s.refused("22023", "no time left", `select public.snooze_reminder(`+shown+`, minutes => 5)`)
	s.exec(`reset role`)
	s.exec(`update public.events set status = 'cancelled'`)
	s.as("authenticated", anna)
	s.refused("22023", "the event was cancelled", `select public.snooze_reminder(`+shown+`, minutes => 5)`)
}

// A reminder that is put off into quiet hours comes at their end, or before they begin if the event does not wait for that.
func TestSnoozeAndQuietHours(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.exec(practice)
	// The clock cannot be set, so the hours are: by how far they are from now.
	hours := func(from, until string) {
		s.exec(`reset role`)
		s.exec(`insert into public.notification_settings (user_id, time_zone, quiet_from, quiet_until)
			values ($1, 'Asia/Kolkata', (now() at time zone 'Asia/Kolkata' + $2::interval)::time, (now() at time zone 'Asia/Kolkata' + $3::interval)::time)
			on conflict (user_id) do update set quiet_from = excluded.quiet_from, quiet_until = excluded.quiet_until`, anna, from, until)
		s.as("authenticated", anna)
	}
	// Quiet hours go by whole minutes, so what depends on them comes up to one earlier.
	comes := func(what, of string, want int) {
		t.Helper()
		in := s.line(`select round(extract(epoch from public.snooze_reminder(` + shown + `, minutes => ` + of + `) - now()))::text`)
		if seconds, err := strconv.Atoi(in); err != nil || seconds > want*60+1 || seconds < want*60-61 {
			t.Errorf("%s: comes in %s s, want about %d min", what, in, want)
		}
	}
	hours("30 minutes", "9 hours") // and the event begins in two hours
	comes("before the quiet hours", "10", 10)
	comes("into quiet hours that outlast the event's start", "40", 29)
	hours("30 minutes", "90 minutes")
	comes("into quiet hours that end before", "40", 90)
	comes("after them", "100", 100)
	hours("-10 minutes", "9 hours")
	s.refused("22023", "quiet hours", `select public.snooze_reminder(`+shown+`, minutes => 10)`)
	hours("-9 hours", "50 minutes")
	comes("within them, and they end before the event begins", "10", 50)
}

// The hours that come twice, or not at all, as the worker counts them.
func TestQuietAroundChangesOfClocks(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	for _, c := range []struct{ from, until, at, want string }{
		{"22:00", "07:00", "2026-11-25 23:00+01", "2026-11-25 22:00 2026-11-26 07:00"},
		{"22:00", "07:00", "2026-11-25 06:59+01", "2026-11-24 22:00 2026-11-25 07:00"},
		{"22:00", "07:00", "2026-11-25 07:00+01", ""},
		{"13:00", "15:00", "2026-11-25 14:00+01", "2026-11-25 13:00 2026-11-25 15:00"},
		{"22:00", "24:00", "2026-11-25 23:30+01", "2026-11-25 22:00 2026-11-26 00:00"},
		{"00:00", "24:00", "2026-11-25 12:00+01", ""},
		{"02:00", "06:00", "2026-10-25 02:27+02", "2026-10-25 02:00 2026-10-25 06:00"},
		{"02:00", "06:00", "2026-10-25 02:27+01", "2026-10-25 02:00 2026-10-25 06:00"},
		{"22:00", "02:00", "2026-10-25 02:07+02", "2026-10-24 22:00 2026-10-25 02:00"},
	} {
		s.exec(`insert into public.notification_settings (user_id, time_zone, quiet_from, quiet_until) values ($1, 'Europe/Berlin', $2::time, $3::time)
			on conflict (user_id) do update set quiet_from = excluded.quiet_from, quiet_until = excluded.quiet_until`, anna, c.from, c.until)
		got := s.line(`select concat_ws(' ', to_char(begins at time zone 'Europe/Berlin', 'YYYY-MM-DD HH24:MI'), to_char(ends at time zone 'Europe/Berlin', 'YYYY-MM-DD HH24:MI'))
			from reminder_worker.quiet_around($1, $2)`, anna, c.at)
		if got != c.want {
			t.Errorf("%s to %s at %s: %q, want %q", c.from, c.until, c.at, got, c.want)
		}
	}
}

func TestDismissIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.exec(practice)
	s.as("authenticated", anna)
	s.exec(`select public.dismiss_reminders(id) from public.events`)
	s.as("authenticated", ben)
	s.refused("PT404", "no such event of this user", `select public.restore_reminders('eeeeeeee-0000-0000-0000-000000000001')`)
	s.as("authenticated", anna)
	s.exec(`select public.restore_reminders(id) from public.events`)
	s.same("reminders", []string{"pending", "sent"}, s.lines(`select concat_ws(' ', status, error_message) from public.reminders order by 1`))
	s.exec(`select public.restore_reminders(id) from public.events`) // once more changes nothing
	s.exec(`reset role`)
	if got := s.line(`select concat_ws(' ', status, sync_revision, dismissed_for_ts is null) from public.events`); got != "pending 2 t" {
		t.Errorf("event %q", got)
	}
}

// A client that keeps its own ids may upsert by them, and not give an event another one.
func TestEventsAreUpserted(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.as("authenticated", anna)
	for _, title := range []string{"Practice", "Match"} {
		s.exec(`insert into public.events (id, user_id, title, start_ts) values ('eeeeeeee-0000-0000-0000-000000000001', $1, $2, now() + interval '1 day')
			on conflict (id) do update set id = excluded.id, user_id = excluded.user_id, title = excluded.title, start_ts = excluded.start_ts`, anna, title)
	}
	s.refused("22023", "keeps its id", `update public.events set id = gen_random_uuid()`)
	s.as("authenticated", ben)
	s.refused("42501", "row-level security", `insert into public.events (id, user_id, title, start_ts) values ('eeeeeeee-0000-0000-0000-000000000001', '`+ben+`', 'Mine', now())
		on conflict (id) do update set id = excluded.id, title = excluded.title`)
}

func TestDismiss(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.exec(practice)
	s.exec(`insert into public.reminders (event_id, user_id, notify_at_ts, message) select id, user_id, now() + interval '1 hour', 'mine' from public.events`)
	s.as("authenticated", anna)
	if got := s.line(`select public.dismiss_reminders(id)::text from public.events`); got != "2" {
		t.Errorf("%s reminders were still to come, want 2", got)
	}
	s.exec(`reset role`)
	s.same("reminders", []string{"sent", "skipped dismissed by the user", "skipped dismissed by the user"},
		s.lines(`select concat_ws(' ', status, error_message) from public.reminders order by 1`))
	if got := s.line(`select concat_ws(' ', status, sync_revision, dismissed_for_ts = start_ts) from public.events`); got != "synced 1 t" {
		t.Errorf("event %q", got)
	}
}

// What the app may read of its pushes, devices and calendar: each user of their own, and no token in full.
func TestViewsShowTheUsersOwn(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.exec(practice)
	s.exec(`select reminder_worker.put_push_device('` + anna + `', 'ExponentPushToken[annas-secret]', 'ios'), reminder_worker.put_push_device('` + ben + `', '01234567-89ab-cdef-0123-456789abcdef', 'android'),
		reminder_worker.put_google_account('` + anna + `', 'annas secret')`)
	s.exec(`insert into reminder_worker.deliveries (reminder_id, token, state, ticket_id, sent_at, lateness_ms) values
		(` + shown + `, 'ExponentPushToken[annas-secret]', 'delivered', 't1', now(), 3), (` + shown + `, '01234567-89ab-cdef-0123-456789abcdef', 'failed', 't2', now(), 3)`)
	s.as("authenticated", anna)
	s.same("devices", []string{"ExponentPushToken[ann...] ios"}, s.lines(`select concat_ws(' ', token, platform, retired_reason) from public.reminder_devices`))
	s.same("deliveries", []string{"012... failed f 3 e", "ExponentPushToken[ann...] delivered t 3 e"},
		s.lines(`select concat_ws(' ', token, state, device_id is not null, lateness_ms, left(event_id::text, 1)) from public.reminder_deliveries order by token collate "C"`))
	s.same("connection", []string{"connected primary"}, s.lines(`select concat_ws(' ', state, reason, calendar_id) from public.calendar_connection`))
	s.as("authenticated", ben)
	s.same("ben's devices", []string{"012... android"}, s.lines(`select concat_ws(' ', token, platform, retired_reason) from public.reminder_devices`))
	for _, view := range []string{"reminder_deliveries", "calendar_connection"} {
		s.same("ben's "+view, nil, s.lines(`select 'a row' from public.`+view))
	}
	for _, view := range []string{"reminder_devices", "calendar_connection"} {
		s.refused("42501", "permission denied", `delete from public.`+view)
	}
	s.refused("55000", "cannot delete from view", `delete from public.reminder_deliveries`)
	s.as("anon", "")
	for _, view := range []string{"reminder_devices", "reminder_deliveries", "calendar_connection"} {
		s.refused("42501", "permission denied", `select from public.`+view)
	}
}

// Tokens stored with updateUser() move from the metadata, which travels in the JWT, to where they belong.
func TestTokensInMetadataAreTakenOver(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.exec(`update auth.users set raw_user_meta_data = '{"name": "Anna", "expo_push_token": "ExponentPushToken[m]", "google_refresh_token": " from metadata "}' where id = $1`, anna)
	s.exec(`insert into auth.users (id, raw_user_meta_data) values ('cccccccc-0000-0000-0000-000000000003', '{"expo_push_token": "ExponentPushToken[n]", "theme": "dark"}')`)
	s.exec(`update auth.users set raw_user_meta_data = '{"expo_push_token": "no token", "google_refresh_token": ""}' where id = $1`, ben)
	s.same("metadata", []string{`a {"name": "Anna"}`, `b {"expo_push_token": "no token", "google_refresh_token": ""}`, `c {"theme": "dark"}`},
		s.lines(`select left(id::text, 1) || ' ' || raw_user_meta_data from auth.users order by 1`))
	s.same("devices", []string{"a ExponentPushToken[m]", "c ExponentPushToken[n]"}, s.lines(`select left(user_id::text, 1) || ' ' || token from reminder_worker.push_devices order by 1`))
	s.same("accounts", []string{"a from metadata"}, s.lines(`select left(user_id::text, 1) || ' ' || refresh_token from reminder_worker.google_accounts`))
	s.exec(`update auth.users set raw_user_meta_data = '{"expo_push_token": 5, "google_refresh_token": {"a": 1}}' where id = $1`, ben)
	s.same("tokens of other kinds", []string{`{"expo_push_token": 5, "google_refresh_token": {"a": 1}}`}, s.lines(`select raw_user_meta_data::text from auth.users where id = $1`, ben))
	// The app's statement succeeds whatever becomes of the tokens.
	s.exec(`alter table reminder_worker.push_devices add constraint broken check (token <> 'ExponentPushToken[o]')`)
	s.exec(`update auth.users set raw_user_meta_data = '{"expo_push_token": "ExponentPushToken[o]"}' where id = $1`, ben)
	s.same("ben's metadata", []string{`{"expo_push_token": "ExponentPushToken[o]"}`}, s.lines(`select raw_user_meta_data::text from auth.users where id = $1`, ben))
}

// Metadata that was there before the migration is taken over by it.
func TestTokensInMetadataOfBefore(t *testing.T) {
	t.Parallel()
	s := adopt(t, `create schema auth; create table auth.users (id uuid primary key, raw_user_meta_data jsonb);
		insert into auth.users values ('`+anna+`', '{"expo_push_token": "ExponentPushToken[m]", "k": 1}'), ('`+ben+`', null);`)
	s.same("metadata", []string{`{"k": 1}`}, s.lines(`select raw_user_meta_data::text from auth.users where raw_user_meta_data is not null`))
	s.same("devices", []string{"ExponentPushToken[m]"}, s.lines(`select token from reminder_worker.push_devices`))
}
