-- What the app calls and reads beside its tables: putting reminders off, being done with an event, and what became of each push.

do $$
declare
  taken text;
begin
  for taken in
    select n.name from unnest(array['reminder_devices', 'reminder_deliveries', 'calendar_connection']) as n (name)
    join pg_catalog.pg_class c on c.oid = to_regclass('public.' || n.name)
    where c.relkind <> 'v' or obj_description(c.oid, 'pg_class') is distinct from 'reminder-worker'
  loop
    raise exception 'public.% is there already and is not the worker''s view of that name', taken
      using hint = 'Rename what is there (ALTER ... RENAME), then migrate again.';
  end loop;
end
$$;

-- The quiet hours of a user that a moment is in: when they begin and end; none if it is in none. Where the user has no zone, or one that is none,
-- the worker alone knows by which clock they go. Of an hour that comes twice they take in both, as the worker does.
create or replace function reminder_worker.quiet_around(for_user uuid, at timestamptz, out begins timestamptz, out ends timestamptz)
language plpgsql stable security definer set search_path = '' as $$
declare
  n record;
  today date;
  day date;
  first timestamp;
  last timestamp;
begin
  select reminder_worker.minute_of(s.quiet_from) as quiet_from, reminder_worker.minute_of(s.quiet_until) as quiet_until, s.time_zone into n
  from public.notification_settings s
  where s.user_id = for_user and s.time_zone is not null;
  if not found or n.quiet_from is null or n.quiet_until is null or n.quiet_from = n.quiet_until then
    return;
  end if;
  today := (at at time zone n.time_zone)::date;
  foreach day in array array[today - 1, today] loop
    first := day + n.quiet_from * interval '1 minute';
    last := day + (n.quiet_from > n.quiet_until)::integer + n.quiet_until * interval '1 minute';
    begins := first at time zone n.time_zone;
    ends := last at time zone n.time_zone; -- of two the later
    if (begins - interval '1 hour') at time zone n.time_zone = first then
      begins := begins - interval '1 hour';
    end if;
    if at >= begins and at < ends then
      return;
    end if;
  end loop;
  begins := null;
  ends := null;
exception
  when invalid_parameter_value then
    begins := null;
    ends := null;
end
$$;

-- Puts a reminder off: until a time, or for so many minutes from now. It is a reminder of its own; the one put off is not sent any more, if
-- that had not happened, and one that was put off before comes at the new time. Never past the event's start: what would come later comes a
-- minute before it. Not into quiet hours: at their end, or else a minute before they begin. Answers when it comes.
create or replace function public.snooze_reminder(reminder_id uuid, until timestamptz default null, minutes integer default null)
  returns timestamptz
language plpgsql security definer set search_path = '' as $$
declare
  caller uuid := reminder_worker.require_user();
  r record;
  quiet record;
  at timestamptz := coalesce(until, now() + minutes * interval '1 minute');
begin
  if (until is null) = (minutes is null) or at is null or not isfinite(at) or minutes not between 1 and 43200 then
    raise exception 'say either until when or for how many minutes' using errcode = '22023',
      hint = 'Pass until (a time) or minutes (1 to 43200), not both.';
  end if;
  -- Events before reminders, as planning locks them.
  perform from public.events e
  where e.id = (select x.event_id from public.reminders x where x.id = snooze_reminder.reminder_id and x.user_id = caller)
  for no key update;
  select coalesce(x.snoozed_from, x.id) as first, x.id, x.event_id, x.status, x.message, x.push_token, x.push_data,
      x.plan_revision is null as own, e.start_ts, e.status as event_status
    into r
    from public.reminders x
    join public.events e on e.id = x.event_id
    where x.id = snooze_reminder.reminder_id and x.user_id = caller
    for no key update of x;
  if not found then
    raise exception 'no such reminder of this user' using errcode = 'PT404',
      hint = 'Pass reminderId of the data that the push carried.';
  end if;
  if r.event_status = 'cancelled' then
    raise exception 'the event was cancelled' using errcode = '22023', hint = 'There is nothing to be reminded of.';
  end if;
  at := least(at, r.start_ts - interval '1 minute');
  quiet := reminder_worker.quiet_around(caller, at);
  if quiet.ends < r.start_ts then
    at := quiet.ends;
  elsif quiet.begins is not null then
    at := quiet.begins - interval '1 minute';
  end if;
  if at <= now() then
    raise exception 'there is no time left to be reminded in' using errcode = '22023',
      hint = 'Snooze until a time in the future, more than a minute before the event begins, and before the quiet hours if they last until then.';
  end if;
  if r.status = 'pending' and r.id = r.first then -- one that was put off before is moved below
    update public.reminders x
    set status = 'skipped', error_message = 'put off by the user until ' || to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    where x.id = r.id;
  end if;
  loop
    begin
      update public.reminders x
      set notify_at_ts = at
      where x.event_id = r.event_id and x.snoozed_from = r.first and x.user_id = caller and x.status = 'pending';
      -- Of two that come at the same moment one is enough.
      if not found and not exists (
        select from public.reminders x where x.event_id = r.event_id and x.notify_at_ts = at and x.status in ('pending', 'sending')) then
        insert into public.reminders (event_id, user_id, notify_at_ts, message, push_token, push_data, snoozed_from)
        values (r.event_id, caller, at, case when r.own then coalesce(r.message, '') else '' end, r.push_token, r.push_data, r.first);
      end if;
      return at;
    exception
      when unique_violation then -- another reminder has that very time
        at := at - interval '1 millisecond';
        if at <= now() then
          raise;
        end if;
    end;
  end loop;
end
$$;

-- No more reminders of an event, unless it is moved to another time. Answers how many were still to come.
create or replace function public.dismiss_reminders(event_id uuid) returns integer
language plpgsql security definer set search_path = '' as $$
declare
  caller uuid := reminder_worker.require_user();
  n integer;
begin
  update public.events e set dismissed_for_ts = e.start_ts, dismissed_at = clock_timestamp() where e.id = dismiss_reminders.event_id and e.user_id = caller;
  if not found then
    raise exception 'no such event of this user' using errcode = 'PT404',
      hint = 'Pass eventId of the data that the push carried.';
  end if;
  update public.reminders r
  set status = 'skipped', error_message = 'dismissed by the user'
  where r.event_id = dismiss_reminders.event_id and r.user_id = caller and r.status = 'pending';
  get diagnostics n = row_count;
  return n;
end
$$;

-- Takes a dismissal back: what is still to come, comes.
create or replace function public.restore_reminders(event_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  caller uuid := reminder_worker.require_user();
begin
  perform from public.events e where e.id = restore_reminders.event_id and e.user_id = caller for no key update;
  if not found then
    raise exception 'no such event of this user' using errcode = 'PT404',
      hint = 'Pass eventId of the data that the push carried.';
  end if;
  update public.reminders r
  set status = 'pending'
  where r.event_id = restore_reminders.event_id and r.user_id = caller and r.status = 'skipped'
    and r.error_message = 'dismissed by the user' and r.notify_at_ts > now();
  -- Planning sees to those that were planned meanwhile.
  update public.events e
  set dismissed_for_ts = null, dismissed_at = null, status = case when e.status in ('synced', 'scheduled') then 'pending' else e.status end
  where e.id = restore_reminders.event_id and e.dismissed_for_ts is not null;
end
$$;

-- Views of the user's own. They read with the rights of their owner, as the tables behind them are nobody else's to see. A token is shown
-- as far as one's devices can be told apart by it; by plain expressions, since a function of the worker's is not the client's to call.
create or replace view public.reminder_devices with (security_barrier) as
  select d.id, d.user_id, left(d.token, strpos(d.token, '[') + 3) || case when strpos(d.token, '[') > 0 then '...]' else '...' end as token, d.platform, d.registered_at, d.retired_at, d.retired_reason
  from reminder_worker.push_devices d
  where d.user_id = (select auth.uid());

-- device: null for one that has been registered by another user since, or is not known any more.
create or replace view public.reminder_deliveries with (security_barrier) as
  select d.reminder_id, r.event_id, r.user_id, p.id as device_id, left(d.token, strpos(d.token, '[') + 3) || case when strpos(d.token, '[') > 0 then '...]' else '...' end as token,
    d.state, d.error_code, d.error_message, d.attempts, d.sent_at, d.lateness_ms, d.settled_at
  from public.reminders r
  join reminder_worker.deliveries d on d.reminder_id = r.id
  left join reminder_worker.push_devices p on p.token = d.token and p.user_id = r.user_id
  where r.user_id = (select auth.uid());

create or replace view public.calendar_connection with (security_barrier) as
  select a.user_id, a.state, case when a.state <> 'connected' or a.paused_until > now() then a.reason end as reason, a.calendar_id, a.connected_at,
    case when a.paused_until > now() then a.paused_until end as paused_until
  from reminder_worker.google_accounts a
  where a.user_id = (select auth.uid());

comment on view public.reminder_devices is 'reminder-worker';
comment on view public.reminder_deliveries is 'reminder-worker';
comment on view public.calendar_connection is 'reminder-worker';

-- Tokens that an app stores with updateUser() lie in raw_user_meta_data, which the user's JWT carries around. They are taken over and
-- removed from there. The statement is Supabase's own and knows nothing of us, so nothing here makes it fail.
create or replace function reminder_worker.user_metadata_written() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  google text := btrim(case when jsonb_typeof(new.raw_user_meta_data -> 'google_refresh_token') = 'string' then new.raw_user_meta_data ->> 'google_refresh_token' end);
  expo text := btrim(case when jsonb_typeof(new.raw_user_meta_data -> 'expo_push_token') = 'string' then new.raw_user_meta_data ->> 'expo_push_token' end);
begin
  if google <> '' and length(google) <= 2048 then
    perform reminder_worker.put_google_account(new.id, google);
    new.raw_user_meta_data := new.raw_user_meta_data - 'google_refresh_token';
  end if;
  if reminder_worker.is_push_token(expo) then
    perform reminder_worker.put_push_device(new.id, expo, null);
    new.raw_user_meta_data := new.raw_user_meta_data - 'expo_push_token';
  end if;
  return new;
exception
  when others then
    raise warning 'reminder-worker: tokens in the metadata of user % are not taken over: %', new.id, sqlerrm;
    return new;
end
$$;

-- A new user's row is not there yet for the tables that refer to it: the update that follows takes the tokens over.
create or replace function reminder_worker.user_metadata_inserted() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update auth.users set raw_user_meta_data = raw_user_meta_data where id = new.id;
  return null;
exception
  when others then
    raise warning 'reminder-worker: tokens in the metadata of user % are not taken over: %', new.id, sqlerrm;
    return null;
end
$$;

revoke all on function reminder_worker.user_metadata_written(), reminder_worker.user_metadata_inserted(),
  reminder_worker.quiet_around(uuid, timestamptz) from public;
revoke all on function public.snooze_reminder(uuid, timestamptz, integer), public.dismiss_reminders(uuid), public.restore_reminders(uuid) from public;
do $$
declare
  api text;
begin
  for api in select quote_ident(rolname) from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute 'revoke all on function public.snooze_reminder(uuid, timestamptz, integer), public.dismiss_reminders(uuid),
      public.restore_reminders(uuid) from ' || api;
    execute 'revoke all on public.reminder_devices, public.reminder_deliveries, public.calendar_connection from ' || api;
    execute 'revoke all on all tables in schema reminder_worker from ' || api;
    execute 'revoke all on all functions in schema reminder_worker from ' || api;
    if api = 'authenticated' then
      execute 'grant execute on function public.snooze_reminder(uuid, timestamptz, integer), public.dismiss_reminders(uuid),
        public.restore_reminders(uuid) to ' || api;
      execute 'grant select on public.reminder_devices, public.reminder_deliveries, public.calendar_connection to ' || api;
    end if;
  end loop;
end
$$;

-- Hosted Supabase allows triggers on auth.users; a role that may not make them goes without.
do $$
begin
  if not exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = 'auth.users'::regclass and a.attname = 'raw_user_meta_data' and a.atttypid = 'jsonb'::regtype and not a.attisdropped)
  then
    return;
  end if;
  if not has_table_privilege('auth.users', 'trigger') then
    raise warning 'reminder-worker: role % may not make triggers on auth.users: tokens in user metadata are not taken over', current_user;
    return;
  end if;
  create or replace trigger reminder_worker_user_metadata_written before update of raw_user_meta_data on auth.users
    for each row when (new.raw_user_meta_data ?| array['google_refresh_token', 'expo_push_token'])
    execute function reminder_worker.user_metadata_written();
  create or replace trigger reminder_worker_user_metadata_inserted after insert on auth.users
    for each row when (new.raw_user_meta_data ?| array['google_refresh_token', 'expo_push_token'])
    execute function reminder_worker.user_metadata_inserted();
end
$$;
