-- OldestDue tells for how many seconds the first of each kind of work has been due: events to plan, events that wait for Google only, removals of
-- copies, reminders, receipts; 0: none is. Each is the front of an index. What is claimed counts again when its claim ends. It also tells the pauses
-- that stand (see Pauses), so that whoever asks for the one needs not ask for the other.
-- name: OldestDue :one
with front as materialized (
  select
    (select greatest(e.sync_due_at, 'epoch') from public.events e
      where e.sync_due_at is not null and e.sync_planned is distinct from e.sync_revision order by e.sync_due_at limit 1) as event,
    (select greatest(e.sync_due_at, 'epoch') from public.events e
      where e.sync_due_at is not null and e.sync_planned = e.sync_revision order by e.sync_due_at limit 1) as copy,
    (select greatest(k.due_at, 'epoch') from reminder_worker.calendar_copies k where k.due_at is not null order by k.due_at limit 1) as removal,
    (select greatest(coalesce(r.next_attempt_at, r.notify_at_ts), 'epoch') from public.reminders r
      where r.status in ('pending', 'sending') and coalesce(r.next_attempt_at, r.notify_at_ts) is not null
      order by coalesce(r.next_attempt_at, r.notify_at_ts) limit 1) as reminder,
    (select greatest(d.receipt_due_at, 'epoch') from reminder_worker.deliveries d where d.receipt_due_at is not null order by d.receipt_due_at limit 1) as receipt
)
select
  extract(epoch from now() - least(f.event, now()))::double precision as event,
  extract(epoch from now() - least(f.copy, now()))::double precision as copy,
  extract(epoch from now() - least(f.removal, now()))::double precision as removal,
  extract(epoch from now() - least(f.reminder, now()))::double precision as reminder,
  extract(epoch from now() - least(f.receipt, now()))::double precision as receipt,
  array(select p.part from reminder_worker.pauses p where p.part in ('calendar', 'push') order by p.part)::text[] as paused,
  array(select p.since from reminder_worker.pauses p where p.part in ('calendar', 'push') order by p.part)::timestamptz[] as paused_since,
  array(select p.reason from reminder_worker.pauses p where p.part in ('calendar', 'push') order by p.part)::text[] as pause_reasons
from front f;
