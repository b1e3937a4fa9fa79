-- FailureReasons tells why events, or else reminders, have failed: of up to max_rows that begin, or were due, after since, the latest first, how many
-- for each reason, the most frequent first, with one of them and the latest time. Of one without a time it is the epoch.
-- name: FailureReasons :many
with failed as (
  (select e.id, e.error_message, e.start_ts as at
  from public.events e
  where sqlc.arg(of_events)::boolean and e.status = 'failed' and coalesce(e.start_ts, timestamptz 'infinity') > sqlc.arg(since)::timestamptz
  order by coalesce(e.start_ts, timestamptz 'infinity') desc, e.id desc
  limit sqlc.arg(max_rows)::integer)
  union all
  (select r.id, r.error_message, r.notify_at_ts
  from public.reminders r
  where not sqlc.arg(of_events)::boolean and r.status = 'failed' and coalesce(r.notify_at_ts, timestamptz 'infinity') > sqlc.arg(since)::timestamptz
  order by coalesce(r.notify_at_ts, timestamptz 'infinity') desc, r.id desc
  limit sqlc.arg(max_rows)::integer)
), texts as ( -- first by what they say literally: there is less to be made of it then
  select f.error_message, count(*) as n, (array_agg(f.id order by f.at desc nulls last))[1] as example,
    max(case when isfinite(f.at) then least(f.at, timestamptz '9999-12-31 00:00:00+00') end) as latest
  from failed f
  group by f.error_message
), reasoned as materialized (
  select reminder_worker.reason_of(t.error_message) as reason, t.n, t.example, t.latest from texts t
)
select x.reason::text as reason, sum(x.n)::bigint as failed, (array_agg(x.example order by x.latest desc nulls last))[1]::uuid as example,
  coalesce(max(x.latest), 'epoch')::timestamptz as latest
from reasoned x
group by x.reason
order by sum(x.n) desc, x.reason;

-- FailedEvents reads one page of failed events that begin after since, the latest first, from behind the place
-- of the last one of the page before; the first page is behind 'infinity'.
-- name: FailedEvents :many
select e.id, coalesce(e.start_ts, timestamptz 'infinity')::text as place, reminder_worker.reason_of(e.error_message)::text as reason
from public.events e
where e.status = 'failed' and (coalesce(e.start_ts, timestamptz 'infinity'), e.id) < (sqlc.arg(before)::text::timestamptz, sqlc.arg(before_id)::uuid)
  and coalesce(e.start_ts, timestamptz 'infinity') > sqlc.arg(since)::timestamptz
order by coalesce(e.start_ts, timestamptz 'infinity') desc, e.id desc
limit sqlc.arg(max_rows)::integer;

-- FailedReminders is the same of reminders, by when they were due.
-- name: FailedReminders :many
select r.id, coalesce(r.notify_at_ts, timestamptz 'infinity')::text as place, reminder_worker.reason_of(r.error_message)::text as reason
from public.reminders r
where r.status = 'failed' and (coalesce(r.notify_at_ts, timestamptz 'infinity'), r.id) < (sqlc.arg(before)::text::timestamptz, sqlc.arg(before_id)::uuid)
  and coalesce(r.notify_at_ts, timestamptz 'infinity') > sqlc.arg(since)::timestamptz
order by coalesce(r.notify_at_ts, timestamptz 'infinity') desc, r.id desc
limit sqlc.arg(max_rows)::integer;

-- ReasonOf tells what a text would be told as.
-- name: ReasonOf :one
select reminder_worker.reason_of(sqlc.arg(message)::text)::text as reason;

-- RetryFailedEvents has failed events served anew, the way the app asks for it: by making them pending. It answers for each of ids its state
-- before (empty: there is no such event), the reason why it had failed, and what was done: unknown, not_failed, retried, or busy, where somebody else
-- is at the row. In a rehearsal nothing is changed, and what would be retried is answered as retried.
-- name: RetryFailedEvents :many
with input as (
  select distinct unnest(sqlc.arg(ids)::uuid[]) as id
), found as (
  select i.id, x.status, x.error_message, x.there
  from input i
  left join lateral (select e.status, e.error_message, true as there from public.events e where e.id = i.id limit 1) x on true
), free as (
  select l.id
  from found f
  cross join lateral (
    select e.id from public.events e where e.id = f.id and (e.status = 'failed') is true for no key update skip locked) l
  where f.status = 'failed' and not sqlc.arg(rehearsal)::boolean
), served as (
  update public.events e
  set status = 'pending'
  from free f
  where e.id = f.id
  returning e.id
)
select f.id::uuid as id, coalesce(f.status, '')::text as status, case when f.status = 'failed' then reminder_worker.reason_of(f.error_message) else '' end::text as reason,
  case
    when f.there is null then 'unknown'
    when f.status is distinct from 'failed' then 'not_failed'
    when sqlc.arg(rehearsal)::boolean or f.id in (select s.id from served s) then 'retried'
    else 'busy'
  end::text as outcome
from found f
order by f.id;

-- RetryFailedReminders is the same of reminders, which the triggers then have armed. Two more are left alone: too_late, where there is no use in sending
-- it any more, and withdrawn, where its event is cancelled, gone or at another time.
-- name: RetryFailedReminders :many
with input as (
  select distinct unnest(sqlc.arg(ids)::uuid[]) as id
), found as (
  select i.id, x.status, x.error_message, x.there, x.late, x.withdrawn
  from input i
  left join lateral (
    select r.status, r.error_message, true as there,
      reminder_worker.deadline(e.start_ts, r.notify_at_ts, r.snoozed_from is not null, r.plan_revision is not null) > now() is not true as late,
      e.status = 'cancelled' or r.plan_revision is not null and e.start_ts is distinct from r.planned_for_ts as withdrawn
    from public.reminders r
    left join public.events e on e.id = r.event_id
    where r.id = i.id
    limit 1) x on true
), free as (
  select l.id
  from found f
  cross join lateral (
    select r.id from public.reminders r where r.id = f.id and (r.status = 'failed') is true for no key update skip locked) l
  where f.status = 'failed' and not f.late and f.withdrawn is not true and not sqlc.arg(rehearsal)::boolean
), asked as (
  update public.reminders r
  set status = 'pending'
  from free f
  where r.id = f.id
  returning r.id
)
select f.id::uuid as id, coalesce(f.status, '')::text as status, case when f.status = 'failed' then reminder_worker.reason_of(f.error_message) else '' end::text as reason,
  case
    when f.there is null then 'unknown'
    when f.status is distinct from 'failed' then 'not_failed'
    when f.withdrawn then 'withdrawn'
    when f.late then 'too_late'
    when sqlc.arg(rehearsal)::boolean or f.id in (select a.id from asked a) then 'retried'
    else 'busy'
  end::text as outcome
from found f
order by f.id;
