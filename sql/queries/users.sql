-- UserHoldings counts what is held about a user, and says whether the app knows them and whether they are being forgotten.
-- name: UserHoldings :one
select reminder_worker.user_exists(u.id)::boolean as exists,
  (select count(*) from public.events e where e.user_id = u.id)::bigint as events,
  (select count(*) from public.reminders r where r.user_id = u.id)::bigint as reminders,
  (select count(*) from reminder_worker.calendar_copies k where k.user_id = u.id)::bigint as copies,
  ((select count(*) from reminder_worker.push_devices d where d.user_id = u.id and d.retired_at is null)
    + (select count(*) from reminder_worker.push_devices d where d.user_id = u.id and d.retired_at is not null))::bigint as devices,
  (select count(*) from public.notification_settings n where n.user_id = u.id)::bigint as settings,
  (select count(*) from reminder_worker.google_accounts a where a.user_id = u.id)::bigint as accounts,
  (select count(*) from reminder_worker.children_of(u.id))::bigint as children,
  (select count(*) from reminder_worker.user_deletions d where d.user_id = u.id)::bigint as deletions
from (select sqlc.arg(user_id)::uuid as id) u;

-- The statements that follow answer what is held about a user, each row as one JSON object with all its columns, those of the app included.

-- ExportSettings answers the user's settings.
-- name: ExportSettings :many
select to_jsonb(n) as row from public.notification_settings n where n.user_id = sqlc.arg(user_id)::uuid;

-- ExportAccounts answers the user's account at Google, with whether there is a refresh token in the place of the token.
-- name: ExportAccounts :many
select to_jsonb(a) - 'refresh_token' || jsonb_build_object('has_refresh_token', a.refresh_token <> '') as row
from reminder_worker.google_accounts a where a.user_id = sqlc.arg(user_id)::uuid;

-- ExportChildren answers the user's children.
-- name: ExportChildren :many
select c.c::jsonb as row from reminder_worker.children_of(sqlc.arg(user_id)::uuid) c (c);

-- ExportDevices answers the user's devices, those retired included.
-- name: ExportDevices :many
select to_jsonb(d) as row from reminder_worker.push_devices d where d.user_id = sqlc.arg(user_id)::uuid and d.retired_at is null
union all
select to_jsonb(d) as row from reminder_worker.push_devices d where d.user_id = sqlc.arg(user_id)::uuid and d.retired_at is not null;

-- ExportEvents answers the user's events.
-- name: ExportEvents :many
select to_jsonb(e) as row from public.events e where e.user_id = sqlc.arg(user_id)::uuid;

-- ExportReminders answers the user's reminders. The column changed_xid is the number of a transaction and nobody's data.
-- name: ExportReminders :many
select to_jsonb(r) - 'changed_xid' as row from public.reminders r where r.user_id = sqlc.arg(user_id)::uuid;

-- ExportDeliveries answers the deliveries of the user's reminders.
-- name: ExportDeliveries :many
select d.row::jsonb as row
from public.reminders r
cross join lateral (select to_jsonb(x) as row from reminder_worker.deliveries x where x.reminder_id = r.id offset 0) d
where r.user_id = sqlc.arg(user_id)::uuid;

-- ExportCopies answers what is known of the copies of events in the user's calendars, and of removals of copies.
-- name: ExportCopies :many
select to_jsonb(k) as row from reminder_worker.calendar_copies k where k.user_id = sqlc.arg(user_id)::uuid;

-- ExportDeletions answers whether and since when the user is being forgotten.
-- name: ExportDeletions :many
select to_jsonb(d) as row from reminder_worker.user_deletions d where d.user_id = sqlc.arg(user_id)::uuid;

-- ForgetUser asks that a user be forgotten, and answers under what number.
-- name: ForgetUser :one
select reminder_worker.forget_user(sqlc.arg(user_id)::uuid, sqlc.arg(keep_copies)::boolean, sqlc.arg(auth_user)::boolean)::uuid as id;

-- ForgetStep makes the next step of forgetting a user, and answers whether all is done, whether this step was the last, and else in how many milliseconds
-- the next one is due.
-- name: ForgetStep :one
select s.ended::boolean as ended, s.last::boolean as last, s.in_ms::double precision as in_ms from reminder_worker.forget_step(sqlc.arg(id)::uuid, sqlc.arg(max_rows)::integer) s;

-- DueDeletions returns up to max_rows deletions whose next step is due.
-- name: DueDeletions :many
select d.id from reminder_worker.user_deletions d where d.due_at <= now() order by d.due_at limit sqlc.arg(max_rows)::integer;

-- NextDeletionDue tells in how many milliseconds a deletion has its next step; 1e15: none has.
-- name: NextDeletionDue :one
with next as materialized (
  select (select d.due_at from reminder_worker.user_deletions d where d.due_at is not null order by d.due_at limit 1) as due_at
)
select coalesce(extract(epoch from n.due_at - clock_timestamp()) * 1000, 1e15)::double precision as in_ms
from next n;

-- PostponeDeletion notes that the database has refused a step, and why, and answers when it is tried again: ever later, after an hour at most.
-- name: PostponeDeletion :exec
update reminder_worker.user_deletions d
set attempts = d.attempts + 1, reason = sqlc.arg(reason)::text, due_at = now() + least(interval '1 second' * power(2, least(d.attempts, 12)), interval '1 hour')
where d.id = sqlc.arg(id)::uuid and d.user_id is not null;

-- DeletionState answers how far a deletion has come.
-- name: DeletionState :one
select (d.user_id is null)::boolean as ended, d.keep_copies, d.auth_user, d.reason, d.removed, d.copies, d.copies_left, d.had_grant, d.given_back,
  d.attempts
from reminder_worker.user_deletions d
where d.id = sqlc.arg(id)::uuid;
