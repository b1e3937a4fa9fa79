package reconcile

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// change is one statement of the app about one event, and what it means.
type change struct {
	what string
	sql  string
	args []any
	then func()
}

type changer func(t *trial, e *entry, dice *rand.Rand) change

// changers are what a transaction is made of.
var changers = []changer{edit, edit, edit, undo, move, cancel, restore, remove, give, ask}

func edit(t *trial, e *entry, dice *rand.Rand) change {
	w := e.words
	switch dice.IntN(3) {
	case 0:
		w.title = t.name("Practice ")
	case 1:
		w.place = t.name("Field ")
	default:
		w.bring = t.name("ball ")
	}
	return e.rewrite("edit "+e.name, w)
}

// undo gives an event words that it had before.
func undo(_ *trial, e *entry, dice *rand.Rand) change {
	old := e.had[dice.IntN(len(e.had))]
	return e.rewrite("undo "+e.name, words{old.title, old.place, strings.TrimPrefix(old.about, "Bring: ")})
}

func (e *entry) rewrite(what string, w words) change {
	return change{
		what, `update events set title = $2, location = $3, prep_items = case when $4 <> '' then array[$4] end where id = $1`,
		[]any{e.id, w.title, w.place, w.bring}, func() { e.words = w },
	}
}

func move(t *trial, e *entry, dice *rand.Rand) change {
	start := t.someTime(dice)
	return change{
		fmt.Sprintf("move %s to +%s", e.name, start.Sub(t.base)), `update events set start_ts = $2 where id = $1`, []any{e.id, start},
		func() { e.start = start },
	}
}

func cancel(_ *trial, e *entry, _ *rand.Rand) change {
	return change{"cancel " + e.name, `update events set status = 'cancelled' where id = $1`, []any{e.id}, func() {
		e.cancelled = true
		e.removed()
	}}
}

// restore has a cancelled event take place after all.
func restore(_ *trial, e *entry, _ *rand.Rand) change {
	return change{"restore " + e.name, `update events set status = 'pending' where id = $1 and status = 'cancelled'`, []any{e.id}, func() { e.cancelled = false }}
}

// ask says that there is work although nothing has changed.
func ask(_ *trial, e *entry, _ *rand.Rand) change {
	return change{"ask for " + e.name, `update events set status = 'pending' where id = $1 and status <> 'cancelled'`, []any{e.id}, func() {}}
}

func remove(_ *trial, e *entry, _ *rand.Rand) change {
	return change{"delete " + e.name, `delete from events where id = $1`, []any{e.id}, func() {
		e.deleted = true
		e.removed()
	}}
}

func give(t *trial, e *entry, dice *rand.Rand) change {
	to := pick(dice, t.users)
	return change{
		fmt.Sprintf("give %s to %s", e.name, to.name), `update events set user_id = $2 where id = $1`, []any{e.id, to.id},
		func() {
			if e.owner != to {
				e.removed()
			}
			e.owner = to
		},
	}
}

// someTime is far enough from every time that counts, so that nothing becomes past while a trial lasts.
func (t *trial) someTime(dice *rand.Rand) time.Time {
	return t.base.Add(pick(dice, []time.Duration{2 * time.Hour, 10 * time.Hour, 30 * time.Hour, 60 * time.Hour})).Add(time.Duration(1+dice.IntN(8)) * time.Minute)
}

type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func (t *trial) exec(db execer, sql string, args ...any) error {
	if _, err := db.Exec(context.Background(), sql, args...); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// apply makes a change of one event, in a statement of its own.
func apply(c changer) func(*trial, *rand.Rand) (string, error) {
	return func(t *trial, dice *rand.Rand) (string, error) {
		e := pick(dice, t.existing())
		if e == nil {
			return "", nil
		}
		made := c(t, e, dice)
		if err := t.exec(t.pool, made.sql, made.args...); err != nil {
			return made.what, err
		}
		t.changed(e, made)
		t.announce(dice)
		return made.what, nil
	}
}

func (t *trial) changed(e *entry, c change) {
	was, owner, cancelled := e.shows(), e.owner, e.cancelled
	c.then()
	if e.shows() != was || e.owner != owner || e.cancelled != cancelled {
		e.touchedAt = len(t.done)
	}
	t.causes++
}

// announce is what the listener does, most of the time.
func (t *trial) announce(dice *rand.Rand) {
	for _, w := range t.workers {
		if dice.IntN(4) > 0 {
			w.r.Wake()
		}
	}
}

func (t *trial) insert(dice *rand.Rand) (string, error) {
	u, n := pick(dice, t.users), 1
	if dice.IntN(8) == 0 {
		n = 6 // an import
	}
	var names []string
	var ids []uuid.UUID
	var titles, places, brings []string
	var starts []time.Time
	for range n {
		e := &entry{
			name: t.name("e"), id: uuid.New(), owner: u, words: words{t.name("Practice "), t.name("Field "), pick(dice, []string{"", "cleats"})}, start: t.someTime(dice),
			touchedAt: len(t.done), hands: map[*owner]*hand{},
		}
		t.events = append(t.events, e)
		names, ids, starts = append(names, e.name), append(ids, e.id), append(starts, e.start)
		titles, places, brings = append(titles, e.title), append(places, e.place), append(brings, e.bring)
		t.causes++
	}
	err := t.exec(t.pool, `insert into events (id, user_id, title, location, prep_items, start_ts)
		select i.id, $2, i.title, i.place, case when i.bring <> '' then array[i.bring] end, i.start
		from unnest($1::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[]) as i (id, title, place, bring, start)`,
		ids, u.id, titles, places, brings, starts)
	t.announce(dice)
	return fmt.Sprintf("insert %s for %s", strings.Join(names, " "), u.name), err
}

// transact changes several events in one transaction, which lasts a while, and may be rolled back.
func (t *trial) transact(dice *rand.Rand) (string, error) {
	events := t.existing()
	dice.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	events = events[:min(len(events), 1+dice.IntN(4))]
	tx, err := t.pool.Begin(context.Background())
	if err != nil {
		return "begin", err
	}
	defer func() { _ = tx.Rollback(context.Background()) }() // no error after a commit
	var made []change
	var names []string
	for _, e := range events {
		c := pick(dice, changers)(t, e, dice)
		if err := t.exec(tx, c.sql, c.args...); err != nil {
			return c.what, err
		}
		made, names = append(made, c), append(names, c.what)
		t.pass(dice)
	}
	what := "(" + strings.Join(names, ", ") + ")"
	if dice.IntN(3) == 0 {
		return what + " rolled back", tx.Rollback(context.Background())
	}
	if err := tx.Commit(context.Background()); err != nil {
		return what, err
	}
	for i, c := range made {
		t.changed(events[i], c)
	}
	t.announce(dice)
	return what, nil
}

// link connects a user's calendar, by a new consent or by the token the app has.
func (t *trial) link(dice *rand.Rand) (string, error) {
	u := pick(dice, t.users)
	if u.token != "" && dice.IntN(3) == 0 {
		return "connect " + u.name + " by the same token", t.connect(u, u.token)
	}
	return "connect " + u.name, t.connect(u, "")
}

func (t *trial) connect(u *owner, token string) error {
	if token == "" {
		token = t.google.Grant(u.id.String())
		u.dead = false
	}
	u.linked, u.left, u.token = true, false, token
	return t.asUser(u, `select connect_google_calendar($1)`, token)
}

func (t *trial) unlink(dice *rand.Rand) (string, error) {
	u := pick(dice, t.users)
	copies := dice.IntN(2) == 0
	u.linked, u.unlinkedAt, u.left = false, len(t.done), u.left || copies
	if copies {
		t.removedOf(u)
	}
	return fmt.Sprintf("disconnect %s, removing copies: %v", u.name, copies), t.asUser(u, `select disconnect_google_calendar(remove_copies => $1)`, copies)
}

// removedOf notes that copies of a user's events may be taken away.
func (t *trial) removedOf(u *owner) {
	for _, e := range t.events {
		if e.owner == u {
			e.removed()
		}
	}
}

// asUser calls a function as the app does with a user's session, which concerns all the user's events.
func (t *trial) asUser(u *owner, sql string, args ...any) error {
	t.concerns(u)
	return pgx.BeginFunc(context.Background(), t.pool, func(tx pgx.Tx) error {
		if err := t.exec(tx, `select set_config('request.jwt.claims', json_build_object('sub', $1::text)::text, true)`, u.id.String()); err != nil {
			return err
		}
		return t.exec(tx, sql, args...)
	})
}

// concerns counts a change for each event of a user.
func (t *trial) concerns(u *owner) {
	t.causes++
	for _, e := range t.events { // those deleted may have copies still
		if e.owner == u {
			t.causes++
		}
	}
}

// choose changes a user's settings.
func (t *trial) choose(dice *rand.Rand) (string, error) {
	u := pick(dice, t.users)
	var what string
	switch dice.IntN(8) {
	case 0:
		u.zone = pick(dice, []string{"", "Europe/Berlin", "America/New_York"})
		what = "zone of " + u.name + " is " + u.zone
	case 1:
		u.minutes = pick(dice, [][]int{nil, {}, {60}, {60, 30}})
		what = fmt.Sprintf("minutes of %s are %v", u.name, u.minutes)
	case 2, 3:
		u.elsewhere = !u.elsewhere
		what = fmt.Sprintf("copies of %s stand elsewhere: %v", u.name, u.elsewhere)
		t.removedOf(u)
	default:
		u.calendarOff = !u.calendarOff
		what = fmt.Sprintf("calendar of %s is off: %v", u.name, u.calendarOff)
	}
	t.concerns(u)
	err := t.exec(t.pool, `insert into notification_settings (user_id, calendar_enabled, time_zone, reminder_minutes, google_calendar) values ($1, $2, nullif($3, ''), $4, nullif($5, ''))
		on conflict (user_id) do update set google_calendar = excluded.google_calendar, calendar_enabled = excluded.calendar_enabled, time_zone = excluded.time_zone, reminder_minutes = excluded.reminder_minutes`,
		u.id, !u.calendarOff, u.zone, u.minutes, u.setting())
	t.announce(dice)
	return what, err
}

// pick takes one of a list, or the zero value of an empty one.
func pick[T any](dice *rand.Rand, list []T) (one T) {
	if len(list) == 0 {
		return one
	}
	return list[dice.IntN(len(list))]
}
