-- MarkReconnect parks accounts whose grant is dead, unless a new token was stored meanwhile.
-- name: MarkReconnect :execrows
update reminder_worker.google_accounts a
set state = 'needs_reconnect', reason = i.reason, updated_at = now()
from (select unnest(sqlc.arg(user_ids)::uuid[]) as user_id, unnest(sqlc.arg(refresh_tokens)::text[]) as refresh_token, unnest(sqlc.arg(reasons)::text[]) as reason) i
where a.user_id = i.user_id and a.refresh_token = i.refresh_token and a.state = 'connected';

-- PauseAccount keeps a user's calendar alone for a while.
-- name: PauseAccount :exec
update reminder_worker.google_accounts a
set paused_until = greatest(a.paused_until, now() + sqlc.arg(pause_ms)::bigint * interval '1 millisecond'), reason = sqlc.arg(reason)::text, updated_at = now()
where a.user_id = sqlc.arg(user_id)::uuid;

-- StoreRotatedToken replaces a refresh token by the one Google sent in its place.
-- name: StoreRotatedToken :execrows
update reminder_worker.google_accounts a
set refresh_token = sqlc.arg(new_token)::text, updated_at = now()
where a.user_id = sqlc.arg(user_id)::uuid and a.refresh_token = sqlc.arg(old_token)::text;
