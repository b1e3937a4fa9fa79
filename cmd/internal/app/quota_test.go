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

// calls are the times of the requests to the Calendar API.
func (w *world) calls() (at []time.Time) {
	for _, r := range w.google.Log() {
		if r.Op != gcalfake.OpToken && r.Op != gcalfake.OpRevoke {
			at = append(at, r.At)
		}
	}
	return at
}
