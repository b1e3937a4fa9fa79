package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// appSchema holds the app's rows as any app would keep them: keys, references and the index that deleting an event needs, and nothing that serves a
// queue. It is in a schema of its own, so that no library's tables come near it.
const appSchema = `
create schema app;
create table app.events (
	id uuid primary key,
	user_id uuid not null,
	title text not null,
	start_ts timestamptz not null,
	end_ts timestamptz not null,
	location text,
	prep_items text[],
	status text not null default 'pending',
	google_calendar_id text,
	created_at timestamptz not null default now()
);
create table app.reminders (
	id uuid primary key default gen_random_uuid(),
	event_id uuid not null references app.events (id) on delete cascade,
	user_id uuid not null,
	notify_at_ts timestamptz not null,
	message text,
	status text not null default 'pending',
	sent_at_ts timestamptz,
	created_at timestamptz not null default now(),
	unique (event_id, notify_at_ts)
);
create table app.copies (
	event_id uuid not null references app.events (id) on delete cascade,
	user_id uuid not null,
	calendar_id text not null default 'primary',
	google_event_id text not null,
	etag text not null default '',
	written_at timestamptz,
	primary key (event_id, user_id)
);
`

// syncedSQL is the one statement behind a copy: the three reminders, the copy, and the event as synced. $1 is the event, $2 its user, $3 its start,
// $4 its id at Google. The scripts for Node have it too.
const syncedSQL = `with r as (
	insert into app.reminders (event_id, user_id, notify_at_ts, message)
	select $1::uuid, $2::uuid, $3::timestamptz - lead, 'Field 3' from unnest('{24 hours,3 hours,30 minutes}'::interval[]) lead
), c as (
	insert into app.copies (event_id, user_id, google_event_id, etag, written_at) values ($1::uuid, $2::uuid, $4, '"1"', now())
)
update app.events set status = 'synced', google_calendar_id = $4 where id = $1::uuid`

// sentSQL marks the reminder $1.
const sentSQL = `update app.reminders set status = 'sent', sent_at_ts = now() where id = $1::uuid`

// These count what is served.
const (
	doneSQL    = `select count(*) from app.events where status = 'synced' and google_calendar_id is not null`
	alertedSQL = `select count(*) from app.reminders where status = 'sent'`
)

// These begin statements that go on with the jobs of what they have entered: e are the events, x the reminders. What a job says is all that its
// handler has to know.
const (
	enterEvent = `with e as (
	insert into app.events (id, user_id, title, start_ts, end_ts, location, prep_items)
	values ($1::uuid, $2::uuid, 'Practice', $3::timestamptz, $3::timestamptz + interval '1 hour', 'Field 3', '{cleats,water}')
	returning id, user_id, title, start_ts
)`
	enterEvents = `with e as (
	insert into app.events (id, user_id, title, start_ts, end_ts, location, prep_items)
	select n.id, n.owner, 'Practice', $3::timestamptz, $3::timestamptz + interval '1 hour', 'Field 3', '{cleats,water}'
	from unnest($1::uuid[], $2::uuid[]) as n (id, owner)
	returning id, user_id, title, start_ts
)`
	enterReminders = `with x as (
	select gen_random_uuid() as event, n.* from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[]) as n (id, owner, due, start)
), e as (
	insert into app.events (id, user_id, title, start_ts, end_ts, status)
	select event, owner, 'Practice', start, start + interval '1 hour', 'synced' from x
), r as (
	insert into app.reminders (id, event_id, user_id, notify_at_ts, message) select id, event, owner, due, 'Field 3' from x
)`
	eventJSON    = `json_build_object('id', e.id, 'user', e.user_id, 'title', e.title, 'start', e.start_ts)`
	reminderJSON = `json_build_object('id', x.id, 'to', 'ExponentPushToken[' || left(x.owner::text, 20) || ']', 'title', 'Practice', 'body', 'Field 3')`
)

// makeApp makes the app's tables, and more that a worker needs beside them.
func makeApp(ctx context.Context, db *pgx.Conn, more string) error {
	if _, err := db.Exec(ctx, appSchema+more); err != nil {
		return fmt.Errorf("make the app's tables: %w", err)
	}
	return nil
}

// skips says which scenarios have no meaning for a worker that is not ours.
func skips(scenario string) string {
	switch scenario {
	case "paced herd":
		return "it has no pacing that workers share"
	case "rebuild":
		return "it holds nothing in memory that a start would have to fill"
	case "growth":
		return "what grows in it depends on what its user has kept"
	}
	return ""
}
