-- MarkReconnect parks accounts whose grant is dead, unless a new token was or is just being stored, and has their users told, once for each
-- consent. Tokens are compared as they are stored. A delegated account has none: it is told by its address and by when it was made, and its user is
-- not told, for there is nothing they could do. Of those who leave nothing can be removed any more, and nobody is told.
-- name: MarkReconnect :execrows
update reminder_worker.google_accounts a
set state = case when i.leaving then 'off' else 'needs_reconnect' end,
    reason = case when i.leaving then 'disconnected in the app; access had ended before all was removed: ' else '' end || i.reason, updated_at = now(),
    notice_due_at = case when a.subject is null and not i.leaving then now() end, notice_lease = null, notice_attempts = 0, noticed_at = null, notice_error = null,
    leave_due_at = null, leave_until = null, refresh_token = case when i.leaving then '' else a.refresh_token end
from (
  select x.user_id, g.reason, x.state = 'leaving' as leaving
  from (select unnest(sqlc.arg(user_ids)::uuid[]) as user_id, unnest(sqlc.arg(refresh_tokens)::text[]) as refresh_token,
    unnest(sqlc.arg(subjects)::text[]) as subject, unnest(sqlc.arg(consents)::timestamptz[]) as consent, unnest(sqlc.arg(reasons)::text[]) as reason) g
  join reminder_worker.google_accounts x on x.user_id = g.user_id and x.refresh_token = g.refresh_token and x.state in ('connected', 'leaving')
    and coalesce(x.subject, '') = coalesce(g.subject, '') and (x.subject is null or x.connected_at = g.consent)
  for no key update of x skip locked) i
where a.user_id = i.user_id;

-- PauseAccount keeps a user's calendar alone for a while. One that somebody else is at is not paused: Google will ask for it again.
-- name: PauseAccount :exec
update reminder_worker.google_accounts a
set paused_until = greatest(a.paused_until, now() + sqlc.arg(pause_ms)::bigint * interval '1 millisecond'), reason = sqlc.arg(reason)::text, updated_at = now()
where a.user_id in (
  select x.user_id from reminder_worker.google_accounts x where x.user_id = sqlc.arg(user_id)::uuid
  for no key update skip locked);

-- StoreRotatedToken replaces a refresh token by the one Google sent in its place, unless the user has connected again with another. A consent is
-- told by the time at which it was given, for the token may have been sealed meanwhile, or by the token, for the app may have stored it again.
-- name: StoreRotatedToken :execrows
update reminder_worker.google_accounts a
set refresh_token = sqlc.arg(new_token)::text, updated_at = now()
where a.user_id = sqlc.arg(user_id)::uuid and (a.connected_at = sqlc.arg(consent)::timestamptz or a.refresh_token = sqlc.arg(old_token)::text);

-- UnsealedTokens returns refresh tokens that are stored in plain text.
-- name: UnsealedTokens :many
select a.user_id, a.refresh_token
from reminder_worker.google_accounts a
where a.refresh_token <> '' and left(a.refresh_token, 7) <> 'sealed:'
order by a.user_id
limit sqlc.arg(max_rows)::integer;

-- StoredTokens returns refresh tokens as they are stored, of up to max_rows users behind the one named after.
-- name: StoredTokens :many
select a.user_id, a.refresh_token
from reminder_worker.google_accounts a
where a.user_id > sqlc.arg(after)::uuid
order by a.user_id
limit sqlc.arg(max_rows)::integer;

-- ReplaceTokens puts refresh tokens in the place of those that were read, where these still stand and nobody is at the row.
-- name: ReplaceTokens :execrows
update reminder_worker.google_accounts a
set refresh_token = i.new_token
from (
  select x.user_id, g.new_token
  from (select unnest(sqlc.arg(user_ids)::uuid[]) as user_id, unnest(sqlc.arg(old_tokens)::text[]) as old_token, unnest(sqlc.arg(new_tokens)::text[]) as new_token) g
  join reminder_worker.google_accounts x on x.user_id = g.user_id and x.refresh_token = g.old_token
  for no key update of x skip locked) i
where a.user_id = i.user_id;

-- RecallScheduled makes events due again that stayed without a copy although their user's account is connected, and that are not over: they
-- were served while no worker wrote calendars. Users who have turned their calendar off are passed over, and so are accounts that the worker cannot
-- serve: with a token but for own_grants, delegated but for those of domains. It looks at up to max_rows accounts behind the one named after, and answers how many it
-- looked at and the last of them. Rows that somebody else is at are left for the next start.
-- name: RecallScheduled :one
with accounts as (
  select a.user_id, a.state = 'connected'
      and case when a.subject is null then sqlc.arg(own_grants)::boolean else split_part(a.subject, '@', 2) = any (sqlc.arg(domains)::text[]) end as served
  from reminder_worker.google_accounts a
  where a.user_id > sqlc.arg(after)::uuid
  order by a.user_id
  limit sqlc.arg(max_rows)::integer
), recalled as (
  update public.events e
  set status = 'pending'
  from (
    select t.id
    from accounts a
    cross join lateral (
      select x.id
      from public.events x
      where x.user_id = a.user_id and x.status = 'scheduled' and coalesce(x.end_ts, x.start_ts) > now()
      for no key update skip locked) t
    where a.served
      and (select n.calendar_enabled from public.notification_settings n where n.user_id = a.user_id) is not false) f
  where e.id = f.id
  returning e.id
)
select (select count(*) from recalled)::bigint as events, (select count(*) from accounts)::bigint as accounts,
  coalesce((select a.user_id from accounts a order by a.user_id desc limit 1), '00000000-0000-0000-0000-000000000000')::uuid as last;

-- WaitingUsers returns users who have events without a copy, up to max_rows of them behind the one named after. It looks up one after the
-- other, whatever the number of their events.
-- name: WaitingUsers :many
with recursive waiting as (
  (select e.user_id from public.events e where e.status = 'scheduled' and e.user_id > sqlc.arg(after)::uuid order by e.user_id limit 1)
  union all
  select (select e.user_id from public.events e where e.status = 'scheduled' and e.user_id > w.user_id order by e.user_id limit 1)
  from waiting w
  where w.user_id is not null
)
select w.user_id::uuid as user_id
from waiting w
where w.user_id is not null
limit sqlc.arg(max_rows)::integer;

-- DelegateAccounts sees to the accounts of users without a consent of their own, and answers those that a service account may act for.
-- name: DelegateAccounts :many
select d.user_id::uuid as user_id, d.subject::text as subject, d.calendar_id::text as calendar_id, d.state::text as state,
  d.connected_at::timestamptz as connected_at, coalesce(d.paused_until, 'epoch')::timestamptz as paused_until
from reminder_worker.delegate_accounts(sqlc.arg(users)::uuid[], sqlc.arg(domains)::text[]) d;
