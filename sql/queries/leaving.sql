-- ClaimLeavings takes accounts whose users have left for lease_ms milliseconds. Copies of theirs that are to go become tombstones, and tombstones
-- that waited for an account are due: up to max_copies of them, the others when their turn comes again. One whose event a worker holds is left
-- for another look, as long as the hold is extended: a removal would overtake the write under way.
-- Each account is answered with its state and reason, whether copies are left to remove, or may be written yet, and whether the time for that is
-- over. What a worker holds may be written yet, for it may have seen the account before its user left. So may, in the first looks, what is due: a
-- claim that has begun by then is not to be seen before it is committed. Later looks pass over what is due, because rows that no claim can take
-- stay due. Accounts whose rows somebody else is at are due still. While calendars are paused by hand nothing is claimed.
-- name: ClaimLeavings :many
with due as (
  select a.user_id, a.leave_copies
  from reminder_worker.google_accounts a
  where a.leave_due_at <= now() and not exists (select from reminder_worker.pauses p where p.part = 'calendar')
  order by a.leave_due_at
  limit sqlc.arg(max_rows)::integer
  for no key update of a skip locked
), standing as (
  select k.event_id, k.user_id
  from due d
  cross join lateral (
    select x.event_id, x.user_id
    from reminder_worker.calendar_copies x
    where x.user_id = d.user_id and case when x.tombstoned_at is null then d.leave_copies else x.due_at is null end
      and (select e.sync_lease_until > now() from public.events e where e.id = x.event_id) is not true
    limit sqlc.arg(max_copies)::integer
    for no key update skip locked) k
  limit sqlc.arg(max_copies)::integer
), buried as (
  update reminder_worker.calendar_copies k
  set tombstoned_at = coalesce(k.tombstoned_at, now()), attempts = 0, error_message = null, due_at = now()
  from standing s
  where k.event_id = s.event_id and k.user_id = s.user_id
  returning k.user_id
), taken as (
  update reminder_worker.google_accounts a
  set leave_due_at = now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond', leave_attempts = a.leave_attempts + 1
  from due d
  where a.user_id = d.user_id
  returning a.*
)
select t.user_id, t.refresh_token, t.connected_at, t.state, coalesce(t.reason, '')::text as reason, t.leave_revoke, t.leave_attempts,
  coalesce(t.leave_until <= now(), true)::boolean as expired,
  (exists (
      select from reminder_worker.calendar_copies k
      where k.user_id = t.user_id and (t.leave_copies or k.tombstoned_at is not null))
    or t.leave_copies and exists (
      select from public.events e
      where e.user_id = t.user_id and (e.sync_lease_until > now() or t.leave_attempts <= 3 and e.sync_due_at <= now())))::boolean as copies_left,
  (select count(*) from buried)::bigint as buried
from taken t
order by t.user_id;

-- RecordLeavings makes accounts due again after retry_ms, or, if that is negative, turns them off and forgets their refresh tokens. Those who have
-- connected again meanwhile are left alone; one that was turned off meanwhile says why, and is looked at once more.
-- name: RecordLeavings :exec
update reminder_worker.google_accounts a
set leave_due_at = case when i.retry_ms >= 0 then now() + i.retry_ms * interval '1 millisecond' end,
    state = case when i.retry_ms >= 0 then a.state else 'off' end,
    refresh_token = case when i.retry_ms >= 0 then a.refresh_token else '' end,
    leave_until = case when i.retry_ms >= 0 then a.leave_until end,
    reason = case when a.state = 'leaving' or i.retry_ms < 0 then i.reason else a.reason end, updated_at = now()
from (
  select x.user_id, g.retry_ms, g.reason
  from (select unnest(sqlc.arg(user_ids)::uuid[]) as user_id, unnest(sqlc.arg(consents)::timestamptz[]) as consent,
    unnest(sqlc.arg(retry_ms)::bigint[]) as retry_ms, unnest(sqlc.arg(reasons)::text[]) as reason) g
  join reminder_worker.google_accounts x on x.user_id = g.user_id and x.connected_at = g.consent and x.leave_due_at is not null
  for no key update of x skip locked) i
where a.user_id = i.user_id;

-- NextLeavingDue tells in how many milliseconds an account is due of a user who has left; 1e15: none is.
-- name: NextLeavingDue :one
with next as materialized (
  select (
    select a.leave_due_at from reminder_worker.google_accounts a
    where a.leave_due_at is not null order by a.leave_due_at limit 1) as due_at
)
select coalesce(extract(epoch from n.due_at - clock_timestamp()) * 1000, 1e15)::double precision as in_ms
from next n;
