-- When Google has withdrawn a user's consent the user is told once, by a push to all devices. What is to be said to whom stands in the account,
-- so that it goes when the user connects again, and with the user.
alter table reminder_worker.google_accounts
  add column notice_due_at timestamptz,
  add column notice_lease timestamptz,
  add column notice_attempts integer not null default 0,
  add column noticed_at timestamptz,
  add column notice_error text;
create index google_accounts_notice_due_idx on reminder_worker.google_accounts (notice_due_at) where notice_due_at is not null;

-- As in 0005, and: nobody is told any more, and the workers hear of it, for they may have a token to seal. What looks sealed is none of Google's;
-- it would wait for a key that nobody has.
create or replace function reminder_worker.put_google_account(for_user uuid, new_refresh_token text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  if left(new_refresh_token, 7) = 'sealed:' then
    return;
  end if;
  insert into reminder_worker.google_accounts as a (user_id, refresh_token)
  values (for_user, new_refresh_token)
  on conflict (user_id) do update
    set refresh_token = excluded.refresh_token, state = 'connected', reason = null, paused_until = null,
        connected_at = now(), updated_at = now(), notice_due_at = null, notice_lease = null, notice_error = null;
  -- A pending one may be served without the account at this very moment: the next revision makes sure that it is served again.
  update public.events
  set status = 'pending', sync_revision = sync_revision + 1, sync_attempts = 0,
      sync_due_at = case when sync_lease_until > now() then sync_lease_until else now() end
  where user_id = for_user and status in ('scheduled', 'pending') and coalesce(end_ts, start_ts) > now();
  update reminder_worker.calendar_copies
  set due_at = now(), attempts = 0
  where user_id = for_user and tombstoned_at is not null and due_at is null;
  perform reminder_worker.knock();
end
$$;

-- As in 0004, and refuses what looks sealed.
create or replace function public.connect_google_calendar(refresh_token text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  if coalesce(btrim(refresh_token), '') = '' or length(refresh_token) > 2048 or left(btrim(refresh_token), 7) = 'sealed:' then
    raise exception 'the refresh token is empty, longer than 2048 characters, or none of Google''s' using errcode = '22023',
      hint = 'Pass provider_refresh_token of the session right after the Google sign-in (access_type=offline, prompt=consent).';
  end if;
  perform reminder_worker.put_google_account(reminder_worker.require_user(), btrim(refresh_token));
exception
  when foreign_key_violation then
    raise exception 'the user of the session does not exist' using errcode = '28000',
      hint = 'The account was deleted: sign in again.';
end
$$;
