-- CleanupDue tells in how many milliseconds a cleanup is due, or the hold of the one under way ends (1e15: there is no such row), and when the last
-- one ended and how long it took; the epoch: none has.
-- name: CleanupDue :one
select coalesce(extract(epoch from greatest(c.due_at, c.held_until) - clock_timestamp()) * 1000, 1e15)::double precision as in_ms,
  coalesce(c.ended_at, 'epoch')::timestamptz as ended_at, coalesce(c.took_ms, 0)::bigint as took_ms
from (select) one
left join reminder_worker.cleanups c on c.name = 'daily';

-- TakeCleanup takes the cleanup for hold_ms milliseconds, to go on with where it has come to, or, if anew is set, from the beginning and before it is
-- due. No row: it is not due, or somebody else's.
-- name: TakeCleanup :many
update reminder_worker.cleanups c
set held_until = now() + sqlc.arg(hold_ms)::bigint * interval '1 millisecond',
    began_at = case when sqlc.arg(anew)::boolean or c.began_at is null then now() else c.began_at end,
    part = case when sqlc.arg(anew)::boolean or c.began_at is null then '' else c.part end,
    place = case when sqlc.arg(anew)::boolean or c.began_at is null then 0 else c.place end,
    removed = case when sqlc.arg(anew)::boolean or c.began_at is null then '{}' else c.removed end
where c.name = (
  select x.name from reminder_worker.cleanups x
  where x.name = 'daily' and (sqlc.arg(anew)::boolean or x.due_at <= now()) and (x.held_until > now()) is not true
  for no key update skip locked)
returning c.part, c.place, c.removed, c.held_until::timestamptz as held_until;

-- NoteCleanup writes how far the cleanup has come, and holds it for hold_ms from now on. No row: it is somebody else's by now.
-- name: NoteCleanup :many
update reminder_worker.cleanups c
set part = sqlc.arg(part)::text, place = sqlc.arg(place)::bigint, removed = sqlc.arg(removed)::jsonb,
    held_until = clock_timestamp() + sqlc.arg(hold_ms)::bigint * interval '1 millisecond'
where c.name = 'daily' and c.held_until = sqlc.arg(held_until)::timestamptz
returning c.held_until::timestamptz as held_until;

-- ReleaseCleanup gives the cleanup back, for another to go on with at once.
-- name: ReleaseCleanup :exec
update reminder_worker.cleanups c
set held_until = null
where c.name = 'daily' and c.held_until = sqlc.arg(held_until)::timestamptz;

-- EndCleanup says that all has been looked at. The next cleanup is due interval_ms after this one began; negative: as it was.
-- name: EndCleanup :execrows
update reminder_worker.cleanups c
set held_until = null, part = '', place = 0, removed = sqlc.arg(removed)::jsonb, ended_at = now(),
    took_ms = extract(epoch from now() - coalesce(c.began_at, now())) * 1000, began_at = null,
    due_at = case
      when sqlc.arg(interval_ms)::bigint < 0 then c.due_at
      else coalesce(c.began_at, now()) + sqlc.arg(interval_ms)::bigint * interval '1 millisecond'
    end
where c.name = 'daily' and c.held_until = sqlc.arg(held_until)::timestamptz;

-- TableBlocks tells how many blocks each table has that is read from one end to the other.
-- name: TableBlocks :one
select (pg_relation_size('public.reminders') / current_setting('block_size')::bigint)::bigint as reminders,
  (pg_relation_size('public.events') / current_setting('block_size')::bigint)::bigint as events,
  (pg_relation_size('reminder_worker.calendar_copies') / current_setting('block_size')::bigint)::bigint as removals,
  (pg_relation_size('reminder_worker.push_devices') / current_setting('block_size')::bigint)::bigint as devices;

-- OldReminders finds up to max_rows reminders that are over, and have been for keep_ms milliseconds, and their events with them, in the order in which
-- they lie from one place of the table to another. Those whose receipts are still asked for are not over. What belongs to a row is asked for row
-- by row, by subqueries: joined, all of the other table might be read.
-- name: OldReminders :many
select r.id, r.ctid::text as place
from public.reminders r
where r.ctid >= sqlc.arg(from_place)::text::tid and r.ctid < sqlc.arg(to_place)::text::tid
  and r.status in ('sent', 'failed', 'cancelled', 'expired', 'skipped')
  and greatest(r.notify_at_ts, r.sent_at_ts, r.asked_at, r.created_at) < now() - sqlc.arg(keep_ms)::bigint * interval '1 millisecond'
  and (select greatest(e.start_ts, e.end_ts) >= now() - sqlc.arg(keep_ms)::bigint * interval '1 millisecond'
    from public.events e where e.id = r.event_id) is not true
  and (select count(*) from reminder_worker.deliveries d where d.reminder_id = r.id and (d.receipt_due_at is not null) is true) = 0
limit sqlc.arg(max_rows)::integer;

-- RemoveReminders removes reminders with their deliveries, unless they have been asked for again since they were found or somebody is at them.
-- name: RemoveReminders :one
with mine as (
  select r.id
  from public.reminders r
  where r.id = any (sqlc.arg(ids)::uuid[]) and (r.status in ('sent', 'failed', 'cancelled', 'expired', 'skipped')) is true
    and greatest(r.notify_at_ts, r.sent_at_ts, r.asked_at, r.created_at) < now() - sqlc.arg(keep_ms)::bigint * interval '1 millisecond'
  for update skip locked
), deliveries as (
  delete from reminder_worker.deliveries d where d.reminder_id = any (array(select m.id from mine m)) returning 1
), reminders as (
  delete from public.reminders r where r.id = any (array(select m.id from mine m)) returning 1
)
select (select count(*) from reminders)::bigint as reminders, (select count(*) from deliveries)::bigint as deliveries;

-- OldEvents finds, likewise, events that are over and nobody's work: those that have failed for keep_failed_ms, the others for keep_ms, 0: none. An event
-- stays as long as a reminder of it is to come or its receipts are asked for, and as long as a copy of it is being removed.
-- name: OldEvents :many
select e.id, e.ctid::text as place
from public.events e
where e.ctid >= sqlc.arg(from_place)::text::tid and e.ctid < sqlc.arg(to_place)::text::tid
  and e.status in ('synced', 'scheduled', 'cancelled', 'failed')
  and case when e.status = 'failed' then sqlc.arg(keep_failed_ms)::bigint else sqlc.arg(keep_ms)::bigint end > 0
  and greatest(e.start_ts, e.end_ts, e.sync_changed_at, e.created_at)
    < now() - case when e.status = 'failed' then sqlc.arg(keep_failed_ms)::bigint else sqlc.arg(keep_ms)::bigint end * interval '1 millisecond'
  and (e.sync_due_at is null) is true and (e.sync_lease_until > now()) is not true
  and (
    select count(*)
    from public.reminders r
    where r.event_id = e.id and ((r.status in ('pending', 'sending')) is true
      or (select count(*) from reminder_worker.deliveries d where d.reminder_id = r.id and (d.receipt_due_at is not null) is true) > 0)) = 0
  and (select count(*) from reminder_worker.calendar_copies k where k.event_id = e.id and (k.due_at is not null or k.lease_until > now()) is true) = 0
limit sqlc.arg(max_rows)::integer;

-- LockEvents holds events that are still old as OldEvents means it, unless somebody is at them. While they are held no reminder can be added to them.
-- name: LockEvents :many
select e.id
from public.events e
where e.id = any (sqlc.arg(ids)::uuid[]) and (e.status in ('synced', 'scheduled', 'cancelled', 'failed')) is true
  and case when e.status = 'failed' then sqlc.arg(keep_failed_ms)::bigint else sqlc.arg(keep_ms)::bigint end > 0
  and greatest(e.start_ts, e.end_ts, e.sync_changed_at, e.created_at)
    < now() - case when e.status = 'failed' then sqlc.arg(keep_failed_ms)::bigint else sqlc.arg(keep_ms)::bigint end * interval '1 millisecond'
  and (e.sync_due_at is null) is true and (e.sync_lease_until > now()) is not true
for update skip locked;

-- RemoveEvents removes events that are held, with all that belongs to them, unless one is still needed as OldEvents has it. What is known of their copies
-- goes first, so that the copies stay in the users' calendars: an event that is old is no event that was deleted.
-- name: RemoveEvents :one
with mine as (
  select i.id
  from unnest(sqlc.arg(ids)::uuid[]) as i (id)
  where (
      select count(*)
      from public.reminders r
      where r.event_id = i.id and ((r.status in ('pending', 'sending')) is true
        or (select count(*) from reminder_worker.deliveries d where d.reminder_id = r.id and (d.receipt_due_at is not null) is true) > 0)) = 0
    and (select count(*) from reminder_worker.calendar_copies k where k.event_id = i.id and (k.due_at is not null or k.lease_until > now()) is true) = 0
), copies as (
  delete from reminder_worker.calendar_copies k
  where k.event_id = any (array(select m.id from mine m)) and (k.tombstoned_at is null) is true
  returning 1
), owed as (
  select r.id from public.reminders r where r.event_id = any (array(select m.id from mine m))
), deliveries as (
  delete from reminder_worker.deliveries d where d.reminder_id = any (array(select o.id from owed o)) returning 1
), reminders as (
  delete from public.reminders r where r.id = any (array(select o.id from owed o)) returning 1
), events as (
  delete from public.events e where e.id = any (array(select m.id from mine m)) returning 1
)
select (select count(*) from events)::bigint as events, (select count(*) from reminders)::bigint as reminders,
  (select count(*) from deliveries)::bigint as deliveries, (select count(*) from copies)::bigint as copies;

-- OldRemovals finds, likewise, removals that wait for an account that has been gone for keep_ms, of events that are over, if they are there at all.
-- What is still to be removed waits, so that a user who connects again finds no copies of deleted events; after that time hardly one is of an event
-- to come.
-- name: OldRemovals :many
select k.event_id, k.user_id, k.ctid::text as place
from reminder_worker.calendar_copies k
where k.ctid >= sqlc.arg(from_place)::text::tid and k.ctid < sqlc.arg(to_place)::text::tid
  and k.tombstoned_at < now() - sqlc.arg(keep_ms)::bigint * interval '1 millisecond'
  and (k.due_at is null) is true and (k.lease_until > now()) is not true
  and (select a.state in ('connected', 'leaving') from reminder_worker.google_accounts a where a.user_id = k.user_id) is not true
  and (select greatest(e.start_ts, e.end_ts) > now() from public.events e where e.id = coalesce(k.entry_of, k.event_id)) is not true
limit sqlc.arg(max_rows)::integer;

-- RemoveRemovals forgets removals that still wait, and that nobody is at.
-- name: RemoveRemovals :execrows
delete from reminder_worker.calendar_copies k
using (
  select x.event_id, x.user_id
  from (select unnest(sqlc.arg(event_ids)::uuid[]) as event_id, unnest(sqlc.arg(user_ids)::uuid[]) as user_id) i
  join reminder_worker.calendar_copies x on x.event_id = i.event_id and x.user_id = i.user_id
  where (x.tombstoned_at is not null and x.due_at is null) is true and (x.lease_until > now()) is not true
  for update of x skip locked) f
where k.event_id = f.event_id and k.user_id = f.user_id;

-- OldDevices finds, likewise, devices that have been retired for keep_ms. One whose token a reminder to come names is needed: of a token that is
-- not known it is not known either that it is retired.
-- name: OldDevices :many
select d.id, d.ctid::text as place
from reminder_worker.push_devices d
where d.ctid >= sqlc.arg(from_place)::text::tid and d.ctid < sqlc.arg(to_place)::text::tid
  and (d.retired_at < now() - sqlc.arg(keep_ms)::bigint * interval '1 millisecond') is true
  and (select count(*) from public.reminders r where r.push_token = d.token and r.push_token <> '' and r.status in ('pending', 'sending')) = 0
limit sqlc.arg(max_rows)::integer;

-- RemoveDevices removes devices that are still retired and not needed, and that nobody is at.
-- name: RemoveDevices :execrows
delete from reminder_worker.push_devices d
where d.id = any (array(
  select x.id
  from reminder_worker.push_devices x
  where x.id = any (sqlc.arg(ids)::uuid[]) and (x.retired_at < now() - sqlc.arg(keep_ms)::bigint * interval '1 millisecond') is true
    and (select count(*) from public.reminders r where r.push_token = x.token and r.push_token <> '' and r.status in ('pending', 'sending')) = 0
  for update skip locked));

-- ForgetDeletions forgets up to max_rows deletions of users that were done keep_ms ago.
-- name: ForgetDeletions :execrows
delete from reminder_worker.user_deletions d
where d.id = any (array(
  select x.id
  from reminder_worker.user_deletions x
  where x.ended_at < now() - sqlc.arg(keep_ms)::bigint * interval '1 millisecond'
  limit sqlc.arg(max_rows)::integer
  for update skip locked));
