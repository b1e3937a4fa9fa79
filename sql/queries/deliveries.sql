-- ClaimReceipts takes deliveries whose receipt is due to be asked for, and makes them due again after again_ms.
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
set receipt_due_at = now() + sqlc.arg(again_ms)::bigint * interval '1 millisecond'
from due
where d.reminder_id = due.reminder_id and d.token = due.token
returning d.reminder_id, d.token, coalesce(d.ticket_id, '')::text as ticket_id, d.sent_at;

-- SettleDeliveries writes the receipts' verdicts and retires the devices that are gone, unless registered again since the push. Rows that
-- somebody else is at are passed over: their receipts are asked for again.
-- name: SettleDeliveries :exec
with input as (
  select unnest(sqlc.arg(reminder_ids)::uuid[]) as reminder_id, unnest(sqlc.arg(tokens)::text[]) as token, unnest(sqlc.arg(ticket_ids)::text[]) as ticket_id,
    unnest(sqlc.arg(states)::text[]) as state, unnest(sqlc.arg(error_codes)::text[]) as error_code, unnest(sqlc.arg(error_messages)::text[]) as error_message,
    unnest(sqlc.arg(gone)::boolean[]) as gone
), locked as (
  select d.reminder_id, d.token
  from input i
  join reminder_worker.deliveries d on d.reminder_id = i.reminder_id and d.token = i.token and d.ticket_id = i.ticket_id
  for no key update of d skip locked
), settled as (
  update reminder_worker.deliveries d
  set state = i.state, error_code = nullif(i.error_code, ''), error_message = nullif(i.error_message, ''), settled_at = now(), receipt_due_at = null
  from input i
  join locked l on l.reminder_id = i.reminder_id and l.token = i.token
  where d.reminder_id = l.reminder_id and d.token = l.token
  returning d.token, d.sent_at, i.gone
)
update reminder_worker.push_devices d
set retired_at = now(), retired_reason = 'Expo: DeviceNotRegistered'
from (
  select x.id
  from settled s
  join reminder_worker.push_devices x on x.token = s.token and x.retired_at is null and x.registered_at <= s.sent_at
  where s.gone
  for no key update of x skip locked) f
where d.id = f.id;
