-- A claim that ends with no result is no attempt: the worker stopped, or the answer to its claim or its record of the result was lost on the way, and
-- whether Expo was offered the push nobody knows. Such claims were counted as attempts, so that a database in trouble for five claims' time
-- failed reminders that had never been offered. They are counted by themselves now, and only make the pauses longer.

-- Of any reminder:
--   lost_claims   how many claims have ended with no result since the last result; null: none
do $$
declare
  there text;
begin
  select format_type(a.atttypid, null) || case when a.attnotnull then ' not null' else '' end || case when a.attgenerated <> '' then ' generated' else '' end into there
  from pg_catalog.pg_attribute a
  where a.attrelid = 'public.reminders'::regclass and a.attname = 'lost_claims' and a.attnum > 0 and not a.attisdropped;
  if there <> 'integer' then
    raise exception 'existing tables cannot be adopted: public.reminders.lost_claims is %, needed is integer, and may be null', there
      using hint = 'Rename the column if it belongs to something else (ALTER TABLE ... RENAME), then migrate again.';
  end if;
end
$$;

alter table public.reminders add column if not exists lost_claims integer;

-- As in 0008, and what was lost before the app asked again does not count.
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
      new.lost_claims := null;
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
