-- ClaimNotices takes accounts whose users are to be told that access to their calendar has ended, with all that is needed to tell them. The
-- claim is over at its lease; then, or if what became of it is not recorded, they are due again. Of those whose access is back, or was turned off,
-- nothing is due any more: they are answered without stands. Rows that somebody else is at are due still. While pushing is paused by hand nothing is claimed.
-- name: ClaimNotices :many
with due as (
  select a.user_id, a.state = 'needs_reconnect' as stands
  from reminder_worker.google_accounts a
  where a.notice_due_at <= now() and not exists (select from reminder_worker.pauses p where p.part = 'push')
  order by a.notice_due_at
  limit sqlc.arg(max_rows)::integer
  for no key update of a skip locked
), taken as (
  update reminder_worker.google_accounts a
  set notice_due_at = case when d.stands then now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond' end,
      notice_lease = case when d.stands then now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond' end,
      notice_attempts = a.notice_attempts + d.stands::integer
  from due d
  where a.user_id = d.user_id
  returning a.user_id, a.notice_lease, a.notice_attempts
)
select t.user_id, (t.notice_lease is not null)::boolean as stands, coalesce(t.notice_lease, 'epoch')::timestamptz as lease, t.notice_attempts as attempts,
  dev.tokens::text[] as tokens, dev.projects::text[] as projects,
  coalesce(not n.push_enabled, false)::boolean as push_off,
  coalesce(not n.calendar_enabled, false)::boolean as calendar_off,
  coalesce(n.time_zone, '')::text as time_zone,
  coalesce(floor(extract(epoch from n.quiet_from) / 60)::integer % 1440, -1)::integer as quiet_from,
  coalesce(floor(extract(epoch from n.quiet_until) / 60)::integer % 1440, -1)::integer as quiet_until,
  coalesce(n.locale, '')::text as locale
from taken t
left join public.notification_settings n on n.user_id = t.user_id
cross join lateral (
  select coalesce(array_agg(p.token order by p.registered_at, p.id), '{}') as tokens,
    coalesce(array_agg(coalesce(p.project, '') order by p.registered_at, p.id), '{}') as projects
  from (
    select x.id, x.token, x.project, x.registered_at
    from reminder_worker.push_devices x
    where x.user_id = t.user_id and x.retired_at is null
    order by x.registered_at desc, x.id desc
    limit 20) p) dev
order by t.user_id;

-- RecordNotices writes what became of claimed notices: due again after retry_ms, or, if that is negative, done with. One whose claim has
-- passed, or whose user has connected again, is left alone.
-- name: RecordNotices :exec
update reminder_worker.google_accounts a
set notice_due_at = case when i.retry_ms >= 0 then now() + i.retry_ms * interval '1 millisecond' end,
    notice_lease = null,
    notice_attempts = a.notice_attempts - (not i.counts)::integer,
    noticed_at = case when i.told then now() else a.noticed_at end,
    notice_error = nullif(i.error_message, '')
from (
  select x.user_id, g.retry_ms, g.counts, g.told, g.error_message
  from (select unnest(sqlc.arg(user_ids)::uuid[]) as user_id, unnest(sqlc.arg(leases)::timestamptz[]) as lease, unnest(sqlc.arg(retry_ms)::bigint[]) as retry_ms,
    unnest(sqlc.arg(counts)::boolean[]) as counts, unnest(sqlc.arg(told)::boolean[]) as told, unnest(sqlc.arg(error_messages)::text[]) as error_message) g
  join reminder_worker.google_accounts x on x.user_id = g.user_id and x.notice_lease = g.lease
  for no key update of x skip locked) i
where a.user_id = i.user_id;

-- RetireDevices retires devices that are gone, unless they were registered again since before. Those that somebody else is at are retired when
-- they are pushed to next.
-- name: RetireDevices :exec
update reminder_worker.push_devices d
set retired_at = now(), retired_reason = sqlc.arg(reason)::text
where d.id in (
  select x.id
  from reminder_worker.push_devices x
  where x.token = any (sqlc.arg(tokens)::text[]) and x.registered_at < sqlc.arg(before)::timestamptz
    and (x.retired_at is null) is true -- hidden from the index of those in use, all of which the planner might read
  for no key update skip locked);
