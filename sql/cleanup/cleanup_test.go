package cleanup

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// world is a database with old and new rows in it.
type world struct {
	t    *testing.T
	db   *pgtest.DB
	pool *pgxpool.Pool
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db := pgtest.New(t)
	return &world{t: t, db: db, pool: db.Pool}
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(context.Background(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

func one[T any](w *world, sql string, args ...any) (v T) {
	w.t.Helper()
	if err := w.pool.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func (w *world) list(sql string) []string {
	w.t.Helper()
	rows, err := w.pool.Query(context.Background(), sql)
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return found
}

// small has few rows and blocks in a step, so that a test has many steps, and never pauses.
func small(c *Config) { c.Batch, c.Blocks, c.Share = 3, 1, 1 }

func (w *world) cleaner(change ...func(*Config)) *Cleaner {
	w.t.Helper()
	cfg := DefaultConfig()
	cfg.Share = 1
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(w.pool, cfg, zerolog.Nop(), NewMetrics(nil))
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) clean(change ...func(*Config)) Report {
	w.t.Helper()
	report, err := w.cleaner(change...).Clean(w.t.Context(), Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

// users makes the two users of a world.
const users = `insert into auth.users (id) values ('aaaaaaaa-0000-0000-0000-000000000001'), ('bbbbbbbb-0000-0000-0000-000000000001');`

// mixed are events and reminders by name: what is old is named so, and of what stays the name says why. Triggers rest, so that rows are as they are
// told.
const mixed = users + `
set session_replication_role = replica;
create function id(name text) returns uuid language sql as $$ select md5(name)::uuid $$;
insert into events (id, user_id, title, start_ts, status, created_at, sync_changed_at, sync_due_at, sync_lease_until)
select id(name), 'aaaaaaaa-0000-0000-0000-000000000001', name, now() + start, status, now() + least(start, '0'), now() + least(start, '0'), now() + due, now() + lease
from (values
  ('old failed', interval '-100 days', 'failed', null::interval, null::interval),
  ('old synced', '-100 days', 'synced', null, null),
  ('old cancelled', '-100 days', 'cancelled', null, null),
  ('old scheduled', '-100 days', 'scheduled', null, null),
  ('old with copy', '-100 days', 'synced', null, null),
  ('pending', '-100 days', 'pending', '-1 day', null),
  ('failed and to be tried again', '-100 days', 'failed', '1 hour', null),
  ('held', '-100 days', 'synced', null, '1 minute'),
  ('with a reminder to come', '-100 days', 'synced', null, null),
  ('with a receipt to come', '-100 days', 'synced', null, null),
  ('with a copy being removed', '-100 days', 'cancelled', null, null),
  ('young failed', '-80 days', 'failed', null, null),
  ('young synced', '-80 days', 'synced', null, null),
  ('to come', '10 days', 'synced', null, null)) v (name, start, status, due, lease);
update events set sync_changed_at = now() where title = 'young synced';
insert into reminders (id, event_id, user_id, notify_at_ts, message, status, created_at, sent_at_ts, next_attempt_at)
select id('r ' || name), id(event), 'aaaaaaaa-0000-0000-0000-000000000001', now() + at, 'r ' || name, status, now() + least(at, '0'), sent, null
from (values
  ('old sent', 'old synced', interval '-101 days', 'sent', now() - interval '101 days'),
  ('old failed', 'old synced', '-102 days', 'failed', null),
  ('old cancelled', 'old synced', '-103 days', 'cancelled', null),
  ('old expired', 'old synced', '-104 days', 'expired', null),
  ('old skipped', 'old synced', '-105 days', 'skipped', null),
  ('old of a young event', 'young synced', '-101 days', 'sent', null),
  ('pending', 'with a reminder to come', '-101 days', 'pending', null),
  ('sending', 'old cancelled', '-101 days', 'sending', null),
  ('receipt to come', 'with a receipt to come', '-101 days', 'sent', null),
  ('young', 'old failed', '-89 days', 'sent', null),
  ('sent late', 'old failed', '-101 days', 'sent', now()),
  ('of an event to come', 'to come', '-101 days', 'sent', null)) v (name, event, at, status, sent);
insert into reminder_worker.deliveries (reminder_id, token, state, sent_at, lateness_ms, receipt_due_at)
select r.id, t, 'delivered', now() - interval '101 days', 1, case when r.message = 'r receipt to come' then now() end
from reminders r, unnest(array['a', 'b']) t where r.status = 'sent';
insert into reminder_worker.google_accounts (user_id, refresh_token, state) values
  ('aaaaaaaa-0000-0000-0000-000000000001', 'token', 'connected'), ('bbbbbbbb-0000-0000-0000-000000000001', '', 'off');
insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, tombstoned_at, due_at)
select id(event), case who when 'a' then 'aaaaaaaa-0000-0000-0000-000000000001' else 'bbbbbbbb-0000-0000-0000-000000000001' end::uuid, event, now() + dead, now() + due
from (values
  ('old with copy', 'a', null::interval, null::interval),
  ('to come', 'a', null, null),
  ('with a copy being removed', 'a', '-1 day', '1 minute'),
  ('old removal', 'b', '-400 days', null),
  ('removal that is due', 'b', '-400 days', '1 minute'),
  ('young removal', 'b', '-300 days', null),
  ('to come', 'b', '-400 days', null),
  ('of a connected account', 'a', '-400 days', null)) v (event, who, dead, due);
insert into reminder_worker.push_devices (token, user_id, retired_at) values
  ('ExponentPushToken[in use]', 'aaaaaaaa-0000-0000-0000-000000000001', null),
  ('ExponentPushToken[old]', 'aaaaaaaa-0000-0000-0000-000000000001', now() - interval '100 days'),
  ('ExponentPushToken[named]', 'bbbbbbbb-0000-0000-0000-000000000001', now() - interval '100 days'),
  ('ExponentPushToken[young]', 'aaaaaaaa-0000-0000-0000-000000000001', now() - interval '10 days');
update reminders set push_token = 'ExponentPushToken[named]' where message = 'r pending';
insert into reminder_worker.user_deletions (user_id, keep_copies, auth_user, until, ended_at, due_at)
values (null, false, false, now(), now() - interval '100 days', null), (null, false, false, now(), now(), null);
set session_replication_role = origin;`

// What is over goes, and what is still needed stays, whatever there is in a step.
func TestWhatGoesAndWhatStays(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){"at once": func(*Config) {}, "in small steps": small} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(mixed)
			all := func(c *Config) { change(c); c.Events = 90 * 24 * time.Hour }
			dry, err := w.cleaner(all).Clean(t.Context(), Options{DryRun: true})
			if err != nil {
				t.Fatal(err)
			}
			want := Counts{Reminders: 5, Events: 4, Removals: 1, Devices: 1}
			if diff := cmp.Diff(want, dry.Counts); diff != "" {
				t.Errorf("dry run (-want +got):\n%s", diff)
			}
			if got := one[int](w, `select count(*) from reminders`); got != 12 {
				t.Fatalf("a dry run has left %d reminders", got)
			}
			report := w.clean(all)
			// With the failed event go two reminders that are not old by themselves.
			want = Counts{Reminders: 7, Deliveries: 6, Events: 4, Copies: 1, Removals: 1, Devices: 1, Deletions: 1}
			if diff := cmp.Diff(want, report.Counts); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
			for _, c := range []struct {
				what, sql string
				want      []string
			}{
				{"events", `select title from events order by title collate "C"`, []string{
					"failed and to be tried again", "held", "old cancelled", "pending", "to come", "with a copy being removed", "with a receipt to come",
					"with a reminder to come", "young failed", "young synced",
				}},
				{"reminders", `select message from reminders order by message collate "C"`, []string{
					"r of an event to come", "r old of a young event", "r pending", "r receipt to come", "r sending",
				}},
				{"deliveries", `select distinct r.message from reminder_worker.deliveries d join reminders r on r.id = d.reminder_id order by 1`, []string{
					"r of an event to come", "r old of a young event", "r receipt to come",
				}},
				{"copies", `select google_event_id from reminder_worker.calendar_copies where tombstoned_at is null`, []string{"to come"}},
				{"removals", `select google_event_id from reminder_worker.calendar_copies where tombstoned_at is not null order by 1`, []string{
					"of a connected account", "removal that is due", "to come", "with a copy being removed", "young removal",
				}},
				{"devices", `select token from reminder_worker.push_devices order by 1`, []string{
					"ExponentPushToken[in use]", "ExponentPushToken[named]", "ExponentPushToken[young]",
				}},
			} {
				if diff := cmp.Diff(c.want, w.list(c.sql)); diff != "" {
					t.Errorf("%s that stay (-want +got):\n%s", c.what, diff)
				}
			}
			if again := w.clean(all); again.Counts != (Counts{}) {
				t.Errorf("a second time: %+v", again.Counts)
			}
		})
	}
}

// By default the app's events stay, but for those that have failed; with 0 nothing goes.
func TestAges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(mixed)
	never := func(c *Config) { c.Reminders, c.FailedEvents, c.Removals, c.Devices = 0, 0, 0, 0 }
	if got := w.clean(never).Counts; got != (Counts{Deletions: 1}) {
		t.Errorf("never: %+v", got)
	}
	if got := w.clean().Counts; got.Events != 1 || got.Reminders != 7 || got.Copies != 0 {
		t.Errorf("by default: %+v", got)
	}
}

// An event that changes between being found and being held stays, and so does one to which the app adds a reminder.
func TestChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]string{
		"moved":      `update events set start_ts = now() + interval '1 day' where title = 'old with copy'`,
		"reminder":   `insert into reminders (event_id, user_id, notify_at_ts) select id, user_id, now() + interval '1 day' from events where title = 'old with copy'`,
		"being held": `update events set sync_lease_until = now() + interval '1 minute' where title = 'old with copy'`,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.exec(mixed)
			c := w.cleaner(func(c *Config) { c.Events = 90 * 24 * time.Hour })
			rows, err := findEvents(t.Context(), c.q, c.cfg, 0, start(1000))
			if err != nil || len(rows) != 4 {
				t.Fatalf("found %d: %v", len(rows), err)
			}
			w.exec(change)
			if _, err := removeEvents(t.Context(), c.q, c.cfg, rows); err != nil {
				t.Fatal(err)
			}
			if n := one[int](w, `select count(*) from events where title = 'old with copy'`); n != 1 {
				t.Error("it is gone")
			}
			if n := one[int](w, `select count(*) from reminder_worker.calendar_copies where google_event_id = 'old with copy' and tombstoned_at is null`); n != 1 {
				t.Error("its copy is forgotten, or about to be removed")
			}
		})
	}
}

// Rows that the app is at are passed over, and waited for by nobody.
func TestRowsInUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(mixed)
	app, err := w.db.Connect(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Exec(t.Context(), `update events set title = title where title = 'old failed'`); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Exec(t.Context(), `update reminders set message = message where message = 'r old sent'`); err != nil {
		t.Fatal(err)
	}
	if got := w.clean().Counts; got.Events != 0 || got.Reminders != 4 || got.Refused != 0 {
		t.Errorf("while they are in use: %+v", got)
	}
	if err := app.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.clean().Counts; got.Events != 1 || got.Reminders != 3 {
		t.Errorf("afterwards: %+v", got)
	}
}

// What a table of the app's still refers to stays, alone, and is told; its batch goes.
func TestRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(mixed)
	w.exec(`create table photos (event_id uuid references events (id))`)
	w.exec(`insert into photos values (id('old synced'))`)
	c := w.cleaner(func(c *Config) { c.Events = 90 * 24 * time.Hour })
	report, err := c.Clean(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := report.Counts; got.Events != 3 || got.Refused != 1 || got.Copies != 1 {
		t.Errorf("removed %+v", got)
	}
	if n := testutil.ToFloat64(c.m.removed.WithLabelValues("refused")); n != 1 {
		t.Errorf("%v are told", n)
	}
	// Where all are refused, it is not tried a thousand times.
	w.exec(`create function keep() returns trigger language plpgsql as $$ begin raise exception 'Practice with Kim is kept'; end $$`)
	w.exec(`create trigger keep before delete on reminders for each row execute function keep()`)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, status, created_at) select id, user_id, now() - interval '200 days' - n * interval '1 minute', 'sent', now() - interval '200 days'
		from events, generate_series(1, 1000) n where title = 'old synced'`)
	var told strings.Builder
	c.log = zerolog.New(&told)
	if report, err = c.Clean(t.Context(), Options{}); err != nil || report.Counts.Refused > 2*maxRefused {
		t.Errorf("removed %+v: %v", report.Counts, err)
	}
	if strings.Contains(told.String(), "Kim") || !strings.Contains(told.String(), `"sqlstate":"P0001"`) || !strings.Contains(told.String(), "the rest of a part is left") {
		t.Errorf("the log says:\n%s", &told)
	}
}

// One worker does it for all. What one that died has left is gone on with, by another, from where it was, and counted once.
func TestTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(mixed)
	a, b := w.cleaner(small), w.cleaner(small)
	if nap, err := a.turn(t.Context()); err != nil || nap < time.Minute {
		t.Errorf("before it is due: nap %s, %v", nap, err)
	}
	w.exec(`update reminder_worker.cleanups set due_at = now()`)
	first, err := a.take(t.Context(), false, 1)
	if err != nil || first == nil {
		t.Fatal(first, err)
	}
	if second, err := b.take(t.Context(), true, 1); err != nil || second != nil {
		t.Errorf("two at once: %+v, %v", second, err)
	}
	first.part = "reminders"
	if err := first.step(t.Context(), parts[0], start(1000)); err != nil {
		t.Fatal(err)
	}
	first.at = 0 // as it is written: the step's rows are gone, and what was left of its block is not looked at yet
	w.exec(`update reminder_worker.cleanups set held_until = now() - interval '1 second'`)
	if nap, err := b.turn(t.Context()); err != nil || nap != 0 {
		t.Fatalf("nap %s: %v", nap, err)
	}
	removed := one[string](w, `select concat_ws(' ', removed ->> 'reminders', removed ->> 'events', part, began_at is null, ended_at is not null, due_at > now() + interval '23 hours') from reminder_worker.cleanups`)
	if removed != "7 1  t t t" {
		t.Errorf("the row says %q", removed)
	}
	// The first comes back.
	if err := first.step(t.Context(), parts[1], start(1000)); err != nil {
		t.Fatal(err) // it finds nothing to remove
	}
	if err := first.end(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("who has lost it ends it: %v", err)
	}
	if nap, err := b.turn(t.Context()); err != nil || nap < time.Minute {
		t.Errorf("after it is done: nap %s, %v", nap, err)
	}
	if testutil.ToFloat64(b.m.ended) == 0 {
		t.Error("nobody is told that it has ended")
	}
}

// A transaction of one who has lost the cleanup does not count.
func TestLostWhileRemoving(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(mixed)
	r, err := w.cleaner().take(t.Context(), true, 1)
	if err != nil || r == nil {
		t.Fatal(r, err)
	}
	w.exec(`update reminder_worker.cleanups set held_until = now() + interval '1 hour'`)
	if err := r.through(t.Context()); !errors.Is(err, errLost) {
		t.Errorf("error %v", err)
	}
	if n := one[int](w, `select count(*) from reminders`); n != 12 {
		t.Errorf("%d reminders are left", n)
	}
	if _, err := w.cleaner(func(c *Config) { c.Hold = time.Second }).Clean(t.Context(), Options{}); !isBusy(err) {
		t.Errorf("while another is at it: %v", err)
	}
}

func isBusy(err error) bool { _, is := errors.AsType[*BusyError](err); return is }

// Stopped, it is another's at once, who goes on.
func TestStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(mixed)
	w.exec(`update reminder_worker.cleanups set due_at = now()`)
	ctx, stop := context.WithCancel(t.Context())
	r, err := w.cleaner(small).take(ctx, false, 1)
	if err != nil || r == nil {
		t.Fatal(r, err)
	}
	r.progress = func(p Progress) {
		if p.Counts.Reminders > 0 {
			stop()
		}
	}
	if err := r.through(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	got := one[string](w, `select concat_ws(' ', part, began_at is not null, held_until is null) from reminder_worker.cleanups`)
	if got != "reminders t t" {
		t.Errorf("the row says %q", got)
	}
	if _, err := w.cleaner(small).turn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := one[int](w, `select (removed ->> 'reminders')::int from reminder_worker.cleanups where ended_at is not null`); n != 7 {
		t.Errorf("%d reminders were removed by both", n)
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]place{"(0,0)": 0, "(0,7)": 7, "(3,1)": 3*items + 1} {
		if got, err := readPlace(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s is read as %d (%s): %v", text, got, got, err)
		}
	}
	if _, err := readPlace("nowhere"); err == nil {
		t.Error("nowhere is a place")
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := Config{Reminders: -1, Batch: 5001}.Validate()
	for _, word := range []string{"reminders -1ns", "hold", "batch 5001", "blocks", "share"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("error %v lacks %q", err, word)
		}
	}
}
