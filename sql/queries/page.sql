-- What the live page shows. Each statement reads so many rows at most, by an index, whatever the size of the tables; times that Go or JSON cannot hold
-- come back as the epoch.

-- RemindersAhead counts the reminders that are due in each of the next 60 minutes (nr 0 to 59) and of the next 24 hours (60 to 83), each up to
-- max_rows, from the beginning of this minute.
-- name: RemindersAhead :many
select n.nr::integer as nr, date_trunc('minute', now())::timestamptz as begins,
  (select count(*) from (
    select r.id from public.reminders r
    where r.status in ('pending', 'sending')
      and coalesce(r.next_attempt_at, r.notify_at_ts) >= date_trunc('minute', now()) + case when n.nr < 60 then n.nr * interval '1 minute' else (n.nr - 60) * interval '1 hour' end
      and coalesce(r.next_attempt_at, r.notify_at_ts) < date_trunc('minute', now()) + case when n.nr < 60 then (n.nr + 1) * interval '1 minute' else (n.nr - 59) * interval '1 hour' end
    order by coalesce(r.next_attempt_at, r.notify_at_ts)
    limit sqlc.arg(max_rows)::integer) x)::bigint as due
from generate_series(0, 83) n (nr)
order by n.nr;

-- NextReminders reads the first reminders that are still to come.
-- name: NextReminders :many
select r.id, coalesce(r.event_id, '00000000-0000-0000-0000-000000000000')::uuid as event_id, coalesce(r.next_attempt_at, r.notify_at_ts)::timestamptz as due_at, r.status,
  coalesce(left(e.title, 200), '')::text as title,
  (case when e.start_ts > 'epoch' and e.start_ts < '9999-01-01' then e.start_ts else 'epoch' end)::timestamptz as start_ts
from (
  select x.id, x.event_id, x.next_attempt_at, x.notify_at_ts, x.status
  from public.reminders x
  where x.status in ('pending', 'sending') and coalesce(x.next_attempt_at, x.notify_at_ts) > now() and coalesce(x.next_attempt_at, x.notify_at_ts) < '9999-01-01'
  order by coalesce(x.next_attempt_at, x.notify_at_ts), x.id
  limit sqlc.arg(max_rows)::integer) r
left join lateral (select e.title, e.start_ts from public.events e where e.id = r.event_id limit 1) e on true
order by coalesce(r.next_attempt_at, r.notify_at_ts), r.id;

-- WorkStanding tells what stands in each queue, due or not, up to max_rows: events to plan, events that wait for Google only, removals of copies, pushes whose
-- receipt is to come; what has failed since; for how many seconds the first events of each queue have waited since they were changed; and the error of
-- the last of those that wait for another attempt. Of the last two the first and the last max_looked are looked at. (The bound that keeps nothing out has
-- a planner that knows no statistics walk the index.)
-- name: WorkStanding :one
select
  (select count(*) from (select e.id from public.events e
    where e.sync_due_at >= '-infinity' and e.sync_planned is distinct from e.sync_revision order by e.sync_due_at limit sqlc.arg(max_rows)::integer) x)::bigint as events,
  (select count(*) from (select e.id from public.events e
    where e.sync_due_at >= '-infinity' and e.sync_planned = e.sync_revision order by e.sync_due_at limit sqlc.arg(max_rows)::integer) x)::bigint as copies,
  (select count(*) from (select k.event_id from reminder_worker.calendar_copies k where k.due_at >= '-infinity' order by k.due_at limit sqlc.arg(max_rows)::integer) x)::bigint as removals,
  (select count(*) from (select r.id from public.reminders r
    where r.status in ('pending', 'sending') and coalesce(r.next_attempt_at, r.notify_at_ts) <= now()
    order by coalesce(r.next_attempt_at, r.notify_at_ts) limit sqlc.arg(max_rows)::integer) x)::bigint as reminders,
  (select count(*) from (select d.token from reminder_worker.deliveries d where d.receipt_due_at >= '-infinity' order by d.receipt_due_at limit sqlc.arg(max_rows)::integer) x)::bigint as receipts,
  (select count(*) from (select e.id from public.events e
    where e.status = 'failed' and coalesce(e.start_ts, timestamptz 'infinity') > sqlc.arg(since)::timestamptz
    order by coalesce(e.start_ts, timestamptz 'infinity') desc limit sqlc.arg(max_rows)::integer) x)::bigint as failed_events,
  (select count(*) from (select r.id from public.reminders r
    where r.status = 'failed' and coalesce(r.notify_at_ts, timestamptz 'infinity') > sqlc.arg(since)::timestamptz
    order by coalesce(r.notify_at_ts, timestamptz 'infinity') desc limit sqlc.arg(max_rows)::integer) x)::bigint as failed_reminders,
  coalesce((select extract(epoch from now() - min(x.sync_changed_at)) from (select e.sync_changed_at from public.events e
    where e.sync_due_at >= '-infinity' and e.sync_planned is distinct from e.sync_revision order by e.sync_due_at limit sqlc.arg(max_looked)::integer) x
    where x.sync_changed_at between 'epoch' and now()), 0)::double precision as event_waits,
  coalesce((select extract(epoch from now() - min(x.sync_changed_at)) from (select e.sync_changed_at from public.events e
    where e.sync_due_at >= '-infinity' and e.sync_planned = e.sync_revision order by e.sync_due_at limit sqlc.arg(max_looked)::integer) x
    where x.sync_changed_at between 'epoch' and now()), 0)::double precision as copy_waits,
  coalesce((select x.error_message from (select e.error_message, e.sync_due_at from public.events e
    where e.sync_due_at >= '-infinity' and e.sync_planned is distinct from e.sync_revision order by e.sync_due_at desc limit sqlc.arg(max_looked)::integer) x
    where x.error_message <> '' order by x.sync_due_at desc limit 1), '')::text as event_error,
  coalesce((select x.error_message from (select e.error_message, e.sync_due_at from public.events e
    where e.sync_due_at >= '-infinity' and e.sync_planned = e.sync_revision order by e.sync_due_at desc limit sqlc.arg(max_looked)::integer) x
    where x.error_message <> '' order by x.sync_due_at desc limit 1), '')::text as copy_error,
  coalesce((select x.error_message from (select k.error_message, k.due_at from reminder_worker.calendar_copies k
    where k.due_at >= '-infinity' order by k.due_at desc limit sqlc.arg(max_looked)::integer) x
    where x.error_message <> '' order by x.due_at desc limit 1), '')::text as removal_error,
  coalesce((select x.error_message from (select r.error_message, coalesce(r.next_attempt_at, r.notify_at_ts) as due_at from public.reminders r
    where r.status in ('pending', 'sending') and coalesce(r.next_attempt_at, r.notify_at_ts) <= now() + interval '5 minutes'
    order by coalesce(r.next_attempt_at, r.notify_at_ts) desc limit sqlc.arg(max_looked)::integer) x
    where x.error_message <> '' order by x.due_at desc limit 1), '')::text as reminder_error;

-- FailureGroups is FailureReasons for a person: of events, reminders and removals of copies, with the oldest, and the latest five of each reason as
-- examples. The groups are the same, of fewer rows: so many of each kind were looked at.
-- name: FailureGroups :many
with failed as (
  (select 'event' as kind, e.id, e.id as event_id, e.error_message, e.start_ts as at, coalesce(e.start_ts, timestamptz 'infinity') as place, e.title
  from public.events e
  where e.status = 'failed' and coalesce(e.start_ts, timestamptz 'infinity') > sqlc.arg(since)::timestamptz
  order by coalesce(e.start_ts, timestamptz 'infinity') desc, e.id desc
  limit sqlc.arg(max_rows)::integer)
  union all
  (select 'reminder', r.id, r.event_id, r.error_message, r.notify_at_ts, coalesce(r.notify_at_ts, timestamptz 'infinity'), null
  from public.reminders r
  where r.status = 'failed' and coalesce(r.notify_at_ts, timestamptz 'infinity') > sqlc.arg(since)::timestamptz
  order by coalesce(r.notify_at_ts, timestamptz 'infinity') desc, r.id desc
  limit sqlc.arg(max_rows)::integer)
  union all
  (select 'copy', k.event_id, k.event_id, k.error_message, k.due_at, k.due_at, null
  from (select c.event_id, c.error_message, c.due_at from reminder_worker.calendar_copies c
    where c.due_at >= '-infinity' order by c.due_at limit sqlc.arg(max_rows)::integer) k
  where k.error_message <> '')
), reasoned as (
  select f.kind, f.id, f.event_id, reminder_worker.reason_of(f.error_message) as reason, f.place, f.title,
    case when f.at > 'epoch' and f.at < '9999-01-01' then f.at end as at
  from failed f
), numbered as (
  select x.*, row_number() over (partition by x.kind, x.reason order by x.place desc, x.id desc) as nr,
    count(*) over (partition by x.kind) as looked, count(*) over (partition by x.kind, x.reason) as failed, min(x.at) over (partition by x.kind, x.reason) as oldest, max(x.at) over (partition by x.kind, x.reason) as newest
  from reasoned x
)
select n.kind::text as kind, n.reason::text as reason, n.looked::bigint as looked, n.failed::bigint as failed, coalesce(n.oldest, 'epoch')::timestamptz as oldest, coalesce(n.newest, 'epoch')::timestamptz as newest,
  n.id::uuid as id, coalesce(n.event_id, '00000000-0000-0000-0000-000000000000')::uuid as event_id, coalesce(n.at, 'epoch')::timestamptz as at,
  coalesce(left(coalesce(n.title, t.title), 200), '')::text as title
from numbered n
left join lateral (select e.title from public.events e where n.title is null and e.id = n.event_id limit 1) t on true
where n.nr <= 5
order by n.failed desc, n.kind, n.reason, n.nr
limit sqlc.arg(max_examples)::integer;

-- EventOfReminder names the event of a reminder.
-- name: EventOfReminder :many
select coalesce(r.event_id, '00000000-0000-0000-0000-000000000000')::uuid as event_id from public.reminders r where r.id = sqlc.arg(id)::uuid;

-- StoryEvent reads one event as a person is told of it.
-- name: StoryEvent :many
select e.user_id, coalesce(left(e.title, 1024), '')::text as title, coalesce(left(e.location, 1024), '')::text as location, coalesce(e.status, '')::text as status,
  coalesce(left(e.error_message, 2000), '')::text as error_message, e.sync_revision, e.sync_attempts, (e.sync_planned is not distinct from e.sync_revision)::boolean as planned,
  (case when e.start_ts > 'epoch' and e.start_ts < '9999-01-01' then e.start_ts else 'epoch' end)::timestamptz as start_ts,
  (case when e.end_ts > 'epoch' and e.end_ts < '9999-01-01' then e.end_ts else 'epoch' end)::timestamptz as end_ts,
  (case when e.created_at > 'epoch' and e.created_at < '9999-01-01' then e.created_at else 'epoch' end)::timestamptz as created_at,
  (case when e.sync_changed_at > 'epoch' and e.sync_changed_at < '9999-01-01' then e.sync_changed_at else 'epoch' end)::timestamptz as changed_at,
  (case when e.sync_due_at > 'epoch' and e.sync_due_at < '9999-01-01' then e.sync_due_at else 'epoch' end)::timestamptz as due_at,
  (case when e.sync_lease_until > 'epoch' and e.sync_lease_until < '9999-01-01' then e.sync_lease_until else 'epoch' end)::timestamptz as lease_until,
  (case when e.dismissed_for_ts = e.start_ts then coalesce(e.dismissed_at, 'epoch') else 'epoch' end)::timestamptz as dismissed_at,
  clock_timestamp()::timestamptz as now_ts
from public.events e
where e.id = sqlc.arg(id)::uuid;

-- StoryCopies reads the copies of one event, of users who had it before, too.
-- name: StoryCopies :many
select k.user_id, k.calendar_id, k.google_event_id, k.generation, k.attempts, coalesce(left(k.error_message, 2000), '')::text as error_message, k.created_at,
  coalesce(k.written_at, 'epoch')::timestamptz as written_at, coalesce(k.tombstoned_at, 'epoch')::timestamptz as tombstoned_at,
  coalesce(case when k.gone_at > k.written_at then k.gone_at end, 'epoch')::timestamptz as gone_at,
  (case when k.due_at < '9999-01-01' then k.due_at else 'epoch' end)::timestamptz as due_at, clock_timestamp()::timestamptz as now_ts
from reminder_worker.calendar_copies k
where k.event_id = sqlc.arg(event_id)::uuid
order by k.user_id
limit sqlc.arg(max_rows)::integer;

-- StoryReminders reads the reminders of one event, the latest first.
-- name: StoryReminders :many
select r.id, r.status, coalesce(r.lead_seconds, 0)::integer as lead_seconds, coalesce(r.retry_count, 0)::integer as retry_count, (r.snoozed_from is not null)::boolean as snoozed,
  coalesce(left(r.message, 2000), '')::text as message, coalesce(left(r.error_message, 2000), '')::text as error_message,
  (case when r.notify_at_ts > 'epoch' and r.notify_at_ts < '9999-01-01' then r.notify_at_ts else 'epoch' end)::timestamptz as notify_at_ts,
  (case when r.next_attempt_at > 'epoch' and r.next_attempt_at < '9999-01-01' then r.next_attempt_at else 'epoch' end)::timestamptz as next_attempt_at,
  (case when r.sent_at_ts > 'epoch' and r.sent_at_ts < '9999-01-01' then r.sent_at_ts else 'epoch' end)::timestamptz as sent_at_ts,
  (case when r.created_at > 'epoch' and r.created_at < '9999-01-01' then r.created_at else 'epoch' end)::timestamptz as created_at,
  coalesce(r.asked_at, 'epoch')::timestamptz as asked_at
from public.reminders r
where r.event_id = sqlc.arg(event_id)::uuid
order by r.notify_at_ts desc nulls last, r.id
limit sqlc.arg(max_rows)::integer;

-- StoryDeliveries reads what became of the pushes of reminders, in the order in which they were sent.
-- name: StoryDeliveries :many
select d.reminder_id, d.token, d.state, coalesce(d.ticket_id, '')::text as ticket_id, coalesce(d.error_code, '')::text as error_code,
  coalesce(left(d.error_message, 2000), '')::text as error_message, d.sent_at, d.lateness_ms, d.attempts,
  coalesce(d.receipt_due_at, 'epoch')::timestamptz as receipt_due_at, coalesce(d.settled_at, 'epoch')::timestamptz as settled_at
from unnest(sqlc.arg(reminder_ids)::uuid[]) i (id)
cross join lateral (select x.* from reminder_worker.deliveries x where x.reminder_id = i.id order by x.token limit sqlc.arg(max_rows)::integer) d
order by d.sent_at, d.token
limit sqlc.arg(max_rows)::integer;

-- AccountReasons counts the accounts that are connected, and the others by state and reason, of up to max_rows in each state.
-- name: AccountReasons :many
select x.state::text as state, x.reason::text as reason, count(*)::bigint as accounts
from unnest(array['connected', 'needs_reconnect', 'leaving', 'off']) s (state)
cross join lateral (
  select a.state, case when a.state = 'connected' then '' else coalesce(left(a.reason, 300), '') end as reason
  from reminder_worker.google_accounts a
  where (a.state is not null) is true and (a.state, a.user_id) >= (s.state, '00000000-0000-0000-0000-000000000000') and a.state <= s.state
  order by a.state, a.user_id
  limit sqlc.arg(max_rows)::integer) x
group by x.state, x.reason
order by x.state, count(*) desc, x.reason
limit 100;

-- ReconnectAccounts reads the latest users who have to connect again.
-- name: ReconnectAccounts :many
select a.user_id, a.state, coalesce(left(a.reason, 300), '')::text as reason, a.updated_at, coalesce(a.noticed_at, 'epoch')::timestamptz as noticed_at
from reminder_worker.google_accounts a
where a.state = 'needs_reconnect'
order by a.updated_at desc
limit sqlc.arg(max_rows)::integer;

-- DevicePlatforms counts the devices that are pushed to by platform, of max_rows of them.
-- name: DevicePlatforms :many
select coalesce(left(x.platform, 40), '')::text as platform, count(*)::bigint as devices
from (
  select d.platform from reminder_worker.push_devices d
  where d.retired_at is null and d.user_id >= '00000000-0000-0000-0000-000000000000'
  order by d.user_id
  limit sqlc.arg(max_rows)::integer) x
group by 1
order by count(*) desc, 1
limit 50;

-- RetiredDevices reads the latest devices that were retired.
-- name: RetiredDevices :many
select d.user_id, d.token, coalesce(left(d.platform, 40), '')::text as platform, d.registered_at, d.retired_at::timestamptz as retired_at,
  coalesce(left(d.retired_reason, 300), '')::text as reason
from reminder_worker.push_devices d
where d.retired_at is not null
order by d.retired_at desc
limit sqlc.arg(max_rows)::integer;
