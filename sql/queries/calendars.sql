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

-- EndCalendar records what came of making a user's calendar: its id and under which consent it was made, or, if the id is empty, that none was.
-- name: EndCalendar :exec
update reminder_worker.google_accounts a
set made_calendar_id = nullif(sqlc.arg(calendar_id)::text, ''), making_until = null, updated_at = now(),
    made_calendar_consent = case when sqlc.arg(calendar_id)::text <> '' then sqlc.arg(consent)::timestamptz end
where a.user_id = sqlc.arg(user_id)::uuid and a.made_calendar_id is null;

-- LoseCalendars records that calendars are gone, of those that we have made; others among the given ones are passed over. Under the consent that
-- a calendar was made with, or that copies have been written to it with since, it was there: its user has deleted it, and it is not made again
-- until they choose anew. Under another consent nothing of ours has ever stood in it. That may be another Google account's, which has no such
-- calendar: it is made there under the same name, and what stood in the old one is due.
-- Answered are those in whose place there is another calendar by now, or will be soon, and those whose account somebody else is at, of which
-- that is not known: what could not be written to them is to be tried again.
-- name: LoseCalendars :many
with given as (
  select distinct on (g.user_id, g.calendar_id) g.user_id, g.calendar_id
  from (select unnest(sqlc.arg(user_ids)::uuid[]) as user_id, unnest(sqlc.arg(calendar_ids)::text[]) as calendar_id) g
), locked as (
  select x.user_id, g.calendar_id,
    x.made_calendar_consent <> x.connected_at and (
      select true from reminder_worker.calendar_copies k
      where k.user_id = x.user_id and k.calendar_id = x.made_calendar_id and k.created_at > x.connected_at and k.etag <> ''
      limit 1) is null as foreign_consent
  from given g
  join reminder_worker.google_accounts x on x.user_id = g.user_id and x.made_calendar_id = g.calendar_id
  for no key update of x skip locked
), lost as (
  update reminder_worker.google_accounts a
  set made_calendar_id = null, made_calendar_consent = null, made_calendar_gone_at = case when l.foreign_consent then null else now() end,
      making_until = null, updated_at = now()
  from locked l
  where a.user_id = l.user_id
  returning a.user_id, l.calendar_id, l.foreign_consent
), due as (
  update public.events e
  set status = 'pending'
  where e.id = any (array(
    select t.id
    from lost l
    cross join lateral (
      select k.event_id
      from reminder_worker.calendar_copies k
      where k.user_id = l.user_id and k.calendar_id = l.calendar_id and k.tombstoned_at is null) k
    cross join lateral (
      select x.id
      from public.events x
      where x.id = k.event_id and (x.user_id = l.user_id) is true and x.status = 'synced' and coalesce(x.end_ts, x.start_ts) > now()
      for no key update skip locked) t
    where l.foreign_consent))
  returning e.id
)
select g.user_id::uuid as user_id, g.calendar_id::text as calendar_id
from given g
join reminder_worker.google_accounts a on a.user_id = g.user_id
left join public.notification_settings n on n.user_id = g.user_id
left join lost l on l.user_id = g.user_id and l.calendar_id = g.calendar_id
where case
    when l.user_id is not null then l.foreign_consent
    when a.made_calendar_id = g.calendar_id then true
    when n.google_calendar <> '' then n.google_calendar <> g.calendar_id
    when n.google_calendar_name <> '' then a.made_calendar_id is not null or a.made_calendar_gone_at is null
    else a.calendar_id <> g.calendar_id
  end;
