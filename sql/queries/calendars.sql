-- BeginCalendar says who makes a user's calendar: with mine the caller, for making_ms milliseconds, and with again somebody has begun to
-- before, and it is not known what came of that. Otherwise another worker is at it; or it is made, and calendar_id says which it is.
-- name: BeginCalendar :one
with begun as (
  update reminder_worker.google_accounts a
  set making_until = now() + sqlc.arg(making_ms)::bigint * interval '1 millisecond'
  where a.user_id = sqlc.arg(user_id)::uuid and a.state = 'connected' and a.made_calendar_id is null and a.made_calendar_gone_at is null
    and coalesce(a.making_until <= now(), true)
  returning a.user_id
)
select coalesce(a.made_calendar_id, '')::text as calendar_id, (b.user_id is not null)::boolean as mine, (a.making_until is not null)::boolean as again
from reminder_worker.google_accounts a
left join begun b on b.user_id = a.user_id
where a.user_id = sqlc.arg(user_id)::uuid;

-- EndCalendar records what came of making a user's calendar: its id, or, if that is empty, that none was made.
-- name: EndCalendar :exec
update reminder_worker.google_accounts a
set made_calendar_id = nullif(sqlc.arg(calendar_id)::text, ''), making_until = null, updated_at = now()
where a.user_id = sqlc.arg(user_id)::uuid and a.made_calendar_id is null;

-- LoseCalendar records that a calendar we have made is gone. It is not made again until the user chooses anew. A row that somebody else is at
-- is left: the calendar will be found gone again.
-- name: LoseCalendar :exec
update reminder_worker.google_accounts a
set made_calendar_id = null, made_calendar_gone_at = now(), making_until = null, updated_at = now()
where a.user_id in (
  select x.user_id from reminder_worker.google_accounts x
  where x.user_id = sqlc.arg(user_id)::uuid and x.made_calendar_id = sqlc.arg(calendar_id)::text
  for no key update skip locked);
