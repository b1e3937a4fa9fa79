-- The app's own tables: created where missing, adopted where present.
--
-- Nothing here drops or rewrites what a user wrote, and nothing needs ownership of the schema `auth`
-- (hosted Supabase refuses ALTER on auth.users). On a plain Postgres the few things the tables refer
-- to (auth.users, auth.uid(), the API roles) are created when absent.

-- Remember what was there before, so that policies and grants of an existing app are left alone.
do $$
begin
  perform set_config('reminder_worker.adopts_events', (to_regclass('public.events') is not null)::text, true);
  perform set_config('reminder_worker.adopts_reminders', (to_regclass('public.reminders') is not null)::text, true);
  perform set_config('reminder_worker.adopts_children', (to_regclass('public.children') is not null)::text, true);
end
$$;

-- The schema auth and what the tables below refer to in it.
do $$
declare
  made boolean := false;
begin
  if to_regnamespace('auth') is null then
    create schema auth;
    made := true;
  end if;
  if to_regclass('auth.users') is null then
    -- The two token columns are where older deployments keep them; 0003 takes over what is written there.
    create table auth.users (
      id uuid primary key default gen_random_uuid(),
      email text,
      google_refresh_token text,
      expo_push_token text,
      raw_user_meta_data jsonb,
      created_at timestamptz not null default now()
    );
  end if;
  if to_regprocedure('auth.uid()') is null then
    -- Same contract as Supabase's: the `sub` of the request's JWT, null outside a request.
    create function auth.uid() returns uuid language sql stable as $f$
      select nullif(coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'), '')::uuid
    $f$;
  end if;
  perform set_config('reminder_worker.made_auth', made::text, true);
end
$$;

-- The API roles that policies and grants name. Creating roles needs CREATEROLE; without it the grants
-- to absent roles are left out, which a plain Postgres without PostgREST does not miss.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['anon', 'authenticated', 'service_role'] loop
    if not exists (select from pg_catalog.pg_roles where rolname = wanted)
      and (select rolsuper or rolcreaterole from pg_catalog.pg_roles where rolname = current_user) then
      begin
        execute format('create role %I nologin', wanted);
      exception
        when duplicate_object or unique_violation then null; -- another database of this cluster was faster
      end;
    end if;
  end loop;
end
$$;

-- An existing table must be one the worker can serve. Say what is in the way before anything is changed.
do $$
declare
  need record;
  have text;
  faults text := '';
begin
  for need in
    select n.*, to_regclass('public.' || n.tab) as rel from (values
      ('events', 'id', 'uuid', true), ('events', 'user_id', 'uuid', true), ('events', 'title', 'text', true),
      ('events', 'start_ts', 'timestamp with time zone', true), ('events', 'status', 'text', true),
      ('events', 'child_id', 'uuid', false), ('events', 'end_ts', 'timestamp with time zone', false), ('events', 'location', 'text', false),
      ('events', 'prep_items', 'text[]', false), ('events', 'google_calendar_id', 'text', false), ('events', 'error_message', 'text', false),
      ('reminders', 'id', 'uuid', true), ('reminders', 'event_id', 'uuid', true), ('reminders', 'user_id', 'uuid', true),
      ('reminders', 'notify_at_ts', 'timestamp with time zone', true), ('reminders', 'status', 'text', true),
      ('reminders', 'message', 'text', false), ('reminders', 'push_token', 'text', false),
      ('reminders', 'sent_at_ts', 'timestamp with time zone', false), ('reminders', 'retry_count', 'integer', false),
      ('reminders', 'error_message', 'text', false),
      ('children', 'id', 'uuid', true)) as n (tab, col, typ, required)
  loop
    if need.rel is null then
      continue;
    end if;
    select replace(format_type(a.atttypid, null), 'character varying', 'text') into have
      from pg_catalog.pg_attribute a
      where a.attrelid = need.rel and a.attname = need.col and a.attnum > 0 and not a.attisdropped;
    if have is null and need.required then
      faults := faults || format(E'\n  public.%s has no column %s (%s)', need.tab, need.col, need.typ);
    elsif have <> need.typ and not (need.typ = 'integer' and have in ('smallint', 'bigint')) then
      faults := faults || format(E'\n  public.%s.%s is %s, needed is %s', need.tab, need.col, have, need.typ);
    end if;
  end loop;
  -- What planning does not write must not be asked of it.
  for need in
    select a.attname as col
    from pg_catalog.pg_attribute a
    where a.attrelid = to_regclass('public.reminders') and a.attnum > 0 and not a.attisdropped
      and a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attname not in
        ('event_id', 'user_id', 'notify_at_ts', 'message', 'status', 'push_token', 'sent_at_ts', 'error_message', 'retry_count')
    order by a.attnum
  loop
    faults := faults || format(E'\n  public.reminders.%s is NOT NULL and has no default, so no reminder can be planned', need.col);
  end loop;
  if faults <> '' then
    raise exception 'existing tables cannot be adopted:%', faults
      using hint = 'Change the columns named (ALTER TABLE ... ALTER COLUMN ...), or rename the tables if they belong to something else, then migrate again.';
  end if;
  for need in
    select c.relname as tab
    from pg_catalog.pg_class c
    where c.oid in (to_regclass('public.events'), to_regclass('public.reminders')) and not pg_has_role(c.relowner, 'usage')
    order by c.relname
  loop
    raise exception 'role % does not own public.%, so it may not add columns or triggers to it', current_user, need.tab
      using hint = 'Run the migrations as the owner of the app''s tables (on Supabase: postgres).';
  end loop;
end
$$;

create table if not exists public.children (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  name text,
  created_at timestamptz not null default now()
);

create table if not exists public.events (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references auth.users (id) on delete cascade,
  child_id uuid references public.children (id) on delete set null,
  title text not null,
  start_ts timestamptz not null,
  end_ts timestamptz,
  location text,
  prep_items text[],
  status text not null default 'pending',
  google_calendar_id text,
  error_message text,
  created_at timestamptz not null default now()
);

create table if not exists public.reminders (
  id uuid primary key default gen_random_uuid(),
  event_id uuid not null references public.events (id) on delete cascade,
  user_id uuid not null references auth.users (id) on delete cascade,
  notify_at_ts timestamptz not null,
  message text,
  push_token text,
  sent_at_ts timestamptz,
  status text not null default 'pending',
  retry_count integer not null default 0,
  error_message text,
  created_at timestamptz not null default now(),
  constraint reminders_event_id_notify_at_ts_key unique (event_id, notify_at_ts)
);

-- Columns an older deployment may lack. Plain defaults: no table is rewritten.
alter table public.events
  add column if not exists child_id uuid references public.children (id) on delete set null,
  add column if not exists end_ts timestamptz,
  add column if not exists location text,
  add column if not exists prep_items text[],
  add column if not exists google_calendar_id text,
  add column if not exists error_message text,
  add column if not exists created_at timestamptz default now();
alter table public.reminders
  add column if not exists message text,
  add column if not exists push_token text,
  add column if not exists sent_at_ts timestamptz,
  add column if not exists retry_count integer not null default 0,
  add column if not exists error_message text,
  add column if not exists created_at timestamptz default now();

-- Planning knows neither of these, and an older service may have demanded them.
alter table public.reminders
  alter column push_token drop not null,
  alter column sent_at_ts drop not null,
  alter column error_message drop not null,
  alter column retry_count set default 0;
alter table public.events
  alter column google_calendar_id drop not null,
  alter column error_message drop not null;

-- The worker's own columns on events:
--   sync_revision     counts changes of content; every statement that records work is fenced by it
--   sync_attempts     tries of the present revision
--   sync_due_at       when the row next needs work; null: nothing to do. This is the queue.
--   sync_lease_until  until when a worker holds the row; null: nobody does
--   sync_worker       which process held it last
alter table public.events
  add column if not exists sync_revision bigint not null default 1,
  add column if not exists sync_attempts integer not null default 0,
  add column if not exists sync_due_at timestamptz,
  add column if not exists sync_lease_until timestamptz,
  add column if not exists sync_worker uuid;

-- The worker's own columns on reminders:
--   plan_revision    the sync_revision that planned the row; null: the app wrote it, planning leaves it alone
--   planned_for_ts   the start_ts it was planned for; a planned row whose event starts at another time is stale
--   lead_seconds     how long before the start
--   next_attempt_at  status pending: not before (retry); status sending: until when the claim holds
--   changed_xid      the transaction that last changed what the timer wheel must know
alter table public.reminders
  add column if not exists plan_revision bigint,
  add column if not exists planned_for_ts timestamptz,
  add column if not exists lead_seconds integer,
  add column if not exists next_attempt_at timestamptz,
  add column if not exists changed_xid xid8 not null default pg_current_xact_id();

-- A CHECK that lists the states an older service knew would refuse ours: let it accept both.
do $$
declare
  c record;
begin
  for c in
    select t.relname, k.conname, pg_get_expr(k.conbin, k.conrelid) as expr
    from pg_catalog.pg_constraint k
    join pg_catalog.pg_class t on t.oid = k.conrelid
    join pg_catalog.pg_attribute a on a.attrelid = t.oid and k.conkey = array[a.attnum]
    where k.contype = 'c' and a.attname = 'status'
      and k.conrelid in ('public.events'::regclass, 'public.reminders'::regclass)
  loop
    execute format('alter table public.%I drop constraint %I', c.relname, c.conname);
    execute format('alter table public.%I add constraint %I check ((%s) or status in (%s)) not valid', c.relname, c.conname, c.expr,
      case c.relname
        when 'events' then $s$'pending', 'synced', 'scheduled', 'failed', 'cancelled'$s$
        else $s$'pending', 'sending', 'sent', 'failed', 'cancelled', 'expired', 'skipped'$s$
      end);
  end loop;
end
$$;

alter table public.events alter column status set default 'pending';
alter table public.reminders alter column status set default 'pending';

-- Adoption: what was pending is due at once; what is done stays done.
update public.events set status = 'pending' where status is null;
update public.events set sync_due_at = now() where status = 'pending' and sync_due_at is null;
alter table public.events alter column sync_due_at set default now();

-- Pending reminders that an older service planned move with their event, as ours do. (Absurd times are not calculated with: an
-- infinite one would end the migration.)
update public.reminders r
set plan_revision = e.sync_revision,
    planned_for_ts = e.start_ts,
    lead_seconds = l.seconds
from public.events e, (values (86400), (10800), (1800)) as l (seconds)
where e.id = r.event_id and r.status = 'pending' and r.plan_revision is null
  and case when e.start_ts > '1900-01-01' and e.start_ts < '9999-01-01' then r.notify_at_ts = e.start_ts - l.seconds * interval '1 second' end;

create index if not exists events_sync_due_idx on public.events (sync_due_at) where sync_due_at is not null;
create index if not exists events_waiting_idx on public.events (user_id) where status = 'scheduled';
-- The second half of these predicates is always true. It keeps the planner from reading a whole queue in order to look up the
-- pending reminders of one event, which it does while it has no statistics of a young table.
create index if not exists reminders_due_idx
  on public.reminders ((coalesce(next_attempt_at, notify_at_ts)), id)
  where status in ('pending', 'sending') and coalesce(next_attempt_at, notify_at_ts) is not null;
create index if not exists reminders_changed_idx on public.reminders (changed_xid)
  where status = 'pending' and changed_xid is not null;

-- Foreign keys and planning look rows up by these; an adopted table may already have such an index.
do $$
declare
  need record;
begin
  for need in
    select * from (values ('events', 'user_id'), ('reminders', 'event_id'), ('reminders', 'user_id')) as n (tab, col)
  loop
    if not exists (
      select from pg_catalog.pg_index i
      join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
      where i.indrelid = ('public.' || need.tab)::regclass and a.attname = need.col and i.indpred is null and i.indisvalid)
    then
      execute format('create index %I on public.%I (%I)', need.tab || '_' || need.col || '_idx', need.tab, need.col);
    end if;
  end loop;
end
$$;

-- Row level security and grants, only on tables made here: an app that had its tables has its own policies. A row may refer only to
-- what its user may see: a push tells the title of the reminder's event, and the name of the event's child.
do $$
declare
  api boolean := exists (select from pg_catalog.pg_roles where rolname = 'authenticated');
  own constant text := 'user_id = (select auth.uid())';
  tab text;
  refers text;
begin
  if api and current_setting('reminder_worker.made_auth') = 'true' then
    grant usage on schema auth to authenticated, anon, service_role;
  end if;
  foreach tab in array array['children', 'events', 'reminders'] loop
    if current_setting('reminder_worker.adopts_' || tab) = 'true' then
      continue;
    end if;
    execute format('alter table public.%I enable row level security', tab);
    -- A row is updated several times in its life, and its queue is read from the front: let vacuum come early.
    execute format('alter table public.%I set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02)', tab);
    if not api then
      continue;
    end if;
    refers := case
      when tab = 'reminders' and current_setting('reminder_worker.adopts_events') = 'false' then
        ' and exists (select from public.events e where e.id = event_id)'
      when tab = 'events' and current_setting('reminder_worker.adopts_children') = 'false' then
        ' and (child_id is null or exists (select from public.children c where c.id = child_id))'
    end;
    execute format('create policy %I on public.%I for all to authenticated using (%s) with check (%s%s)', tab || '_own', tab, own, own, refers);
    execute format('revoke all on public.%I from public, anon, authenticated', tab);
    execute format('grant all on public.%I to service_role', tab);
    execute format('grant select, delete on public.%I to authenticated', tab);
  end loop;
  if not api then
    return;
  end if;
  if current_setting('reminder_worker.adopts_children') = 'false' then
    grant insert, update on public.children to authenticated;
  end if;
  -- By column: the worker's own columns are not the client's to write.
  if current_setting('reminder_worker.adopts_events') = 'false' then
    grant insert (id, user_id, child_id, title, start_ts, end_ts, location, prep_items, status, created_at),
      update (user_id, child_id, title, start_ts, end_ts, location, prep_items, status) on public.events to authenticated;
  end if;
  if current_setting('reminder_worker.adopts_reminders') = 'false' then
    grant insert (id, event_id, user_id, notify_at_ts, message, push_token, status, created_at),
      update (notify_at_ts, message, push_token, status) on public.reminders to authenticated;
  end if;
end
$$;
