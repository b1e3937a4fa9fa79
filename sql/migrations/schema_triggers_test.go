package migrations_test

import (
	"testing"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// settledEvent makes an event of anna's that is synced, and one planned reminder and one of the app's.
const settledEvent = `
insert into public.events (id, user_id, title, start_ts) values ('eeeeeeee-0000-0000-0000-000000000001', '` + anna + `', 'Practice', now() + interval '2 days');
insert into public.reminders (event_id, user_id, notify_at_ts, plan_revision, planned_for_ts, lead_seconds)
  select id, user_id, start_ts - interval '1 hour', 1, start_ts, 3600 from public.events;
insert into public.reminders (event_id, user_id, notify_at_ts, message) select id, user_id, start_ts - interval '2 hours', 'mine' from public.events;
update public.events set status = 'synced', sync_due_at = null;
insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id) select id, user_id, 'g1' from public.events;`

func TestChangeOfContentAsksForWork(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.exec(`insert into public.children (id, user_id, name) values ('cccccccc-0000-0000-0000-000000000001', $1, 'Kim')`, anna)
	s.exec(settledEvent)
	const state = `select concat_ws(' ', status, sync_revision, sync_due_at = now(), error_message) from public.events`
	for _, c := range []struct{ name, change, want string }{
		{"nothing", `update public.events set title = title`, "synced 1"},
		{"a full row", `update public.events set (user_id, title, start_ts, end_ts, location, prep_items, status) = (user_id, title, start_ts, end_ts, location, prep_items, status)`, "synced 1"},
		{"the worker's columns", `update public.events set google_calendar_id = 'g', error_message = 'e', status = 'scheduled'`, "scheduled 1 e"},
		{"title", `update public.events set title = 'Match'`, "pending 2 t"},
		{"start", `update public.events set start_ts = start_ts + interval '1 hour'`, "pending 2 t"},
		{"end", `update public.events set end_ts = start_ts + interval '1 hour'`, "pending 2 t"},
		{"location", `update public.events set location = 'Field 3'`, "pending 2 t"},
		{"things", `update public.events set prep_items = '{cleats}'`, "pending 2 t"},
		{"child", `update public.events set child_id = 'cccccccc-0000-0000-0000-000000000001'`, "pending 2 t"},
		{"a stale full row", `update public.events set title = 'Match', status = 'synced', sync_revision = 1, sync_due_at = null, error_message = 'old'`, "pending 2 t"},
		{"asked for again", `update public.events set status = 'pending'`, "pending 2 t"},
		{"no state", `update public.events set status = null`, "pending 2 t"},
		{"cancelled", `update public.events set status = 'cancelled'`, "cancelled 2 t"},
		{"cancelled and changed", `update public.events set status = 'cancelled', title = 'Match'`, "cancelled 2 t"},
		{"cancelled and back", `update public.events set status = 'cancelled'; update public.events set status = 'synced'`, "pending 3 t"},
		{"an upsert", `insert into public.events (id, user_id, title, start_ts, status) select id, user_id, 'Match', start_ts, 'synced' from public.events
			on conflict (id) do update set title = excluded.title, status = excluded.status`, "pending 2 t"},
		{"an upsert of nothing", `insert into public.events (id, user_id, title, start_ts) select id, user_id, title, start_ts from public.events
			on conflict (id) do update set title = excluded.title`, "synced 1"},
		{"a child that goes", `update public.events set child_id = 'cccccccc-0000-0000-0000-000000000001', sync_due_at = null;
			delete from public.children`, "pending 3 t"},
		{"a deletion undone", `savepoint b; delete from public.events; rollback to b`, "synced 1"},
	} {
		s.exec(`begin`)
		s.exec(c.change)
		if got := s.line(state); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		s.exec(`rollback`)
	}
}

func TestInsertedEventsAreWork(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	for state, want := range map[string]string{
		"default": "pending t", "'pending'": "pending t", "null": "pending t", "'draft'": "draft f", "'synced'": "synced f",
	} {
		got := s.line(`insert into public.events (user_id, title, start_ts, status) values ($1, 'Practice', now(), `+state+`)
			returning concat_ws(' ', status, sync_due_at is not null)`, anna)
		if got != want {
			t.Errorf("inserted with status %s: %q, want %q", state, got, want)
		}
	}
}

func TestReminderAskedForAgain(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.exec(settledEvent)
	const state = `select concat_ws(' ', status, retry_count, next_attempt_at is not null, changed_xid = pg_current_xact_id()) from public.reminders where plan_revision is null`
	for _, c := range []struct{ name, before, change, want string }{
		{"nothing", ``, `update public.reminders set message = message`, "pending 0 f f"},
		{"the worker's retry", `update public.reminders set status = 'sending'`, `update public.reminders set status = 'pending', retry_count = 1, next_attempt_at = now()`, "pending 1 t f"},
		{"text", ``, `update public.reminders set message = 'Bring water'`, "pending 0 f t"},
		{"moved while it waits for a retry", `update public.reminders set retry_count = 1, next_attempt_at = now()`, `update public.reminders set notify_at_ts = notify_at_ts + interval '1 minute'`, "pending 1 f t"},
		{"sent, again", `update public.reminders set status = 'sent', retry_count = 3`, `update public.reminders set status = 'pending'`, "pending 0 f t"},
		{"no state", `update public.reminders set status = 'failed', retry_count = 3`, `update public.reminders set status = null`, "pending 0 f t"},
	} {
		s.exec(c.before + `;`)
		s.exec(`begin`)
		s.exec(c.change)
		if got := s.line(state); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		s.exec(`rollback`)
		s.exec(`update public.reminders set status = 'pending', retry_count = 0, next_attempt_at = null`)
	}
}

func TestTombstones(t *testing.T) {
	t.Parallel()
	const state = `select concat_ws(' ', user_id = '` + anna + `', tombstoned_at is not null, due_at <= now()) from reminder_worker.calendar_copies`
	for name, c := range map[string]struct{ change, want string }{
		"deleted":        {`delete from public.events`, "t t t"},
		"truncated":      {`truncate public.events cascade`, "t t f"},
		"given away":     {`update public.events set user_id = '` + ben + `'`, "t t t"},
		"deleted, held":  {`update public.events set sync_lease_until = now() + interval '1 minute'; delete from public.events`, "t t f"},
		"user deleted":   {`delete from auth.users where id = '` + anna + `'`, ""},
		"cancelled":      {`update public.events set status = 'cancelled'`, "t f"},
		"removed before": {`update reminder_worker.calendar_copies set tombstoned_at = now(); delete from public.events`, "t t"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSchema(t)
			s.exec(settledEvent)
			s.exec(c.change)
			if got := s.line(state); got != c.want {
				t.Errorf("copy %q, want %q", got, c.want)
			}
		})
	}
}

func TestDoorbellRingsOncePerCommit(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	s := &schema{t: t, conn: db.Connect(t)}
	s.exec(`insert into auth.users (id) values ('` + anna + `'), ('` + ben + `')`)
	s.exec(settledEvent)
	s.exec(`select reminder_worker.open_bell('notify', 60000, 'words')`)
	bell := newDoorbell(t, db.Connect(t), s.conn)
	const insert = `insert into public.events (user_id, title, start_ts) select '` + anna + `', 'Practice', now() + interval '1 day' from generate_series(1, 100);`
	for _, c := range []struct {
		name, change string
		want         int
	}{
		{"many rows", insert, 1},
		{"many statements", `begin;` + insert + insert + `update public.events set title = 'Match'; delete from public.reminders; commit`, 1},
		{"events and reminders", `begin;` + insert + `insert into public.reminders (event_id, user_id, notify_at_ts) select id, user_id, start_ts from public.events; commit`, 2}, // one for each
		{"rolled back", `begin;` + insert + `rollback`, 0},
		{"two commits", `begin;` + insert + `commit; begin;` + insert + `commit`, 2},
		{"no change", `update public.events set title = title; update public.reminders set message = message`, 0},
		{"states of the worker", `update public.events set status = 'synced', sync_due_at = null, google_calendar_id = 'g'`, 0},
		{"asked for again", `update public.events set status = 'pending' where id = 'eeeeeeee-0000-0000-0000-000000000001'`, 1},
		{"the app moves a reminder", `update public.reminders set notify_at_ts = notify_at_ts + interval '1 second'`, 1},
		{"planned reminders", `insert into public.reminders (event_id, user_id, notify_at_ts, plan_revision) select id, user_id, start_ts - interval '9 hours', 1 from public.events`, 0},
		{"copies to remove", `delete from public.events where id = 'eeeeeeee-0000-0000-0000-000000000001'`, 1},
		{"events without copies", `delete from public.events where title = 'Match'`, 0},
		{"truncated", `truncate public.events cascade`, 1},
		{"nobody wants to hear", `select reminder_worker.close_bell('notify', floor(extract(epoch from clock_timestamp()) * 1000)::bigint, 5000);` + insert, 0},
		{"others hear another way", `select reminder_worker.open_bell('wal', 60000, '');` + insert, 0},
		{"somebody wants to hear again", `select reminder_worker.open_bell('notify', 60000, 'word');` + insert, 2},
	} {
		s.exec(c.change)
		if got := bell.rings(); got != c.want {
			t.Errorf("%s: rang %d times, want %d", c.name, got, c.want)
		}
	}
}

func TestDeletedUserLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newSchema(t)
	s.exec(settledEvent)
	s.exec(`select reminder_worker.put_google_account($1, 'token'), reminder_worker.put_push_device($1, 'ExponentPushToken[a]', 'ios')`, anna)
	s.exec(`insert into reminder_worker.deliveries (reminder_id, token, state, sent_at, lateness_ms) select id, 't', 'accepted', now(), 0 from public.reminders`)
	s.exec(`insert into public.notification_settings (user_id, quiet_from, quiet_until) values ($1, '22:00', '07:00')`, anna)
	s.exec(`delete from auth.users where id = $1`, anna)
	got := s.line(`select concat_ws(' ', (select count(*) from public.events), (select count(*) from public.reminders), (select count(*) from reminder_worker.calendar_copies),
		(select count(*) from reminder_worker.deliveries), (select count(*) from reminder_worker.google_accounts), (select count(*) from reminder_worker.push_devices))`)
	if got != "0 0 0 0 0 0" {
		t.Errorf("rows left: %s", got)
	}
}
