package app

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// Three workers share what Google allows in a minute. When it is used up events wait in the table, their reminders planned, and the readiness
// of who has met the end of it says why.
func TestCalendarQuotaIsShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.CalendarRate = 120
	w.cfg.Lease = time.Minute // a claim that ends by itself, as on a machine that is slow enough, counts as an attempt
	const events = 300
	users := w.crowd(10)
	var apps []*App
	for range 3 {
		a, _ := w.start()
		apps = append(apps, a)
	}
	w.exec(`insert into events (user_id, title, start_ts)
		select ($1::uuid[])[1 + n % 10], 'Practice ' || n, now() + interval '3 days' from generate_series(1, $2) n`, users, events)
	w.until("reminders planned", func() bool {
		return one[int](w, `select count(*)::int from reminders where plan_revision is not null`) == 3*events
	})
	w.until("word of the quota", func() bool {
		return slices.ContainsFunc(apps, func(a *App) bool {
			f := a.checkGoogle()
			return f.Degraded && strings.Contains(f.Reason, "quota google is used up")
		})
	})
	w.until("all permits used", func() bool { return len(w.calls()) >= w.cfg.CalendarRate*9/10 }) // some are held by one while another lacks them
	calls := w.calls()
	if n := busiest(calls, time.Minute); n > w.cfg.CalendarRate {
		t.Errorf("%d requests in one minute, %d allowed", n, w.cfg.CalendarRate)
	}
	if n := one[int](w, `select max(sync_attempts) from events`); n > 0 {
		t.Errorf("%d attempts were used", n)
	}
}

// Two workers share what Google allows for one user in a minute. When hers is used up her events wait, and nobody else's.
func TestUserQuotaIsShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.CalendarUserRate = 60
	w.cfg.Lease = time.Minute
	her, _ := w.user()
	others := w.crowd(10)
	var apps []*App
	for range 2 {
		a, _ := w.start()
		apps = append(apps, a)
	}
	w.exec(`insert into events (user_id, title, start_ts) select $1, 'Practice ' || n, now() + interval '3 days' from generate_series(1, 200) n`, her)
	w.until("word of the quota", func() bool {
		return one[bool](w, `select coalesce(reason like '%quota google_user:% is used up%' and paused_until > now(), false) from reminder_worker.google_accounts where user_id = $1`, her)
	})
	w.exec(`insert into events (user_id, title, start_ts) select u, 'Practice', now() + interval '3 days' from unnest($1::uuid[]) u`, others)
	w.until("the others' copies", func() bool {
		return one[bool](w, `select not exists (select from events where user_id <> $1 and status <> 'synced')`, her)
	})
	w.until("her reminders", func() bool {
		return one[int](w, `select count(*)::int from reminders where user_id = $1 and status = 'pending'`, her) == 600
	})
	name := w.google.Events(one[string](w, `select refresh_token from reminder_worker.google_accounts where user_id = $1`, her))[0].User
	if n := busiest(w.callsOf(name), time.Minute); n > 60 || n < 45 {
		t.Errorf("%d requests for her in one minute, 60 allowed", n)
	}
	for _, a := range apps {
		if f := a.checkGoogle(); f.Degraded {
			t.Errorf("one user's quota is everybody's: %s", f.Reason)
		}
	}
	if n := one[int](w, `select max(sync_attempts) from events`); n > 0 {
		t.Errorf("%d attempts were used", n)
	}
}

// calls are the times of the requests to the Calendar API.
func (w *world) calls() []time.Time { return w.callsOf("") }

// callsOf are those for a user; an empty one is anybody.
func (w *world) callsOf(user string) (at []time.Time) {
	for _, r := range w.google.Log() {
		if r.Op != gcalfake.OpToken && r.Op != gcalfake.OpRevoke && (user == "" || r.User == user) {
			at = append(at, r.At)
		}
	}
	return at
}
