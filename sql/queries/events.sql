-- ClaimEvents takes due events for lease_ms milliseconds: up to max_rows whose reminders are not planned yet, and up to max_copies that
-- wait for Google only. The first never stand behind the second. Rows whose state asks for nothing leave the queue and come back with that
-- state, for the caller to pass over; those in skip are left alone, and so, for the moment, are those that have changed since the statement
-- began: what belongs to them, as their user's settings, would be read as it was before. Texts come bounded: their size (text_bytes) tells whether they were
-- cut. Null and infinite times come back as the epoch with has_start or has_end false, a null user as the nil UUID, for planning to refuse.
-- With note_copies, the copies of events that never had one, and that this worker can write, are noted at once where they are to be written
-- (noted), so that they may be begun while the plans are still being committed. A user who is being deleted is not waited for; should that begin at
-- this very moment, the statement gives up before the server looks for deadlocks. While calendars are paused by hand (calendar_paused) neither
-- what waits for Google is taken nor a copy noted.
-- The disk is not waited for. Should the server crash before it is written, the events are due again; who has written a copy meanwhile finds
-- his claim gone, remembers the copy and has the event served once more (see RecordSyncs).
-- name: ClaimEvents :many
with manner as materialized (
  select set_config('synchronous_commit', 'off', true) || set_config('lock_timeout', '250ms', true) as value
), paused as materialized (
  select count(*) > 0 as calendar from reminder_worker.pauses p where p.part = 'calendar'
), unplanned as (
  select e.id, e.sync_revision, e.sync_due_at, e.sync_lease_until
  from public.events e
  where e.sync_due_at <= now() and e.sync_planned is distinct from e.sync_revision and e.id <> all (coalesce(sqlc.arg(skip)::uuid[], '{}'))
  order by e.sync_due_at, e.id
  limit sqlc.arg(max_rows)::integer
  for no key update skip locked
), waiting as (
  select e.id, e.sync_revision, e.sync_due_at, e.sync_lease_until
  from public.events e
  where e.sync_due_at <= now() and e.sync_planned = e.sync_revision and e.id <> all (coalesce(sqlc.arg(skip)::uuid[], '{}'))
    and not (select p.calendar from paused p)
  order by e.sync_due_at, e.id
  limit sqlc.arg(max_copies)::integer
  for no key update skip locked
), due as (
  select l.id
  from (select * from unplanned union all select * from waiting) l
  where (
    select (seen.sync_revision, seen.sync_due_at, seen.sync_lease_until) is not distinct from (l.sync_revision, l.sync_due_at, l.sync_lease_until)
    from public.events seen where seen.id = l.id)
), taken as (
  update public.events e
  set sync_lease_until = case when e.status in ('pending', 'cancelled') then now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond' end,
      sync_due_at = case when e.status in ('pending', 'cancelled') then now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond' end,
      sync_worker = sqlc.arg(worker)::uuid,
      sync_attempts = e.sync_attempts + (e.sync_lease_until is not null)::integer
  from due, manner m
  where e.id = due.id and m.value <> ''
  returning e.*
), noted as (
  insert into reminder_worker.calendar_copies (event_id, user_id, calendar_id, google_event_id)
  select t.id, t.user_id, w.calendar_id, replace(t.id::text, '-', '')
  from taken t
  cross join lateral (
    select coalesce(case
        when n.google_calendar <> '' then n.google_calendar
        when n.google_calendar_name <> '' then a.made_calendar_id
        else a.calendar_id
      end, '') as calendar_id
    from reminder_worker.google_accounts a
    left join public.notification_settings n on n.user_id = a.user_id
    where a.user_id = t.user_id and a.state = 'connected' and (a.paused_until <= now()) is not false and n.calendar_enabled is not false
      and case when a.subject is null then sqlc.arg(own_grants)::boolean else split_part(a.subject, '@', 2) = any (sqlc.arg(domains)::text[]) end
    for key share of a skip locked) w
  where sqlc.arg(note_copies)::boolean and not (select p.calendar from paused p) and t.status = 'pending' and t.sync_planned is distinct from t.sync_revision and w.calendar_id <> ''
    and not exists (select from reminder_worker.calendar_copies k where k.event_id = t.id)
    and not exists (select from reminder_worker.calendar_copies k where k.entry_of = t.id)
  on conflict do nothing
  returning event_id
)
select
  t.id,
  coalesce(t.user_id, '00000000-0000-0000-0000-000000000000')::uuid as user_id,
  t.status,
  t.sync_revision,
  t.sync_attempts,
  (t.sync_planned is not distinct from t.sync_revision)::boolean as planned,
  t.sync_changed_at,
  (extract(epoch from clock_timestamp() - t.sync_changed_at) * 1000)::double precision as waited_ms,
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
  (t.id in (select x.event_id from noted x))::boolean as noted,
  (select p.calendar from paused p)::boolean as calendar_paused,
  (k.event_id is not null and k.tombstoned_at is null)::boolean as has_copy,
  coalesce(k.calendar_id, '')::text as copy_calendar_id,
  coalesce(k.target_calendar_id, '')::text as copy_target_id,
  coalesce(k.google_event_id, '')::text as google_event_id,
  coalesce(k.generation, 0)::integer as copy_generation,
  coalesce(k.etag, '')::text as copy_etag,
  coalesce(k.content_hash, '')::text as copy_hash
from taken t
left join public.notification_settings n on n.user_id = t.user_id
left join reminder_worker.google_accounts a on a.user_id = t.user_id
left join reminder_worker.calendar_copies k on k.event_id = t.id and k.user_id = t.user_id
order by t.sync_lease_until, t.id;

-- CommitPlans makes the reminders of a batch of claimed events what their plans say, and notes the copies about to be written, in one
-- statement. An event counts only while its revision and lease are the claimed ones, the lease is not over, its user has not left if a copy is
-- to be written, and nobody else is at its row, its reminders or the removal of its copy; the others are missing from the answer, which names each event that counts once with a nil reminder_id, and once
-- for each reminder to arm. A copy that stands in another calendar than its calendar_id is noted to be moved there.
-- The app's own reminders (plan_revision null) are never touched. What the user has dismissed is planned as skipped, what was put off stays so. A reminder whose like
-- has gone out, of the same lead before the same start, is not planned at another time as well: the user has only changed when.
-- name: CommitPlans :many
with patience as materialized (
  -- For this statement, which is a transaction of its own. The foreign keys make it wait for a user who is being deleted; it gives up
  -- before the server looks for deadlocks, so that never the app's statement is the one to fail.
  select set_config('lock_timeout', '250ms', true) as value
), input as (
  select unnest(sqlc.arg(event_ids)::uuid[]) as id, unnest(sqlc.arg(revisions)::bigint[]) as revision,
    unnest(sqlc.arg(leases)::timestamptz[]) as lease, unnest(sqlc.arg(withdraw_reasons)::text[]) as withdraw_reason,
    unnest(sqlc.arg(google_ids)::text[]) as google_id, unnest(sqlc.arg(calendar_ids)::text[]) as calendar_id,
    unnest(sqlc.arg(bury_copies)::boolean[]) as bury_copy
  from patience p
  where p.value <> ''
), tombstones as (
  -- Locked before the events are judged: no removal can be claimed between the judgement and the revival of the copy below.
  -- (Locking inside of lateral also keeps the planner to one lookup per event, whatever it thinks of a table without statistics.)
  select t.event_id, t.user_id, t.free
  from input i
  cross join lateral (
    select k.event_id, k.user_id, coalesce(k.lease_until <= now(), true) as free
    from reminder_worker.calendar_copies k
    where (k.event_id = i.id or k.entry_of = i.id) and k.tombstoned_at is not null
    for no key update skip locked) t
), locked_reminders as (
  select t.id
  from input i
  cross join lateral (
    select r.id
    from public.reminders r
    where r.event_id = i.id and r.plan_revision is not null and r.status in ('pending', 'cancelled', 'skipped')
    for no key update skip locked) t
), busy as (
  select i.id as event_id
  from input i
  where (
    select count(*) from public.reminders r
    where r.event_id = i.id and r.plan_revision is not null and r.status in ('pending', 'cancelled', 'skipped')
      and r.id not in (select l.id from locked_reminders l)) > 0
), held as (
  select e.id, e.user_id, e.start_ts, i.revision, i.withdraw_reason, i.google_id, i.calendar_id, i.bury_copy, e.dismissed
  from input i
  cross join lateral (
    select e.id, e.user_id, e.start_ts, e.sync_revision, e.sync_lease_until, (e.dismissed_for_ts = e.start_ts) is true as dismissed
    from public.events e
    where e.id = i.id and e.sync_revision = i.revision and e.sync_lease_until = i.lease and e.sync_lease_until > clock_timestamp()
      and (i.google_id = '' or (select a.state in ('leaving', 'off') from reminder_worker.google_accounts a where a.user_id = e.user_id) is not true)
      and not exists (
        select from reminder_worker.calendar_copies k
        where k.event_id = e.id and k.user_id = e.user_id and k.tombstoned_at is not null
          and not exists (select from tombstones t where t.event_id = k.event_id and t.user_id = k.user_id and t.free))
      -- ("is true" hides the user from the index of a user's copies, who may have thousands.)
      and not exists (
        select from reminder_worker.calendar_copies k
        where k.entry_of = e.id and (k.user_id = e.user_id) is true and k.tombstoned_at is not null
          and not exists (select from tombstones t where t.event_id = k.event_id and t.user_id = k.user_id and t.free))
    for no key update of e skip locked) e
  -- Said twice, so that the planner takes few to be left, whose reminders it looks up rather than reading all.
  where e.sync_revision = i.revision and e.sync_lease_until = i.lease and i.id not in (select b.event_id from busy b)
), planned as (
  select p.event_id, h.user_id, h.revision, h.start_ts, h.dismissed, p.notify_at, p.lead_seconds, p.message,
    case when h.dismissed then 'skipped' else p.status end as status,
    case when h.dismissed and p.status = 'pending' then 'dismissed by the user' else p.reason end as reason
  from (
    select unnest(sqlc.arg(reminder_event_ids)::uuid[]) as event_id, unnest(sqlc.arg(notify_ats)::timestamptz[]) as notify_at,
      unnest(sqlc.arg(lead_seconds)::integer[]) as lead_seconds, unnest(sqlc.arg(messages)::text[]) as message,
      unnest(sqlc.arg(statuses)::text[]) as status, unnest(sqlc.arg(reasons)::text[]) as reason
  ) p
  join held h on h.id = p.event_id
), withdrawn as (
  update public.reminders r
  set status = 'cancelled', next_attempt_at = null,
      error_message = case
        when h.withdraw_reason <> '' then h.withdraw_reason
        when r.planned_for_ts = h.start_ts then 'other times are wanted since'
        else 'the event was moved' end
  from held h
  where r.event_id = h.id and r.plan_revision is not null and r.status = 'pending'
    and (r.event_id, r.notify_at_ts) not in (select p.event_id, p.notify_at from planned p)
    -- One that would have to be in the past to be at its new time has not gone out: it stays where it is.
    and (r.event_id, coalesce(r.planned_for_ts, '-infinity'), coalesce(r.lead_seconds, -1)) not in (
      select p.event_id, p.start_ts, p.lead_seconds from planned p where p.status = 'skipped' and not p.dismissed)
  returning r.id
), kept as (
  update public.reminders r
  set plan_revision = p.revision, planned_for_ts = p.start_ts, lead_seconds = p.lead_seconds,
      user_id = p.user_id, message = p.message, status = 'pending',
      retry_count = case when r.status = 'pending' then r.retry_count else 0 end,
      lost_claims = case when r.status = 'pending' then r.lost_claims end,
      next_attempt_at = case when r.status = 'pending' then r.next_attempt_at end,
      error_message = case when r.status = 'pending' then r.error_message end
  from planned p
  where r.event_id = p.event_id and r.notify_at_ts = p.notify_at and r.plan_revision is not null
    and (r.status = 'pending' or (r.status in ('cancelled', 'skipped') and p.status = 'pending'
      -- (Not "exists", for which the planner might read all reminders once.)
      and (select true from public.reminders s where s.event_id = r.event_id and s.snoozed_from = r.id limit 1) is null))
    and (r.status, r.message, r.planned_for_ts, r.user_id, r.lead_seconds)
      is distinct from ('pending', p.message, p.start_ts, p.user_id, p.lead_seconds)
  returning r.id, r.event_id, coalesce(r.next_attempt_at, r.notify_at_ts) as due_at
), added as (
  insert into public.reminders (event_id, user_id, notify_at_ts, lead_seconds, message, status, error_message, plan_revision, planned_for_ts)
  select p.event_id, p.user_id, p.notify_at, p.lead_seconds, p.message, p.status, nullif(p.reason, ''), p.revision, p.start_ts
  from planned p
  where not exists (
    select from public.reminders x
    where x.event_id = p.event_id and (x.notify_at_ts = p.notify_at
      or x.plan_revision is not null and x.planned_for_ts = p.start_ts and x.lead_seconds = p.lead_seconds
        and (x.status in ('sending', 'sent') or x.status = 'pending' and p.status = 'skipped')))
  on conflict do nothing -- an adopted table may lack the constraint
  returning id, event_id, notify_at_ts as due_at, status
), noted as (
  insert into reminder_worker.calendar_copies as k (event_id, user_id, calendar_id, google_event_id)
  select h.id, h.user_id, h.calendar_id, h.google_id from held h where h.google_id <> ''
  on conflict (event_id, user_id) do update
    set tombstoned_at = null, due_at = null, lease_until = null, attempts = 0, error_message = null,
        -- A removal may have been carried out and not recorded: Google is to be asked.
        content_hash = case when k.tombstoned_at is not null then '' else k.content_hash end,
        -- A move that was begun is finished before the next.
        target_calendar_id = coalesce(k.target_calendar_id, nullif(excluded.calendar_id, k.calendar_id))
    where k.tombstoned_at is not null or k.target_calendar_id is null and k.calendar_id <> excluded.calendar_id
  returning k.event_id
), buried as (
  update reminder_worker.calendar_copies k
  set tombstoned_at = now(), due_at = now(), attempts = 0, error_message = null
  from held h
  where h.bury_copy and k.event_id = h.id and k.user_id = h.user_id and k.tombstoned_at is null
  returning k.event_id
)
select h.id::uuid as event_id, '00000000-0000-0000-0000-000000000000'::uuid as reminder_id, 'epoch'::timestamptz as due_at
from held h
union all
select k.event_id, k.id, k.due_at from kept k
union all
select a.event_id, a.id, a.due_at from added a where a.status = 'pending';

-- GiveBackEvents ends the claims of events whose plans did not count: because they have changed, or a removal of their copy is under way,
-- or somebody else was at their rows. The answer names those whose rows somebody is at still, to try again: until then the claim stands.
-- name: GiveBackEvents :many
with input as (
  select unnest(sqlc.arg(event_ids)::uuid[]) as id, unnest(sqlc.arg(revisions)::bigint[]) as revision, unnest(sqlc.arg(leases)::timestamptz[]) as lease
), free as (
  select t.id, t.unchanged
  from input i
  cross join lateral (
    select e.id, e.sync_revision = i.revision as unchanged
    from public.events e
    where e.id = i.id and e.sync_lease_until = i.lease
    for no key update skip locked) t
), given as (
  update public.events e
  set sync_lease_until = null, sync_due_at = now() + case when f.unchanged then interval '100 milliseconds' else interval '0' end
  from free f
  where e.id = f.id
  returning e.id
)
select e.id
from input i
join public.events e on e.id = i.id and e.sync_lease_until = i.lease
where e.id not in (select f.id from free f);

-- RecordSyncs writes what became of a batch of events, and answers for each whether somebody else was at its row (busy: nothing was
-- written, try again) and whether there is more to do (it changed meanwhile, or it was deleted and its copy is to be removed). An event
-- that changed keeps its state. Rows are never waited for while others are held, so the app's own statements over many events cannot
-- deadlock with this one.
-- A worker whose claim has passed to another and who wrote a copy all the same may have overwritten what that other wrote: the event is
-- served once more, and the hash of its copy is forgotten, so that Google is asked. A copy that nobody remembers is remembered again: as a
-- tombstone, if its event is gone, or if its user has left and wanted no copies to stay (unwanted); then the event is not synced. The removal of a
-- copy that was written while it was under way does not count, since nobody can know which of the two Google did last: its claim stands to its
-- end, under a lease that is not the remover's, and the copy is removed again.
-- name: RecordSyncs :many
with input as (
  select unnest(sqlc.arg(event_ids)::uuid[]) as id, unnest(sqlc.arg(user_ids)::uuid[]) as user_id, unnest(sqlc.arg(revisions)::bigint[]) as revision,
    unnest(sqlc.arg(statuses)::text[]) as status, unnest(sqlc.arg(error_messages)::text[]) as error_message, unnest(sqlc.arg(retry_ms)::bigint[]) as retry_ms,
    unnest(sqlc.arg(count_attempts)::boolean[]) as count_attempt, unnest(sqlc.arg(planned)::boolean[]) as planned,
    unnest(sqlc.arg(google_ids)::text[]) as google_id, unnest(sqlc.arg(calendar_ids)::text[]) as calendar_id, unnest(sqlc.arg(generations)::integer[]) as generation,
    unnest(sqlc.arg(etags)::text[]) as etag, unnest(sqlc.arg(hashes)::text[]) as hash
), locked_events as (
  select e.id from public.events e join input i on i.id = e.id for no key update of e skip locked
), locked_copies as (
  select k.event_id from reminder_worker.calendar_copies k join input i on i.id = k.event_id and i.user_id = k.user_id
  for no key update of k skip locked
), seen as (
  -- Subqueries, not joins: for a large batch the planner might read whole tables to join them.
  select i.id from input i
  where i.id not in (select l.id from locked_events l) and (select true from public.events e where e.id = i.id)
    or i.id not in (select l.event_id from locked_copies l)
      and (select true from reminder_worker.calendar_copies k where k.event_id = i.id and k.user_id = i.user_id)
), free as (
  -- The user connected Google while the event was served without it, and this worker can serve the account (see RecallScheduled).
  select i.*, i.status = 'scheduled' and i.retry_ms < 0 and (
      select true from reminder_worker.google_accounts a
      where a.user_id = i.user_id and a.state = 'connected'
        and case when a.subject is null then sqlc.arg(own_grants)::boolean else split_part(a.subject, '@', 2) = any (sqlc.arg(domains)::text[]) end) is true
    and (select n.calendar_enabled from public.notification_settings n where n.user_id = i.user_id) is not false as connected,
    i.google_id <> ''
    and (select true from reminder_worker.calendar_copies k where k.event_id = i.id and k.user_id = i.user_id) is null
    and (select a.leave_copies and a.state in ('leaving', 'off') from reminder_worker.google_accounts a where a.user_id = i.user_id) is true as unwanted
  from input i where i.id not in (select b.id from seen b)
), recorded as (
  update public.events e
  set status = case
        when e.sync_revision <> i.revision or e.status = 'cancelled' then e.status
        when i.connected then 'pending'
        when i.unwanted and i.status = 'synced' then 'scheduled'
        else i.status
      end,
      sync_planned = case when e.sync_revision = i.revision and coalesce(i.planned, true) then i.revision else e.sync_planned end,
      error_message = case when e.sync_revision = i.revision then nullif(i.error_message, '') else e.error_message end,
      google_calendar_id = case when i.etag <> '' and e.user_id = i.user_id then i.google_id else e.google_calendar_id end,
      sync_attempts = case when e.sync_revision = i.revision and i.retry_ms >= 0 then e.sync_attempts + i.count_attempt::integer else 0 end,
      sync_due_at = case
        when e.sync_revision <> i.revision or i.connected then now()
        when i.retry_ms >= 0 then now() + i.retry_ms * interval '1 millisecond'
      end,
      sync_lease_until = null
  from free i
  where e.id = i.id and e.sync_lease_until is not null and e.sync_worker = sqlc.arg(worker)::uuid
  returning e.id, e.sync_revision <> i.revision or i.connected as again
), strayed as (
  update public.events e
  set sync_revision = e.sync_revision + 1, sync_attempts = 0,
      status = case when e.status in ('synced', 'scheduled', 'failed') then 'pending' else e.status end,
      sync_due_at = case when e.sync_lease_until > now() then e.sync_lease_until else now() end
  from free i
  where e.id = i.id and i.google_id <> ''
    and (e.sync_lease_until is null or e.sync_worker is distinct from sqlc.arg(worker)::uuid)
  returning e.id
), written as (
  update reminder_worker.calendar_copies k
  set google_event_id = case when i.kept then i.google_id else k.google_event_id end,
      calendar_id = case when i.kept then i.calendar_id else k.calendar_id end,
      target_calendar_id = case when i.kept and i.etag <> '' then null else k.target_calendar_id end,
      target_event_id = case when i.kept and i.etag <> '' then null else k.target_event_id end,
      generation = case when i.kept then i.generation else k.generation end,
      etag = case when i.kept then i.etag else k.etag end,
      content_hash = case when i.google_id = '' then k.content_hash when i.kept and not i.again then i.hash else '' end,
      written_at = case when i.etag <> '' then now() else k.written_at end,
      due_at = case when k.tombstoned_at is not null then greatest(now(), k.lease_until) end,
      lease_until = k.lease_until + interval '1 microsecond'
  from (
    select f.*, f.google_id <> '' and f.id not in (select s.id from strayed s) as kept,
      f.id in (select r.id from recorded r where r.again) as again
    from free f
  ) i
  where k.event_id = i.id and k.user_id = i.user_id
    and (i.google_id <> '' or k.tombstoned_at is not null)
    -- A call that failed may have written all the same.
    and (k.lease_until is null or i.google_id <> '' or i.count_attempt)
  returning k.event_id as id, k.tombstoned_at is not null as again
), orphaned as (
  insert into reminder_worker.calendar_copies (event_id, user_id, calendar_id, google_event_id, generation, etag, content_hash, written_at, tombstoned_at, due_at)
  select i.id, i.user_id, i.calendar_id, i.google_id, i.generation, i.etag,
    case when e.id is not null and not i.unwanted and i.id not in (select s.id from strayed s) then i.hash else '' end,
    now(), case when e.id is null or i.unwanted then now() end, case when e.id is null or i.unwanted then now() end
  from free i
  join reminder_worker.google_accounts a on a.user_id = i.user_id
  left join public.events e on e.id = i.id and (e.user_id = i.user_id) is true and e.status <> 'cancelled'
  where i.google_id <> ''
    and not exists (select from reminder_worker.calendar_copies k where k.event_id = i.id and k.user_id = i.user_id)
  on conflict do nothing
  returning event_id as id, tombstoned_at is not null as again
)
select b.id::uuid as event_id, true::boolean as busy, false::boolean as due_again from seen b
union
select r.id, false, true from recorded r where r.again
union
select s.id, false, true from strayed s
union
select w.id, false, true from written w where w.again
union
select o.id, false, true from orphaned o where o.again;

-- ExtendEventLeases keeps claimed events for longer and answers which are still held. An event deleted meanwhile is missing; one that
-- somebody else is at keeps the lease it has.
-- name: ExtendEventLeases :many
with input as (
  select unnest(sqlc.arg(event_ids)::uuid[]) as id
), locked as (
  select e.id from public.events e join input i on i.id = e.id
  where e.sync_lease_until > now() and e.sync_worker = sqlc.arg(worker)::uuid
  for no key update of e skip locked
), extended as (
  update public.events e
  set sync_lease_until = now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond',
      sync_due_at = now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond'
  from locked l
  where e.id = l.id
  returning e.id
)
select e.id from public.events e join input i on i.id = e.id
where e.sync_lease_until > now() and e.sync_worker = sqlc.arg(worker)::uuid;

-- ReleaseEvents gives claimed events back unserved: they are due at once. Those that somebody else is at are due when their claims end.
-- name: ReleaseEvents :exec
with locked as (
  select e.id from public.events e
  where e.id = any (sqlc.arg(event_ids)::uuid[]) and e.sync_lease_until is not null and e.sync_worker = sqlc.arg(worker)::uuid
  for no key update skip locked
)
update public.events e
set sync_lease_until = null, sync_due_at = now()
from locked l
where e.id = l.id;

-- NextDue tells in how many milliseconds the queue has work again, of events and of removals; 1e15: nothing is queued. Without calendars what
-- waits for Google only is not looked at.
-- name: NextDue :one
with next as materialized (
  select least(
      (select e.sync_due_at from public.events e where e.sync_due_at is not null and e.sync_planned is distinct from e.sync_revision order by e.sync_due_at limit 1),
      case when sqlc.arg(calendars)::boolean then (
        select e.sync_due_at from public.events e where e.sync_due_at is not null and e.sync_planned = e.sync_revision order by e.sync_due_at limit 1) end) as events,
    case when sqlc.arg(calendars)::boolean then (
      select k.due_at from reminder_worker.calendar_copies k where k.due_at is not null order by k.due_at limit 1) end as removals
)
select (case
    when isfinite(n.events) then extract(epoch from n.events - clock_timestamp()) * 1000
    when n.events < 'epoch' then 0
    else 1e15
  end)::double precision as events_ms,
  (case
    when isfinite(n.removals) then extract(epoch from n.removals - clock_timestamp()) * 1000
    when n.removals < 'epoch' then 0
    else 1e15
  end)::double precision as removals_ms
from next n;

-- FirstDueEvent names the event that a claim of one would take, planned or not; the nil UUID: there is none.
-- name: FirstDueEvent :one
select coalesce(case when sqlc.arg(planned)::boolean then (
    select e.id from public.events e
    where e.sync_due_at <= now() and e.sync_planned = e.sync_revision and e.id <> all (coalesce(sqlc.arg(skip)::uuid[], '{}'))
    order by e.sync_due_at, e.id limit 1)
  else (
    select e.id from public.events e
    where e.sync_due_at <= now() and e.sync_planned is distinct from e.sync_revision and e.id <> all (coalesce(sqlc.arg(skip)::uuid[], '{}'))
    order by e.sync_due_at, e.id limit 1)
  end, '00000000-0000-0000-0000-000000000000')::uuid as id;
