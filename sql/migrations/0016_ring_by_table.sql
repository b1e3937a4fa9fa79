-- Says of most commits that reminders stand as they were: a worker then need not look for those that the app has written, moved or taken back.

create or replace function reminder_worker.ring() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  at bigint := date_part('epoch', clock_timestamp()) * 1000;
  -- One payload for all rows of a table, so that a large statement is announced once.
  payload text := case when tg_table_name = 'events' then 'events' else '' end;
begin
  if pg_catalog.pg_sequence_last_value('reminder_worker.doorbell_notify') > at then
    perform pg_catalog.pg_notify('reminder_worker', payload);
  end if;
  if pg_catalog.pg_sequence_last_value('reminder_worker.doorbell_wal') > at then
    perform pg_catalog.pg_logical_emit_message(true, 'reminder_worker', payload);
  end if;
  return null;
end
$$;
