-- Which calendar a user's copies stand in, whether Google alerts them as well, and leaving: to disconnect so that copies go, and the consent with
-- them.

-- As in 0007: an existing table is adopted, and what cannot be served is said before anything is changed.
do $$
declare
  need record;
  col record;
  had text := '';
  faults text := '';
begin
  for need in
    select n.* from (values ('google_calendar', 'text'), ('google_calendar_name', 'text'), ('google_alerts', 'boolean')) as n (col, typ)
  loop
    select replace(format_type(a.atttypid, null), 'character varying', 'text') as typ, a.attgenerated <> '' as generated
      into col
      from pg_catalog.pg_attribute a
      where a.attrelid = 'public.notification_settings'::regclass and a.attname = need.col and a.attnum > 0 and not a.attisdropped;
    if found and (col.typ <> need.typ or col.generated) then
      faults := faults || format(E'\n  public.notification_settings.%s is %s%s, needed is a plain column of type %s',
        need.col, case when col.generated then 'generated, ' else '' end, col.typ, need.typ);
    elsif found then
      had := had || need.col || ' ';
    end if;
  end loop;
  perform set_config('reminder_worker.had_columns', had, true);
  if faults <> '' then
    raise exception 'existing tables cannot be adopted:%', faults
      using hint = 'Rename the columns named if they belong to something else (ALTER TABLE ... RENAME), then migrate again.';
  end if;
end
$$;

--   google_calendar       the calendar that copies stand in, by Google's id; null: the primary one
--   google_calendar_name  without google_calendar: a calendar of its own, which the worker makes under this name
--   google_alerts         true: Google alerts the user too, as they have set it; false: only our pushes do
alter table public.notification_settings
  add column if not exists google_calendar text,
  add column if not exists google_calendar_name text,
  add column if not exists google_alerts boolean not null default false;

do $$
declare
  c record;
begin
  for c in
    select * from (values
      ('google_calendar', 'notification_settings_google_calendar_id', $s$length(google_calendar) <= 1024 and google_calendar ~ '^[!-~]+$'$s$),
      ('google_calendar_name', 'notification_settings_google_calendar_name_sane', $s$length(google_calendar_name) <= 200 and btrim(google_calendar_name) <> ''$s$)) as n (col, name, expr)
  loop
    if strpos(current_setting('reminder_worker.had_columns'), c.col || ' ') = 0 then
      execute format('alter table public.notification_settings add constraint %I check (%s) not valid', c.name, c.expr);
    end if;
  end loop;
  -- Tables that an app had keep their grants.
  if exists (select from pg_catalog.pg_roles where rolname = 'authenticated')
    and exists (select from pg_catalog.pg_policy where polrelid = 'public.notification_settings'::regclass and polname = 'notification_settings_own')
  then
    grant insert (google_calendar, google_calendar_name, google_alerts), update (google_calendar, google_calendar_name, google_alerts)
      on public.notification_settings to authenticated;
  end if;
end
$$;

-- What a calendar of our own making is called by Google, under which consent it was made (by its connected_at), when the user has deleted it there,
-- and which worker is at making it.
-- A user who leaves: what is to be done before the account is off, when the worker looks next, and until when it tries.
alter table reminder_worker.google_accounts
  add column made_calendar_id text,
  add column made_calendar_consent timestamptz,
  add column made_calendar_gone_at timestamptz,
  add column making_until timestamptz,
  add column leave_due_at timestamptz,
  add column leave_until timestamptz,
  add column leave_attempts integer not null default 0,
  add column leave_copies boolean not null default false,
  add column leave_revoke boolean not null default false,
  drop constraint google_accounts_state_known,
  add constraint google_accounts_state_known check (state in ('connected', 'needs_reconnect', 'leaving', 'off'));
create index google_accounts_leave_due_idx on reminder_worker.google_accounts (leave_due_at) where leave_due_at is not null;

-- Where a copy is being moved to, and its id there if that is not the event's first: written before the first request, so that whatever happens
-- then, a removal looks in both calendars.
alter table reminder_worker.calendar_copies add column target_calendar_id text, add column target_event_id text;

-- Makes due what waits for a user's calendar: events without a copy that are not over, or whose copy was about to go, and removals. What has failed
-- is tried once more: it may have been for the account, as when its calendar was gone.
create or replace function reminder_worker.take_up(for_user uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  -- A pending one may be served without the account at this very moment: the next revision makes sure that it is served again.
  update public.events
  set status = 'pending', sync_revision = sync_revision + 1, sync_attempts = 0,
      sync_due_at = case when sync_lease_until > now() then sync_lease_until else now() end
  where user_id = for_user and coalesce(end_ts, start_ts) > now() and (status in ('scheduled', 'pending', 'failed')
    or status = 'synced' and exists (
      select from reminder_worker.calendar_copies k
      where k.event_id = events.id and k.user_id = for_user and k.tombstoned_at is not null));
  update reminder_worker.calendar_copies
  set due_at = now(), attempts = 0
  where user_id = for_user and tombstoned_at is not null and due_at is null;
  perform reminder_worker.knock();
end
$$;

-- As in 0012, and: a consent of the user's own takes the place of their administrator's, and who connects again has not left. What is empty is no
-- token, and takes the place of none.
create or replace function reminder_worker.put_google_account(for_user uuid, new_refresh_token text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  if left(new_refresh_token, 7) = 'sealed:' or btrim(new_refresh_token) = '' then
    return;
  end if;
  insert into reminder_worker.google_accounts as a (user_id, refresh_token)
  values (for_user, new_refresh_token)
  on conflict (user_id) do update
    set refresh_token = excluded.refresh_token, subject = null, state = 'connected', reason = null, paused_until = null,
        connected_at = now(), updated_at = now(), notice_due_at = null, notice_lease = null, notice_error = null,
        leave_due_at = null, leave_until = null, leave_copies = false, leave_revoke = false, made_calendar_gone_at = null;
  perform reminder_worker.take_up(for_user);
end
$$;

-- Nothing more is written to the user's calendar. With remove_copies what stands there goes, with revoke the consent is given back to Google, in
-- that order; both take a moment, in which the state is 'leaving', and the refresh token is forgotten at the end. What has been asked for is done,
-- though this be called again without, as an app may do whenever it signs a user out; and that does not make it take longer.
drop function if exists public.disconnect_google_calendar();
create or replace function public.disconnect_google_calendar(remove_copies boolean default false, revoke boolean default false) returns void
language plpgsql security definer set search_path = '' as $$
declare
  caller uuid := reminder_worker.require_user();
begin
  remove_copies := coalesce(remove_copies, false);
  revoke := coalesce(revoke, false);
  -- Of users, too, for whom nothing is written yet, so that a service account does not begin to.
  insert into reminder_worker.google_accounts as a (user_id, refresh_token, state, reason)
  select u.id, '', 'off', 'disconnected in the app'
  from auth.users u
  where u.id = caller
  on conflict (user_id) do update
    set state = case
          when a.state = 'leaving' or (remove_copies or revoke) and (a.refresh_token <> '' or a.subject is not null) and a.state <> 'needs_reconnect' then 'leaving'
          else 'off'
        end,
        reason = case when a.state = 'needs_reconnect' then 'disconnected in the app, after access had ended' else 'disconnected in the app' end,
        paused_until = null, updated_at = now(), notice_due_at = null, notice_lease = null,
        leave_due_at = null, leave_until = case when a.state = 'leaving' and not (remove_copies or revoke) then a.leave_until end,
        leave_copies = remove_copies or a.state in ('leaving', 'off') and a.leave_copies, leave_revoke = revoke or a.state = 'leaving' and a.leave_revoke;
  update reminder_worker.google_accounts a
  set leave_due_at = now(), leave_until = coalesce(a.leave_until, now() + interval '24 hours'), leave_attempts = 0
  where a.user_id = caller and a.state = 'leaving';
  if found then
    perform reminder_worker.knock();
  end if;
end
$$;

-- Takes that back where no token is needed. An account that a service account acts for keeps what is known of it; of one without, it is found out
-- with what is written next whether the service account may act for the user. An account with a token is connected by a new one only.
create or replace function public.resume_google_calendar() returns void
language plpgsql security definer set search_path = '' as $$
declare
  caller uuid := reminder_worker.require_user();
begin
  update reminder_worker.google_accounts
  set state = 'connected', reason = null, paused_until = null, connected_at = now(), updated_at = now(), leave_due_at = null, leave_until = null,
      leave_copies = false, leave_revoke = false, made_calendar_gone_at = null
  where user_id = caller and subject is not null and state <> 'connected';
  delete from reminder_worker.google_accounts where user_id = caller and subject is null and refresh_token = '';
  perform reminder_worker.take_up(caller);
end
$$;

-- Another calendar is another chance for what could not be written to the last one and is not over, if the user has chosen anew.
create function reminder_worker.calendar_chosen(for_user uuid, was text[], is_now text[]) returns void
language plpgsql security definer set search_path = '' as $$
begin
  if was is distinct from is_now then
    update reminder_worker.google_accounts set made_calendar_gone_at = null where user_id = for_user and made_calendar_gone_at is not null;
    update public.events set status = 'pending' where user_id = for_user and coalesce(end_ts, start_ts) > now() and status = 'failed';
  end if;
end
$$;

-- As in 0007, and the calendar is looked at. Who has no row has chosen none.
create or replace function reminder_worker.settings_changed() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  was text[] := array[null, null];
begin
  if tg_op <> 'INSERT' then
    was := array[old.google_calendar, old.google_calendar_name];
  end if;
  if tg_op <> 'INSERT' and (tg_op = 'DELETE' or old.user_id is distinct from new.user_id) then
    perform reminder_worker.calendar_chosen(old.user_id, was, array[null, null]);
    perform reminder_worker.replan(old.user_id);
    was := array[null, null];
  end if;
  if tg_op <> 'DELETE' then
    perform reminder_worker.calendar_chosen(new.user_id, was, array[new.google_calendar, new.google_calendar_name]);
    perform reminder_worker.replan(new.user_id);
  end if;
  return null;
end
$$;

create or replace trigger reminder_worker_settings_inserted after insert on public.notification_settings
  for each row when ((new.calendar_enabled, new.reminder_minutes, new.quiet_from, new.quiet_until, new.all_day_at, new.time_zone,
      new.google_calendar, new.google_calendar_name, new.google_alerts)
    is distinct from (true, null::integer[], null::time, null::time, null::time, null::text, null::text, null::text, false))
  execute function reminder_worker.settings_changed();

create or replace trigger reminder_worker_settings_changed after update on public.notification_settings
  for each row when ((new.user_id, new.calendar_enabled, new.reminder_minutes, new.quiet_from, new.quiet_until, new.all_day_at, new.time_zone,
      new.google_calendar, new.google_calendar_name, new.google_alerts)
    is distinct from (old.user_id, old.calendar_enabled, old.reminder_minutes, old.quiet_from, old.quiet_until, old.all_day_at, old.time_zone,
      old.google_calendar, old.google_calendar_name, old.google_alerts))
  execute function reminder_worker.settings_changed();

-- As in 0009, and calendar_id is the one that copies are written to: empty as long as it is not made. Of one that is delegated nobody can connect it
-- again in the app, for a service account acts for the user.
create or replace view public.calendar_connection with (security_barrier) as
  select a.user_id, a.state,
    case
      when a.state <> 'connected' or a.paused_until > now() then a.reason
      when a.made_calendar_gone_at is not null then 'the calendar that was made is gone: choose one again'
    end as reason,
    coalesce((
      select case when n.google_calendar <> '' then n.google_calendar else coalesce(a.made_calendar_id, '') end
      from public.notification_settings n
      where n.user_id = a.user_id and (n.google_calendar <> '' or n.google_calendar_name <> '')), a.calendar_id) as calendar_id,
    a.connected_at, case when a.paused_until > now() then a.paused_until end as paused_until,
    a.subject is not null as delegated
  from reminder_worker.google_accounts a
  where a.user_id = (select auth.uid());

-- Quotas that a service gives to each user have a row for each who is busy: those that have not been for a while are removed.
create or replace function reminder_worker.forget_permits(quotas text[], idle interval) returns void
language sql security definer set search_path = '' as $$
  delete from reminder_worker.permits p where p.name = any (quotas) and p.starts < now() - idle
$$;

revoke all on function reminder_worker.forget_permits(text[], interval), reminder_worker.take_up(uuid),
  reminder_worker.calendar_chosen(uuid, text[], text[]) from public;
revoke all on function public.disconnect_google_calendar(boolean, boolean), public.resume_google_calendar() from public;
do $$
declare
  api text;
begin
  for api in select quote_ident(rolname) from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute 'revoke all on function reminder_worker.forget_permits(text[], interval), reminder_worker.take_up(uuid),
      reminder_worker.calendar_chosen(uuid, text[], text[]) from ' || api;
    execute 'revoke all on function public.disconnect_google_calendar(boolean, boolean), public.resume_google_calendar() from ' || api;
    if api = 'authenticated' then
      execute 'grant execute on function public.disconnect_google_calendar(boolean, boolean), public.resume_google_calendar() to ' || api;
    end if;
  end loop;
end
$$;
