-- Accepted is not delivered: a delivery can be owed again after its receipt, a device can belong to another Expo project, and a reminder
-- can be one that was put off.

-- What a reminder of the app's own may carry:
--   push_data     instead of its event's
--   snoozed_from  the reminder that was put off; unlike others of the app's own it is not sent once the event has begun
-- and, of any reminder:
--   asked_at      when the app last asked for it again; what was delivered before does not count
do $$
declare
  need record;
  typ text;
  had boolean;
begin
  for need in select * from (values ('push_data', 'jsonb'), ('snoozed_from', 'uuid'), ('asked_at', 'timestamp with time zone')) as n (col, typ) loop
    select format_type(a.atttypid, null) into typ
    from pg_catalog.pg_attribute a
    where a.attrelid = 'public.reminders'::regclass and a.attname = need.col and a.attnum > 0 and not a.attisdropped;
    had := found;
    if had and typ <> need.typ then
      raise exception 'existing tables cannot be adopted: public.reminders.% is %, needed is %', need.col, typ, need.typ
        using hint = 'Rename the column if it belongs to something else (ALTER TABLE ... RENAME), then migrate again.';
    end if;
    perform set_config('reminder_worker.had_' || need.col, had::text, true);
  end loop;
end
$$;

alter table public.reminders
  add column if not exists push_data jsonb,
  add column if not exists snoozed_from uuid,
  add column if not exists asked_at timestamptz;

-- Until when a reminder is worth sending: until its event begins. What the app has set for later than that is good for a day, what planning has
-- set for the start itself for a quarter of an hour. An event without a time, or an infinite one, is none.
create or replace function reminder_worker.deadline(start_ts timestamptz, notify_at_ts timestamptz, snoozed boolean, planned boolean)
  returns timestamptz
language sql stable set search_path = '' as $$
  select case
    when isfinite(start_ts) and (snoozed or start_ts > notify_at_ts) then start_ts
    else notify_at_ts + case when planned then interval '15 minutes' else interval '24 hours' end
  end
$$;

-- As in 0003, and notes when the app asks again.
create or replace function reminder_worker.reminder_changed() returns trigger
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
      new.asked_at := clock_timestamp();
    elsif new.notify_at_ts is distinct from old.notify_at_ts then
      new.next_attempt_at := null;
    end if;
  end if;
  return new;
end
$$;
revoke all on function reminder_worker.deadline(timestamptz, timestamptz, boolean, boolean) from public;

do $$
begin
  if current_setting('reminder_worker.had_push_data') = 'false' then
    alter table public.reminders
      add constraint reminders_push_data_small_object check (jsonb_typeof(push_data) = 'object' and octet_length(push_data::text) <= 1024) not valid;
  end if;
end
$$;

do $$
begin
  if exists (select from pg_catalog.pg_roles where rolname = 'authenticated')
    and exists (select from pg_catalog.pg_policy where polrelid = 'public.reminders'::regclass and polname = 'reminders_own') then
    grant insert (push_data), update (push_data) on public.reminders to authenticated;
  end if;
end
$$;

-- As in 0003, and: to pending with a next attempt is the worker's own way as well, after a receipt that asks for another push.
create or replace trigger reminder_worker_reminder_changed before update on public.reminders
  for each row when (
    (old.notify_at_ts, old.message, old.push_token) is distinct from (new.notify_at_ts, new.message, new.push_token)
    or (old.status is distinct from new.status and (new.status is null
      or (new.status = 'pending' and old.status <> 'sending'
        and not (new.next_attempt_at is not null and new.next_attempt_at is distinct from old.next_attempt_at)))))
  execute function reminder_worker.reminder_changed();

--   project  the Expo project of the token, as Expo told it, where that is not the one of most devices; null: nothing is known
alter table reminder_worker.push_devices
  add column project text;

--   attempts       how often this push was offered
--   payload_bytes  its size: of one near the limit some services say that the device is gone
-- and a further state, retry: refused for the time being, to be offered again.
alter table reminder_worker.deliveries
  add column attempts integer not null default 1,
  add column payload_bytes integer not null default 0,
  drop constraint deliveries_state_known,
  add constraint deliveries_state_known check (state in ('accepted', 'delivered', 'failed', 'unknown', 'retry'));

-- Whether a device was said to be gone before.
create index deliveries_gone_idx on reminder_worker.deliveries (token) where error_code = 'DeviceNotRegistered';
