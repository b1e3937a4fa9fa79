-- WorkWaiting counts what is due of each kind of work, up to max_rows, as OldestDue tells of its age: events to plan, copies to write, removals of copies,
-- reminders, receipts. It also tells when the next reminder is due, if that is ahead (else the epoch), and how many are within a day.
-- name: WorkWaiting :one
select
  (select count(*) from (select e.id from public.events e
    where e.sync_due_at <= now() and e.sync_planned is distinct from e.sync_revision order by e.sync_due_at limit sqlc.arg(max_rows)::integer) x)::bigint as events,
  (select count(*) from (select e.id from public.events e
    where e.sync_due_at <= now() and e.sync_planned = e.sync_revision order by e.sync_due_at limit sqlc.arg(max_rows)::integer) x)::bigint as copies,
  (select count(*) from (select k.event_id from reminder_worker.calendar_copies k where k.due_at <= now() order by k.due_at limit sqlc.arg(max_rows)::integer) x)::bigint as removals,
  (select count(*) from (select r.id from public.reminders r
    where r.status in ('pending', 'sending') and coalesce(r.next_attempt_at, r.notify_at_ts) <= now()
    order by coalesce(r.next_attempt_at, r.notify_at_ts) limit sqlc.arg(max_rows)::integer) x)::bigint as reminders,
  (select count(*) from (select d.token from reminder_worker.deliveries d where d.receipt_due_at <= now() order by d.receipt_due_at limit sqlc.arg(max_rows)::integer) x)::bigint as receipts,
  (select count(*) from (select r.id from public.reminders r
    where r.status in ('pending', 'sending') and coalesce(r.next_attempt_at, r.notify_at_ts) > now() and coalesce(r.next_attempt_at, r.notify_at_ts) <= now() + interval '1 day'
    order by coalesce(r.next_attempt_at, r.notify_at_ts) limit sqlc.arg(max_rows)::integer) x)::bigint as reminders_today,
  coalesce((select case when isfinite(coalesce(r.next_attempt_at, r.notify_at_ts)) then coalesce(r.next_attempt_at, r.notify_at_ts) end from public.reminders r
    where r.status in ('pending', 'sending') and coalesce(r.next_attempt_at, r.notify_at_ts) > now()
    order by coalesce(r.next_attempt_at, r.notify_at_ts) limit 1), 'epoch')::timestamptz as next_reminder_at;

-- People counts accounts by state, and devices that are pushed to, each up to max_rows.
-- name: People :one
select
  (select count(*) from (select a.user_id from reminder_worker.google_accounts a
    where (a.state is not null) is true and (a.state, a.user_id) >= ('connected', '00000000-0000-0000-0000-000000000000') and a.state <= 'connected'
    order by a.state, a.user_id limit sqlc.arg(max_rows)::integer) x)::bigint as connected,
  (select count(*) from (select a.user_id from reminder_worker.google_accounts a
    where (a.state is not null) is true and (a.state, a.user_id) >= ('needs_reconnect', '00000000-0000-0000-0000-000000000000') and a.state <= 'needs_reconnect'
    order by a.state, a.user_id limit sqlc.arg(max_rows)::integer) x)::bigint as needs_reconnect,
  (select count(*) from (select a.user_id from reminder_worker.google_accounts a
    where (a.state is not null) is true and (a.state, a.user_id) >= ('leaving', '00000000-0000-0000-0000-000000000000') and a.state <= 'leaving'
    order by a.state, a.user_id limit sqlc.arg(max_rows)::integer) x)::bigint as leaving,
  (select count(*) from (select a.user_id from reminder_worker.google_accounts a
    where (a.state is not null) is true and (a.state, a.user_id) >= ('off', '00000000-0000-0000-0000-000000000000') and a.state <= 'off'
    order by a.state, a.user_id limit sqlc.arg(max_rows)::integer) x)::bigint as off,
  (select count(*) from (select d.user_id from reminder_worker.push_devices d
    where d.retired_at is null and d.user_id >= '00000000-0000-0000-0000-000000000000' order by d.user_id limit sqlc.arg(max_rows)::integer) x)::bigint as devices;

-- Workers tells whether a worker wants to hear of commits, and which way, the sessions of workers that the server shows to this role, apart from
-- this one, and whether the server is a standby.
-- name: Workers :one
select h.notify::boolean as hears_notify, h.wal::boolean as hears_wal,
  (select count(*) from pg_catalog.pg_stat_activity s
    where s.datid = (select d.oid from pg_catalog.pg_database d where d.datname = current_database()) and s.application_name = 'reminder-worker' and s.pid <> pg_backend_pid())::bigint as sessions,
  pg_is_in_recovery()::boolean as standby, clock_timestamp()::timestamptz as now_ts, current_setting('server_version')::text as server_version
from reminder_worker.hearing() h;

-- QuotasUsed tells how many permits of each quota are held at the moment.
-- name: QuotasUsed :many
select p.name, coalesce((
    select sum(p.counts[i]) from generate_subscripts(p.untils, 1) i where p.untils[i] > clock_timestamp()), 0)::bigint as held
from reminder_worker.permits p
where p.name = any (sqlc.arg(names)::text[])
order by p.name;
