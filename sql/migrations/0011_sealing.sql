-- Refresh tokens that were stored in plain text, by the app or before there was a key, are found by this when a worker has a key to seal them
-- with. What is sealed begins with these letters, which no token of Google's does.
create index google_accounts_unsealed_idx on reminder_worker.google_accounts (user_id)
  where refresh_token <> '' and left(refresh_token, 7) <> 'sealed:';
