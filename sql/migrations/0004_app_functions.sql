-- What the app calls. Each public function works for the user of the request (auth.uid()) and nobody else.
--
-- Everything here is made anew where it is there already: functions in public outlive a dropped schema reminder_worker.

-- Connects or reconnects a user's Google account. What waited for it (events without a copy that are not
-- over yet, removals) becomes due.
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
    perform pg_catalog.pg_notify('reminder_worker', '');
  end if;
end
$$;

-- Registers a device's token for a user; a token known under another user moves. A user keeps the 20 most recent: a family's devices with
-- room to spare, and a bound to what one reminder can cost. Rows that somebody else is at are left for the next time, so that two
-- registrations cannot wait for each other; so is a device registered again at this moment.
create or replace function reminder_worker.put_push_device(for_user uuid, new_token text, new_platform text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  insert into reminder_worker.push_devices as d (user_id, token, platform)
  values (for_user, new_token, new_platform)
  on conflict (token) do update
    set user_id = excluded.user_id, platform = coalesce(excluded.platform, d.platform),
        registered_at = now(), retired_at = null, retired_reason = null;
  with older as (
    select o.id, o.registered_at
    from reminder_worker.push_devices o
    where o.user_id = for_user and o.retired_at is null
    order by o.token = new_token desc, o.registered_at desc, o.id desc
    offset 20
  ), locked as (
    select d.id
    from reminder_worker.push_devices d
    join older o on o.id = d.id and o.registered_at = d.registered_at
    where d.user_id = for_user and d.retired_at is null
    for no key update of d skip locked
  )
  update reminder_worker.push_devices d
  set retired_at = now(), retired_reason = 'the user has registered 20 other devices since'
  where d.id in (select l.id from locked l);
end
$$;

create or replace function reminder_worker.require_user() returns uuid
language plpgsql stable set search_path = '' as $$
declare
  caller uuid;
begin
  begin
    caller := auth.uid();
  exception
    when invalid_text_representation then
      raise exception 'the session names no user: the sub of its token is no UUID' using errcode = '28000',
        hint = 'Sign the user in with Supabase Auth; tokens of another issuer name users that auth.users does not have.';
  end;
  if caller is null then
    raise exception 'no signed-in user' using errcode = '28000',
      hint = 'Call this with the user''s session (auth.uid() is null).';
  end if;
  return caller;
end
$$;

create or replace function public.connect_google_calendar(refresh_token text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  if coalesce(btrim(refresh_token), '') = '' or length(refresh_token) > 2048 then
    raise exception 'the refresh token is empty or longer than 2048 characters' using errcode = '22023',
      hint = 'Pass provider_refresh_token of the session right after the Google sign-in (access_type=offline, prompt=consent).';
  end if;
  perform reminder_worker.put_google_account(reminder_worker.require_user(), btrim(refresh_token));
exception
  when foreign_key_violation then
    raise exception 'the user of the session does not exist' using errcode = '28000',
      hint = 'The account was deleted: sign in again.';
end
$$;

create or replace function public.disconnect_google_calendar() returns void
language plpgsql security definer set search_path = '' as $$
begin
  update reminder_worker.google_accounts
  set state = 'off', reason = 'disconnected in the app', paused_until = null, updated_at = now()
  where user_id = reminder_worker.require_user();
end
$$;

-- Valid forms as in Expo's own SDK (isExpoPushToken), as long as they are printable ASCII without blanks and quotes: the worker sends to
-- no other. No backslash here: what one means in a literal is a setting of the database.
create or replace function reminder_worker.is_push_token(token text) returns boolean
language sql immutable set search_path = '' as $$
  select coalesce(octet_length(token) <= 200 and length(token) = octet_length(token)
    and (token ~ '^(ExponentPushToken|ExpoPushToken)[[][^]["[:space:][:cntrl:]]+[]]$'
    or token ~ '^[A-Za-z0-9]{8}-[A-Za-z0-9]{4}-[A-Za-z0-9]{4}-[A-Za-z0-9]{4}-[A-Za-z0-9]{12}$'), false)
$$;

create or replace function public.register_push_token(token text, platform text default null) returns void
language plpgsql security definer set search_path = '' as $$
begin
  if not reminder_worker.is_push_token(token) then
    raise exception 'not an Expo push token' using errcode = '22023',
      hint = 'Pass the string that getExpoPushTokenAsync() returned, for example ExponentPushToken[...].';
  end if;
  perform reminder_worker.put_push_device(reminder_worker.require_user(), token, left(platform, 40));
exception
  when foreign_key_violation then
    raise exception 'the user of the session does not exist' using errcode = '28000',
      hint = 'The account was deleted: sign in again.';
end
$$;

create or replace function public.unregister_push_token(token text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update reminder_worker.push_devices d
  set retired_at = now(), retired_reason = 'signed out in the app'
  where d.token = unregister_push_token.token and d.user_id = reminder_worker.require_user() and d.retired_at is null;
end
$$;

-- Supabase's default privileges give every function in public to every API role, so taking it from PUBLIC alone does nothing there.
revoke all on all functions in schema reminder_worker from public;
revoke all on function public.connect_google_calendar(text), public.disconnect_google_calendar(),
  public.register_push_token(text, text), public.unregister_push_token(text) from public;
do $$
declare
  api text;
begin
  for api in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute format('revoke all on function public.connect_google_calendar(text), public.disconnect_google_calendar(),
      public.register_push_token(text, text), public.unregister_push_token(text) from %I', api);
    execute format('revoke all on schema reminder_worker from %I', api);
    execute format('revoke all on all tables in schema reminder_worker from %I', api);
    execute format('revoke all on all functions in schema reminder_worker from %I', api);
    if api = 'authenticated' then
      execute format('grant execute on function public.connect_google_calendar(text), public.disconnect_google_calendar(),
        public.register_push_token(text, text), public.unregister_push_token(text) to %I', api);
    end if;
  end loop;
end
$$;

-- Older deployments keep tokens in columns of auth.users. Where those columns exist, what is there is taken
-- over now, and what is written there later is taken over by trigger. Hosted Supabase allows triggers on
-- auth.users, and has no such columns, so there nothing is installed. What is no token is passed over: the
-- statement is the app's own, and knows nothing of us.
create or replace function reminder_worker.user_tokens_written() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  was jsonb := case when tg_op = 'UPDATE' then to_jsonb(old) else '{}' end;
  is_now jsonb := to_jsonb(new);
begin
  if is_now ->> 'google_refresh_token' is distinct from was ->> 'google_refresh_token' then
    if btrim(is_now ->> 'google_refresh_token') <> '' then
      if length(is_now ->> 'google_refresh_token') <= 2048 then
        perform reminder_worker.put_google_account(new.id, btrim(is_now ->> 'google_refresh_token'));
      end if;
    else
      update reminder_worker.google_accounts
      set state = 'off', reason = 'the token was removed from auth.users', updated_at = now()
      where user_id = new.id;
    end if;
  end if;
  if is_now ->> 'expo_push_token' is distinct from was ->> 'expo_push_token' then
    update reminder_worker.push_devices
    set retired_at = now(), retired_reason = case
      when is_now ->> 'expo_push_token' <> '' then 'another token took its place in auth.users' else 'the token was removed from auth.users' end
    where user_id = new.id and token = was ->> 'expo_push_token' and retired_at is null;
    if reminder_worker.is_push_token(is_now ->> 'expo_push_token') then
      perform reminder_worker.put_push_device(new.id, is_now ->> 'expo_push_token', null);
    end if;
  end if;
  return null;
end
$$;
revoke all on function reminder_worker.user_tokens_written() from public;

do $$
declare
  cols text;
begin
  select string_agg(quote_ident(attname), ', ') into cols
  from pg_catalog.pg_attribute
  where attrelid = 'auth.users'::regclass and attname in ('google_refresh_token', 'expo_push_token') and not attisdropped;
  if cols is null then
    return;
  end if;
  execute format(
    'create or replace trigger reminder_worker_user_tokens_written after insert or update of %s on auth.users
       for each row execute function reminder_worker.user_tokens_written()', cols);
  insert into reminder_worker.google_accounts (user_id, refresh_token)
  select u.id, btrim(to_jsonb(u) ->> 'google_refresh_token') from auth.users u
  where btrim(to_jsonb(u) ->> 'google_refresh_token') <> '' and length(to_jsonb(u) ->> 'google_refresh_token') <= 2048
  on conflict do nothing;
  insert into reminder_worker.push_devices (user_id, token)
  select distinct on (to_jsonb(u) ->> 'expo_push_token') u.id, to_jsonb(u) ->> 'expo_push_token' from auth.users u
  where reminder_worker.is_push_token(to_jsonb(u) ->> 'expo_push_token')
  order by to_jsonb(u) ->> 'expo_push_token', to_jsonb(u) ->> 'updated_at' desc nulls last
  on conflict do nothing;
end
$$;
