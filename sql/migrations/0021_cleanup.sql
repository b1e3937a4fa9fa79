-- Nothing is kept for longer than it is needed: rows that are over are removed once a day, and users who are to be forgotten are.

-- Which cleanup is under way, how far it has come and when the next is due. One row: whichever worker takes it does the work for all.
--   due_at      when the next cleanup begins. Not at once after an upgrade: whoever wants other ages has the time to say so
--   held_until  until when the one under way is its worker's; null: nobody's
--   began_at    when it began; null: none is under way
--   part        what it is at, and place: from which row on, as its block * 65536 + its item
--   removed     what it has removed so far, by kind; of one that has ended, in all
--   ended_at    when the last one ended, and took_ms for how long it took
create table reminder_worker.cleanups (
  name text not null,
  due_at timestamptz not null default now() + interval '1 hour',
  held_until timestamptz,
  began_at timestamptz,
  part text not null default '',
  place bigint not null default 0,
  removed jsonb not null default '{}',
  ended_at timestamptz,
  took_ms bigint not null default 0,
  constraint cleanups_pkey primary key (name)
);
insert into reminder_worker.cleanups (name) values ('daily');

-- Old rows are found by reading the tables in the order in which they lie, so they need no index. But whether a device is still needed is
-- asked of reminders that name its token, which few do. By its hash, for the app may write a text there that is too long for a tree.
create index if not exists reminders_push_token_idx on public.reminders using hash (push_token)
  where status in ('pending', 'sending') and push_token <> '';

-- Users who are to be forgotten. The row outlives the user as a number, so that whoever asked can be told what was done.
--   user_id      null: done
--   keep_copies  what stands in the user's calendar stays there
--   auth_user    the row of auth.users goes as well
--   due_at       when the next step is due; null: done
--   until        for how long Google is waited for: what it has not taken back by then is left
--   attempts     steps in a row that the database has refused
--   reason       what is waited for
--   removed      what has gone so far, by kind
--   had_grant    there was a consent to give back
--   given_back   Google has taken it back
create table reminder_worker.user_deletions (
  id uuid not null default gen_random_uuid(),
  user_id uuid,
  keep_copies boolean not null,
  auth_user boolean not null,
  asked_at timestamptz not null default now(),
  due_at timestamptz default now(),
  until timestamptz not null,
  attempts integer not null default 0,
  reason text not null default '',
  removed jsonb not null default '{}',
  copies integer not null default 0,
  copies_left integer not null default 0,
  had_grant boolean not null default false,
  given_back boolean not null default false,
  ended_at timestamptz,
  constraint user_deletions_pkey primary key (id),
  constraint user_deletions_ended check ((user_id is null) = (ended_at is not null) and (due_at is null) = (ended_at is not null))
);
-- The devices of a user that are retired; the others have an index already.
create index push_devices_user_retired_idx on reminder_worker.push_devices (user_id) where retired_at is not null;
create unique index user_deletions_user_idx on reminder_worker.user_deletions (user_id) where user_id is not null;
create index user_deletions_due_idx on reminder_worker.user_deletions (due_at) where due_at is not null;
create index user_deletions_ended_idx on reminder_worker.user_deletions (ended_at) where ended_at is not null;

-- A user's children are looked up, where an app's table says whose they are; and so are the events of a child that is removed.
do $$
declare
  need record;
begin
  for need in
    select * from (values ('children', 'user_id'), ('events', 'child_id')) as n (tab, col)
  loop
    if exists (
        select from pg_catalog.pg_attribute a
        where a.attrelid = ('public.' || need.tab)::regclass and a.attname = need.col and a.atttypid = 'uuid'::regtype and not a.attisdropped)
      and not exists (
        select from pg_catalog.pg_index i
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = ('public.' || need.tab)::regclass and a.attname = need.col and i.indpred is null and i.indisvalid)
    then
      execute format('create index if not exists %I on public.%I (%I) where %3$I is not null', need.tab || '_' || need.col || '_idx', need.tab, need.col);
    end if;
  end loop;
end
$$;

-- The children of a user. An app's own table may not say whose they are; then there are none.
create function reminder_worker.children_of(of_user uuid) returns setof jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
  if exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = 'public.children'::regclass and a.attname = 'user_id' and a.atttypid = 'uuid'::regtype and not a.attisdropped)
  then
    return query execute 'select to_jsonb(c) from public.children c where c.user_id = $1' using of_user;
  end if;
end
$$;

-- Whether the app knows a user.
create function reminder_worker.user_exists(of_user uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from auth.users u where u.id = of_user)
$$;

-- What disconnect_google_calendar (see 0014) does, for a user who is given.
create function reminder_worker.disconnect(for_user uuid, remove_copies boolean, revoke boolean) returns void
language plpgsql security definer set search_path = '' as $$
begin
  -- Of users, too, for whom nothing is written yet, so that a service account does not begin to.
  insert into reminder_worker.google_accounts as a (user_id, refresh_token, state, reason)
  select u.id, '', 'off', 'disconnected in the app'
  from auth.users u
  where u.id = for_user
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
  where a.user_id = for_user and a.state = 'leaving';
  if found then
    perform reminder_worker.knock();
  end if;
end
$$;

create or replace function public.disconnect_google_calendar(remove_copies boolean default false, revoke boolean default false) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform reminder_worker.disconnect(reminder_worker.require_user(), coalesce(remove_copies, false), coalesce(revoke, false));
end
$$;

-- Adds up counts by kind.
create function reminder_worker.add_counts(so_far jsonb, more jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select coalesce(jsonb_object_agg(k.kind, k.n), '{}')
  from (
    select e.key as kind, sum(e.value::bigint) as n
    from (select * from jsonb_each_text(so_far) union all select * from jsonb_each_text(more)) e
    group by e.key
    having sum(e.value::bigint) > 0) k
$$;

-- Has a user leave who is to be forgotten. Where access has ended already there is nothing to be had from Google any more, and what is left of the
-- consent is of no use.
create function reminder_worker.part_from_google(for_user uuid, keep_copies boolean) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update reminder_worker.google_accounts a
  set refresh_token = '', subject = null
  where a.user_id = for_user and a.state = 'needs_reconnect';
  perform reminder_worker.disconnect(for_user, not keep_copies, true);
  update reminder_worker.google_accounts a
  set leave_copies = not keep_copies, leave_until = now() + interval '24 hours'
  where a.user_id = for_user and a.state = 'leaving';
end
$$;

-- Forgets the devices of a user, and answers how many there were.
create function reminder_worker.forget_devices(of_user uuid) returns integer
language plpgsql security definer set search_path = '' set enable_seqscan = off as $$
declare
  active integer;
  retired integer;
begin
  delete from reminder_worker.push_devices d where d.user_id = of_user and d.retired_at is null;
  get diagnostics active = row_count;
  delete from reminder_worker.push_devices d where d.user_id = of_user and d.retired_at is not null;
  get diagnostics retired = row_count;
  return active + retired;
end
$$;

-- Asks that a user be forgotten, and answers under what number. From here on nothing reaches the user any more: their devices are gone. Whoever asks
-- again asks for more, never for less.
create function reminder_worker.forget_user(of_user uuid, keep_copies boolean, auth_user boolean) returns uuid
language plpgsql security definer set search_path = '' set enable_seqscan = off as $$
#variable_conflict use_column
declare
  number uuid;
begin
  insert into reminder_worker.user_deletions as d (user_id, keep_copies, auth_user, until)
  values (of_user, forget_user.keep_copies, forget_user.auth_user, now() + interval '23 hours')
  on conflict (user_id) where user_id is not null do update
    set keep_copies = d.keep_copies and excluded.keep_copies, auth_user = d.auth_user or excluded.auth_user,
        due_at = now(), until = excluded.until, attempts = 0, reason = ''
  returning d.id into number;
  update reminder_worker.user_deletions d
  set removed = reminder_worker.add_counts(d.removed, jsonb_build_object('devices', reminder_worker.forget_devices(of_user))),
      copies = greatest(d.copies, (select count(*) from reminder_worker.calendar_copies k where k.user_id = of_user)),
      had_grant = d.had_grant or exists (
        select from reminder_worker.google_accounts a
        where a.user_id = of_user and a.refresh_token <> '' and a.state in ('connected', 'leaving', 'off'))
  where d.id = number;
  perform reminder_worker.part_from_google(of_user, d.keep_copies) from reminder_worker.user_deletions d where d.id = number;
  perform reminder_worker.knock();
  return number;
end
$$;

-- Removes what is known of a user beside events, reminders and copies, and answers how much it was. It is no more than a few rows of each kind. An audit
-- that stands at the user begins with the first one again.
create function reminder_worker.forget_rest(of_user uuid) returns jsonb
language plpgsql security definer set search_path = '' set enable_seqscan = off as $$
declare
  settings integer;
  devices integer;
  children integer := 0;
  accounts integer;
begin
  delete from public.notification_settings n where n.user_id = of_user;
  get diagnostics settings = row_count;
  devices := reminder_worker.forget_devices(of_user);
  if exists (
    select from pg_catalog.pg_attribute a
    where a.attrelid = 'public.children'::regclass and a.attname = 'user_id' and a.atttypid = 'uuid'::regtype and not a.attisdropped)
  then
    execute 'delete from public.children c where c.user_id = $1' using of_user;
    get diagnostics children = row_count;
  end if;
  delete from reminder_worker.google_accounts a where a.user_id = of_user;
  get diagnostics accounts = row_count;
  delete from reminder_worker.permits p where p.name = 'google_user:' || of_user;
  update reminder_worker.audits t
  set after = replace(t.after, of_user::text, '00000000-0000-0000-0000-000000000000')
  where strpos(t.after, of_user::text) > 0;
  return jsonb_build_object('settings', settings, 'devices', devices, 'children', children, 'accounts', accounts);
end
$$;

-- Makes the next step of forgetting a user: removes up to max_rows events with all that belongs to them, or reminders, or, once there are none and
-- Google has done its part, the rest. A step that somebody else is at is left to them. Each is a transaction of the caller's, so that it can be
-- broken off after any. What the app writes for the user meanwhile goes as well.
--
-- An event is removed as the app would remove it, so its copy goes; where copies are to stay, what is known of it goes first, and an event that a
-- worker is writing waits until it has been written.
create function reminder_worker.forget_step(request uuid, max_rows integer, out ended boolean, out last boolean, out in_ms double precision)
language plpgsql security definer set search_path = '' set enable_seqscan = off set lock_timeout = '250ms' as $$
declare
  d reminder_worker.user_deletions%rowtype;
  a reminder_worker.google_accounts%rowtype;
  n record;
  ids uuid[];
  waits text := '';
begin
  select * into d from reminder_worker.user_deletions x where x.id = request for update skip locked;
  if not found or d.user_id is null then
    ended := found or not exists (select from reminder_worker.user_deletions x where x.id = request);
    last := false;
    in_ms := 100;
    return;
  end if;
  ended := false;

  -- A user who connects again meanwhile is let go again.
  select * into a from reminder_worker.google_accounts x where x.user_id = d.user_id;
  if a.state in ('connected', 'needs_reconnect') or a.state = 'off' and a.refresh_token <> '' then
    d.had_grant := d.had_grant or a.refresh_token <> '' and a.state <> 'needs_reconnect';
    perform reminder_worker.part_from_google(d.user_id, d.keep_copies);
    select * into a from reminder_worker.google_accounts x where x.user_id = d.user_id;
  end if;

  ids := array(
    select e.id
    from public.events e
    where e.user_id = d.user_id and (not d.keep_copies or (e.sync_lease_until > now()) is not true)
    limit max_rows
    for update skip locked);
  with copies as (
    delete from reminder_worker.calendar_copies k
    where d.keep_copies and k.event_id = any (ids) and k.user_id = d.user_id and k.tombstoned_at is null
    returning 1
  ), owed as (
    select r.id from public.reminders r where r.event_id = any (ids)
  ), deliveries as (
    delete from reminder_worker.deliveries l where l.reminder_id = any (array(select o.id from owed o)) returning 1
  ), reminders as (
    delete from public.reminders r where r.id = any (array(select o.id from owed o)) returning 1
  ), events as (
    delete from public.events e where e.id = any (ids) returning 1
  )
  select jsonb_build_object('events', (select count(*) from events), 'reminders', (select count(*) from reminders),
    'deliveries', (select count(*) from deliveries)) as counts into n;
  d.removed := reminder_worker.add_counts(d.removed, n.counts);

  if cardinality(ids) < max_rows then -- reminders of theirs of somebody else's events
    ids := array(select r.id from public.reminders r where r.user_id = d.user_id limit max_rows for update skip locked);
    with deliveries as (
      delete from reminder_worker.deliveries l where l.reminder_id = any (ids) returning 1
    ), reminders as (
      delete from public.reminders r where r.id = any (ids) returning 1
    )
    select jsonb_build_object('reminders', (select count(*) from reminders), 'deliveries', (select count(*) from deliveries)) as counts into n;
    d.removed := reminder_worker.add_counts(d.removed, n.counts);
  end if;

  if cardinality(ids) = max_rows then
    in_ms := 0;
  elsif exists (select from public.events e where e.user_id = d.user_id) or exists (select from public.reminders r where r.user_id = d.user_id) then
    in_ms := 250;
    waits := 'waits for rows that are being written to';
  elsif a.leave_due_at is not null and d.until > now() then
    in_ms := 500;
    waits := coalesce(nullif(a.reason, 'disconnected in the app'), 'waits for a worker that writes calendars to ask Google');
  else
    with remaining as (
      select k.event_id, k.user_id from reminder_worker.calendar_copies k where k.user_id = d.user_id limit max_rows for update skip locked
    ), gone as (
      delete from reminder_worker.calendar_copies k using remaining r where k.event_id = r.event_id and k.user_id = r.user_id returning 1
    )
    select count(*) as copies into n from gone;
    d.copies_left := d.copies_left + n.copies;
    in_ms := 0;
    if n.copies < max_rows then
      d.removed := reminder_worker.add_counts(d.removed, reminder_worker.forget_rest(d.user_id));
      d.given_back := d.given_back or d.had_grant and (a.state = 'off' and a.refresh_token = '') is true;
      if a.user_id is null and not reminder_worker.user_exists(d.user_id) then -- the app has deleted the user, and with them what is known of their copies
        d.copies_left := greatest(d.copies_left, d.copies);
      end if;
      if d.auth_user then
        begin
          delete from auth.users u where u.id = d.user_id;
        exception
          when others then -- the app's tables that refer to it, or no right to
            in_ms := 60000;
            waits := 'the row of auth.users stays: ' || sqlerrm;
        end;
      end if;
      ended := waits = '' and not exists (select from public.events e where e.user_id = d.user_id)
        and not exists (select from reminder_worker.calendar_copies k where k.user_id = d.user_id);
    end if;
  end if;
  update reminder_worker.user_deletions x
  set removed = d.removed, had_grant = d.had_grant, given_back = d.given_back, copies_left = d.copies_left, reason = waits, attempts = 0,
      user_id = case when not ended then d.user_id end, ended_at = case when ended then now() end,
      due_at = case when not ended then now() + in_ms * interval '1 millisecond' end
  where x.id = d.id;
  last := ended;
end
$$;

-- As in the migrations before: for the worker alone.
revoke all on reminder_worker.cleanups, reminder_worker.user_deletions from public;
do $$
declare
  who text;
begin
  for who in select 'public' union all
    select quote_ident(r.rolname) from pg_catalog.pg_roles r where r.rolname in ('anon', 'authenticated', 'service_role')
  loop
    execute format('revoke all on reminder_worker.cleanups, reminder_worker.user_deletions from %s', who);
    execute format('revoke all on function reminder_worker.children_of(uuid), reminder_worker.user_exists(uuid), reminder_worker.disconnect(uuid, boolean, boolean),
      reminder_worker.add_counts(jsonb, jsonb), reminder_worker.forget_devices(uuid), reminder_worker.part_from_google(uuid, boolean), reminder_worker.forget_user(uuid, boolean, boolean),
      reminder_worker.forget_rest(uuid), reminder_worker.forget_step(uuid, integer) from %s', who);
  end loop;
end
$$;
