-- Users of a Google Workspace whose administrator lets a service account act for them have an account without a token. It names the address
-- at Google that is theirs.
alter table reminder_worker.google_accounts
  add column subject text,
  add constraint google_accounts_token_or_subject check (subject is null or refresh_token = '');

-- As in 0004, and: who writes no token into auth.users has taken none away from a user who needs none. Nor from one who is leaving (see 0014): apps
-- clear that column when they sign a user out, and what the user has asked for cannot be done without the token. It is forgotten when that is done.
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
      where user_id = new.id and subject is null and state <> 'leaving';
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

-- Sees to the accounts of users who have no consent of their own, before something is written for them: makes those of users whose address is
-- of one of the domains, and has them follow the address. Answers those that stand. A user whose address is another now loses the account
-- that was made for the old one, or it becomes the new one's; one whom Google did not know is tried again after a day. An account with a token
-- is never touched, nor one that the user has turned off. One whose user is leaving (see 0014) and has another address by now is turned off: in the
-- calendar of the old one nothing may be removed any more, and in another there is nothing to remove.
--
-- Only an address that has been confirmed counts, where the database tells: else anybody could sign up with somebody else's, and write into
-- their calendar.
--
-- Nobody is waited for who holds a row; a row that is held is seen to the next time. Only for a user's first account that somebody else is
-- about to make, or for a user who is being deleted, is there a wait, and not for long.
create function reminder_worker.delegate_accounts(users uuid[], domains text[])
returns table (user_id uuid, subject text, calendar_id text, state text, connected_at timestamptz, paused_until timestamptz)
language plpgsql security definer set search_path = '' set lock_timeout = '250ms' as $$
#variable_conflict use_column
declare
  ids uuid[]; -- of users whose address is known and confirmed
  addresses text[];
  eligible uuid[]; -- those among them whose address is of one of the domains
  fresh uuid[]; -- those whose account is new, or another
begin
  select array_agg(t.id order by t.id), array_agg(t.address order by t.id),
    array_agg(t.id order by t.id) filter (where split_part(t.address, '@', 2) = any (domains))
  into ids, addresses, eligible
  from (
    select w.id, lower(w.row ->> 'email') as address
    from (select x.id, (select to_jsonb(u) from auth.users u where u.id = x.id) as row from unnest(users) x (id)) w
    where not w.row ? 'email_confirmed_at' or w.row ->> 'email_confirmed_at' is not null
  ) t
  where t.address ~ '^[^@[:space:]]+@[^@[:space:]]+$';

  delete from reminder_worker.google_accounts
  where user_id = any (array(
    select a.user_id
    from reminder_worker.google_accounts a
    where a.user_id = any (users) and a.subject is not null and a.state in ('connected', 'needs_reconnect')
      and (a.user_id = any (eligible)) is not true and (addresses[array_position(ids, a.user_id)] = a.subject) is not true
    for update skip locked));

  update reminder_worker.google_accounts
  set state = 'off', updated_at = now(),
      reason = 'disconnected in the app; copies are left in the calendar of ' || subject || ', which is not the user''s confirmed address any more'
  where user_id = any (array(
    select a.user_id
    from reminder_worker.google_accounts a
    where a.user_id = any (users) and a.subject is not null and a.state = 'leaving'
      and (addresses[array_position(ids, a.user_id)] = a.subject) is not true
    for no key update skip locked));

  with due as (
    select a.user_id
    from reminder_worker.google_accounts a
    where a.user_id = any (eligible) and a.subject is not null and a.state in ('connected', 'needs_reconnect')
      and (a.subject <> addresses[array_position(ids, a.user_id)]
        or a.state = 'needs_reconnect' and a.updated_at < now() - interval '1 day')
    for no key update skip locked
  ), moved as (
    update reminder_worker.google_accounts a
    set subject = addresses[array_position(ids, a.user_id)], state = 'connected', reason = null, paused_until = null,
        connected_at = now(), updated_at = now()
    where a.user_id = any (array(select d.user_id from due d))
    returning a.user_id
  ), made as (
    insert into reminder_worker.google_accounts as a (user_id, refresh_token, subject)
    select e.id, '', addresses[array_position(ids, e.id)]
    from unnest(eligible) e (id)
    where not exists (select from reminder_worker.google_accounts a where a.user_id = e.id)
    order by e.id
    on conflict (user_id) do nothing
    returning a.user_id
  )
  select array_agg(f.user_id) into fresh
  from (select m.user_id from moved m union all select m.user_id from made m) f;

  -- What waited for the account: events without a copy that are not over yet, and removals. One lookup for each user, as lateral has it.
  if fresh is not null then
    update public.events e
    set status = 'pending'
    where e.id = any (array(
      select t.id
      from unnest(fresh) f (id)
      cross join lateral (
        select x.id
        from public.events x
        where x.user_id = f.id and x.status = 'scheduled' and coalesce(x.end_ts, x.start_ts) > now()
          and (select n.calendar_enabled from public.notification_settings n where n.user_id = f.id) is not false
        for no key update of x skip locked) t));
    update reminder_worker.calendar_copies k
    set due_at = now(), attempts = 0
    from unnest(fresh) f (id)
    cross join lateral (
      select x.event_id
      from reminder_worker.calendar_copies x
      where x.user_id = f.id and x.tombstoned_at is not null and x.due_at is null
      for no key update skip locked) t
    where k.event_id = t.event_id and k.user_id = f.id;
  end if;

  return query
    select a.user_id, a.subject, a.calendar_id, a.state, a.connected_at, a.paused_until
    from reminder_worker.google_accounts a
    where a.user_id = any (eligible) and a.subject = addresses[array_position(ids, a.user_id)];
end
$$;

revoke all on function reminder_worker.delegate_accounts(uuid[], text[]) from public;
do $$
declare
  api text;
begin
  for api in select quote_ident(rolname) from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute 'revoke all on all functions in schema reminder_worker from ' || api;
  end loop;
end
$$;
