-- What audits remember: whose turn it is in the background and how far the round has come, when an account was last compared with Google, which
-- copies its user was seen to have deleted there, which entries there are too many, and the triggers whose text no file holds.

--   due_at    when the next step is due; while one is made, until when it is the worker's that makes it
--   part      what the round is at, and after: behind which row of that it goes on
--   began_at  when the round began; null: none is under way
--   found     what it has found so far, by kind
create table reminder_worker.audits (
  name text not null,
  due_at timestamptz not null default now(),
  part text not null default '',
  after text not null default '',
  began_at timestamptz,
  found jsonb not null default '{}',
  constraint audits_pkey primary key (name)
);
insert into reminder_worker.audits (name) values ('background');

--   audited_at  when all calendars of the account were last read to the end
alter table reminder_worker.google_accounts add column audited_at timestamptz;

--   gone_at  when the copy was first met gone, by the user's hand as far as can be told; it says nothing any more once the copy has been
--            written again (written_at). Google forgets deleted events in time, and then only this tells them from lost ones.
--   entry_of  of a tombstone for an entry too many, under a key that no event has: the event whose properties the entry carries
alter table reminder_worker.calendar_copies add column gone_at timestamptz, add column entry_of uuid;
create index calendar_copies_entry_of_idx on reminder_worker.calendar_copies (entry_of) where entry_of is not null;

-- The address of a user that counts as theirs at Google: as delegate_accounts has it, only one that has been confirmed, where the database tells.
create function reminder_worker.address_of(of_user uuid) returns text
language sql stable security definer set search_path = '' as $$
  select lower(w.row ->> 'email')
  from (select to_jsonb(u) as row from auth.users u where u.id = of_user) w
  where not w.row ? 'email_confirmed_at' or w.row ->> 'email_confirmed_at' is not null
$$;
revoke all on function reminder_worker.address_of(uuid) from public;

-- The triggers that were made under a condition, or whose text was computed: these can be made again from here, the others from the files.
-- A migration that makes or changes such a trigger enters it.
create table reminder_worker.triggers (
  relation text not null,
  name text not null,
  definition text not null,
  constraint triggers_pkey primary key (relation, name)
);
insert into reminder_worker.triggers (relation, name, definition)
select n.nspname || '.' || c.relname, t.tgname, pg_get_triggerdef(t.oid)
from pg_catalog.pg_trigger t
join pg_catalog.pg_class c on c.oid = t.tgrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where not t.tgisinternal and t.tgname in ('reminder_worker_settings_written', 'reminder_worker_event_keeps_id',
  'reminder_worker_user_tokens_written', 'reminder_worker_user_metadata_written', 'reminder_worker_user_metadata_inserted');

-- As in the migrations before: for the worker alone.
revoke all on reminder_worker.audits, reminder_worker.triggers from public;
do $$
declare
  api text;
begin
  for api in select rolname from pg_catalog.pg_roles where rolname in ('anon', 'authenticated', 'service_role') loop
    execute format('revoke all on reminder_worker.audits, reminder_worker.triggers from %I', api);
    execute format('revoke all on function reminder_worker.address_of(uuid) from %I', api);
  end loop;
end
$$;
