package app

import (
	"encoding/json"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
)

// TestOutage: Expo is away, or refuses our access token, while thousands of reminders fall due. No attempt is used and no phone is lost; what
// is still worth sending afterwards goes out, nearest event first; what is not says so. REMINDER_WORKER_TEST_FULL=1 takes ten minutes for
// the one and an hour for the other, with the periods of production.
func TestOutage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault *expofake.Fault
		long  time.Duration
		alarm bool
	}{
		{"away", expofake.Status(503, "no healthy upstream"), 10 * time.Minute, false},
		{"access token refused", expofake.BadAccessToken(), time.Hour, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := outage{world: newWorld(t), fault: c.fault, length: 6 * time.Second, reminders: 600}
			if full {
				o.length, o.reminders = c.long, 5000
				o.cfg.Lease, o.cfg.RetryBase, o.cfg.SweepInterval, o.cfg.ReceiptDelay = 15*time.Second, 2*time.Second, 30*time.Second, 15*time.Minute
			}
			o.run(c.alarm)
		})
	}
}

type outage struct {
	*world
	fault     *expofake.Fault
	length    time.Duration
	reminders int
	begun     int // reminders whose events begin while Expo is away
	asked     atomic.Int64
	over      atomic.Bool
}

func (o *outage) run(alarm bool) {
	t := o.t
	o.expo.Fail(func(r expofake.Request) *expofake.Fault {
		if r.Endpoint != expofake.SendEndpoint || o.over.Load() {
			return nil
		}
		o.asked.Add(1)
		return o.fault
	})
	o.fill()
	a, _ := o.start()
	o.until("ready", a.Ready)
	<-time.After(o.length)
	// A machine busy with something else may not have come to its first request by now.
	var fix string
	o.until("readiness to say that Expo is away", func() (degraded bool) {
		degraded, fix = o.expoCheck(a)
		return degraded
	})
	if (fix != "") != alarm {
		t.Errorf("at the end of the outage: fix %q", fix)
	}
	o.over.Store(true)
	back := time.Now()
	deadline := back.Add(2*time.Minute + time.Duration(o.reminders)*5*time.Millisecond)
	for open := -1; open != 0; {
		open = one[int](o.world, `select count(*)::int from reminders where status in ('pending', 'sending')`)
		if time.Now().After(deadline) {
			t.Fatalf("%d reminders are still open", open)
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Logf("%s long at least, %d requests meanwhile; the first push %s after it, the last %s", o.length, o.asked.Load(), o.pushed(back, 0), o.pushed(back, -1))
	o.judge(back)
}

// fill makes reminders that fall due all along the outage, for events that begin half an hour, three hours and a day later, and some for events
// that begin in the middle of it.
func (o *outage) fill() {
	user, _ := o.user()
	o.begun = o.reminders / 20
	o.exec(`with e as (
			insert into events (user_id, title, start_ts, status)
			select $1, 'Practice', now() + interval '1 second' + case when n <= $4 then $3::interval * 0.6 else $3::interval * n / $2 + (array[interval '30 minutes', '3 hours', '1 day'])[1 + n % 3] end, 'synced'
			from generate_series(1, $2) n returning id, user_id, start_ts)
		insert into reminders (event_id, user_id, notify_at_ts, message, plan_revision, planned_for_ts, lead_seconds)
		select id, user_id, case when start_ts < now() + $3::interval then now() + $3::interval * 0.2
			else start_ts - (array[interval '30 minutes', '3 hours', '1 day'])[1 + (start_ts > now() + $3::interval + interval '2 hours')::int + (start_ts > now() + $3::interval + interval '20 hours')::int] end,
			'', 1, start_ts, 60 from e`, user, o.reminders, o.length, o.begun)
}

// pushed is when a push was accepted, seen from a moment.
func (o *outage) pushed(from time.Time, at int) time.Duration {
	pushes := o.expo.Pushes()
	if len(pushes) == 0 {
		return 0
	}
	return pushes[(at+len(pushes))%len(pushes)].FirstByte.Sub(from).Round(time.Millisecond)
}

// expoCheck is what readiness says of Expo.
func (o *outage) expoCheck(a *App) (degraded bool, fix string) {
	var page struct {
		Checks []struct{ Name, Status, Reason, Fix string }
	}
	_, body := get(o.t.Context(), a, "/readyz?verbose")
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		o.t.Fatalf("%v: %s", err, body)
	}
	for _, c := range page.Checks {
		if c.Name == "expo" {
			return c.Status != "ok", c.Fix
		}
	}
	o.t.Fatalf("no check of Expo: %s", body)
	return false, ""
}

func (o *outage) judge(back time.Time) {
	o.t.Helper()
	done := time.Now()
	// Whose event had not begun when all were through has been sent; whose had begun before Expo was back has not, and says so.
	type tally struct {
		Status  string
		N, Used int
		Reason  string
	}
	rows, err := o.db.Query(o.t.Context(), `select r.status, count(*)::int, max(r.retry_count)::int, coalesce(min(split_part(r.error_message, ':', 1)), '')
		from reminders r where not r.planned_for_ts between $1 and $2 group by r.status, r.planned_for_ts > $2 order by 1`, back, done)
	if err != nil {
		o.t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[tally])
	if err != nil {
		o.t.Fatal(err)
	}
	sent := one[int](o.world, `select count(*)::int from reminders where planned_for_ts > $1`, done)
	begun := one[int](o.world, `select count(*)::int from reminders where planned_for_ts < $1`, back)
	want := []tally{{"expired", begun, 0, "the event had begun before the reminder could be sent"}, {"sent", sent, 0, ""}}
	if !slices.Equal(got, want) || begun < o.begun {
		o.t.Errorf("reminders %v, want %v", got, want)
	}
	o.t.Logf("reminders %v", got)
	if n := one[int](o.world, `select count(*)::int from reminder_worker.push_devices where retired_at is not null`); n != 0 {
		o.t.Errorf("%d phones were retired", n)
	}
	o.judgeOrder(back)
}

// judgeOrder counts, of what had waited when Expo was back, the pushes that came next after one whose event begins later. Some do: six requests are under way at once, and what was tried
// while Expo was away comes when its rest is over.
func (o *outage) judgeOrder(back time.Time) {
	o.t.Helper()
	starts := map[string]time.Time{}
	rows, err := o.db.Query(o.t.Context(), `select id, planned_for_ts from reminders where notify_at_ts < $1`, back)
	if err != nil {
		o.t.Fatal(err)
	}
	var id uuid.UUID
	var start time.Time
	if _, err := pgx.ForEachRow(rows, []any{&id, &start}, func() error { starts[id.String()] = start; return nil }); err != nil {
		o.t.Fatal(err)
	}
	behind, seen := 0, map[string]int{}
	var last time.Time
	for _, p := range o.expo.Pushes() {
		seen[p.CollapseID]++
		start, waited := starts[p.CollapseID]
		if waited && start.Before(last) {
			behind++
		}
		if waited {
			last = start
		}
	}
	if behind > o.reminders/20 {
		o.t.Errorf("%d of %d pushes came next after one whose event begins later", behind, len(seen))
	}
	o.t.Logf("%d of %d pushes came next after one whose event begins later; %+v", behind, len(seen), o.expo.Counts())
}
