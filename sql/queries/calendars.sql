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

-- LoseCalendars records that calendars are gone that we have made; others among the given ones are passed over. They are not made again until
-- their users choose anew. A row that somebody else is at is left: the calendar will be found gone again.
-- name: LoseCalendars :exec
update reminder_worker.google_accounts a
set made_calendar_id = null, made_calendar_gone_at = now(), making_until = null, updated_at = now()
where a.user_id in (
  select x.user_id
  from (select unnest(sqlc.arg(user_ids)::uuid[]) as user_id, unnest(sqlc.arg(calendar_ids)::text[]) as calendar_id) g
  join reminder_worker.google_accounts x on x.user_id = g.user_id and x.made_calendar_id = g.calendar_id
  for no key update of x skip locked);
