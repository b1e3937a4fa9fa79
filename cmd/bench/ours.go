package bench

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/jackc/pgx/v5"
)

// Ours is reminder-worker, whose executable is program.
func Ours(program string) Worker {
	return Worker{
		Name: "reminder-worker", Settings: "as installed",
		Prepare: func(ctx context.Context, db *pgx.Conn, s Site) error {
			migrate := exec.CommandContext(ctx, program, "migrate", "up")
			migrate.Dir, migrate.Env = os.TempDir(), environment(s)
			if out, err := migrate.CombinedOutput(); err != nil {
				return fmt.Errorf("migrate: %w: %s", err, out)
			}
			_, err := db.Exec(ctx, `with u as (insert into auth.users (id) select unnest($1::uuid[]) returning id)
				select reminder_worker.put_google_account(id, 'token'), reminder_worker.put_push_device(id, 'ExponentPushToken[' || left(id::text, 20) || ']', 'ios')
				from u`, s.Users)
			return err
		},
		Command: func(ctx context.Context, s Site) *exec.Cmd {
			run := exec.CommandContext(ctx, program, "run")
			run.Dir, run.Env = os.TempDir(), environment(s)
			return run
		},
		Ready: ready,
		Cleanup: func(ctx context.Context, s Site) *exec.Cmd {
			run := exec.CommandContext(ctx, program, "cleanup", "--yes")
			run.Dir, run.Env = os.TempDir(), append(environment(s), "KEEP_EVENTS=2160h")
			return run
		},
		// What is no part of a measurement is 'synced': events that are 'scheduled', without a copy, are taken up when a worker starts.
		SQL: Statements{
			Event: `insert into events (id, user_id, title, start_ts, location, prep_items) values ($1, $2, 'Practice', $3, 'Field 3', '{cleats,water}')`,
			Events: `insert into events (id, user_id, title, start_ts, location, prep_items)
				select e.id, e.owner, 'Practice', $3, 'Field 3', '{cleats,water}' from unnest($1::uuid[], $2::uuid[]) as e (id, owner)`,
			Reminders: `with r as (
					select gen_random_uuid() as event, * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[]) as x (id, owner, at, start)
				), e as (
					insert into events (id, user_id, title, start_ts, status) select r.event, r.owner, 'Practice', r.start, 'synced' from r
				)
				insert into reminders (id, event_id, user_id, notify_at_ts, message) select r.id, r.event, r.owner, r.at, 'Field 3' from r`,
			Done: `select count(*) from events where status = 'synced'`,
			Sent: `select count(*) from reminders where status = 'sent'`,
			Ages: `select (select count(*) from events where start_ts < now() - interval '90 days') + (select count(*) from reminders where notify_at_ts < now() - interval '90 days'),
				(select count(*) from events where start_ts >= now() - interval '90 days') + (select count(*) from reminders where notify_at_ts >= now() - interval '90 days')`,
			Waiting: `with e as (
					insert into events (user_id, title, start_ts, status, sync_planned, sync_due_at)
					select u.ids[1 + n % cardinality(u.ids)], 'Practice', $3::timestamptz + n * $4::float8 * interval '1 second' + interval '1 hour', 'synced', 1, null
					from (select array_agg(id) as ids from auth.users) u, generate_series($1::integer, $2::integer) n
					returning id, user_id, start_ts
				)
				insert into reminders (event_id, user_id, notify_at_ts, message) select id, user_id, start_ts - interval '1 hour', 'Field 3' from e`,
			History: `with e as (
					insert into events (user_id, title, start_ts, status, sync_planned, sync_due_at)
					select u.ids[1 + n % cardinality(u.ids)], 'Practice', now() - n * interval '1 minute' - interval '1 day', 'synced', 1, null
					from (select array_agg(id) as ids from auth.users) u, generate_series($1::integer, $2::integer) n
					returning id, user_id, start_ts
				)
				insert into reminders (event_id, user_id, notify_at_ts, message, status)
				select id, user_id, start_ts - interval '30 minutes', 'Field 3', 'sent' from e`,
			Old: old,
		},
	}
}

// old writes events $1 to $2 of a crowd. Of each eleven, ten took place more than 90 days ago and one is of these weeks, past or to come; each has a copy,
// and two or three reminders, which have been delivered if they are past.
const old = `with e as (
		insert into events (id, user_id, title, start_ts, status, google_calendar_id, created_at, sync_changed_at, sync_planned, sync_due_at)
		select gen_random_uuid(), u.ids[1 + n % cardinality(u.ids)], 'Practice', d.at, 'synced', 'g' || n, least(d.at, now()), least(d.at, now()), 1, null
		from (select array_agg(id) as ids from auth.users) u, generate_series($1::integer, $2::integer) n
		cross join lateral (
			select case when n % 11 = 0 then now() + (n % 40 - 20) * interval '1 day' + interval '6 hours' else now() - interval '100 days' - n * interval '1 second' end as at) d
		returning id, user_id, start_ts
	), c as (
		insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, etag, content_hash, written_at)
		select id, user_id, replace(id::text, '-', ''), '"1"', 'hash', now() from e
	), r as (
		insert into reminders (id, event_id, user_id, notify_at_ts, message, status, sent_at_ts, plan_revision, planned_for_ts, lead_seconds, created_at)
		select gen_random_uuid(), e.id, e.user_id, p.at, 'Field 3', case when p.at < now() then 'sent' else 'pending' end, case when p.at < now() then p.at end, 1, e.start_ts,
			l.lead, least(p.at, now())
		from e
		cross join unnest(array[1800, 10800, 86400]) with ordinality as l (lead, nr)
		cross join lateral (select e.start_ts - l.lead * interval '1 second' as at) p
		where l.nr < 3 or get_byte(uuid_send(e.id), 0) < 128
		returning id, user_id, notify_at_ts, status
	)
	insert into reminder_worker.deliveries (reminder_id, token, state, ticket_id, sent_at, lateness_ms, settled_at)
	select id, 'ExponentPushToken[' || left(user_id::text, 20) || ']', 'delivered', 'ticket', notify_at_ts, 1, notify_at_ts + interval '15 minutes' from r where status = 'sent'`

func environment(s Site) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "LOG_FORMAT=json",
		"DATABASE_URL=" + s.DatabaseURL, "HTTP_ADDR=" + s.HTTPAddr,
		"GOOGLE_CALENDAR_URL=" + s.GoogleURL, "GOOGLE_TOKEN_URL=" + s.TokenURL, "GOOGLE_CLIENT_ID=bench", "GOOGLE_CLIENT_SECRET=bench",
		"EXPO_PUSH_URL=" + s.ExpoURL, "DEFAULT_TIME_ZONE=UTC", "AUDIT_INTERVAL=0", "CLEANUP_INTERVAL=0",
	}
	if !s.Paced {
		env = append(env, "CALENDAR_RATE=0", "CALENDAR_USER_RATE=0", "PUSH_RATE=0")
	}
	return env
}

// asking is how /readyz is asked, which answers at once or is not there yet.
var asking = &http.Client{Timeout: time.Second}

func ready(ctx context.Context, s Site) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.HTTPAddr+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := asking.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close() // nothing of it is wanted
	return resp.StatusCode == http.StatusOK
}
