-- When Google has withdrawn a user's consent the user is told once, by a push to all devices. What is to be said to whom stands in the account,
-- so that it goes when the user connects again, and with the user.
alter table reminder_worker.google_accounts
  add column notice_due_at timestamptz,
  add column notice_lease timestamptz,
  add column notice_attempts integer not null default 0,
  add column noticed_at timestamptz,
  add column notice_error text;
create index google_accounts_notice_due_idx on reminder_worker.google_accounts (notice_due_at) where notice_due_at is not null;
