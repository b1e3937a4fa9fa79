package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// couple is a world of two users who have an event each, and whose every outcome is noted, however soon the next one takes its place.
type couple struct {
	*world
	her, his    uuid.UUID
	hers, other uuid.UUID // their events
	r           *Reconciler
	stop        func()
}

// moment is how things stand when an outcome of an event, or of the removal of its copy, has been recorded.
type moment struct {
	Event   string // state, tries and error message; a removal's are those of the tombstone
	Account string // state and reason
	Pause   int64  // the longest that was asked for, in milliseconds
	Copy    string // what is known of it, and its generation if that is not the first
	Again   int64  // in how many milliseconds it is tried again; -1: not by itself
}

// noting has the database write down every moment.
const noting = `
create function ms(i interval) returns bigint language sql as 'select (extract(epoch from i) * 1000)::bigint';
create table pauses (user_id uuid, lasts bigint);
create function note_pause() returns trigger language plpgsql as $$
begin
  insert into pauses values (new.user_id, ms(new.paused_until - now()));
  return null;
end $$;
create trigger note_pause after update on reminder_worker.google_accounts for each row
  when (old.paused_until is distinct from new.paused_until and new.paused_until > now()) execute function note_pause();

create table moments (nr bigint generated always as identity, user_id uuid, event text, account text, pause bigint, copy text, again bigint);
create function note(for_user uuid, for_event uuid, state text, tries integer, message text, due timestamptz) returns void language sql as $$
  insert into moments (user_id, event, account, pause, copy, again) values (for_user,
    case when state = 'removed' then state else format('%s, %s tries, %s', state, tries, coalesce(message, '-')) end,
    (select concat_ws(', ', a.state, a.reason) from reminder_worker.google_accounts a where a.user_id = for_user),
    coalesce((select max(p.lasts) from pauses p where p.user_id = for_user), 0),
    coalesce((select case when k.tombstoned_at is not null then 'tombstone' when k.etag = '' then 'intended' else 'written' end
        || case when k.generation > 0 then ', generation ' || k.generation else '' end
      from reminder_worker.calendar_copies k where k.user_id = for_user and k.event_id = for_event), 'none'),
    coalesce(ms(due - now()), -1))
$$;
create function note_event() returns trigger language plpgsql as $$
begin
  perform note(new.user_id, new.id, new.status, new.sync_attempts, new.error_message, new.sync_due_at);
  return null;
end $$;
create trigger note_event after update on public.events for each row
  when (old.sync_lease_until is not null and new.sync_lease_until is null) execute function note_event();
create function note_removal() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    perform note(old.user_id, old.event_id, 'removed', 0, null, null);
  else
    perform note(new.user_id, new.event_id, 'tombstone', new.attempts, new.error_message, new.due_at);
  end if;
  return null;
end $$;
create trigger note_removal after update on reminder_worker.calendar_copies for each row
  when (old.lease_until is not null and new.lease_until is null) execute function note_removal();
create trigger note_removed after delete on reminder_worker.calendar_copies for each row execute function note_removal();`

// The pauses of tests, exact: they are compared.
const (
	retryBase    = 20 * time.Millisecond
	retryMax     = time.Minute
	projectPause = time.Hour
)

func newCouple(t *testing.T, change ...func(*gcalfake.Config)) *couple {
	t.Helper()
	w := newWorld(t, change...)
	w.cfg.RetryBase, w.cfg.RetryMax, w.cfg.ProjectPause = retryBase, retryMax, projectPause
	w.cfg.Jitter = func(d time.Duration) time.Duration { return d }
	return &couple{world: w, her: w.user(), his: w.user(), hers: uuid.New(), other: uuid.New()}
}

func (c *couple) begin() { c.r, c.stop = c.start() }

// does has the app do something with both events, or write them.
func (c *couple) does(sql string) {
	c.t.Helper()
	if sql != writes {
		c.exec(sql)
	} else {
		c.exec(`insert into events (id, user_id, title, start_ts)
			values ($1, $2, 'Swimming', now() + interval '2 days'), ($3, $4, 'Piano', now() + interval '2 days')`, c.hers, c.her, c.other, c.his)
	}
	c.r.Wake()
}

// pauseEnds is a long time later: what waits is due, and the worker is another one, which remembers no pause.
func (c *couple) pauseEnds() {
	c.t.Helper()
	c.google.Heal()
	c.stop()
	c.exec(`update events set sync_due_at = now() where sync_due_at is not null`)
	c.exec(`update reminder_worker.calendar_copies set due_at = now() where due_at is not null`)
	c.exec(`update reminder_worker.google_accounts set paused_until = now() where paused_until is not null`)
	c.begin()
}

// reconnects is that she gives her consent again.
func (c *couple) reconnects() {
	c.t.Helper()
	c.google.Heal()
	c.connect(c.her)
	c.r.Wake()
}

// changed is that the app changes her event.
func (c *couple) changed() {
	c.t.Helper()
	c.google.Heal()
	c.exec(changes+` where id = $1`, c.hers)
	c.r.Wake()
}

func (c *couple) moments(user uuid.UUID) []moment {
	c.t.Helper()
	rows, err := c.pool.Query(c.t.Context(), `select event, account, pause, copy, again from moments where user_id = $1 order by nr`, user)
	if err != nil {
		c.t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[moment])
	if err != nil {
		c.t.Fatal(err)
	}
	return found
}

// recorded waits for the first moment of a user's.
func (c *couple) recorded(user uuid.UUID) {
	c.t.Helper()
	c.until("an outcome", func() bool { return len(c.moments(user)) > 0 })
}

// settled waits for a moment of a user's, beyond so many, after which nothing more comes by itself.
func (c *couple) settled(user uuid.UUID, seen int) {
	c.t.Helper()
	c.until("the last outcome", func() bool {
		found := c.moments(user)
		return len(found) > seen && found[len(found)-1].Again == millis(never)
	})
}

// requests are those that were made for her, or for both, with what was answered; 0: nothing was.
func (c *couple) requests(both bool) string {
	log := c.google.Log()
	// A request that hangs is noted when its connection has ended, which may be after the next one.
	slices.SortFunc(log, func(a, b gcalfake.Record) int { return a.At.Compare(b.At) })
	var made []string
	for _, r := range log {
		if both || r.User == c.name(c.her) {
			made = append(made, fmt.Sprintf("%s %d", r.Op, r.Status))
		}
	}
	return strings.Join(made, ", ")
}

// oneCopy checks that her calendar shows her event once, as it is, and so many others; or those only, if it is gone.
func (c *couple) oneCopy(others int) {
	c.t.Helper()
	want := one[[]string](c.world, `select array(select title from events where id = $1)`, c.hers)
	var copies []string
	live := c.live(c.her)
	for _, e := range live {
		if e.Private["reminder_worker_event"] == c.hers.String() {
			copies = append(copies, e.Summary)
		}
	}
	if !slices.Equal(copies, want) {
		c.t.Errorf("her calendar shows %q, want %q", copies, want)
	}
	if n := len(live) - len(copies); n != others {
		c.t.Errorf("her calendar shows %d events that are none of ours, want %d", n, others)
	}
}

// alarms counts what is logged and somebody should see.
func (c *couple) alarms() int { return c.log.count(`"level":"warn"`) + c.log.count(`"level":"error"`) }

func (c *couple) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}
