-- ClaimReceipts takes deliveries whose receipt is due to be asked for, and makes them due again after again_ms, or later the older they are:
-- what was not there for hours will not be there in a minute.
-- name: ClaimReceipts :many
with due as (
  select d.reminder_id, d.token
  from reminder_worker.deliveries d
  where d.receipt_due_at <= now()
  order by d.receipt_due_at
  limit sqlc.arg(max_rows)::integer
  for no key update skip locked
)
update reminder_worker.deliveries d
set receipt_due_at = now() + greatest(sqlc.arg(again_ms)::bigint * interval '1 millisecond', (now() - d.sent_at) / 4)
from due
where d.reminder_id = due.reminder_id and d.token = due.token
returning d.reminder_id, d.token, coalesce(d.ticket_id, '')::text as ticket_id, d.sent_at, d.attempts, d.lateness_ms,
  coalesce((select x.project from reminder_worker.push_devices x where x.token = d.token), '')::text as project,
  coalesce((
    select reminder_worker.deadline(e.start_ts, r.notify_at_ts, r.snoozed_from is not null, r.plan_revision is not null)
    from public.reminders r left join public.events e on e.id = r.event_id
    where r.id = d.reminder_id and isfinite(r.notify_at_ts)), 'epoch')::timestamptz as deadline;

-- SettleDeliveries writes the receipts' verdicts and retires the devices that are gone, unless registered again since the push (of a push near the
-- limit of size only if it was said before). A push that is to be offered once more ('retry') makes its reminder due again after retry_ms; if
-- it cannot be, since the event will have begun by then, or all attempts are used, it has failed. A reminder that has failed on all its devices
-- has failed itself, and says why. Rows that somebody else is at are passed over: their receipts are asked for again. So is a push to be
-- offered again whose reminder is being sent at the moment. The answer names what was settled and how, and when its reminder is due (else the epoch).
-- name: SettleDeliveries :many
with input as (
  select unnest(sqlc.arg(reminder_ids)::uuid[]) as reminder_id, unnest(sqlc.arg(tokens)::text[]) as token, unnest(sqlc.arg(ticket_ids)::text[]) as ticket_id,
    unnest(sqlc.arg(states)::text[]) as state, unnest(sqlc.arg(error_codes)::text[]) as error_code, unnest(sqlc.arg(error_messages)::text[]) as error_message,
    unnest(sqlc.arg(gone)::boolean[]) as gone, unnest(sqlc.arg(retry_ms)::bigint[]) as retry_ms, unnest(sqlc.arg(count_attempts)::boolean[]) as count_attempt
), locked_reminders as (
  select r.id, r.status, coalesce(r.retry_count, 0) as retry_count, r.notify_at_ts, r.event_id, r.snoozed_from, r.plan_revision
  from public.reminders r
  where r.id in (select i.reminder_id from input i where i.state in ('failed', 'retry'))
  for no key update of r skip locked
), locked as (
  select d.reminder_id, d.token
  from input i
  join reminder_worker.deliveries d on d.reminder_id = i.reminder_id and d.token = i.token and d.ticket_id = i.ticket_id
  for no key update of d skip locked
), judged as (
  select i.*, case
      when i.state <> 'retry' then i.state
      when i.count_attempt and l.retry_count + 1 >= sqlc.arg(max_attempts)::integer then 'failed'
      when l.status not in ('sent', 'pending') then 'failed'
      when coalesce(reminder_worker.deadline(e.start_ts, l.notify_at_ts, l.snoozed_from is not null, l.plan_revision is not null), now())
        <= now() + i.retry_ms * interval '1 millisecond' then 'failed'
      else 'retry'
    end as verdict
  from input i
  join locked k on k.reminder_id = i.reminder_id and k.token = i.token
  left join locked_reminders l on l.id = i.reminder_id
  left join public.events e on e.id = l.event_id
  where i.state not in ('failed', 'retry') or l.id is not null and not (i.state = 'retry' and l.status = 'sending')
), settled as (
  update reminder_worker.deliveries d
  set state = j.verdict, error_code = nullif(j.error_code, ''), error_message = nullif(j.error_message, ''), settled_at = now(), receipt_due_at = null
  from judged j
  where d.reminder_id = j.reminder_id and d.token = j.token
  returning d.reminder_id, d.token, d.sent_at, d.payload_bytes, d.state, j.gone, j.retry_ms, j.count_attempt, j.error_message
), summed as (
  select s.reminder_id, bool_or(s.state = 'retry') as again, bool_and(s.state = 'failed') as failed,
    max(s.retry_ms) filter (where s.state = 'retry') as retry_ms, bool_or(s.count_attempt and s.state = 'retry') as count_attempt,
    string_agg(s.error_message, '; ') filter (where s.state in ('failed', 'retry')) as error_message, array_agg(s.token) as tokens
  from settled s
  group by s.reminder_id
), concluded as (
  update public.reminders r
  set status = case when m.again then 'pending' else 'failed' end,
      next_attempt_at = case when m.again then now() + m.retry_ms * interval '1 millisecond' end,
      retry_count = coalesce(r.retry_count, 0) + (m.again and m.count_attempt)::integer,
      error_message = case when m.again then left(m.error_message, 1000) else left('no device took it: ' || m.error_message, 1000) end
  from summed m
  where r.id = m.reminder_id and r.status = 'sent' and (m.again or m.failed and not exists (
    select from reminder_worker.deliveries o
    where o.reminder_id = m.reminder_id and o.state <> 'failed' and o.token <> all (m.tokens)))
  returning r.id, r.status, r.next_attempt_at
), retired as (
  update reminder_worker.push_devices d
  set retired_at = now(), retired_reason = 'Expo: DeviceNotRegistered'
  from (
    select x.id
    from settled s
    cross join lateral (
      select v.id, v.registered_at
      from reminder_worker.push_devices v
      where v.token = s.token and v.retired_at is null and v.registered_at <= s.sent_at and s.gone
        and (s.payload_bytes < sqlc.arg(large_bytes)::integer or exists (
          select from reminder_worker.deliveries o
          where o.token = s.token and o.error_code = 'DeviceNotRegistered' and o.reminder_id <> s.reminder_id and o.sent_at >= v.registered_at))
      for no key update of v skip locked) x) f
  where d.id = f.id
  returning d.id
)
select s.reminder_id, s.state, coalesce(case when c.status = 'pending' then c.next_attempt_at end, 'epoch')::timestamptz as due_at
from settled s
left join concluded c on c.id = s.reminder_id;
