package wal

import "testing"

// harmless are writes and changes of shape that an app may make at any time. There
// is no table here that has a replica identity by accident.
var harmless = []string{
	`create table notes (id int, body text)`,
	`insert into notes select i, 'x' from generate_series(1, 100) i`,
	`update notes set body = 'y'`,
	`delete from notes where id = 1`,
	`alter table notes replica identity nothing`,
	`update notes set body = 'z'`,
	`delete from notes where id = 2`,
	`create table keyed (id int primary key, body text)`,
	`alter table keyed replica identity full`,
	`insert into keyed select i, repeat(md5(i::text), 20000) from generate_series(1, 20) i`, // far beyond what fits into a row
	`update keyed set body = body || 'x'`,
	`update keyed set id = id + 1000`,
	`alter table keyed add column n int default 7`,
	`alter table keyed alter column n type bigint`,
	`alter table keyed drop column body`,
	`delete from keyed`,
	`truncate notes, keyed`,
	`create type mood as enum ('well')`,
	`alter type mood add value 'ill'`,
	`alter table events add column mood mood, add column notes text`,
	`alter table events alter column notes type varchar(10)`,
	`alter table events drop column mood`,
	`create table partitioned (id int) partition by range (id)`,
	`create table part partition of partitioned for values from (0) to (10)`,
	`insert into partitioned values (1)`,
	`update partitioned set id = 2`,
	`create unlogged table quick (id int)`,
	`insert into quick values (1)`,
	`delete from quick`,
	`select pg_logical_emit_message(true, 'somebody else', repeat('x', 1000000))`,
	`select pg_logical_emit_message(false, 'reminder_worker', 'of no transaction')`,
	`select lo_unlink(lo_from_bytea(0, 'x'))`,
	`drop table notes, keyed, partitioned`,
}

// The publication stands in nobody's way, and nothing that the app does ends the
// path or is taken for a change.
func TestTheAppIsNeverInTheWay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.exec(`alter table events drop constraint events_pkey cascade`)
	p := r.open("")
	if _, err := r.source("").Bell().Open(t.Context(), "a word"); err != nil {
		t.Fatal(err)
	}
	if m := r.next(p); m.Payload != "a word" {
		t.Fatalf("heard %+v", m)
	}
	for _, sql := range harmless {
		r.exec(sql)
	}
	r.say("after all that")
	if m := r.next(p); m.Payload != "after all that" {
		t.Errorf("heard %+v, want nothing of what was done", m)
	}
	for _, rings := range []struct{ sql, payload string }{
		{`with u as (insert into auth.users (id) values (gen_random_uuid()) returning id)
			insert into events (user_id, title, start_ts) select id, 'Swimming', now() + interval '2 days' from u, generate_series(1, 200)`, "events"},
		{`update events set title = 'Football'`, "events"},
		{`delete from events where ctid = (select min(ctid) from events)`, "none"}, // one that has no copy rings nobody
		{`truncate events cascade`, ""},
	} {
		r.exec(rings.sql)
		if rings.payload != "none" {
			if m := r.next(p); m.Payload != rings.payload {
				t.Errorf("%s: heard %+v", rings.sql, m)
			}
		}
	}
}

// A bell that nobody holds open has nothing written into the log.
func TestNobodyHearsNothingIsWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.open("")
	r.exec(`insert into auth.users (id) values ('00000000-0000-0000-0000-000000000001')`)
	r.exec(`insert into events (user_id, title, start_ts) values ('00000000-0000-0000-0000-000000000001', 'Swimming', now() + interval '2 days')`)
	r.say("fence")
	if m := r.next(p); m.Payload != "fence" {
		t.Errorf("heard %+v", m)
	}
}
