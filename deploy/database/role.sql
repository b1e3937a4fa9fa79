-- A role that may do what the worker does, and nothing more. Run it as the owner of
-- the tables, after `reminder-worker migrate up`, and again after each upgrade:
--
--     psql "$OWNER_URL" -v ON_ERROR_STOP=1 -f role.sql
--
-- Then give the role a password (\password reminder_runner, which keeps it out of
-- files and logs), name it in DATABASE_URL, and set MIGRATE_ON_START=false: it may not
-- migrate. `reminder-worker doctor` says whether anything is missing.

set client_min_messages = warning;

do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'reminder_runner') then
    create role reminder_runner login;
  end if;
end
$$;

grant usage on schema public, reminder_worker to reminder_runner;

-- delete: for cleanups, which remove what is over (KEEP_REMINDERS, KEEP_FAILED_EVENTS, KEEP_EVENTS).
grant select, update, delete on public.events to reminder_runner;
grant select, insert, update, delete on public.reminders to reminder_runner;
grant select on public.children, public.notification_settings to reminder_runner;

grant select, update on reminder_worker.google_accounts, reminder_worker.audits, reminder_worker.cleanups to reminder_runner;
grant select, update, delete on reminder_worker.push_devices, reminder_worker.user_deletions to reminder_runner;
grant select, insert, update, delete on reminder_worker.calendar_copies, reminder_worker.deliveries, reminder_worker.pauses to reminder_runner;
grant select on reminder_worker.permits, reminder_worker.triggers, reminder_worker.migrations to reminder_runner;

-- Row security keeps users apart; the worker serves all of them.
do $$
declare
  tab text;
begin
  foreach tab in array array['events', 'reminders', 'children', 'notification_settings'] loop
    execute format('drop policy if exists reminder_runner on public.%I', tab);
    execute format('create policy reminder_runner on public.%I to reminder_runner using (true) with check (true)', tab);
  end loop;
end
$$;

-- What it may call of the worker's functions; the others are for triggers and the app. Through forget_user, which `reminder-worker user delete` calls, it
-- can remove all that is held about one user, the row of auth.users included.
do $$
declare
  called record;
begin
  for called in
    select p.oid::regprocedure as signature
    from pg_catalog.pg_proc p
    where p.pronamespace = 'reminder_worker'::regnamespace
      and p.proname in ('address_of', 'children_of', 'close_bell', 'deadline', 'delegate_accounts', 'forget_permits', 'forget_step', 'forget_user',
        'hearing', 'is_push_token', 'minute_of', 'open_bell', 'reason_of', 'send_word', 'take_permits', 'user_exists', 'writers')
  loop
    execute format('grant execute on function %s to reminder_runner', called.signature);
  end loop;
end
$$;
