-- WindowPage reads one page of the reminders that become due up to until, in order, from behind the last one of the page before.
-- name: WindowPage :many
select r.id, coalesce(r.next_attempt_at, r.notify_at_ts)::timestamptz as due_at
from public.reminders r
where r.status in ('pending', 'sending')
  and (coalesce(r.next_attempt_at, r.notify_at_ts), r.id) > (sqlc.arg(after)::timestamptz, sqlc.arg(after_id)::uuid)
  and coalesce(r.next_attempt_at, r.notify_at_ts) <= sqlc.arg(until)::timestamptz
order by coalesce(r.next_attempt_at, r.notify_at_ts), r.id
limit sqlc.arg(max_rows)::integer;

-- DatabaseNow tells the database's clock and the oldest transaction still running: what is committed after this
-- statement carries that transaction id or a later one.
-- name: DatabaseNow :one
select clock_timestamp()::timestamptz as now_ts, (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint as xmin;

-- ChangedReminders reads what transactions from since_xid on have changed within the wheel's window. Rows of a restored
-- dump can carry ids this server has not reached; they are left to WindowPage. A time of minus infinity comes back as the epoch.
-- name: ChangedReminders :many
select r.id, greatest(coalesce(r.next_attempt_at, r.notify_at_ts), 'epoch')::timestamptz as due_at
from public.reminders r
where r.status = 'pending'
  and r.changed_xid >= (sqlc.arg(since_xid)::bigint)::text::xid8
  and r.changed_xid < pg_snapshot_xmax(pg_current_snapshot())
  -- "is true" hides the time from the index of the queue: what has changed is little, what is due within the window may be much.
  and (coalesce(r.next_attempt_at, r.notify_at_ts) <= sqlc.arg(until)::timestamptz) is true
limit sqlc.arg(max_rows)::integer;

-- DueReminders reads what is due and unclaimed for longer than grace_ms: what the wheel should have fired and did not. It includes
-- planned ones that planning has left behind (see ClaimReminders), which are claimed to be put away.
-- name: DueReminders :many
select r.id
from public.reminders r
where r.status in ('pending', 'sending')
  and coalesce(r.next_attempt_at, r.notify_at_ts) <= now() - sqlc.arg(grace_ms)::bigint * interval '1 millisecond'
  -- A subquery, not a join: the planner would rather read all events than look up those of a long queue.
  and (r.plan_revision is null or coalesce((
    select coalesce(e.start_ts = r.planned_for_ts, false) or e.status <> 'pending' from public.events e where e.id = r.event_id), true))
order by coalesce(r.next_attempt_at, r.notify_at_ts)
limit sqlc.arg(max_rows)::integer;

-- ClaimReminders judges the due ones among ids, give or take slack_ms, and those nobody has claimed that are due within ahead_ms, and takes those that
-- are to be sent for lease_ms. Nothing may be sent before its due_at. A reminder planned for another
-- start than its event now has is left to planning while the event is pending. Afterwards planning has passed it by (it was being sent
-- then, or the event is gone) and it is put away. The row is committed as 'sending' before anything is sent. Within one round of attempts
-- (next_attempt_at is set) a device is left out that has the push, or that has refused it for good and was not registered since; a
-- reminder that can go to no further device, or no longer, is 'sent' if any device has it. A token of the reminder's own wins over the
-- user's devices as long as it is not known to be dead, or another user's; one that is none fails the reminder. Otherwise it goes to a user's 20 most recent devices at most, of which put_push_device retires
-- the others: so the pushes of one reminder fit into one request and its claim, whatever a client registers. With each token comes the
-- Expo project that it is known to belong to, and whether its device is registered at all. Quiet hours come with the row, for the caller to keep.
-- A claim that another follows has ended with no result. Whether its push was offered nobody knows, so it uses no attempt and fails nothing; but one
-- that ends so time after time may be repeats, or what stops the workers. From the third in a row on the reminder is 'pending' for a rest, until its next_attempt_at:
-- about a lease at first, then twice as long each time, and no longer than rest_max_ms. One that would take it too near to the time until which it is worth sending ends about
-- two leases before, and the next one at that time. What comes at no time has failed instead.
-- While pushing is paused by hand nothing is claimed.
-- name: ClaimReminders :many
with due as (
  select r.id, r.event_id, r.user_id, r.push_token, r.notify_at_ts, r.next_attempt_at, r.status, (coalesce(r.lost_claims, 0) + (r.status = 'sending')::integer) as lost_claims,
    r.plan_revision is not null as planned, r.snoozed_from is not null as snoozed, r.planned_for_ts, coalesce(r.next_attempt_at, r.notify_at_ts) as due_at,
    e.id is not null as has_event, e.status as event_status, e.start_ts,
    -- As reminder_worker.deadline, and below is_push_token only where it is needed: to call a function costs a row as much as all else here.
    case
      when isfinite(e.start_ts) and (r.snoozed_from is not null or e.start_ts > r.notify_at_ts) then e.start_ts
      else r.notify_at_ts + case when r.plan_revision is not null then interval '15 minutes' else interval '24 hours' end
    end as deadline,
    greatest(r.notify_at_ts - interval '1 minute', r.asked_at) as round_began,
    (e.dismissed_for_ts = e.start_ts and (r.plan_revision is not null or r.created_at <= e.dismissed_at)) is true as dismissed
  from public.reminders r
  left join public.events e on e.id = r.event_id
  where r.id = any (sqlc.arg(ids)::uuid[]) and r.status in ('pending', 'sending')
    -- "is true" hides the condition from the index of the queue, all of which the planner might read to find a few ids in it.
    and (coalesce(r.next_attempt_at, r.notify_at_ts) <= clock_timestamp()
      + (sqlc.arg(slack_ms)::bigint + case when r.status = 'pending' then sqlc.arg(ahead_ms)::bigint else 0 end) * interval '1 millisecond') is true
    and (r.plan_revision is null or e.start_ts = r.planned_for_ts or e.id is null or e.status <> 'pending')
    and not exists (select from reminder_worker.pauses p where p.part = 'push')
  for no key update of r skip locked
), addressed as (
  select d.*, had.last_sent_at, had.refusal, dev.tokens, dev.projects,
    (select not n.push_enabled from public.notification_settings n where n.user_id = d.user_id) is true as push_off
  from due d
  cross join lateral (
    select max(l.sent_at) filter (where l.state <> 'failed') as last_sent_at, array_agg(l.token) as tokens,
      (array_agg(l.error_message order by l.sent_at desc) filter (where l.state = 'failed'))[1] as refusal
    from reminder_worker.deliveries l
    where d.next_attempt_at is not null and l.reminder_id = d.id and l.sent_at >= d.round_began
      and (l.state in ('accepted', 'delivered', 'unknown') or l.state = 'failed' and not exists (
        select from reminder_worker.push_devices x where x.token = l.token and x.registered_at > l.sent_at))) had
  cross join lateral (
    select coalesce(array_agg(p.token order by p.registered_at, p.id) filter (where p.token <> all (coalesce(had.tokens, '{}'))), '{}') as tokens,
      coalesce(array_agg(coalesce(p.project, '') order by p.registered_at, p.id) filter (where p.token <> all (coalesce(had.tokens, '{}'))), '{}') as projects
    from (
      (select x.id, x.token, x.project, x.registered_at
      from reminder_worker.push_devices x
      where x.user_id = d.user_id and x.retired_at is null and (d.push_token is null or d.push_token = '' or exists (
        select from reminder_worker.push_devices o where o.token = d.push_token and (o.user_id <> d.user_id or o.retired_at is not null)))
      order by x.registered_at desc, x.id desc
      limit 20)
      union all
      select o.id, d.push_token, o.project, o.registered_at
      from (select) one
      left join reminder_worker.push_devices o on o.token = d.push_token
      where d.push_token <> '' and reminder_worker.is_push_token(d.push_token) and (o.id is null or o.user_id = d.user_id and o.retired_at is null)) p) dev
), judged as (
  select a.id, a.push_token <> '' and not reminder_worker.is_push_token(a.push_token) as no_token, a.tokens, a.projects, a.deadline, a.due_at, a.last_sent_at, a.refusal, a.lost_claims,
    case
      when a.planned and not a.has_event then 'the event is gone'
      when a.event_status = 'cancelled' then 'the event was cancelled'
      when a.planned and a.start_ts is distinct from a.planned_for_ts then 'the event was moved'
    end as cancelled,
    case
      when a.deadline <= now() then 'expired'
      when a.push_off or a.dismissed then 'skipped'
      when a.planned and exists (
        select from public.reminders n
        where n.event_id = a.event_id and n.status in ('pending', 'sending', 'sent') and n.plan_revision is not null
          and n.planned_for_ts = a.start_ts and n.notify_at_ts > a.notify_at_ts and n.notify_at_ts <= now()) then 'skipped'
      when cardinality(a.tokens) = 0 then 'failed'
      when a.status = 'sending' and a.lost_claims > 2 then case when isfinite(a.deadline) then 'pending' else 'failed' end
      else 'sending'
    end as verdict,
    case
      when a.push_off then 'push is turned off in the user''s settings'
      when a.dismissed then 'dismissed by the user'
      else 'folded into a newer reminder of the same event that was due as well'
    end as skipped
  from addressed a
), decided as (
  select j.id, j.no_token, j.tokens, j.projects, j.deadline, j.due_at, j.last_sent_at, j.refusal, j.cancelled, j.skipped, j.lost_claims,
    case
      when j.last_sent_at is not null and (j.verdict not in ('sending', 'pending') or j.cancelled is not null) then 'sent'
      when j.cancelled is not null then 'cancelled'
      else j.verdict
    end as verdict
  from judged j
), taken as (
  update public.reminders r
  set status = j.verdict,
      next_attempt_at = case j.verdict
        when 'sending' then now() + sqlc.arg(lease_ms)::bigint * interval '1 millisecond'
        -- With chance in it, so that those which were claimed together part: one of them may be what stops the workers.
        when 'pending' then (
          select case
            when c.rests_until < c.last_chance then c.rests_until
            when now() < c.last_chance - c.lease then c.last_chance
            else j.deadline end
          from (select c.lease, now() + least(c.lease * 2 ^ least(j.lost_claims - 3, 20), sqlc.arg(rest_max_ms)::bigint * interval '1 millisecond') * c.chance as rests_until,
              j.deadline - c.lease * (1 + c.chance) as last_chance
            from (select sqlc.arg(lease_ms)::bigint * interval '1 millisecond' as lease, 0.5 + random() as chance) c) c) end,
      lost_claims = nullif(j.lost_claims, 0),
      sent_at_ts = case when j.verdict = 'sent' then j.last_sent_at else r.sent_at_ts end,
      error_message = case j.verdict
        when 'sending' then r.error_message
        when 'sent' then case when j.lost_claims <= 2 then r.error_message end
        when 'pending' then 'claimed ' || j.lost_claims || ' times with no result: the worker stopped each time, or what it and the database told each other was lost'
        when 'cancelled' then j.cancelled
        when 'expired' then left(concat_ws(': ', 'the event had begun before the reminder could be sent', r.error_message), 1000)
        when 'skipped' then j.skipped
        else case
          when cardinality(j.tokens) = 0 and j.no_token then 'push_token is not an Expo push token: leave it empty, and the reminder goes to all devices of the user'
          when cardinality(j.tokens) = 0 and j.refusal is not null then 'no device took it: ' || j.refusal
          when cardinality(j.tokens) = 0 then 'no device: the user has no push token registered (the app calls register_push_token)'
          else 'claimed ' || j.lost_claims || ' times with no result, and its time is none' end
      end
  from decided j
  where r.id = j.id
  returning r.*, j.tokens, j.projects, j.deadline, j.due_at
)
select t.id,
  coalesce(t.event_id, '00000000-0000-0000-0000-000000000000')::uuid as event_id,
  t.status, coalesce(case when isfinite(t.notify_at_ts) then t.notify_at_ts end, 'epoch')::timestamptz as notify_at_ts,
  coalesce(t.next_attempt_at, 'epoch')::timestamptz as lease, coalesce(t.retry_count, 0)::integer as retry_count,
  t.tokens::text[] as tokens, t.projects::text[] as projects,
  coalesce(case when isfinite(t.deadline) then t.deadline end, 'epoch')::timestamptz as deadline,
  coalesce(case when isfinite(t.due_at) then t.due_at end, 'epoch')::timestamptz as due_at,
  (t.plan_revision is not null)::boolean as planned, (t.sent_at_ts is not null)::boolean as sent_before,
  coalesce(left(t.message, 4096), '')::text as message,
  coalesce(left(e.title, 1024), '')::text as title,
  coalesce(left(e.location, 1024), '')::text as location,
  coalesce((select left(to_jsonb(c) ->> 'name', 256) from public.children c where c.id = e.child_id), '')::text as child_name,
  array(select left(i.item, 256) from unnest(case when pg_column_size(e.prep_items) <= 65536 then e.prep_items end) with ordinality as i (item, nr)
    where btrim(i.item) <> '' and i.nr <= 100 order by i.nr)::text[] as prep_items,
  coalesce(case when isfinite(e.start_ts) then e.start_ts end, 'epoch')::timestamptz as start_ts,
  coalesce(isfinite(e.start_ts), false)::boolean as has_start,
  coalesce(case when isfinite(e.end_ts) then e.end_ts end, 'epoch')::timestamptz as end_ts,
  coalesce(isfinite(e.end_ts), false)::boolean as has_end,
  coalesce(case when octet_length(d.data) <= 1024 then d.data end, '')::text as data,
  coalesce(n.time_zone, '')::text as time_zone,
  coalesce(floor(extract(epoch from n.quiet_from) / 60)::integer % 1440, -1)::integer as quiet_from,
  coalesce(floor(extract(epoch from n.quiet_until) / 60)::integer % 1440, -1)::integer as quiet_until,
  coalesce(n.locale, '')::text as locale,
  coalesce(n.hour_cycle, '')::text as hour_cycle
from taken t
left join public.events e on e.id = t.event_id
left join public.notification_settings n on n.user_id = t.user_id
cross join lateral (select coalesce(t.push_data, e.push_data)::text as data) d;

-- Deadlines reads until when each of ids is worth sending, as ClaimReminders judges it. Of one that is gone, or comes at no time, there is none.
-- name: Deadlines :many
select r.id, coalesce(case
    when isfinite(e.start_ts) and (r.snoozed_from is not null or e.start_ts > r.notify_at_ts) then e.start_ts
    else r.notify_at_ts + case when r.plan_revision is not null then interval '15 minutes' else interval '24 hours' end
  end, 'epoch')::timestamptz as deadline
from public.reminders r
left join public.events e on e.id = r.event_id
where r.id = any (sqlc.arg(ids)::uuid[]) and isfinite(r.notify_at_ts) is true;

-- UnclaimedReminders reads when those of ids that a claim did not answer are to be tried again, and whether another's claim is what they wait for. One that waits for planning (see
-- ClaimReminders) is not among them.
-- name: UnclaimedReminders :many
select r.id, coalesce(r.next_attempt_at, r.notify_at_ts)::timestamptz as due_at, (r.status = 'sending')::boolean as claimed
from public.reminders r
left join public.events e on e.id = r.event_id
where r.id = any (sqlc.arg(ids)::uuid[]) and r.status in ('pending', 'sending')
  and isfinite(coalesce(r.next_attempt_at, r.notify_at_ts)) is true -- hidden from the index of the queue, as in ClaimReminders
  and (r.plan_revision is null or e.start_ts = r.planned_for_ts or e.id is null or e.status <> 'pending');

-- RecordPushes writes what became of a batch of claimed reminders and of each push, retires devices for the reasons given, and notes which
-- Expo project a token belongs to. A reminder is touched only while the claim is still the caller's; a device is retired only if it was not
-- registered again since the push, and for being gone only if the push was not near the limit of size or it was said before. The answer names the reminders that
-- somebody else was at: of them no more than their deliveries was written, by which a later claim knows what was sent (and not even
-- those, if they are being deleted or are locked as if they were), try again. Rows are never waited for while others are held, so the
-- app's own statements over many reminders cannot deadlock with this one.
-- name: RecordPushes :many
with input as (
  select unnest(sqlc.arg(ids)::uuid[]) as id, unnest(sqlc.arg(leases)::timestamptz[]) as lease, unnest(sqlc.arg(statuses)::text[]) as status,
    unnest(sqlc.arg(retry_ms)::bigint[]) as retry_ms, unnest(sqlc.arg(count_attempts)::boolean[]) as count_attempt,
    unnest(sqlc.arg(sent_ats)::timestamptz[]) as sent_at, unnest(sqlc.arg(error_messages)::text[]) as error_message
), pushes as (
  select unnest(sqlc.arg(push_reminder_ids)::uuid[]) as reminder_id, unnest(sqlc.arg(push_tokens)::text[]) as token, unnest(sqlc.arg(push_states)::text[]) as state,
    unnest(sqlc.arg(ticket_ids)::text[]) as ticket_id, unnest(sqlc.arg(error_codes)::text[]) as error_code, unnest(sqlc.arg(push_errors)::text[]) as error_message,
    unnest(sqlc.arg(push_sent_ats)::timestamptz[]) as sent_at, unnest(sqlc.arg(lateness_ms)::bigint[]) as lateness_ms,
    unnest(sqlc.arg(payload_bytes)::integer[]) as payload_bytes, unnest(sqlc.arg(retire_reasons)::text[]) as retire_reason,
    unnest(sqlc.arg(projects)::text[]) as project
), present as (
  -- What the foreign key of deliveries asks for: an update under way does not stand against it. Held before, it is not waited for.
  select r.id, i.lease from public.reminders r
  join input i on i.id = r.id and r.status = 'sending' and r.next_attempt_at = i.lease
  for key share of r skip locked
), locked as (
  select r.id from public.reminders r
  join present p on p.id = r.id and r.status = 'sending' and r.next_attempt_at = p.lease
  for no key update of r skip locked
), busy as (
  select r.id from public.reminders r
  join input i on i.id = r.id and r.status = 'sending' and r.next_attempt_at = i.lease
  where r.id not in (select l.id from locked l)
), delivered as (
  insert into reminder_worker.deliveries as d
    (reminder_id, token, state, ticket_id, error_code, error_message, sent_at, lateness_ms, payload_bytes, receipt_due_at)
  select p.reminder_id, p.token, p.state, nullif(p.ticket_id, ''), nullif(p.error_code, ''), nullif(p.error_message, ''), p.sent_at, p.lateness_ms,
    p.payload_bytes, case when p.ticket_id <> '' then now() + sqlc.arg(receipt_delay_ms)::bigint * interval '1 millisecond' end
  from pushes p
  join present x on x.id = p.reminder_id
  on conflict (reminder_id, token) do update
    set state = excluded.state, ticket_id = excluded.ticket_id, error_code = excluded.error_code, error_message = excluded.error_message,
        sent_at = excluded.sent_at, lateness_ms = excluded.lateness_ms, payload_bytes = excluded.payload_bytes,
        receipt_due_at = excluded.receipt_due_at, settled_at = null, attempts = d.attempts + 1
    where d.sent_at <> excluded.sent_at -- the same push, written once more: its receipt may have come
  returning d.reminder_id
), learned as (
  select d.id, p.project, case when d.registered_at <= p.sent_at and (p.error_code <> 'DeviceNotRegistered'
      or p.payload_bytes < sqlc.arg(large_bytes)::integer or exists (
        select from reminder_worker.deliveries o
        where o.token = p.token and o.error_code = 'DeviceNotRegistered' and o.reminder_id <> p.reminder_id and o.sent_at >= d.registered_at)) then p.retire_reason end as retire_reason
  from pushes p
  join reminder_worker.push_devices d on d.token = p.token and (d.retired_at is null) is true -- hidden from the index of the user's devices
  where p.retire_reason <> '' or p.project <> coalesce(d.project, '')
  for no key update of d skip locked
), retired as (
  update reminder_worker.push_devices d
  set retired_at = case when l.retire_reason <> '' then now() end, retired_reason = nullif(l.retire_reason, ''),
      project = nullif(l.project, '')
  from learned l
  where d.id = l.id
  returning d.id
), earlier as (
  -- A device that took an earlier attempt: the reminder has been sent, whatever became of the others.
  select i.id, min(d.sent_at) as sent_at
  from input i
  join public.reminders x on x.id = i.id
  join reminder_worker.deliveries d on d.reminder_id = i.id and d.state in ('accepted', 'delivered', 'unknown')
    and d.sent_at >= greatest(x.notify_at_ts - interval '1 minute', x.asked_at)
  where i.status = 'failed'
  group by i.id
), recorded as (
update public.reminders r
set status = case when p.id is not null then 'sent' else i.status end,
    sent_at_ts = case when i.status = 'sent' then i.sent_at when p.id is not null then p.sent_at else r.sent_at_ts end,
    retry_count = coalesce(r.retry_count, 0) + i.count_attempt::integer,
    lost_claims = null, -- whatever it is, it is a result
    next_attempt_at = case when i.status = 'pending' then now() + i.retry_ms * interval '1 millisecond' end,
    error_message = nullif(i.error_message, '')
from input i
join locked l on l.id = i.id
left join earlier p on p.id = i.id
where r.id = i.id
returning r.id
)
select b.id from busy b;
