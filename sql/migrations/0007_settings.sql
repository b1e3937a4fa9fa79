-- What a user chooses: whether to be reminded and when, quiet hours, the time zone and language of the texts; and what an event asks for by
-- itself. A change plans the user's coming events anew.

-- An existing table of that name is adopted like the others: what is missing is added, and what cannot be served is said before anything
-- is changed.
do $$
declare
  need record;
  col record;
  had text := '';
  faults text := '';
begin
  perform set_config('reminder_worker.adopts_settings', (to_regclass('public.notification_settings') is not null)::text, true);
  if to_regclass('public.notification_settings') is not null and not exists (
    select from pg_catalog.pg_index i
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = to_regclass('public.notification_settings') and a.attname = 'user_id' and i.indnkeyatts = 1
      and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null)
  then
    faults := E'\n  public.notification_settings has no unique user_id: one row for each user is needed';
  end if;
  for need in
    select to_regclass(n.tab) as rel, n.* from (values
      ('public.notification_settings', 'user_id', 'uuid'),
      ('public.notification_settings', 'push_enabled', 'boolean'),
      ('public.notification_settings', 'calendar_enabled', 'boolean'),
      ('public.notification_settings', 'reminder_minutes', 'integer[]'),
      ('public.notification_settings', 'quiet_from', 'time without time zone'),
      ('public.notification_settings', 'quiet_until', 'time without time zone'),
      ('public.notification_settings', 'all_day_at', 'time without time zone'),
      ('public.notification_settings', 'time_zone', 'text'),
      ('public.notification_settings', 'locale', 'text'),
      ('public.notification_settings', 'hour_cycle', 'text'),
      ('public.events', 'reminder_minutes', 'integer[]'),
      ('public.events', 'push_data', 'jsonb'),
      ('public.events', 'dismissed_for_ts', 'timestamp with time zone'),
      ('public.events', 'dismissed_at', 'timestamp with time zone')) as n (tab, col, typ)
    where to_regclass(n.tab) is not null
  loop
    select replace(format_type(a.atttypid, null), 'character varying', 'text') as typ, a.attgenerated <> '' as generated
      into col
      from pg_catalog.pg_attribute a
      where a.attrelid = need.rel and a.attname = need.col and a.attnum > 0 and not a.attisdropped;
    if found and col.typ <> need.typ then
      faults := faults || format(E'\n  %s.%s is %s, needed is %s', need.tab, need.col, col.typ, need.typ);
    elsif found and col.generated then
      faults := faults || format(E'\n  %s.%s is generated, needed is a plain column', need.tab, need.col);
    elsif found then
      had := had || need.tab || '.' || need.col || ' ';
    end if;
  end loop;
  if exists (select from pg_catalog.pg_attribute a
    where a.attrelid = to_regclass('public.notification_settings') and a.attname = 'updated_at' and not a.attisdropped)
  then
    had := had || 'public.notification_settings.updated_at ';
  end if;
  perform set_config('reminder_worker.had_columns', had, true);
  if faults <> '' then
    raise exception 'existing tables cannot be adopted:%', faults
      using hint = 'Rename the columns or tables named if they belong to something else (ALTER TABLE ... RENAME), then migrate again.';
  end if;
end
$$;

create table if not exists public.notification_settings (
  user_id uuid primary key references auth.users (id) on delete cascade,
  created_at timestamptz not null default now()
);

--   push_enabled      false: reminders are not sent, and say so
--   calendar_enabled  false: nothing is written to the user's calendar; what is there stays
--   reminder_minutes  how many minutes before an event; null: as the deployment is set up; {}: no reminders
--   quiet_from/until  hours by the user's clock in which nothing is sent; they may go over midnight; null or equal: none
--   all_day_at        when the reminders of events of whole days come, on a day before; null: 18:00
--   time_zone         IANA name; null: as the deployment is set up
--   locale            BCP 47 tag such as de or pt-BR; null: as the deployment is set up
--   hour_cycle        h12 or h24, or what Intl calls them (h11, h23); null: as is usual where the locale is
alter table public.notification_settings
  add column if not exists push_enabled boolean not null default true,
  add column if not exists calendar_enabled boolean not null default true,
  add column if not exists reminder_minutes integer[],
  add column if not exists quiet_from time,
  add column if not exists quiet_until time,
  add column if not exists all_day_at time,
  add column if not exists time_zone text,
  add column if not exists locale text,
  add column if not exists hour_cycle text,
  add column if not exists updated_at timestamptz not null default now();

-- What an event asks for by itself:
--   reminder_minutes  instead of the user's
--   push_data         an object that its pushes hand to the app beside the ids, for deep links
-- and what was asked by function:
--   dismissed_for_ts  the start_ts for which the user wants no more reminders; an event at another time is reminded of again
--   dismissed_at      when that was said; reminders that the app has made since are sent
alter table public.events
  add column if not exists reminder_minutes integer[],
  add column if not exists push_data jsonb,
  add column if not exists dismissed_for_ts timestamptz,
  add column if not exists dismissed_at timestamptz;

-- Columns made here are held to what the worker reads. Those that were there before are not: the app's statements go on as they did, and
-- what the worker cannot read counts as not set. Plain expressions: a function would have to be executable by whoever writes.
do $$
declare
  c record;
begin
  for c in
    select * from (values
      ('events', 'reminder_minutes', 'events_reminder_minutes_sane', 'cardinality(reminder_minutes) <= 16 and 0 <= all (reminder_minutes) and 86400 >= all (reminder_minutes) and array_position(reminder_minutes, null) is null'),
      ('events', 'push_data', 'events_push_data_small_object', $s$jsonb_typeof(push_data) = 'object' and octet_length(push_data::text) <= 1024$s$),
      ('notification_settings', 'reminder_minutes', 'notification_settings_reminder_minutes_sane', 'cardinality(reminder_minutes) <= 16 and 0 <= all (reminder_minutes) and 86400 >= all (reminder_minutes) and array_position(reminder_minutes, null) is null'),
      ('notification_settings', 'locale', 'notification_settings_locale_known', $s$locale ~ '^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8}){0,8}$'$s$),
      ('notification_settings', 'hour_cycle', 'notification_settings_hour_cycle_known', $s$hour_cycle in ('h11', 'h12', 'h23', 'h24')$s$)) as n (tab, col, name, expr)
  loop
    if strpos(current_setting('reminder_worker.had_columns'), 'public.' || c.tab || '.' || c.col || ' ') = 0 then
      execute format('alter table public.%I add constraint %I check (%s) not valid', c.tab, c.name, c.expr);
    end if;
  end loop;
end
$$;

-- A time of day as a minute after midnight, 0 to 1439; the end of the day is the next one's beginning.
create or replace function reminder_worker.minute_of(clock time) returns integer
language sql immutable set search_path = '' as $$
  select floor(extract(epoch from clock) / 60)::integer % 1440
$$;

-- The zones that users may name. The server's own list is read from the disk each time, a file for every zone, which is too slow for what an
-- app writes at every start.
create table if not exists reminder_worker.time_zones (name text primary key);
insert into reminder_worker.time_zones
select z.name from pg_catalog.pg_timezone_names z
where z.name ~ '^(UTC|[A-Za-z]+(/[A-Za-z0-9_+-]+)+)$' and z.name !~ '^(posix|right)/'
on conflict do nothing;

-- The columns that were made here, as the trigger's argument lists them, are kept tidy; in those that were there before anything may stand. A
-- zone goes by its IANA name, as both the database and the worker know it, and not by an abbreviation, which several zones may share.
create or replace function reminder_worker.settings_written() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  known text;
begin
  if strpos(tg_argv[0], 'updated_at') > 0 then
    new.updated_at := now();
  end if;
  if strpos(tg_argv[0], 'locale') > 0 then
    new.locale := nullif(btrim(new.locale), '');
  end if;
  -- Whole minutes; the end of the day is its beginning.
  if strpos(tg_argv[0], 'quiet_from') > 0 then
    new.quiet_from := reminder_worker.minute_of(new.quiet_from) * interval '1 minute';
  end if;
  if strpos(tg_argv[0], 'quiet_until') > 0 then
    new.quiet_until := reminder_worker.minute_of(new.quiet_until) * interval '1 minute';
  end if;
  if strpos(tg_argv[0], 'time_zone') = 0 then
    return new;
  end if;
  new.time_zone := nullif(btrim(new.time_zone), '');
  if new.time_zone = 'GMT' then
    new.time_zone := 'UTC'; -- what devices without a zone say
  end if;
  if new.time_zone is not null and (tg_op = 'INSERT' or new.time_zone is distinct from old.time_zone) then
    select z.name into known from reminder_worker.time_zones z where z.name = new.time_zone;
    if known is null and length(new.time_zone) < 64 and new.time_zone ~ '^(UTC|[A-Za-z]+(/[A-Za-z0-9_+-]+)+)$' then
      -- Spelled in another way, or newer than this schema.
      select z.name into known
      from pg_catalog.pg_timezone_names z
      where lower(z.name) = lower(new.time_zone) and z.name !~ '^(posix|right)/';
      insert into reminder_worker.time_zones select known where known is not null on conflict do nothing;
    end if;
    if known is null then
      raise exception '% is not an IANA time zone', quote_literal(left(new.time_zone, 60)) using errcode = '22023',
        hint = 'Pass what Intl.DateTimeFormat().resolvedOptions().timeZone tells, for example Europe/Berlin.';
    end if;
    new.time_zone := known;
  end if;
  return new;
end
$$;

-- Has all coming events of a user planned anew. What was past by now is not reminded of. Reminders that wait for another attempt are tried at
-- once: what they wait for may be the end of quiet hours that are none any more. (They keep a next attempt, so that devices which have the
-- push are left out.)
create or replace function reminder_worker.replan(for_user uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.events
  set status = 'pending', sync_revision = sync_revision + 1, sync_attempts = 0, sync_changed_at = now(),
      sync_due_at = case when sync_lease_until > now() then sync_lease_until else now() end
  where user_id = for_user and start_ts > now() and (status in ('synced', 'scheduled', 'pending')
    or status = 'failed' and exists ( -- in Google only
      select from public.reminders r where r.event_id = events.id and r.plan_revision is not null and r.status = 'pending'));
  update public.reminders
  set next_attempt_at = now(), changed_xid = pg_current_xact_id()
  where user_id = for_user and status = 'pending' and next_attempt_at > now();
end
$$;

-- Whether to push at all, and in which language, is asked when a reminder is sent; the rest decides when.
create or replace function reminder_worker.settings_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op <> 'INSERT' and (tg_op = 'DELETE' or old.user_id is distinct from new.user_id) then
    perform reminder_worker.replan(old.user_id);
  end if;
  if tg_op <> 'DELETE' then
    perform reminder_worker.replan(new.user_id);
  end if;
  return null;
end
$$;

do $$
begin
  execute format('create or replace trigger reminder_worker_settings_written before insert or update on public.notification_settings
    for each row execute function reminder_worker.settings_written(%L)',
    (select coalesce(string_agg(c.name, ' '), '') from unnest(array['time_zone', 'locale', 'updated_at', 'quiet_from', 'quiet_until']) as c (name)
      where strpos(current_setting('reminder_worker.had_columns'), 'public.notification_settings.' || c.name || ' ') = 0));
end
$$;

create or replace trigger reminder_worker_settings_inserted after insert on public.notification_settings
  for each row when ((new.calendar_enabled, new.reminder_minutes, new.quiet_from, new.quiet_until, new.all_day_at, new.time_zone)
    is distinct from (true, null::integer[], null::time, null::time, null::time, null::text))
  execute function reminder_worker.settings_changed();

create or replace trigger reminder_worker_settings_changed after update on public.notification_settings
  for each row when ((new.user_id, new.calendar_enabled, new.reminder_minutes, new.quiet_from, new.quiet_until, new.all_day_at, new.time_zone)
    is distinct from (old.user_id, old.calendar_enabled, old.reminder_minutes, old.quiet_from, old.quiet_until, old.all_day_at, old.time_zone))
  execute function reminder_worker.settings_changed();

create or replace trigger reminder_worker_settings_deleted after delete on public.notification_settings
  for each row execute function reminder_worker.settings_changed();

-- As in 0003, and the event's own minutes as well.
create or replace trigger reminder_worker_event_changed before update on public.events
  for each row when (
    (old.user_id, old.child_id, old.title, old.start_ts, old.end_ts, old.location, old.prep_items, old.reminder_minutes)
      is distinct from
    (new.user_id, new.child_id, new.title, new.start_ts, new.end_ts, new.location, new.prep_items, new.reminder_minutes)
    or (old.status is distinct from new.status
      and (new.status is null or new.status in ('pending', 'cancelled') or old.status = 'cancelled')))
  execute function reminder_worker.event_changed();

create or replace function reminder_worker.event_keeps_id() returns trigger
language plpgsql set search_path = '' as $$
begin
  raise exception 'an event keeps its id' using errcode = '22023',
    hint = 'Insert another event: its copy and its reminders go by the id.';
end
$$;

-- A settings row of a user who has none yet, for the app to upsert into, needs no more than the user's own id. Tables that an app had
-- keep their policies and grants.
do $$
declare
  api boolean := exists (select from pg_catalog.pg_roles where rolname = 'authenticated');
begin
  if current_setting('reminder_worker.adopts_settings') = 'false' then
    alter table public.notification_settings enable row level security;
    if api then
      create policy notification_settings_own on public.notification_settings for all to authenticated
        using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));
      revoke all on public.notification_settings from public, anon, authenticated;
      grant all on public.notification_settings to service_role;
      grant select, delete on public.notification_settings to authenticated;
      grant insert (user_id, push_enabled, calendar_enabled, reminder_minutes, quiet_from, quiet_until, all_day_at, time_zone, locale, hour_cycle),
        update (user_id, push_enabled, calendar_enabled, reminder_minutes, quiet_from, quiet_until, all_day_at, time_zone, locale, hour_cycle)
        on public.notification_settings to authenticated;
    end if;
  end if;
  -- Events made by 0001 are granted by column.
  if api and exists (select from pg_catalog.pg_policy where polrelid = 'public.events'::regclass and polname = 'events_own') then
    -- An upsert writes the id it has found, too; to another one it is not to be changed.
    grant insert (reminder_minutes, push_data), update (id, reminder_minutes, push_data) on public.events to authenticated;
    create or replace trigger reminder_worker_event_keeps_id before update of id on public.events
      for each row when (old.id is distinct from new.id) execute function reminder_worker.event_keeps_id();
  end if;
end
$$;

revoke all on function reminder_worker.settings_written(), reminder_worker.settings_changed(), reminder_worker.replan(uuid),
  reminder_worker.event_keeps_id(), reminder_worker.minute_of(time) from public;
