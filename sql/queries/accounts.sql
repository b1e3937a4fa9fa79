-- MarkReconnect parks accounts whose grant is dead, unless a new token was or is just being stored.
-- name: MarkReconnect :execrows
update reminder_worker.google_accounts a
set state = 'needs_reconnect', reason = i.reason, updated_at = now()
from (
  select x.user_id, g.reason
  from (select unnest(sqlc.arg(user_ids)::uuid[]) as user_id, unnest(sqlc.arg(refresh_tokens)::text[]) as refresh_token, unnest(sqlc.arg(reasons)::text[]) as reason) g
  join reminder_worker.google_accounts x on x.user_id = g.user_id and x.refresh_token = g.refresh_token and x.state = 'connected'
  for no key update of x skip locked) i
where a.user_id = i.user_id;

-- PauseAccount keeps a user's calendar alone for a while. One that somebody else is at is not paused: Google will ask for it again.
-- name: PauseAccount :exec
update reminder_worker.google_accounts a
set paused_until = greatest(a.paused_until, now() + sqlc.arg(pause_ms)::bigint * interval '1 millisecond'), reason = sqlc.arg(reason)::text, updated_at = now()
where a.user_id in (
  select x.user_id from reminder_worker.google_accounts x where x.user_id = sqlc.arg(user_id)::uuid
  for no key update skip locked);

-- StoreRotatedToken replaces a refresh token by the one Google sent in its place.
-- name: StoreRotatedToken :execrows
update reminder_worker.google_accounts a
set refresh_token = sqlc.arg(new_token)::text, updated_at = now()
where a.user_id = sqlc.arg(user_id)::uuid and a.refresh_token = sqlc.arg(old_token)::text;
