-- WindowPage reads one page of the reminders that become due up to until, in order, from behind the last one of the page before.
-- name: WindowPage :many
select r.id, coalesce(r.next_attempt_at, r.notify_at_ts)::timestamptz as due_at
from public.reminders r
where r.status in ('pending', 'sending')
  and (coalesce(r.next_attempt_at, r.notify_at_ts), r.id) > (sqlc.arg(after)::timestamptz, sqlc.arg(after_id)::uuid)
  and coalesce(r.next_attempt_at, r.notify_at_ts) <= sqlc.arg(until)::timestamptz
order by coalesce(r.next_attempt_at, r.notify_at_ts), r.id
limit sqlc.arg(max_rows)::integer;

-- DatabaseNow tells the database's clock and the oldest transaction still running: what is committed after this
-- statement carries that transaction id or a later one.
-- name: DatabaseNow :one
select clock_timestamp()::timestamptz as now_ts, (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint as xmin;

-- ChangedReminders reads what transactions from since_xid on have changed within the wheel's window. Rows of a restored
-- dump can carry ids this server has not reached; they are left to WindowPage.
-- name: ChangedReminders :many
select r.id, coalesce(r.next_attempt_at, r.notify_at_ts)::timestamptz as due_at
from public.reminders r
where r.status = 'pending'
  and r.changed_xid >= (sqlc.arg(since_xid)::bigint)::text::xid8
  and r.changed_xid < pg_snapshot_xmax(pg_current_snapshot())
  and coalesce(r.next_attempt_at, r.notify_at_ts) <= sqlc.arg(until)::timestamptz
limit sqlc.arg(max_rows)::integer;

-- DueReminders reads what is due and unclaimed for longer than grace_ms: what the wheel should have fired and did not.
-- name: DueReminders :many
select r.id
from public.reminders r
left join public.events e on e.id = r.event_id
where r.status in ('pending', 'sending')
  and coalesce(r.next_attempt_at, r.notify_at_ts) <= clock_timestamp() - sqlc.arg(grace_ms)::bigint * interval '1 millisecond'
  and (r.plan_revision is null or e.start_ts = r.planned_for_ts)
order by coalesce(r.next_attempt_at, r.notify_at_ts)
limit sqlc.arg(max_rows)::integer;

-- ClaimReminders judges the due ones among ids and takes those that are to be sent for lease_ms. A reminder planned for another
-- start than its event now has is left for planning. The row is committed as 'sending' before anything is sent.
-- name: ClaimReminders :many
with due as (
  select r.id
  from public.reminders r
  left join public.events e on e.id = r.event_id
  where r.id = any (sqlc.arg(ids)::uuid[]) and r.status in ('pending', 'sending')
    and coalesce(r.next_attempt_at, r.notify_at_ts) <= clock_timestamp() + sqlc.arg(slack_ms)::bigint * interval '1 millisecond'
    and (r.plan_revision is null or e.start_ts = r.planned_for_ts)
  for no key update of r skip locked
), addressed as (
  select r.id,
    case when r.push_token <> '' then array[r.push_token] else coalesce((
      select array_agg(d.token order by d.registered_at, d.id)
      from reminder_worker.push_devices d
      where d.user_id = r.user_id and d.retired_at is null
        and not exists (
          select from reminder_worker.deliveries l
          where l.reminder_id = r.id and l.token = d.token and l.sent_at >= r.notify_at_ts and l.state in ('accepted', 'delivered'))), '{}')
    end as tokens
  from due
  join public.reminders r on r.id = due.id
), judged as (
  select r.id, t.tokens,
    case
      when e.status = 'cancelled' then 'cancelled'
      when r.status = 'sending' and r.retry_count >= sqlc.arg(max_attempts)::integer then 'failed'
      when r.notify_at_ts < e.start_ts and e.start_ts <= now() then 'expired'
      when (e.start_ts is null or r.notify_at_ts >= e.start_ts) and r.notify_at_ts < now() - interval '1 day' then 'expired'
      when r.plan_revision is not null and exists (
        select from public.reminders n
        where n.event_id = r.event_id and n.status = 'pending' and n.plan_revision is not null
          and n.planned_for_ts = e.start_ts and n.notify_at_ts > r.notify_at_ts and n.notify_at_ts <= now()) then 'skipped'
      when cardinality(t.tokens) = 0 then 'failed'
      else 'sending'
    end as verdict
  from addressed t
  join public.reminders r on r.id = t.id
  left join public.events e on e.id = r.event_id
), taken as (
  update public.reminders r
  set status = j.verdict,
      next_attempt_at = case when j.verdict = 'sending' then now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond' end,
      retry_count = r.retry_count + (r.status = 'sending' and j.verdict = 'sending')::integer,
      error_message = case j.verdict
        when 'sending' then r.error_message
        when 'cancelled' then 'the event was cancelled'
        when 'expired' then 'the event had begun before the reminder could be sent'
        when 'skipped' then 'folded into a newer reminder of the same event that was due as well'
        else case when cardinality(j.tokens) = 0
          then 'no device: the user has no push token registered (the app calls register_push_token)'
          else 'gave up: the worker stopped in the middle of each attempt' end
      end
  from judged j
  where r.id = j.id
  returning r.*, j.tokens
)
select t.id,
  coalesce(t.event_id, '00000000-0000-0000-0000-000000000000')::uuid as event_id,
  t.status, t.notify_at_ts, coalesce(t.next_attempt_at, 'epoch')::timestamptz as lease, t.retry_count,
  t.tokens::text[] as tokens,
  (t.plan_revision is not null)::boolean as planned,
  coalesce(left(t.message, 4096), '')::text as message,
  coalesce(left(e.title, 1024), '')::text as title,
  coalesce(case when isfinite(e.start_ts) then e.start_ts end, 'epoch')::timestamptz as start_ts,
  coalesce(isfinite(e.start_ts), false)::boolean as has_start
from taken t
left join public.events e on e.id = t.event_id;

-- RecordPushes writes what became of a batch of claimed reminders and of each push, and retires dead devices. A reminder is touched only
-- while the claim is still the caller's; a device only if it was not registered again since the push.
-- name: RecordPushes :execrows
with input as (
  select unnest(sqlc.arg(ids)::uuid[]) as id, unnest(sqlc.arg(leases)::timestamptz[]) as lease, unnest(sqlc.arg(statuses)::text[]) as status,
    unnest(sqlc.arg(retry_ms)::bigint[]) as retry_ms, unnest(sqlc.arg(count_attempts)::boolean[]) as count_attempt,
    unnest(sqlc.arg(sent_ats)::timestamptz[]) as sent_at, unnest(sqlc.arg(error_messages)::text[]) as error_message
), pushes as (
  select unnest(sqlc.arg(push_reminder_ids)::uuid[]) as reminder_id, unnest(sqlc.arg(push_tokens)::text[]) as token, unnest(sqlc.arg(push_states)::text[]) as state,
    unnest(sqlc.arg(ticket_ids)::text[]) as ticket_id, unnest(sqlc.arg(error_codes)::text[]) as error_code, unnest(sqlc.arg(push_errors)::text[]) as error_message,
    unnest(sqlc.arg(push_sent_ats)::timestamptz[]) as sent_at, unnest(sqlc.arg(lateness_ms)::bigint[]) as lateness_ms,
    unnest(sqlc.arg(gone)::boolean[]) as gone
), delivered as (
  insert into reminder_worker.deliveries as d (reminder_id, token, state, ticket_id, error_code, error_message, sent_at, lateness_ms, receipt_due_at)
  select p.reminder_id, p.token, p.state, nullif(p.ticket_id, ''), nullif(p.error_code, ''), nullif(p.error_message, ''), p.sent_at, p.lateness_ms,
    case when p.ticket_id <> '' then now() + sqlc.arg(receipt_delay_ms)::bigint * interval '1 millisecond' end
  from pushes p
  join public.reminders r on r.id = p.reminder_id
  on conflict (reminder_id, token) do update
    set state = excluded.state, ticket_id = excluded.ticket_id, error_code = excluded.error_code, error_message = excluded.error_message,
        sent_at = excluded.sent_at, lateness_ms = excluded.lateness_ms, receipt_due_at = excluded.receipt_due_at, settled_at = null
  returning d.reminder_id
), retired as (
  update reminder_worker.push_devices d
  set retired_at = now(), retired_reason = 'Expo: DeviceNotRegistered'
  from pushes p
  where p.gone and d.token = p.token and d.retired_at is null and d.registered_at <= p.sent_at
  returning d.id
)
update public.reminders r
set status = i.status,
    sent_at_ts = case when i.status = 'sent' then i.sent_at else r.sent_at_ts end,
    retry_count = r.retry_count + i.count_attempt::integer,
    next_attempt_at = case when i.status = 'pending' then now() + i.retry_ms * interval '1 millisecond' end,
    error_message = nullif(i.error_message, '')
from input i
where r.id = i.id and r.status = 'sending' and r.next_attempt_at = i.lease;

-- ReleaseReminders gives claimed reminders back unsent: they are due at once, and no attempt was used.
-- name: ReleaseReminders :exec
update public.reminders r
set status = 'pending', next_attempt_at = null
from (select unnest(sqlc.arg(ids)::uuid[]) as id, unnest(sqlc.arg(leases)::timestamptz[]) as lease) i
where r.id = i.id and r.status = 'sending' and r.next_attempt_at = i.lease;
