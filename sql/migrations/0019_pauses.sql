-- What an operator does by hand: pausing a part of the work, seeing what has failed and why, and having it tried again.

-- The parts that are paused, for all workers: calendar is every request to Google, push every message to Expo. The statements that claim work
-- look here, so nothing of a part is claimed once its pause is committed; what the workers hold in memory they let go when they hear of it.
--   since   when it was paused
--   reason  why, in the words of who did it
create table reminder_worker.pauses (
  part text not null,
  since timestamptz not null default now(),
  reason text not null default '',
  constraint pauses_pkey primary key (part),
  constraint pauses_part_known check (part in ('calendar', 'push'))
);

-- What has failed, the latest last: few rows of many.
create index if not exists events_failed_idx on public.events ((coalesce(start_ts, timestamptz 'infinity')), id) where status = 'failed';
create index if not exists reminders_failed_idx on public.reminders ((coalesce(notify_at_ts, timestamptz 'infinity')), id) where status = 'failed';

-- How many accounts stand how. The predicate is always true, and only who counts them says so: to nobody else is the index of use.
create index google_accounts_state_idx on reminder_worker.google_accounts (state, user_id) where (state is not null) is true;

-- What an error_message says, without what is only this row's: ids, tokens, addresses and numbers, but for the status that a server has answered.
-- What failed for one reason has one text, and the text of a text is itself. What two devices of a reminder say is told of the first.
create function reminder_worker.reason_of(message text) returns text
language plpgsql immutable parallel safe set search_path = '' as $$
declare
  said text := left(btrim(coalesce(message, '')), 600);
begin
  said := regexp_replace(said, 'Expo(nent)?PushToken\[[^]]*\]?|\m[[:alnum:]]{1,8}…', 'a device', 'g');
  said := regexp_replace(said, '[a-z]+://[^[:space:]"]+|[^[:space:]<>"(),;:]+@[^[:space:]<>"(),;:]+', '…', 'g');
  said := regexp_replace(said, '\m[[:xdigit:]]{8}(-[[:xdigit:]]{4}){3}-[[:xdigit:]]{12}\M|\m(?=[a-v]*[0-9])[a-v0-9]{20,}\M', '…', 'g');
  said := regexp_replace(said, '(?<!status )\m[0-9]([[:alnum:].:]*[[:alnum:]])?', 'N', 'g');
  said := regexp_replace(said, '; a device: .*$', '');
  said := left(regexp_replace(said, '[[:space:]]+', ' ', 'g'), 240);
  return case when said = '' then 'no reason was given' else btrim(said) end;
end
$$;

-- Whether a worker that lives has asked to be told of commits, and which way. In a storm of commits none does, for a while.
create function reminder_worker.hearing(out notify boolean, out wal boolean)
language plpgsql stable security definer set search_path = '' as $$
declare
  at bigint := date_part('epoch', clock_timestamp()) * 1000;
begin
  notify := coalesce(pg_catalog.pg_sequence_last_value('reminder_worker.doorbell_notify') > at, false);
  wal := coalesce(pg_catalog.pg_sequence_last_value('reminder_worker.doorbell_wal') > at, false);
end
$$;

-- As in the migrations before: for the worker alone.
revoke all on reminder_worker.pauses from public;
revoke all on function reminder_worker.reason_of(text), reminder_worker.hearing() from public;
do $$
declare
  api text;
begin
  for api in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute format('revoke all on reminder_worker.pauses from %I', api);
    execute format('revoke all on function reminder_worker.reason_of(text), reminder_worker.hearing() from %I', api);
  end loop;
end
$$;

-- Whoever claims looks at the pauses: a role that was given the worker's tables is given this one, too.
do $$
declare
  who text;
begin
  for who in
    select r.rolname from pg_catalog.pg_class c, lateral aclexplode(c.relacl) a
    join pg_catalog.pg_roles r on r.oid = a.grantee
    where c.oid = 'reminder_worker.calendar_copies'::regclass and a.privilege_type = 'INSERT' and a.grantee <> c.relowner
  loop
    execute format('grant select, insert, update, delete on reminder_worker.pauses to %I', who);
  end loop;
end
$$;
