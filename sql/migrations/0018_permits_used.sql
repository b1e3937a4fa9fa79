-- A permit counts for as long as it may be kept before it is used, and mostly it is used at once. Whoever takes the next ones may say by how
-- much the last were used sooner: they count for so much shorter, and the quota is used to its end.

-- As before (see 0006_permits), and answers until when the grant counts. used_ends, used_counts and used_spares are of earlier grants of this
-- quota: until when each counts, how many of its permits were used, and by how much sooner they may cease to count. They are taken from the first
-- entry that counts no shorter: it may be another's, for they may have been merged into a later one, but then as many of that count for so much
-- longer. Of a grant that has ceased to count nothing is left to be found, and it is passed over.
create function reminder_worker.take_permits(
  quota text, want integer, allowed integer, span interval, patience interval,
  used_ends timestamptz[], used_counts integer[], used_spares interval[], moment timestamptz default null,
  out granted integer, out wait_ms double precision, out ends timestamptz)
language plpgsql security definer set search_path = '' set enable_seqscan = off as $$
declare
  p reminder_worker.permits%rowtype;
  first integer := 1;
  next integer;
  last integer;
  room bigint;
  queued boolean;
  learned boolean := false;
  sooner timestamptz;
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
  for i in 1 .. coalesce(cardinality(used_ends), 0) loop
    sooner := used_ends[i] - used_spares[i];
    next := 1;
    while next <= cardinality(p.untils) and p.untils[next] < used_ends[i] loop
      next := next + 1;
    end loop;
    continue when (used_ends[i] > moment and sooner < used_ends[i] and used_counts[i] between 1 and p.counts[next]) is not true;
    p.counts[next] := p.counts[next] - used_counts[i];
    if p.counts[next] = 0 then
      p.untils := p.untils[:next - 1] || p.untils[next + 1:];
      p.counts := p.counts[:next - 1] || p.counts[next + 1:];
    end if;
    next := 1;
    while next <= cardinality(p.untils) and p.untils[next] < sooner loop
      next := next + 1;
    end loop;
    if next <= cardinality(p.untils)
        and date_bin(span / 100, sooner, '2000-01-01Z') = date_bin(span / 100, p.untils[next], '2000-01-01Z') then
      p.counts[next] := p.counts[next] + used_counts[i];
    else
      p.untils := p.untils[:next - 1] || sooner || p.untils[next:];
      p.counts := p.counts[:next - 1] || used_counts[i] || p.counts[next:];
    end if;
    learned := true;
  end loop;
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
    if learned then
      update reminder_worker.permits set untils = p.untils[first:last], counts = p.counts[first:last], held = p.held where name = quota;
    end if;
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

-- For a worker of an older version.
create or replace function reminder_worker.take_permits(
  quota text, want integer, allowed integer, span interval, patience interval, moment timestamptz default null,
  out granted integer, out wait_ms double precision)
language sql security definer set search_path = '' set enable_seqscan = off as $$
  select t.granted, t.wait_ms from reminder_worker.take_permits(quota, want, allowed, span, patience, '{}', '{}', '{}', moment) t
$$;

-- As in the migrations before: for the worker alone, and for whoever was given the older function.
do $$
declare
  who text;
begin
  revoke all on function reminder_worker.take_permits(text, integer, integer, interval, interval, timestamptz[], integer[], interval[], timestamptz) from public;
  for who in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute format('revoke all on function reminder_worker.take_permits(text, integer, integer, interval, interval, timestamptz[], integer[], interval[], timestamptz) from %I', who);
  end loop;
  for who in
    select r.rolname from pg_catalog.pg_proc p, lateral aclexplode(p.proacl) a
    join pg_catalog.pg_roles r on r.oid = a.grantee
    where p.oid = 'reminder_worker.take_permits(text, integer, integer, interval, interval, timestamptz)'::regprocedure
      and a.privilege_type = 'EXECUTE'
  loop
    execute format('grant execute on function reminder_worker.take_permits(text, integer, integer, interval, interval, timestamptz[], integer[], interval[], timestamptz) to %I', who);
  end loop;
end
$$;
