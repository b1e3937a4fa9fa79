package reconcile

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// reminders are those of an event as its user's clock in Berlin shows them.
func (w *world) reminders(event uuid.UUID) []string {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), `select concat_ws(' ', to_char(notify_at_ts at time zone 'Europe/Berlin', 'DD HH24:MI'), lead_seconds / 60, status, error_message)
		from reminders where event_id = $1 order by notify_at_ts, status`, event)
	if err != nil {
		w.t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

func (w *world) same(what string, got []string, want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// What the user chooses plans the coming events anew, at once: reminders move, none is doubled, and Google is not asked.
func TestSettingsReplan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	// Nine in the morning in Berlin, some years ahead.
	event := one[uuid.UUID](w, `insert into events (user_id, title, start_ts) values ($1, 'Swimming', timestamptz '2035-06-15 07:00+00') returning id`, user)
	planned := func(revision int) {
		t.Helper()
		w.untilTrue(`status = 'synced' and sync_revision = $2 and sync_lease_until is null from events where id = $1`, event, revision)
	}
	planned(1)
	w.same("by default", w.reminders(event), "14 09:00 1440 pending", "15 06:00 180 pending", "15 08:30 30 pending")
	asked := len(w.google.Log())

	w.exec(`insert into notification_settings (user_id, quiet_from, quiet_until, time_zone) values ($1, '22:00', '07:30', 'Europe/Berlin')`, user)
	planned(2)
	w.same("with quiet hours", w.reminders(event), "14 09:00 1440 pending", "15 06:00 180 cancelled other times are wanted since", "15 07:30 180 pending", "15 08:30 30 pending")

	w.exec(`update notification_settings set reminder_minutes = '{60, 30, 5}'`)
	planned(3)
	w.same("with minutes of one's own", w.reminders(event), "14 09:00 1440 cancelled other times are wanted since", "15 06:00 180 cancelled other times are wanted since",
		"15 07:30 180 cancelled other times are wanted since", "15 08:00 60 pending", "15 08:30 30 pending", "15 08:55 5 pending")

	w.exec(`update events set reminder_minutes = '{}' where id = $1`, event)
	planned(4)
	w.untilTrue(`not exists (select from reminders where status = 'pending')`)

	w.exec(`update events set reminder_minutes = null where id = $1`, event)
	w.exec(`delete from notification_settings`)
	w.untilTrue(`status = 'synced' and sync_revision >= 6 and sync_lease_until is null from events where id = $1`, event)
	w.untilTrue(`(select count(*) from reminders where status = 'pending') = 3`)
	// The zone of the copy is the user's: it was read and written anew with theirs, and again without. Nothing else is Google's business.
	if n := len(w.google.Log()) - asked; n != 4 {
		t.Errorf("Google was asked %d times, want 4", n)
	}
	w.wantCopies(user, 1)
}

// A calendar that is turned off is left alone, and its events are planned all the same; turned on again it is brought up to date.
func TestCalendarTurnedOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	event := w.event(user, "Soccer practice")
	w.untilStatus(event, "synced")
	w.exec(`insert into notification_settings (user_id, calendar_enabled) values ($1, false)`, user)
	w.untilStatus(event, "scheduled")
	asked := len(w.google.Log())
	w.exec(`update events set title = 'Final' where id = $1`, event)
	later := w.event(user, "Later")
	w.untilStatus(event, "scheduled")
	w.untilStatus(later, "scheduled")
	w.untilTrue(`(select count(*) from reminders where status = 'pending') = 6`)
	w.connect(user) // a new consent does not turn it on
	w.untilStatus(event, "scheduled")
	w.untilStatus(later, "scheduled")
	if n := len(w.google.Log()) - asked; n != 0 {
		t.Errorf("Google was asked %d times", n)
	}
	w.exec(`update notification_settings set calendar_enabled = true`)
	w.untilStatus(event, "synced")
	w.untilStatus(later, "synced")
	w.wantCopies(user, 2)
}

// An event of whole days is reminded of once, the evening before, in the user's zone.
func TestWholeDays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	w.exec(`insert into notification_settings (user_id, time_zone) values ($1, 'Europe/Berlin')`, user)
	event := one[uuid.UUID](w, `insert into events (user_id, title, start_ts, end_ts)
		values ($1, 'School trip', timestamptz '2035-06-15 00:00+02', timestamptz '2035-06-17 00:00+02') returning id`, user)
	w.untilStatus(event, "synced")
	w.same("reminders", w.reminders(event), "14 18:00 30 pending")
	w.exec(`update notification_settings set all_day_at = '07:15'`)
	w.untilTrue(`status = 'synced' and sync_revision = 2 and sync_lease_until is null from events where id = $1`, event)
	w.same("reminders in the morning", w.reminders(event), "14 07:15 30 pending", "14 18:00 30 cancelled other times are wanted since")
}

// What was dismissed stays so through edits, until the event is moved.
func TestDismissed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	event := w.event(user, "Soccer practice")
	w.untilStatus(event, "synced")
	w.exec(`select set_config('request.jwt.claims', json_build_object('sub', $1::text)::text, false), public.dismiss_reminders($2)`, user, event)
	w.untilTrue(`(select count(*) from reminders where status = 'skipped' and error_message = 'dismissed by the user') = 3`)
	w.exec(`update events set title = 'Final' where id = $1`, event)
	w.untilTrue(`status = 'synced' and sync_revision = 2 and sync_lease_until is null from events where id = $1`, event)
	w.untilTrue(`(select count(*) from reminders where status = 'skipped') = 3 and not exists (select from reminders where status = 'pending')`)
	w.exec(`update events set start_ts = start_ts + interval '1 day' where id = $1`, event)
	w.untilTrue(`(select count(*) from reminders where status = 'pending') = 3`)
}

// A reminder that quiet hours had put off is not lost when the user gives them up, or travels: it stays where it is.
func TestPutOffByQuietHoursIsNotLost(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"given up":        `update notification_settings set quiet_from = null`,
		"travelled":       `update notification_settings set time_zone = 'Etc/GMT+5'`,
		"other minutes":   `update notification_settings set reminder_minutes = '{720, 5}'`,
		"changed as well": `update events set title = 'Final'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start()
			user := w.user()
			// Twelve hours before the start was half an hour ago, in quiet hours that end in some hours.
			w.exec(`insert into notification_settings (user_id, quiet_from, quiet_until, time_zone, reminder_minutes)
				values ($1, (now() at time zone 'UTC' - interval '1 hour')::time, (now() at time zone 'UTC' + interval '8 hours')::time, 'Etc/GMT', '{720}')`, user)
			event := one[uuid.UUID](w, `insert into events (user_id, title, start_ts, sync_changed_at) values ($1, 'Swimming', now() + interval '11 hours 30 minutes', now() - interval '1 day') returning id`, user)
			w.untilStatus(event, "synced")
			w.untilTrue(`(select count(*) from reminders where status = 'pending' and lead_seconds = 43200) = 1`)
			w.exec(change)
			w.untilTrue(`status = 'synced' and sync_revision = 2 and sync_lease_until is null from events where id = $1`, event)
			if n := one[int](w, `select count(*)::int from reminders where status = 'pending' and lead_seconds = 43200 and notify_at_ts > now()`); n != 1 {
				t.Errorf("%d reminders of twelve hours are pending, want 1: %v", n, w.reminders(event))
			}
		})
	}
}

// An event whose copy Google refuses for good has its reminders all the same, and they follow the settings.
func TestFailedInGoogleOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	event := w.event(user, "Soccer practice")
	w.untilStatus(event, "synced")
	w.exec(`update events set status = 'failed' where id = $1`, event)
	w.exec(`insert into notification_settings (user_id, reminder_minutes) values ($1, '{}')`, user)
	w.untilTrue(`not exists (select from reminders where status = 'pending')`)
}
