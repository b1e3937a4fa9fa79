-- What makes a row need work, and who is told.
--
-- The doorbell is one constant payload on one channel. Postgres folds equal payloads within a transaction,
-- so a commit rings once, however many rows it touched; which rows need work is told by the queue
-- columns. The worker's own writes change neither content nor revision, so they wake nobody.

create function reminder_worker.ring() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('reminder_worker', '');
  return null;
end
$$;

-- events ------------------------------------------------------------------------------------------------

-- A row inserted without a state is pending; one inserted in another state (an import, a draft) is not work.
create function reminder_worker.event_inserted() returns trigger
language plpgsql set search_path = '' as $$
begin
  if new.status is null then
    new.status := 'pending';
  else
    new.sync_due_at := null;
  end if;
  return new;
end
$$;

-- A change of content, or the app asking for work by setting pending or cancelled: next revision, due now.
-- While a worker holds the row it stays with that worker, who sees the new revision when it records its
-- result and takes the row again at once: never two workers on one event.
create function reminder_worker.event_changed() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.sync_revision := old.sync_revision + 1;
  new.sync_attempts := 0;
  new.sync_changed_at := now();
  new.sync_lease_until := old.sync_lease_until;
  new.sync_due_at := case when old.sync_lease_until > now() then old.sync_lease_until else now() end;
  if new.status is distinct from 'cancelled' then
    new.status := 'pending';
  end if;
  new.error_message := null;
  return new;
end
$$;

-- The copies of deleted events become tombstones. One that a worker is writing right now waits until that
-- worker's hold ends (or records its result), so that the removal cannot overtake the write.
create function reminder_worker.events_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update reminder_worker.calendar_copies c
  set tombstoned_at = now(), attempts = 0, error_message = null,
      due_at = greatest(now(), d.sync_lease_until)
  from deleted d
  where c.event_id = d.id and c.tombstoned_at is null;
  if found then
    perform pg_catalog.pg_notify('reminder_worker', '');
  end if;
  return null;
end
$$;

create function reminder_worker.events_truncated() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update reminder_worker.calendar_copies
  set tombstoned_at = now(), attempts = 0, error_message = null, due_at = now() + interval '1 minute'
  where tombstoned_at is null;
  perform pg_catalog.pg_notify('reminder_worker', '');
  return null;
end
$$;

-- The event went to another user: the copy in the former user's calendar goes.
create function reminder_worker.event_owner_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update reminder_worker.calendar_copies c
  set tombstoned_at = now(), attempts = 0, error_message = null,
      due_at = greatest(now(), old.sync_lease_until)
  where c.event_id = old.id and c.user_id = old.user_id and c.tombstoned_at is null;
  return null;
end
$$;

create trigger reminder_worker_event_inserted before insert on public.events
  for each row when (new.status is distinct from 'pending')
  execute function reminder_worker.event_inserted();

create trigger reminder_worker_event_changed before update on public.events
  for each row when (
    (old.user_id, old.child_id, old.title, old.start_ts, old.end_ts, old.location, old.prep_items)
      is distinct from
    (new.user_id, new.child_id, new.title, new.start_ts, new.end_ts, new.location, new.prep_items)
    or (old.status is distinct from new.status
      and (new.status is null or new.status in ('pending', 'cancelled') or old.status = 'cancelled')))
  execute function reminder_worker.event_changed();

create trigger reminder_worker_events_inserted_ring after insert on public.events
  for each statement execute function reminder_worker.ring();

create trigger reminder_worker_event_changed_ring after update on public.events
  for each row when (old.sync_revision is distinct from new.sync_revision)
  execute function reminder_worker.ring();

create trigger reminder_worker_event_owner_changed after update on public.events
  for each row when (old.user_id is distinct from new.user_id)
  execute function reminder_worker.event_owner_changed();

create trigger reminder_worker_events_deleted after delete on public.events
  referencing old table as deleted
  for each statement execute function reminder_worker.events_deleted();

create trigger reminder_worker_events_truncated after truncate on public.events
  for each statement execute function reminder_worker.events_truncated();

-- reminders ---------------------------------------------------------------------------------------------

create function reminder_worker.reminder_inserted() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.status := 'pending';
  return new;
end
$$;

-- The app moved a reminder, changed its text, or asked for it again: the timer wheel must know.
create function reminder_worker.reminder_changed() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.changed_xid := pg_current_xact_id();
  if new.status is null then
    new.status := 'pending';
  end if;
  if new.status = 'pending' then
    if old.status is distinct from 'pending' then
      new.retry_count := 0;
      new.sent_at_ts := null;
      new.error_message := null;
      new.next_attempt_at := null;
    elsif new.notify_at_ts is distinct from old.notify_at_ts then
      new.next_attempt_at := null;
    end if;
  end if;
  return new;
end
$$;

create trigger reminder_worker_reminder_inserted before insert on public.reminders
  for each row when (new.status is null)
  execute function reminder_worker.reminder_inserted();

-- sending -> pending is the worker's own retry; every other way to pending is the app's.
create trigger reminder_worker_reminder_changed before update on public.reminders
  for each row when (
    (old.notify_at_ts, old.message, old.push_token) is distinct from (new.notify_at_ts, new.message, new.push_token)
    or (old.status is distinct from new.status and (new.status is null
      or (new.status = 'pending' and old.status <> 'sending'))))
  execute function reminder_worker.reminder_changed();

-- Rows that planning wrote (plan_revision set or raised) ring nobody: the worker that wrote them knows.
create trigger reminder_worker_reminder_inserted_ring after insert on public.reminders
  for each row when (new.plan_revision is null)
  execute function reminder_worker.ring();

create trigger reminder_worker_reminder_changed_ring after update on public.reminders
  for each row when (old.changed_xid is distinct from new.changed_xid
    and old.plan_revision is not distinct from new.plan_revision)
  execute function reminder_worker.ring();
