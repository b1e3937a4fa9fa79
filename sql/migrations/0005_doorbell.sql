-- The doorbell: rung only while somebody wants to hear it, and each way only while somebody listens that way.
--
-- A commit that carries a NOTIFY queues behind all others that do, until it is on disk. So the triggers ask first. Until when commits are
-- to be announced stands in a sequence for each way, in milliseconds since 1970 by the database's clock: what setval writes is seen by
-- everybody at once, outside of transactions, and costs a reader a look at one page and a lock that he keeps until his transaction ends.
-- (So these sequences are never to be altered while the app writes; others can take their place.) A worker keeps pushing the time ahead;
-- the bell of a worker that has died falls silent by itself.
--
-- Who opens the bell must not trust it at once: a transaction that found it closed may commit later. It took its lock on a table of the
-- app before it looked, so reminder_worker.writers, asked after the opening, names it until it has ended.

create sequence reminder_worker.doorbell_notify as bigint minvalue 0 start with 0;
create sequence reminder_worker.doorbell_wal as bigint minvalue 0 start with 0;

-- How often each bell was found closed and opened. Who believes it open and meets another number than last time has missed something,
-- whoever opened it.
create sequence reminder_worker.doorbell_notify_openings as bigint minvalue 0 start with 0;
create sequence reminder_worker.doorbell_wal_openings as bigint minvalue 0 start with 0;

-- Announces the present transaction to whoever wants to hear of it. Plain expressions: a query, even one for a single number, would
-- cost every writer as much again.
create function reminder_worker.knock() returns void
language plpgsql security definer set search_path = '' as $$
declare
  at bigint := date_part('epoch', clock_timestamp()) * 1000;
begin
  if pg_catalog.pg_sequence_last_value('reminder_worker.doorbell_notify') > at then
    perform pg_catalog.pg_notify('reminder_worker', '');
  end if;
  if pg_catalog.pg_sequence_last_value('reminder_worker.doorbell_wal') > at then
    perform pg_catalog.pg_logical_emit_message(true, 'reminder_worker', '');
  end if;
end
$$;

-- The same for triggers, which spares each statement of the app a call of a function.
create or replace function reminder_worker.ring() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  at bigint := date_part('epoch', clock_timestamp()) * 1000;
begin
  if pg_catalog.pg_sequence_last_value('reminder_worker.doorbell_notify') > at then
    perform pg_catalog.pg_notify('reminder_worker', '');
  end if;
  if pg_catalog.pg_sequence_last_value('reminder_worker.doorbell_wal') > at then
    perform pg_catalog.pg_logical_emit_message(true, 'reminder_worker', '');
  end if;
  return null;
end
$$;

-- Sends a payload of the workers' own one way, in any case, and what all workers are to be told the other way, too, if somebody hears
-- there. Answers the database's clock, in milliseconds since 1970.
create function reminder_worker.send_word(way text, payload text) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
  at bigint := floor(date_part('epoch', clock_timestamp()) * 1000);
  for_all boolean := payload like 'told:%';
begin
  if way = 'wal' or for_all and (select d.last_value > at from reminder_worker.doorbell_wal d) then
    perform pg_catalog.pg_logical_emit_message(true, 'reminder_worker', payload);
  end if;
  if way <> 'wal' or for_all and (select d.last_value > at from reminder_worker.doorbell_notify d) then
    perform pg_catalog.pg_notify('reminder_worker', payload);
  end if;
  return at;
end
$$;

-- Opens the bell of one way for ttl_ms, and sends a payload. Answers how often that bell has been found closed and opened. One at a time,
-- so that one opening is not counted twice. The time is written only when half of it has passed, and no disk is waited for: payloads queue
-- behind each other until they are committed, and after a crash every worker begins anew in any case.
create function reminder_worker.open_bell(way text, ttl_ms bigint, payload text) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
  bell regclass := case way when 'wal' then 'reminder_worker.doorbell_wal' else 'reminder_worker.doorbell_notify' end;
  openings regclass := bell::text || '_openings';
  at bigint;
  was bigint;
begin
  perform pg_catalog.set_config('synchronous_commit', 'off', true);
  perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended(bell::text, 0));
  at := date_part('epoch', clock_timestamp()) * 1000;
  was := coalesce(pg_catalog.pg_sequence_last_value(bell), 0);
  if was <= at then
    perform pg_catalog.nextval(openings);
  end if;
  if was < at + ttl_ms / 2 then
    perform pg_catalog.setval(bell, at + ttl_ms);
  end if;
  perform reminder_worker.send_word(way, payload);
  return coalesce(pg_catalog.pg_sequence_last_value(openings), 0);
end
$$;

-- Closes the bell of one way, unless it is asked to later than within_ms after since_ms, when word of it was sent: the caller has been held
-- up, and others may count on the bell again. Answers whether it is closed.
create function reminder_worker.close_bell(way text, since_ms bigint, within_ms bigint) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  if date_part('epoch', clock_timestamp()) * 1000 not between since_ms and since_ms + within_ms then
    return false;
  end if;
  perform pg_catalog.setval(
    case way when 'wal' then 'reminder_worker.doorbell_wal' else 'reminder_worker.doorbell_notify' end::regclass, 0);
  return true;
end
$$;

-- The transactions that may have touched a watched table and have not ended, or those of them that are among the given ones.
create function reminder_worker.writers(among text[]) returns text[]
language sql stable security definer set search_path = '' as $$
  select coalesce(array_agg(distinct l.virtualtransaction), '{}')
  from pg_catalog.pg_locks l
  where l.locktype = 'relation' and l.granted
    and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
    and l.relation in (
      'public.events'::regclass, 'public.reminders'::regclass, 'reminder_worker.calendar_copies'::regclass)
    and l.mode in ('RowExclusiveLock', 'AccessExclusiveLock')
    and (among is null or l.virtualtransaction = any (among))
$$;

do $$
declare
  api text;
begin
  for api in select 'public' union all
    select quote_ident(r.rolname) from pg_catalog.pg_roles r where r.rolname in ('anon', 'authenticated', 'service_role')
  loop
    execute 'revoke all on function reminder_worker.knock(), reminder_worker.send_word(text, text),
      reminder_worker.open_bell(text, bigint, text), reminder_worker.close_bell(text, bigint, bigint), reminder_worker.writers(text[])
      from ' || api;
    execute 'revoke all on sequence reminder_worker.doorbell_notify, reminder_worker.doorbell_wal,
      reminder_worker.doorbell_notify_openings, reminder_worker.doorbell_wal_openings from ' || api;
  end loop;
end
$$;

-- What rang unasked asks now.

create or replace function reminder_worker.events_deleted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update reminder_worker.calendar_copies c
  set tombstoned_at = now(), attempts = 0, error_message = null,
      due_at = greatest(now(), d.sync_lease_until)
  from deleted d
  where c.event_id = d.id and c.tombstoned_at is null;
  if found then
    perform reminder_worker.knock();
  end if;
  return null;
end
$$;

create or replace function reminder_worker.events_truncated() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update reminder_worker.calendar_copies
  set tombstoned_at = now(), attempts = 0, error_message = null, due_at = now() + interval '1 minute'
  where tombstoned_at is null;
  perform reminder_worker.knock();
  return null;
end
$$;

create or replace function reminder_worker.put_google_account(for_user uuid, new_refresh_token text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into reminder_worker.google_accounts as a (user_id, refresh_token)
  values (for_user, new_refresh_token)
  on conflict (user_id) do update
    set refresh_token = excluded.refresh_token, state = 'connected', reason = null, paused_until = null,
        connected_at = now(), updated_at = now();
  -- A pending one may be served without the account at this very moment: the next revision makes sure that it is served again.
  update public.events
  set status = 'pending', sync_revision = sync_revision + 1, sync_attempts = 0,
      sync_due_at = case when sync_lease_until > now() then sync_lease_until else now() end
  where user_id = for_user and status in ('scheduled', 'pending') and coalesce(end_ts, start_ts) > now();
  update reminder_worker.calendar_copies
  set due_at = now(), attempts = 0
  where user_id = for_user and tombstoned_at is not null and due_at is null;
  if found then
    perform reminder_worker.knock();
  end if;
end
$$;
