-- ClaimRemovals takes up to max_rows tombstones that are due, for lease_ms milliseconds. One of an entry too many (entry_of) is forgotten instead if
-- the entry is none any more: a copy of its event names it by now, or is on its way there, and would be removed with it. Of another user, whose
-- calendar may be the same one by another name, the id is enough. While calendars are paused by hand nothing is claimed.
-- name: ClaimRemovals :many
with due as (
  select k.event_id, k.user_id, k.entry_of, k.calendar_id, k.google_event_id
  from reminder_worker.calendar_copies k
  where k.due_at <= now() and not exists (select from reminder_worker.pauses p where p.part = 'calendar')
  order by k.due_at
  limit sqlc.arg(max_rows)::integer
  for no key update skip locked
), adopted as (
  delete from reminder_worker.calendar_copies k
  using (
    select d.event_id, d.user_id
    from due d
    cross join lateral (
      select count(*) as n
      from reminder_worker.calendar_copies x
      where d.entry_of is not null and x.event_id = d.entry_of and x.tombstoned_at is null
        and (x.google_event_id = d.google_event_id and (x.calendar_id = d.calendar_id or x.user_id <> d.user_id)
          or coalesce(x.target_event_id, replace(x.event_id::text, '-', '')) = d.google_event_id
            and (x.target_calendar_id = d.calendar_id or x.user_id <> d.user_id and x.target_calendar_id is not null))) named
    where named.n > 0) a
  where k.event_id = a.event_id and k.user_id = a.user_id
  returning k.event_id, k.user_id
), taken as (
  update reminder_worker.calendar_copies k
  set due_at = now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond',
      lease_until = now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond',
      attempts = k.attempts + (k.lease_until is not null)::integer
  from due
  where k.event_id = due.event_id and k.user_id = due.user_id
    and (due.event_id, due.user_id) not in (select a.event_id, a.user_id from adopted a)
  returning k.*
)
select
  t.event_id, t.user_id, t.calendar_id, coalesce(t.target_calendar_id, '')::text as target_calendar_id, coalesce(t.target_event_id, '')::text as target_event_id, t.google_event_id, t.generation, t.etag, t.content_hash, t.attempts, coalesce(t.lease_until, 'epoch')::timestamptz as lease_until,
  coalesce(a.refresh_token, '')::text as refresh_token,
  coalesce(a.subject, '')::text as subject,
  coalesce(a.connected_at, 'epoch')::timestamptz as connected_at,
  coalesce(a.state, '')::text as account_state,
  least(coalesce(a.paused_until, 'epoch'), timestamptz '9999-01-01 00:00:00+00')::timestamptz as account_paused_until
from taken t
left join reminder_worker.google_accounts a on a.user_id = t.user_id
order by t.user_id, t.event_id;

-- RecordRemovals forgets the copies that are gone, and makes the others due again after retry_ms (negative: not until the account is
-- connected again). A claim is told by its lease: what has passed on meanwhile is left alone, for the copy may have been written since. Rows
-- that a transaction of the app has locked are passed over: a removal done twice changes nothing. An event that is still there, of a user who has
-- left, is not in Google any more; one that was given to somebody else has a copy of theirs under the same id, which is the very same where both
-- have consented with one Google account, and is looked at again. While somebody is at those rows, which cannot be said then, the copy is not
-- forgotten but asked for again, after a second. An account is read from its locked row: whose user connects at this moment either shows it, or finds what waits, or is at the row
-- still, and then the removal is due again soon. The answer names the events that are to be looked at.
-- name: RecordRemovals :many
with input as (
  select unnest(sqlc.arg(event_ids)::uuid[]) as event_id, unnest(sqlc.arg(user_ids)::uuid[]) as user_id, unnest(sqlc.arg(gone)::boolean[]) as gone,
    unnest(sqlc.arg(retry_ms)::bigint[]) as retry_ms, unnest(sqlc.arg(count_attempts)::boolean[]) as count_attempt,
    unnest(sqlc.arg(error_messages)::text[]) as error_message, unnest(sqlc.arg(leases)::timestamptz[]) as lease
), mine as (
  select k.event_id, k.user_id
  from input i
  join reminder_worker.calendar_copies k on k.event_id = i.event_id and k.user_id = i.user_id and k.tombstoned_at is not null
    and k.lease_until = i.lease
  for update of k skip locked
), standing as (
  select x.id
  from mine m
  cross join lateral (
    select e.id from public.events e where e.id = m.event_id
    for no key update skip locked) x
), others as (
  select x.event_id, x.user_id
  from mine m
  cross join lateral (
    select k.event_id, k.user_id
    from reminder_worker.calendar_copies k
    where k.event_id = m.event_id and k.user_id <> m.user_id and k.tombstoned_at is null
    for no key update skip locked) x
), results as (
  select m.event_id, m.user_id, i.gone and not held.held as gone, case when held.held then 1000 else i.retry_ms end as retry_ms,
    coalesce(i.count_attempt, true) and not held.held as count_attempt, i.error_message
  from input i
  join mine m on m.event_id = i.event_id and m.user_id = i.user_id
  cross join lateral (
    select i.gone and (exists (select from public.events e where e.id = m.event_id) and m.event_id not in (select s.id from standing s)
      or exists (
        select from reminder_worker.calendar_copies k
        where k.event_id = m.event_id and k.user_id <> m.user_id and k.tombstoned_at is null
          and (k.event_id, k.user_id) not in (select o.event_id, o.user_id from others o))) as held) held
), unlinked as (
  select a.user_id
  from reminder_worker.google_accounts a
  where a.user_id in (select r.user_id from results r where not r.gone and r.retry_ms < 0) and a.state not in ('connected', 'leaving')
  for share skip locked
), forgotten as (
  delete from reminder_worker.calendar_copies k
  using results r
  where r.gone and k.event_id = r.event_id and k.user_id = r.user_id
  returning k.event_id, k.user_id, k.google_event_id
), looked_at as (
  update reminder_worker.calendar_copies k
  set content_hash = ''
  from forgotten f
  join others o on o.event_id = f.event_id
  where k.event_id = o.event_id and k.user_id = o.user_id and k.google_event_id = f.google_event_id
  returning k.event_id, k.user_id
), postponed as (
  update reminder_worker.calendar_copies k
  set due_at = case
        when r.retry_ms >= 0 then now() + r.retry_ms * interval '1 millisecond'
        when k.user_id in (select u.user_id from unlinked u) then null
        else (
          select now() + case when a.state in ('connected', 'leaving') then interval '0' else interval '100 milliseconds' end
          from reminder_worker.google_accounts a where a.user_id = k.user_id)
      end,
      lease_until = null, attempts = k.attempts + r.count_attempt::integer, error_message = nullif(r.error_message, '')
  from results r
  where not r.gone and k.event_id = r.event_id and k.user_id = r.user_id
  returning k.event_id
)
update public.events e
set google_calendar_id = case when e.user_id = f.user_id then null else e.google_calendar_id end,
    status = case when e.status <> 'synced' then e.status when e.user_id = f.user_id then 'scheduled' else 'pending' end,
    sync_revision = e.sync_revision + (e.user_id is distinct from f.user_id)::integer,
    sync_due_at = case when e.user_id is distinct from f.user_id then greatest(now(), e.sync_lease_until) else e.sync_due_at end
from (
  select x.event_id, x.user_id, exists (select from looked_at l where l.event_id = x.event_id) as twin
  from forgotten x) f
where e.id = f.event_id and e.id in (select s.id from standing s) and (e.user_id = f.user_id or f.twin and e.status in ('synced', 'pending'))
returning e.id, (e.user_id is distinct from f.user_id)::boolean as due_again;

-- ReleaseRemovals gives claimed removals back undone: they are due at once. Those that somebody else is at are due when their claims end.
-- name: ReleaseRemovals :exec
update reminder_worker.calendar_copies k
set due_at = now(), lease_until = null
from (
  select x.event_id, x.user_id
  from (select unnest(sqlc.arg(event_ids)::uuid[]) as event_id, unnest(sqlc.arg(user_ids)::uuid[]) as user_id) i
  join reminder_worker.calendar_copies x on x.event_id = i.event_id and x.user_id = i.user_id
  where x.lease_until is not null and x.tombstoned_at is not null
  for no key update of x skip locked) f
where k.event_id = f.event_id and k.user_id = f.user_id;

-- NoteRenewal writes down the id that a copy is about to be written under, because Google keeps the present one and will not give it back. It
-- is about a single row and holds nothing else, so it may wait for whoever is at it. In the calendar that a copy is being moved to it has an id of
-- its own.
-- name: NoteRenewal :exec
update reminder_worker.calendar_copies k
set google_event_id = case when k.calendar_id = sqlc.arg(calendar_id)::text then sqlc.arg(google_event_id)::text else k.google_event_id end,
    generation = case when k.calendar_id = sqlc.arg(calendar_id)::text then sqlc.arg(generation)::integer else k.generation end,
    etag = case when k.calendar_id = sqlc.arg(calendar_id)::text then '' else k.etag end,
    content_hash = case when k.calendar_id = sqlc.arg(calendar_id)::text then '' else k.content_hash end,
    target_event_id = case when k.calendar_id = sqlc.arg(calendar_id)::text then k.target_event_id else sqlc.arg(google_event_id)::text end
where k.event_id = sqlc.arg(event_id)::uuid and k.user_id = sqlc.arg(user_id)::uuid
  and (k.calendar_id = sqlc.arg(calendar_id)::text and k.generation < sqlc.arg(generation)::integer
    or k.calendar_id <> sqlc.arg(calendar_id)::text and k.target_calendar_id = sqlc.arg(calendar_id)::text);

-- NoteTarget writes down that a copy is on its way to another calendar than was noted, which is gone.
-- name: NoteTarget :exec
update reminder_worker.calendar_copies k
set target_calendar_id = nullif(sqlc.arg(calendar_id)::text, k.calendar_id), target_event_id = null
where k.event_id = sqlc.arg(event_id)::uuid and k.user_id = sqlc.arg(user_id)::uuid and k.target_calendar_id = sqlc.arg(gone)::text;
