-- TakePermits takes want permits of a quota that allows so many in any span_us, or none if that means a wait of more than patience_us, unless
-- that is negative. What is granted may be used after wait_ms, and counts until ends, which is the epoch if nothing is. Earlier grants, each by its
-- ends, cease to count by so much sooner, in microseconds, with as many of their permits as were used. Two quotas never wait for each other; two
-- takers of one do, for the time of this statement.
-- name: TakePermits :one
select coalesce(granted, 0)::integer as granted, coalesce(wait_ms, 0)::double precision as wait_ms, coalesce(ends, 'epoch')::timestamptz as ends
from reminder_worker.take_permits(sqlc.arg(quota)::text, sqlc.arg(want)::integer, sqlc.arg(allowed)::integer,
  sqlc.arg(span_us)::bigint * interval '1 microsecond', nullif(greatest(sqlc.arg(patience_us)::bigint, -1), -1) * interval '1 microsecond',
  sqlc.arg(used_ends)::timestamptz[], sqlc.arg(used_counts)::integer[],
  array(select us * interval '1 microsecond' from unnest(sqlc.arg(used_spares_us)::bigint[]) with ordinality as u (us, nr) order by nr));

-- ForgetPermits removes rows of quotas of which nothing was granted for idle_us.
-- name: ForgetPermits :exec
select reminder_worker.forget_permits(sqlc.arg(quotas)::text[], sqlc.arg(idle_us)::bigint * interval '1 microsecond');
