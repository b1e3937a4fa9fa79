-- Quotas that outside services give to all workers together: Expo's messages a second, Google's requests a minute. Whoever is about to
-- send takes permits from one row per quota, so the sum is right whichever workers run, die, hang or join, and nobody has to know of anybody.

-- One row per quota, made when it is first asked for. Unlogged: taking permits waits for no disk, because a commit that has written
-- unlogged tables only is not flushed. After a crash or a failover the table is empty, and what was granted before is forgotten: the first
-- window after it may carry as much again. Nothing else depends on it.
--   starts   from when the newest grant may be used; may lie ahead
--   untils   when entries of the log cease to count, in order
--   counts   the permits of each entry
--   held     their sum
create unlogged table reminder_worker.permits (
  name text not null,
  starts timestamptz not null default '-infinity',
  untils timestamptz[] not null default '{}',
  counts integer[] not null default '{}',
  held bigint not null default 0,
  constraint permits_pkey primary key (name)
) with (fillfactor = 20, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
-- Updated at every grant, within its page as long as it is short: nothing is to be compressed or moved out of the row.
alter table reminder_worker.permits alter column untils set storage plain, alter column counts set storage plain;

-- Takes permits of a quota: all that are wanted, in any span at most so many as allowed. They may be used after wait_ms.
--
-- Grants are given in the order of asking, each for the first moment at which it fits and not before the grant ahead of it: a small want
-- never overtakes a large one. If that moment is further off than patience (null: however far), or the newest grant further than a span,
-- nothing is granted, and wait_ms says how far it would be.
--
-- Exact as long as each permit is used within its grant's span minus the service's own window. Entries are kept to a hundredth of a span:
-- what is added to one makes all of it count as long as its newest grant. So a row holds some 300 entries at most.
--
-- The clock is the database's. If it is set back by more than two spans, what was granted before counts from now; by less, permits come later
-- by as much. If it is set forward, what it jumped over is forgotten. moment is for tests.
create function reminder_worker.take_permits(
  quota text, want integer, allowed integer, span interval, patience interval, moment timestamptz default null,
  out granted integer, out wait_ms double precision)
language plpgsql security definer set search_path = '' set enable_seqscan = off as $$
declare
  p reminder_worker.permits%rowtype;
  first integer := 1;
  next integer;
  last integer;
  room bigint;
  ends timestamptz;
  queued boolean;
begin
  if want is null or allowed is null or span is null or want < 1 or want > allowed or span <= interval '0' then
    raise exception '% permits of % in % can never be had', want, allowed, span using errcode = '22023';
  end if;
  select * into p from reminder_worker.permits where name = quota for update;
  if not found then
    insert into reminder_worker.permits (name) values (quota) on conflict do nothing;
    select * into p from reminder_worker.permits where name = quota for update;
  end if;
  moment := coalesce(moment, pg_catalog.clock_timestamp()); -- after the wait for the row

  if p.starts > moment + 2 * span then
    p.starts := moment;
    p.untils := array[moment + span];
    p.held := least(p.held, allowed);
    p.counts := array[p.held];
    update reminder_worker.permits
    set starts = p.starts, untils = p.untils, counts = p.counts, held = p.held
    where name = quota;
  end if;
  last := cardinality(p.untils);
  while first <= last and p.untils[first] <= moment loop
    p.held := p.held - p.counts[first];
    first := first + 1;
  end loop;

  queued := p.starts > moment + span;
  p.starts := greatest(p.starts, moment);
  next := first;
  room := allowed - p.held;
  while next <= last and (room < want or p.untils[next] <= p.starts) loop
    p.starts := greatest(p.starts, p.untils[next]);
    room := room + p.counts[next];
    next := next + 1;
  end loop;
  wait_ms := extract(epoch from p.starts - moment) * 1000;
  if queued or p.starts - moment > patience then
    granted := 0;
    return;
  end if;

  granted := want;
  ends := p.starts + span;
  if last >= first then
    ends := greatest(ends, p.untils[last]);
    if date_bin(span / 100, ends, '2000-01-01Z') = date_bin(span / 100, p.untils[last], '2000-01-01Z') then
      want := want + p.counts[last];
      last := last - 1;
    end if;
  end if;
  update reminder_worker.permits
  set starts = p.starts, untils = p.untils[first:last] || ends, counts = p.counts[first:last] || want, held = p.held + granted
  where name = quota;
end
$$;

-- As in the migrations before: for the worker alone.
revoke all on reminder_worker.permits from public;
revoke all on function reminder_worker.take_permits(text, integer, integer, interval, interval, timestamptz) from public;
do $$
declare
  api text;
begin
  for api in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute format('revoke all on reminder_worker.permits from %I', api);
    execute format('revoke all on function reminder_worker.take_permits(text, integer, integer, interval, interval, timestamptz) from %I', api);
  end loop;
end
$$;
