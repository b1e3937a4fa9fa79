-- What the queries need to know of auth.users; read by sqlc only, never executed.
create schema auth;
create schema reminder_worker;
create table auth.users (id uuid primary key);
