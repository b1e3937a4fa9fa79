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

-- An existing table must be one the worker can serve. Say all that is in the way before anything is changed.
do $$
declare
  need record;
  col record;
  faults text := '';
begin
  for need in
    select to_regclass(n.tab) as rel, n.* from (values
      ('auth.users', false), ('public.children', false), ('public.events', true), ('public.reminders', true)) as n (tab, plain)
    where to_regclass(n.tab) is not null
  loop
    if need.plain and (select relkind from pg_catalog.pg_class where oid = need.rel) <> 'r' then
      faults := faults || format(E'\n  %s is a %s, needed is an ordinary table', need.tab,
        (select case relkind when 'p' then 'partitioned table' when 'v' then 'view' when 'f' then 'foreign table' else 'relation of another kind' end
         from pg_catalog.pg_class where oid = need.rel));
    elsif not exists (
      select from pg_catalog.pg_index i
      join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
      where i.indrelid = need.rel and a.attname = 'id' and i.indnkeyatts = 1
        and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null)
    then
      faults := faults || format(E'\n  %s has no primary key on id: alter table %1$s add primary key (id)', need.tab);
    end if;
  end loop;
  -- width: the shortest varchar that holds what the worker writes. own: a column that only the worker has; whether it holds nulls.
  for need in
    select to_regclass(n.tab) as rel, n.* from (values
      ('auth.users', 'id', 'uuid', true, 0, null::text), ('public.children', 'id', 'uuid', true, 0, null),
      ('public.events', 'id', 'uuid', true, 0, null),
      ('public.events', 'user_id', 'uuid', true, 0, null),
      ('public.events', 'title', 'text', true, 0, null),
      ('public.events', 'start_ts', 'timestamp with time zone', true, 0, null),
      ('public.events', 'status', 'text', true, 10, null),
      ('public.events', 'child_id', 'uuid', false, 0, null),
      ('public.events', 'end_ts', 'timestamp with time zone', false, 0, null),
      ('public.events', 'location', 'text', false, 0, null),
      ('public.events', 'prep_items', 'text[]', false, 0, null),
      ('public.events', 'google_calendar_id', 'text', false, 255, null),
      ('public.events', 'error_message', 'text', false, 1000, null),
      ('public.events', 'sync_revision', 'bigint', false, 0, 'no nulls'),
      ('public.events', 'sync_attempts', 'integer', false, 0, 'no nulls'),
      ('public.events', 'sync_due_at', 'timestamp with time zone', false, 0, 'nulls'),
      ('public.events', 'sync_lease_until', 'timestamp with time zone', false, 0, 'nulls'),
      ('public.events', 'sync_worker', 'uuid', false, 0, 'nulls'),
      ('public.events', 'sync_planned', 'bigint', false, 0, 'nulls'),
      ('public.events', 'sync_changed_at', 'timestamp with time zone', false, 0, 'no nulls'),
      ('public.reminders', 'id', 'uuid', true, 0, null),
      ('public.reminders', 'event_id', 'uuid', true, 0, null),
      ('public.reminders', 'user_id', 'uuid', true, 0, null),
      ('public.reminders', 'notify_at_ts', 'timestamp with time zone', true, 0, null),
      ('public.reminders', 'status', 'text', true, 10, null),
      ('public.reminders', 'message', 'text', false, 1000, null),
      ('public.reminders', 'push_token', 'text', false, 0, null),
      ('public.reminders', 'sent_at_ts', 'timestamp with time zone', false, 0, null),
      ('public.reminders', 'retry_count', 'integer', false, 0, null),
      ('public.reminders', 'error_message', 'text', false, 1000, null),
      ('public.reminders', 'plan_revision', 'bigint', false, 0, 'nulls'),
      ('public.reminders', 'planned_for_ts', 'timestamp with time zone', false, 0, 'nulls'),
      ('public.reminders', 'lead_seconds', 'integer', false, 0, 'nulls'),
      ('public.reminders', 'next_attempt_at', 'timestamp with time zone', false, 0, 'nulls'),
      ('public.reminders', 'changed_xid', 'xid8', false, 0, 'no nulls')) as n (tab, col, typ, required, width, own)
    where to_regclass(n.tab) is not null
  loop
    select replace(format_type(a.atttypid, null), 'character varying', 'text') as typ, format_type(a.atttypid, a.atttypmod) as full_typ,
        case when a.atttypid = 'varchar'::regtype and a.atttypmod > 4 then a.atttypmod - 4 end as width,
        a.attnotnull, a.atthasdef, a.attgenerated <> '' as generated
      into col
      from pg_catalog.pg_attribute a
      where a.attrelid = need.rel and a.attname = need.col and a.attnum > 0 and not a.attisdropped;
    if not found then
      if need.required then
        faults := faults || format(E'\n  %s has no column %s (%s)', need.tab, need.col, need.typ);
      end if;
    elsif col.typ <> need.typ and not (need.col = 'retry_count' and col.typ in ('smallint', 'bigint')) then
      faults := faults || format(E'\n  %s.%s is %s, needed is %s', need.tab, need.col, col.full_typ, need.typ)
        || case when need.own is not null then ': it is the worker''s own, so drop or rename it' else '' end;
    elsif col.generated and need.col <> 'id' then
      faults := faults || format(E'\n  %s.%s is generated, needed is a plain column: alter table %1$s alter column %2$s drop expression', need.tab, need.col);
    elsif col.width < need.width then
      faults := faults || format(E'\n  %s.%s is %s, needed is text or varchar of %s and more: alter table %1$s alter column %2$s type text',
        need.tab, need.col, col.full_typ, need.width);
    elsif need.own = 'nulls' and col.attnotnull then
      faults := faults || format(E'\n  %s.%s is NOT NULL: it is the worker''s own, so drop or rename it', need.tab, need.col);
    elsif need.own = 'no nulls' and not (col.attnotnull and col.atthasdef) then
      faults := faults || format(E'\n  %s.%s is not NOT NULL with a default: it is the worker''s own, so drop or rename it', need.tab, need.col);
    end if;
  end loop;
  -- What planning does not write must not be asked of it.
  for need in
    select a.attname as col
    from pg_catalog.pg_attribute a
    where a.attrelid = to_regclass('public.reminders') and a.attnum > 0 and not a.attisdropped
      and a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attname not in
        ('event_id', 'user_id', 'notify_at_ts', 'message', 'status', 'push_token', 'sent_at_ts', 'error_message', 'retry_count',
         'plan_revision', 'planned_for_ts', 'lead_seconds', 'next_attempt_at', 'changed_xid')
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
--   sync_planned      the revision whose reminders are committed; of a row with another one the reminders come first
--   sync_changed_at   when the present revision was written: what was past then is not reminded of
alter table public.events
  add column if not exists sync_revision bigint not null default 1,
  add column if not exists sync_attempts integer not null default 0,
  add column if not exists sync_due_at timestamptz,
  add column if not exists sync_lease_until timestamptz,
  add column if not exists sync_worker uuid,
  add column if not exists sync_planned bigint,
  add column if not exists sync_changed_at timestamptz not null default now();

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

-- The queue, in two halves: rows whose reminders are to be planned, which never waits, and rows that wait for Google.
create index if not exists events_unplanned_idx on public.events (sync_due_at, id)
  where sync_due_at is not null and sync_planned is distinct from sync_revision;
create index if not exists events_planned_idx on public.events (sync_due_at, id)
  where sync_due_at is not null and sync_planned = sync_revision;
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
