-- EventsPage names up to max_rows events, in order, behind the one named after.
-- name: EventsPage :many
select e.id
from public.events e
where e.id > sqlc.arg(after)::uuid
order by e.id
limit sqlc.arg(max_rows)::integer;

-- EventsOfUserPage is EventsPage for one user.
-- name: EventsOfUserPage :many
select e.id
from public.events e
where e.user_id = sqlc.arg(user_id)::uuid and e.id > sqlc.arg(after)::uuid
order by e.id
limit sqlc.arg(max_rows)::integer;

-- EventFaults says what is out of step with events, their queue and the copies they name. An event that is due, or held by a worker, is being
-- served: it is looked at only for being in no queue, or forgotten in it.
-- name: EventFaults :many
select e.id as event_id, coalesce(e.user_id, '00000000-0000-0000-0000-000000000000')::uuid as user_id, e.sync_revision as revision, f.kind::text as kind, f.detail::text as detail
from public.events e
left join reminder_worker.google_accounts a on a.user_id = e.user_id
left join public.notification_settings n on n.user_id = e.user_id
left join reminder_worker.calendar_copies k on k.event_id = e.id and k.user_id = e.user_id
cross join lateral (
  select e.sync_due_at is null and e.sync_lease_until is null as settled,
    a.state = 'connected' and case when a.subject is null then sqlc.arg(own_grants)::boolean else split_part(a.subject, '@', 2) = any (sqlc.arg(domains)::text[]) end
      and n.calendar_enabled is not false as writes,
    case
      when n.google_calendar <> '' then n.google_calendar
      when n.google_calendar_name <> '' then a.made_calendar_id
      else a.calendar_id
    end as calendar_id,
    k.event_id is not null and k.tombstoned_at is null as has_copy) s
cross join lateral (values
  ('event_not_queued', case when e.status = 'pending' and e.sync_due_at is null
    then 'pending, and in no queue' end),
  ('event_not_queued', case when e.status = 'pending' and e.sync_due_at > now() + interval '2 days'
    then 'pending, and not to be tried before ' || e.sync_due_at end),
  ('event_overdue', case when e.status in ('pending', 'cancelled') and e.sync_planned is distinct from e.sync_revision
      and e.sync_due_at < now() - sqlc.arg(overdue_ms)::bigint * interval '1 millisecond'
    then 'due since ' || e.sync_due_at || ', and no worker has taken it' end),
  ('event_held', case when e.status is distinct from 'pending' and e.sync_due_at is null and e.sync_lease_until < now() - interval '1 minute'
    then 'held by a worker until ' || e.sync_lease_until || ', and in no queue since' end),
  ('event_not_planned', case when s.settled and e.status in ('synced', 'scheduled') and e.sync_worker is not null
      and e.sync_planned is distinct from e.sync_revision
    then format('%s at revision %s, and planned at %s', e.status, e.sync_revision, coalesce(e.sync_planned::text, 'none')) end),
  ('event_not_written', case when s.settled and s.writes and e.status = 'scheduled' and coalesce(e.end_ts, e.start_ts) > now()
    then 'scheduled, although the user''s account is connected' end),
  ('copy_not_recorded', case when s.settled and s.writes and e.status = 'synced' and e.sync_planned = e.sync_revision and e.sync_worker is not null
      and (not s.has_copy and k.due_at is null or s.has_copy and k.etag = '')
    then case when s.has_copy then 'synced, and its copy was never confirmed' else 'synced, and no copy is recorded' end end),
  ('copy_outdated', case when s.settled and s.writes and s.has_copy and e.status = 'synced' and e.sync_planned = e.sync_revision and e.start_ts > now()
      and (k.calendar_id <> s.calendar_id or k.target_calendar_id is not null)
    then format('it stands in %s, and should in %s', k.calendar_id, s.calendar_id) end),
  ('copy_misnamed', case when s.settled and s.has_copy and e.status = 'synced' and k.etag <> '' and e.google_calendar_id is distinct from k.google_event_id
    then format('the event names %s, its copy is %s', coalesce(e.google_calendar_id, 'none'), k.google_event_id) end),
  ('copy_not_buried', case when s.settled and s.has_copy and e.status = 'cancelled' and e.sync_worker is not null
    then 'the event was cancelled, and its copy is none to be removed' end)
) as f (kind, detail)
where e.id = any (sqlc.arg(ids)::uuid[]) and f.detail is not null;

-- EventsToPlan reads what planning needs of those of ids that are settled, were served once, and begin after since or were cancelled. Its columns
-- are those of ClaimEvents, so that one planning serves both.
-- name: EventsToPlan :many
select
  t.id,
  coalesce(t.user_id, '00000000-0000-0000-0000-000000000000')::uuid as user_id,
  t.status,
  t.sync_revision,
  t.sync_attempts,
  (t.sync_planned is not distinct from t.sync_revision)::boolean as planned,
  t.sync_changed_at,
  0::double precision as waited_ms,
  coalesce(t.sync_lease_until, 'epoch')::timestamptz as lease_until,
  coalesce(left(case when octet_length(t.title) <= sqlc.arg(max_bytes)::integer then t.title end, 4096), '')::text as title,
  coalesce(left(case when octet_length(t.location) <= sqlc.arg(max_bytes)::integer then t.location end, 4096), '')::text as location,
  coalesce((
    select array_agg(left(i.item, 512) order by i.nr)
    from unnest(case when pg_column_size(t.prep_items) <= sqlc.arg(max_bytes)::integer then t.prep_items end) with ordinality as i (item, nr)
    where btrim(i.item) <> '' and i.nr <= 100), '{}')::text[] as prep_items,
  (coalesce(octet_length(t.title), 0)::bigint + coalesce(octet_length(t.location), 0)
    + coalesce(pg_column_size(t.prep_items), 0))::bigint as text_bytes,
  coalesce(case when isfinite(t.start_ts) then t.start_ts end, 'epoch')::timestamptz as start_ts,
  coalesce(isfinite(t.start_ts), false)::boolean as has_start,
  coalesce(case when isfinite(t.end_ts) then t.end_ts end, 'epoch')::timestamptz as end_ts,
  coalesce(isfinite(t.end_ts), false)::boolean as has_end,
  coalesce((select left(to_jsonb(c) ->> 'name', 256) from public.children c where c.id = t.child_id), '')::text as child_name,
  (t.reminder_minutes is not null or n.reminder_minutes is not null)::boolean as has_minutes,
  array(select m from unnest(coalesce(t.reminder_minutes, n.reminder_minutes)) m where m between 0 and 86400 limit 16)::integer[] as minutes,
  coalesce(n.time_zone, '')::text as time_zone,
  coalesce(floor(extract(epoch from n.quiet_from) / 60)::integer % 1440, -1)::integer as quiet_from,
  coalesce(floor(extract(epoch from n.quiet_until) / 60)::integer % 1440, -1)::integer as quiet_until,
  coalesce(floor(extract(epoch from n.all_day_at) / 60)::integer % 1440, -1)::integer as all_day_at,
  coalesce(not n.calendar_enabled, false)::boolean as calendar_off,
  (a.user_id is not null)::boolean as has_account,
  coalesce(a.refresh_token, '')::text as refresh_token,
  coalesce(a.subject, '')::text as subject,
  coalesce(a.connected_at, 'epoch')::timestamptz as connected_at,
  coalesce(case
    when n.google_calendar <> '' then n.google_calendar
    when n.google_calendar_name <> '' then a.made_calendar_id
    else a.calendar_id
  end, '')::text as calendar_id,
  coalesce(case when coalesce(n.google_calendar, '') = '' and a.made_calendar_id is null then left(n.google_calendar_name, 200) end, '')::text as calendar_to_make,
  (a.made_calendar_gone_at is not null)::boolean as made_calendar_gone,
  coalesce(n.google_alerts, false)::boolean as google_alerts,
  coalesce(a.state, '')::text as account_state,
  least(coalesce(a.paused_until, 'epoch'), timestamptz '9999-01-01 00:00:00+00')::timestamptz as account_paused_until,
  false::boolean as noted,
  false::boolean as calendar_paused,
  (k.event_id is not null and k.tombstoned_at is null)::boolean as has_copy,
  coalesce(k.calendar_id, '')::text as copy_calendar_id,
  coalesce(k.target_calendar_id, '')::text as copy_target_id,
  coalesce(k.google_event_id, '')::text as google_event_id,
  coalesce(k.generation, 0)::integer as copy_generation,
  coalesce(k.etag, '')::text as copy_etag,
  coalesce(k.content_hash, '')::text as copy_hash
from public.events t
left join public.notification_settings n on n.user_id = t.user_id
left join reminder_worker.google_accounts a on a.user_id = t.user_id
left join reminder_worker.calendar_copies k on k.event_id = t.id and k.user_id = t.user_id
where t.id = any (sqlc.arg(ids)::uuid[]) and t.sync_due_at is null and t.sync_lease_until is null and t.sync_planned = t.sync_revision
  and t.sync_worker is not null
  and (t.status in ('synced', 'scheduled', 'failed') and t.start_ts > sqlc.arg(since)::timestamptz or t.status = 'cancelled');

-- RemindersOfEvents reads the reminders of those of ids that are settled; of one that has none it answers one row with a nil reminder_id.
-- name: RemindersOfEvents :many
select e.id as event_id, e.sync_revision as revision, ((e.dismissed_for_ts = e.start_ts) is true)::boolean as dismissed,
  coalesce(r.id, '00000000-0000-0000-0000-000000000000')::uuid as reminder_id,
  coalesce(r.user_id, '00000000-0000-0000-0000-000000000000')::uuid as user_id,
  coalesce(case when isfinite(r.notify_at_ts) then r.notify_at_ts end, 'epoch')::timestamptz as notify_at_ts,
  coalesce(r.status, '')::text as status, coalesce(left(r.message, 4096), '')::text as message, (r.plan_revision is not null)::boolean as planned,
  coalesce(case when isfinite(r.planned_for_ts) then r.planned_for_ts end, 'epoch')::timestamptz as planned_for_ts, coalesce(r.lead_seconds, -1)::integer as lead_seconds,
  coalesce(r.snoozed_from, '00000000-0000-0000-0000-000000000000')::uuid as snoozed_from, coalesce(r.error_message, '')::text as reason
from public.events e
left join lateral (
  select x.* from public.reminders x where x.event_id = e.id
  offset 0) r on true -- one lookup for each event, whatever the planner thinks of a table without statistics
where e.id = any (sqlc.arg(ids)::uuid[]) and e.sync_due_at is null and e.sync_lease_until is null;

-- EndlessReminders names reminders that wait for a time that does not come, up to max_rows of them.
-- name: EndlessReminders :many
select r.id
from public.reminders r
where r.status in ('pending', 'sending') and coalesce(r.next_attempt_at, r.notify_at_ts) > timestamptz '9999-01-01 00:00:00+00' and r.next_attempt_at is not null
limit sqlc.arg(max_rows)::integer;

-- ReminderFaults says what is out of step with reminders in the queue: their events are gone, or they wait for what does not come.
-- name: ReminderFaults :many
select r.id as reminder_id, r.event_id, coalesce(r.user_id, '00000000-0000-0000-0000-000000000000')::uuid as user_id, f.kind::text as kind, f.detail::text as detail
from public.reminders r
cross join lateral (values
  ('reminder_without_event', case when r.status = 'pending' and coalesce(r.next_attempt_at, r.notify_at_ts) > now()
      and not exists (select from public.events e where e.id = r.event_id)
    then 'at ' || r.notify_at_ts || ', and its event is gone' end),
  ('reminder_stuck', case when r.status = 'sending' and (r.next_attempt_at is null or r.next_attempt_at > now() + interval '2 hours'
      or r.next_attempt_at < now() - sqlc.arg(overdue_ms)::bigint * interval '1 millisecond')
    then 'claimed until ' || coalesce(r.next_attempt_at::text, 'no time') || ', and not sent' end),
  ('reminder_stuck', case when r.status = 'pending' and r.next_attempt_at > greatest(now(), r.notify_at_ts) + interval '2 days'
    then 'at ' || r.notify_at_ts || ', and not to be tried before ' || r.next_attempt_at end)
) as f (kind, detail)
where r.id = any (sqlc.arg(ids)::uuid[]) and f.detail is not null;

-- CopiesPage names up to max_rows copies, in order, behind the one named.
-- name: CopiesPage :many
select k.event_id, k.user_id
from reminder_worker.calendar_copies k
where (k.event_id, k.user_id) > (sqlc.arg(after_event)::uuid, sqlc.arg(after_user)::uuid)
order by k.event_id, k.user_id
limit sqlc.arg(max_rows)::integer;

-- CopiesOfUserPage is CopiesPage for one user.
-- name: CopiesOfUserPage :many
select k.event_id, k.user_id
from reminder_worker.calendar_copies k
where k.user_id = sqlc.arg(user_id)::uuid and k.event_id > sqlc.arg(after_event)::uuid
order by k.event_id
limit sqlc.arg(max_rows)::integer;

-- CopyFaults says what is out of step with recorded copies: their events are gone and nothing will remove them.
-- name: CopyFaults :many
select k.event_id, k.user_id, f.kind::text as kind, f.detail::text as detail
from (select unnest(sqlc.arg(event_ids)::uuid[]) as event_id, unnest(sqlc.arg(user_ids)::uuid[]) as user_id) i
join reminder_worker.calendar_copies k on k.event_id = i.event_id and k.user_id = i.user_id
left join public.events e on e.id = k.event_id
left join reminder_worker.google_accounts a on a.user_id = k.user_id
cross join lateral (values
  ('copy_not_buried', case when k.tombstoned_at is null and e.user_id is distinct from k.user_id
    then case when e.id is null then 'the event is gone' else 'the event is another user''s' end || ', and its copy is none to be removed' end),
  ('removal_not_queued', case when k.tombstoned_at is not null and a.state in ('connected', 'leaving')
      and case when a.subject is null then sqlc.arg(own_grants)::boolean else split_part(a.subject, '@', 2) = any (sqlc.arg(domains)::text[]) end
      and (k.due_at is null or k.due_at > now() + interval '2 days')
    then 'to be removed since ' || k.tombstoned_at || ', and ' || coalesce('not before ' || k.due_at, 'in no queue') end)
) as f (kind, detail)
where f.detail is not null;

-- PausedAccounts names up to max_rows accounts, in order behind the one named after, that are paused for longer than Google ever asks for.
-- name: PausedAccounts :many
select a.user_id, coalesce(a.paused_until::text, '')::text as until
from reminder_worker.google_accounts a
where a.user_id > sqlc.arg(after)::uuid and a.paused_until > now() + interval '2 days'
order by a.user_id
limit sqlc.arg(max_rows)::integer;

-- AccountToRead reads an account as AccountsPage does.
-- name: AccountToRead :many
select a.user_id, a.refresh_token, coalesce(a.subject, '')::text as subject, a.connected_at,
  coalesce((
    select case when n.google_calendar <> '' then n.google_calendar when n.google_calendar_name <> '' then a.made_calendar_id end
    from public.notification_settings n where n.user_id = a.user_id), a.calendar_id)::text as calendar_id, a.state, coalesce(a.audited_at, 'epoch')::timestamptz as audited_at,
  coalesce(a.paused_until > now(), false)::boolean as paused,
  (a.subject is null or (a.subject = reminder_worker.address_of(a.user_id)) is true)::boolean as theirs,
  array(
    select k.calendar_id from reminder_worker.calendar_copies k where k.user_id = a.user_id
    union
    select k.target_calendar_id from reminder_worker.calendar_copies k where k.user_id = a.user_id and k.target_calendar_id is not null)::text[] as calendar_ids
from reminder_worker.google_accounts a
where a.user_id = sqlc.arg(user_id)::uuid;

-- AccountsPage reads up to max_rows accounts, in order, behind the one named after, each with the calendars that hold copies of theirs or that
-- these are on their way to. One with theirs false is delegated for an address that is not, or not any more, its user's by confirmation.
-- name: AccountsPage :many
select a.user_id, a.refresh_token, coalesce(a.subject, '')::text as subject, a.connected_at,
  coalesce((
    select case when n.google_calendar <> '' then n.google_calendar when n.google_calendar_name <> '' then a.made_calendar_id end
    from public.notification_settings n where n.user_id = a.user_id), a.calendar_id)::text as calendar_id, a.state, coalesce(a.audited_at, 'epoch')::timestamptz as audited_at,
  coalesce(a.paused_until > now(), false)::boolean as paused,
  (a.subject is null or (a.subject = reminder_worker.address_of(a.user_id)) is true)::boolean as theirs,
  array(
    select k.calendar_id from reminder_worker.calendar_copies k where k.user_id = a.user_id
    union
    select k.target_calendar_id from reminder_worker.calendar_copies k where k.user_id = a.user_id and k.target_calendar_id is not null)::text[] as calendar_ids
from reminder_worker.google_accounts a
where a.user_id > sqlc.arg(after)::uuid
order by a.user_id
limit sqlc.arg(max_rows)::integer;

-- CopiesOfAccount reads up to max_rows recorded copies of a user, in the order of their events behind the one named after, with how these
-- stand: here is false for one that is gone or another user's, settled for one that is being served. A copy on its way to another calendar tells
-- the entry that it is to be there. Of copies of events that are over it reads none.
-- name: CopiesOfAccount :many
select k.event_id, k.calendar_id, k.google_event_id, k.generation, k.etag, k.content_hash,
  coalesce(k.target_calendar_id, '')::text as target_calendar_id, coalesce(k.target_event_id, replace(k.event_id::text, '-', ''))::text as target_event_id,
  coalesce(k.written_at, 'epoch')::timestamptz as written_at, coalesce(k.gone_at, 'epoch')::timestamptz as gone_at,
  (k.tombstoned_at is not null)::boolean as tombstoned, (k.due_at is not null)::boolean as queued,
  (e.id is not null)::boolean as here, coalesce(e.status, '')::text as status, coalesce(e.sync_revision, 0)::bigint as revision,
  coalesce(e.sync_due_at is null and e.sync_lease_until is null and e.sync_planned = e.sync_revision, false)::boolean as settled,
  coalesce(coalesce(e.end_ts, e.start_ts) > now(), false)::boolean as coming
from reminder_worker.calendar_copies k
left join public.events e on e.id = k.event_id and (e.user_id = k.user_id) is true
where k.user_id = sqlc.arg(user_id)::uuid and k.event_id > sqlc.arg(after)::uuid
  and (e.id is null or coalesce(e.end_ts, e.start_ts) > sqlc.arg(since)::timestamptz)
order by k.event_id
limit sqlc.arg(max_rows)::integer;

-- RecordedCopies reads how the copies of some events, and these, stand for one user: one row for each of the given ids, whatever there is. here: the
-- event is theirs; in_work: it is being served, whoever's it is. Several users may write to one calendar, and several databases may, so it says
-- as well what speaks for others: foreign: the event is another user's; elsewhere: and has, or may have, a copy of theirs; names: the ids that
-- other users' copies of it have, or are about to have; known: there is any trace of the event here.
-- name: RecordedCopies :many
select i.event_id::uuid as event_id, own.here::boolean as here, case when own.here then coalesce(e.status, '') else '' end::text as status,
  case when own.here then e.sync_revision else 0 end::bigint as revision,
  (e.id is not null and (e.sync_due_at is not null or e.sync_lease_until is not null))::boolean as in_work,
  (k.event_id is not null)::boolean as recorded, coalesce(k.calendar_id, '')::text as calendar_id, coalesce(k.google_event_id, '')::text as google_event_id,
  coalesce(k.target_calendar_id, '')::text as target_calendar_id, coalesce(k.target_event_id, replace(i.event_id::text, '-', ''))::text as target_event_id,
  coalesce(k.etag, '')::text as etag, (k.tombstoned_at is not null)::boolean as tombstoned,
  (e.id is not null and not own.here)::boolean as foreign,
  (e.id is not null and not own.here and e.status is distinct from 'cancelled' and (e.status is not distinct from 'synced' or others.live))::boolean as elsewhere,
  others.names::text[] as names, (e.id is not null or k.event_id is not null or others.there)::boolean as known
from (select unnest(sqlc.arg(event_ids)::uuid[]) as event_id) i
left join public.events e on e.id = i.event_id
left join reminder_worker.calendar_copies k on k.event_id = i.event_id and k.user_id = sqlc.arg(user_id)::uuid
cross join lateral (select coalesce(e.user_id = sqlc.arg(user_id)::uuid, false) as here) own
cross join lateral (
  select count(*) > 0 as there, coalesce(bool_or(x.user_id = e.user_id and x.tombstoned_at is null), false) as live,
    coalesce(array_agg(n.name) filter (where n.name is not null and (x.tombstoned_at is null or x.due_at is not null)), '{}') as names
  from reminder_worker.calendar_copies x
  cross join lateral (values
    (x.google_event_id),
    (case when x.target_calendar_id is not null then coalesce(x.target_event_id, replace(x.event_id::text, '-', '')) end)) n (name)
  where x.event_id = i.event_id and x.user_id <> sqlc.arg(user_id)::uuid) others;

-- ServeEvents has settled events served once more, at the next revision; of those marked in forget the copy is read and written anew,
-- whatever is remembered of it. One marked in queue asks for work already, and only
-- becomes due. It answers which: an event that has changed since, that a worker holds, or
-- that somebody else is at, is left alone.
-- name: ServeEvents :many
with input as (
  select unnest(sqlc.arg(event_ids)::uuid[]) as id, unnest(sqlc.arg(revisions)::bigint[]) as revision,
    unnest(sqlc.arg(queue)::boolean[]) as queue, unnest(sqlc.arg(forget)::boolean[]) as forget
), free as (
  select x.id, i.queue, i.forget
  from input i
  cross join lateral (
    select e.id
    from public.events e
    where e.id = i.id and e.sync_revision = i.revision and coalesce(e.sync_lease_until <= now(), true)
      and (e.status in ('pending', 'cancelled') or e.status in ('synced', 'scheduled', 'failed') and not i.queue)
    for no key update skip locked) x
), served as (
  update public.events e
  set status = case when e.status = 'cancelled' then e.status else 'pending' end,
      sync_revision = e.sync_revision + (not f.queue)::integer, sync_attempts = 0,
      sync_changed_at = case when f.queue then e.sync_changed_at else now() end,
      sync_lease_until = null, sync_due_at = now()
  from free f
  where e.id = f.id
  returning e.id, e.user_id
), forgotten as (
  update reminder_worker.calendar_copies k
  set content_hash = ''
  from (
    select x.event_id, x.user_id
    from served s
    join free f on f.id = s.id and f.forget
    join reminder_worker.calendar_copies x on x.event_id = s.id and x.user_id = s.user_id
    for no key update of x skip locked) l
  where k.event_id = l.event_id and k.user_id = l.user_id
  returning k.event_id
)
select s.id from served s;

-- BuryCopies makes tombstones of recorded copies whose events are gone, or another user's, and answers of how many.
-- name: BuryCopies :execrows
update reminder_worker.calendar_copies k
set tombstoned_at = now(), due_at = now(), attempts = 0, error_message = null
from (
  select x.event_id, x.user_id
  from (select unnest(sqlc.arg(event_ids)::uuid[]) as event_id, unnest(sqlc.arg(user_ids)::uuid[]) as user_id) i
  join reminder_worker.calendar_copies x on x.event_id = i.event_id and x.user_id = i.user_id
  where x.tombstoned_at is null and not exists (select from public.events e where e.id = x.event_id and (e.user_id = x.user_id) is true)
  for no key update of x skip locked) f
where k.event_id = f.event_id and k.user_id = f.user_id;

-- QueueRemovals makes tombstones due that are in no queue, or too far down in it, and answers how many.
-- name: QueueRemovals :execrows
update reminder_worker.calendar_copies k
set due_at = now(), attempts = 0, lease_until = null
from (
  select x.event_id, x.user_id
  from (select unnest(sqlc.arg(event_ids)::uuid[]) as event_id, unnest(sqlc.arg(user_ids)::uuid[]) as user_id) i
  join reminder_worker.calendar_copies x on x.event_id = i.event_id and x.user_id = i.user_id
  where x.tombstoned_at is not null and (x.due_at is null or x.due_at > now() + interval '2 days') and coalesce(x.lease_until <= now(), true)
  for no key update of x skip locked) f
where k.event_id = f.event_id and k.user_id = f.user_id;

-- RemoveEntries notes entries of ours in a user's calendars as tombstones, for the workers to remove as any other, and answers how many. They
-- are entered under the key that is given for each; one that is not its event's remembers that in entry_of. Left alone is what a recorded copy
-- names, anybody's, or is about to; what is of an event that is being served, or that is another user's and may have a copy of theirs; and what is
-- of an event of which there is no trace here, for then there is none either that this database has made it.
-- name: RemoveEntries :execrows
insert into reminder_worker.calendar_copies as k (event_id, user_id, calendar_id, google_event_id, tombstoned_at, due_at, entry_of)
select i.key, sqlc.arg(user_id)::uuid, i.calendar_id, i.google_id, now(), now(), nullif(i.event_id, i.key)
from (
  select unnest(sqlc.arg(keys)::uuid[]) as key, unnest(sqlc.arg(event_ids)::uuid[]) as event_id,
    unnest(sqlc.arg(calendar_ids)::text[]) as calendar_id, unnest(sqlc.arg(google_ids)::text[]) as google_id
) i
cross join lateral (
  select count(*) > 0 as there, coalesce(bool_or(e.sync_due_at is not null or e.sync_lease_until is not null), false) as in_work,
    coalesce(bool_or(e.user_id is distinct from sqlc.arg(user_id)::uuid and e.status is distinct from 'cancelled'), false) as foreign,
    coalesce(bool_or(e.status = 'synced'), false) as synced
  from public.events e where e.id = i.event_id) ev
cross join lateral (
  select count(*) > 0 as there, coalesce(bool_or(x.user_id <> sqlc.arg(user_id)::uuid and x.tombstoned_at is null), false) as live,
    coalesce(bool_or(case
      when x.user_id = sqlc.arg(user_id)::uuid then x.tombstoned_at is null and (x.calendar_id = i.calendar_id and x.google_event_id = i.google_id
        or x.target_calendar_id = i.calendar_id and coalesce(x.target_event_id, replace(x.event_id::text, '-', '')) = i.google_id)
      else (x.tombstoned_at is null or x.due_at is not null) and (x.google_event_id = i.google_id
        or x.target_calendar_id is not null and coalesce(x.target_event_id, replace(x.event_id::text, '-', '')) = i.google_id)
    end), false) as named
  from reminder_worker.calendar_copies x where x.event_id = i.event_id) copies
where (ev.there or copies.there) and not ev.in_work and not copies.named and not (ev.foreign and (ev.synced or copies.live))
on conflict (event_id, user_id) do update
  set calendar_id = excluded.calendar_id, google_event_id = excluded.google_event_id, entry_of = excluded.entry_of,
      tombstoned_at = now(), due_at = now(), attempts = 0, error_message = null
  where k.tombstoned_at is not null and k.due_at is null;

-- NameCopies makes recorded copies name the entries that Google has of settled events, and answers of which. What is known of their content is
-- forgotten, so that they are read when the event is served next. One that has arrived where it was to be moved is on its way no more.
-- name: NameCopies :many
with input as (
  select unnest(sqlc.arg(event_ids)::uuid[]) as event_id, unnest(sqlc.arg(revisions)::bigint[]) as revision, unnest(sqlc.arg(calendar_ids)::text[]) as calendar_id,
    unnest(sqlc.arg(google_ids)::text[]) as google_id, unnest(sqlc.arg(generations)::integer[]) as generation
), free as (
  select i.*
  from input i
  cross join lateral (
    select e.id
    from public.events e
    where e.id = i.event_id and (e.user_id = sqlc.arg(user_id)::uuid) is true and e.sync_revision = i.revision and e.sync_due_at is null and e.sync_lease_until is null
    for no key update skip locked) x
)
insert into reminder_worker.calendar_copies as k (event_id, user_id, calendar_id, google_event_id, generation)
select f.event_id, sqlc.arg(user_id)::uuid, f.calendar_id, f.google_id, f.generation
from free f
on conflict (event_id, user_id) do update
  set calendar_id = excluded.calendar_id, google_event_id = excluded.google_event_id, generation = excluded.generation, etag = '', content_hash = '',
      target_calendar_id = nullif(k.target_calendar_id, excluded.calendar_id),
      target_event_id = case when k.target_calendar_id <> excluded.calendar_id then k.target_event_id end
  where k.tombstoned_at is null
returning k.event_id;

-- ResumeAccounts ends pauses of accounts that are longer than Google asks for, and answers of how many.
-- name: ResumeAccounts :execrows
update reminder_worker.google_accounts a
set paused_until = null, updated_at = now()
where a.user_id in (
  select x.user_id
  from reminder_worker.google_accounts x
  where x.user_id = any (sqlc.arg(user_ids)::uuid[]) and x.paused_until > now() + interval '2 days'
  for no key update skip locked);

-- RetryReminders has reminders claimed at once, to be sent or put away as it is right, and answers how many.
-- name: RetryReminders :execrows
update public.reminders r
set next_attempt_at = now(), changed_xid = pg_current_xact_id()
where r.id in (
  select x.id
  from public.reminders x
  where x.id = any (sqlc.arg(ids)::uuid[]) and x.status in ('pending', 'sending')
  for no key update skip locked);

-- NoteGone remembers that copies were met gone, by the user's hand.
-- name: NoteGone :exec
update reminder_worker.calendar_copies k
set gone_at = now()
where k.user_id = sqlc.arg(user_id)::uuid and k.event_id = any (sqlc.arg(event_ids)::uuid[]) and k.tombstoned_at is null
  and (k.gone_at is null or k.gone_at < k.written_at);

-- NoteAudited remembers that all calendars of an account have been read to the end.
-- name: NoteAudited :exec
update reminder_worker.google_accounts a set audited_at = now() where a.user_id = sqlc.arg(user_id)::uuid;

-- QueuedStill counts the events among these that have not been served yet, and the removals of their copies.
-- name: QueuedStill :one
select coalesce(sum(x.queued), 0)::bigint as queued
from unnest(sqlc.arg(event_ids)::uuid[]) as i (event_id)
cross join lateral (
  -- "is true" hides the conditions from the indexes of the queues, all of which the planner might read to find a few ids in them.
  select (select count(*) from public.events e where e.id = i.event_id and (e.sync_due_at is not null) is true)
    + (select count(*) from reminder_worker.calendar_copies k where k.event_id = i.event_id and (k.due_at is not null) is true) as queued) x;

-- TakeTurn takes the next step of an audit in the background, for lease_ms. No row: it is not due, or another worker's.
-- name: TakeTurn :many
update reminder_worker.audits t
set due_at = now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond',
    began_at = coalesce(t.began_at, now())
where t.name = (
  select x.name from reminder_worker.audits x where x.name = sqlc.arg(name)::text and x.due_at <= now() for no key update skip locked)
returning t.part, t.after, t.found, t.due_at as lease, coalesce(t.began_at, now())::timestamptz as began_at;

-- EndTurn writes how far an audit has come, unless its turn has passed on, and when the next step is due. An empty part: the round is over.
-- name: EndTurn :execrows
update reminder_worker.audits t
set due_at = now() + sqlc.arg(pause_ms)::bigint * interval '1 millisecond', part = sqlc.arg(part)::text, after = sqlc.arg(after)::text, found = sqlc.arg(found)::jsonb,
    began_at = case when sqlc.arg(part)::text <> '' then t.began_at end
where t.name = sqlc.arg(name)::text and t.due_at = sqlc.arg(lease)::timestamptz;

-- TurnDue tells in how many milliseconds the next step is due, 1e15: no audit is known, and about how many rows there are of each kind.
-- name: TurnDue :one
select coalesce((select extract(epoch from t.due_at - clock_timestamp()) * 1000 from reminder_worker.audits t where t.name = sqlc.arg(name)::text), 1e15)::double precision as in_ms,
  (select greatest(c.reltuples, 0) from pg_catalog.pg_class c where c.oid = 'public.events'::regclass)::double precision as events,
  (select greatest(c.reltuples, 0) from pg_catalog.pg_class c where c.oid = 'public.reminders'::regclass)::double precision as reminders,
  (select greatest(c.reltuples, 0) from pg_catalog.pg_class c where c.oid = 'reminder_worker.calendar_copies'::regclass)::double precision as copies,
  (select greatest(c.reltuples, 0) from pg_catalog.pg_class c where c.oid = 'reminder_worker.google_accounts'::regclass)::double precision as accounts;
