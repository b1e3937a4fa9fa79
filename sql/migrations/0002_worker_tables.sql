-- The worker's own tables, in a schema of its own that no API role can see: what Google and Expo have
-- been told (actual), beside events and reminders (desired).

create schema if not exists reminder_worker;
revoke all on schema reminder_worker from public;

-- One row per user who ever connected Google. The refresh token never leaves this schema.
create table reminder_worker.google_accounts (
  user_id uuid primary key references auth.users (id) on delete cascade,
  refresh_token text not null,
  calendar_id text not null default 'primary',
  state text not null default 'connected',
  reason text,
  paused_until timestamptz,
  connected_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint google_accounts_state_known check (state in ('connected', 'needs_reconnect', 'off'))
);

-- One row per Expo push token. A token belongs to one user at a time: on a shared phone it moves.
create table reminder_worker.push_devices (
  id uuid primary key default gen_random_uuid(),
  token text not null,
  user_id uuid not null references auth.users (id) on delete cascade,
  platform text,
  registered_at timestamptz not null default now(),
  retired_at timestamptz,
  retired_reason text,
  constraint push_devices_token_key unique (token)
);
create index push_devices_user_idx on reminder_worker.push_devices (user_id) where retired_at is null;

-- The copy of an event in one user's Google Calendar. Written before the first request to Google, so a
-- crash or a deleted event cannot leave a copy that nobody remembers. No foreign key to events: a copy
-- outlives its event as a tombstone until Google has removed it.
create table reminder_worker.calendar_copies (
  event_id uuid not null,
  user_id uuid not null references auth.users (id) on delete cascade,
  calendar_id text not null default 'primary',
  google_event_id text not null,
  generation integer not null default 0,
  etag text not null default '',
  content_hash text not null default '',
  written_at timestamptz,
  tombstoned_at timestamptz,
  due_at timestamptz,
  lease_until timestamptz,
  attempts integer not null default 0,
  error_message text,
  created_at timestamptz not null default now(),
  constraint calendar_copies_pkey primary key (event_id, user_id),
  constraint calendar_copies_due_is_tombstone check (due_at is null or tombstoned_at is not null)
);
create index calendar_copies_due_idx on reminder_worker.calendar_copies (due_at) where due_at is not null;
create index calendar_copies_user_idx on reminder_worker.calendar_copies (user_id);

-- What became of one push: one row per reminder and token.
create table reminder_worker.deliveries (
  reminder_id uuid not null references public.reminders (id) on delete cascade,
  token text not null,
  state text not null,
  ticket_id text,
  error_code text,
  error_message text,
  sent_at timestamptz not null,
  lateness_ms bigint not null,
  receipt_due_at timestamptz,
  settled_at timestamptz,
  constraint deliveries_pkey primary key (reminder_id, token),
  constraint deliveries_state_known check (state in ('accepted', 'delivered', 'failed', 'unknown'))
);
create index deliveries_receipt_due_idx on reminder_worker.deliveries (receipt_due_at) where receipt_due_at is not null;

-- These tables are updated far more often than they grow: let vacuum come early.
alter table reminder_worker.calendar_copies set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
alter table reminder_worker.deliveries set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- Copies that an older service wrote keep Google's id, so a later change finds them instead of making twins.
insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, written_at)
select e.id, e.user_id, e.google_calendar_id, now()
from public.events e
join auth.users u on u.id = e.user_id
where e.google_calendar_id <> ''
on conflict do nothing;
