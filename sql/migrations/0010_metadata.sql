-- Tokens that lie in user metadata already are taken over, and removed where that is allowed. By itself, so that nobody who signs in meanwhile
-- waits for the trigger's lock on auth.users.
do $$
begin
  if exists (select from pg_catalog.pg_trigger t where t.tgrelid = 'auth.users'::regclass and t.tgname = 'reminder_worker_user_metadata_written')
    and has_column_privilege('auth.users', 'raw_user_meta_data', 'update')
  then
    update auth.users set raw_user_meta_data = raw_user_meta_data
    where raw_user_meta_data ?| array['google_refresh_token', 'expo_push_token'];
  end if;
end
$$;
