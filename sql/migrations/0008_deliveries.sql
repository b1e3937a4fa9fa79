-- Accepted is not delivered: a delivery can be owed again after its receipt, a device can belong to another Expo project, and a reminder
-- can be one that was put off.

-- What a reminder of the app's own may carry:
--   push_data     instead of its event's
--   snoozed_from  the reminder that was put off; unlike others of the app's own it is not sent once the event has begun
do $$
declare
  need record;
  typ text;
  had boolean;
begin
  for need in select * from (values ('push_data', 'jsonb'), ('snoozed_from', 'uuid')) as n (col, typ) loop
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
  add column if not exists snoozed_from uuid;

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
