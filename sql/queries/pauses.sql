-- Pauses tells which parts are paused by hand, since when, and why.
-- name: Pauses :many
select p.part, p.since, p.reason from reminder_worker.pauses p order by p.part;

-- PausePart pauses a part for all workers, and answers since when it is. One that is paused already stays so, for the reason that is given now.
-- name: PausePart :one
insert into reminder_worker.pauses as p (part, reason)
values (sqlc.arg(part)::text, sqlc.arg(reason)::text)
on conflict (part) do update set reason = excluded.reason
returning p.since;

-- ResumePart ends a pause, and answers of how many. Users who are leaving, up to 10,000 of them, have a day again for what could not be removed meanwhile.
-- name: ResumePart :execrows
with resumed as (
  delete from reminder_worker.pauses p where p.part = sqlc.arg(part)::text returning p.part
), leaving as (
  update reminder_worker.google_accounts a
  set leave_until = now() + interval '24 hours'
  where a.user_id in (
      select x.user_id from reminder_worker.google_accounts x where x.leave_due_at > '-infinity' and x.leave_until is not null
      order by x.leave_due_at
      limit 10000
      for no key update skip locked)
    and exists (select from resumed r where r.part = 'calendar')
  returning a.user_id
)
select r.part from resumed r;
