-- What the live page lists, the latest first: users who have to connect Google again, and devices that were retired. Few rows of many.
create index google_accounts_reconnect_idx on reminder_worker.google_accounts (updated_at) where state = 'needs_reconnect';
create index push_devices_retired_idx on reminder_worker.push_devices (retired_at) where retired_at is not null;
