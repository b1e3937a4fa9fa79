package reconcile

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// usedUp is a quota's answer: not before so long.
type usedUp time.Duration

func (u usedUp) Error() string             { return "used up for " + time.Duration(u).String() }
func (u usedUp) RetryAfter() time.Duration { return time.Duration(u) }

// A quota that is used up empties the memory and not the attempts: reminders are planned meanwhile, and the copies are written when it has
// come free.
func TestQuotaUsedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const events, allowed, pause = 600, 100, 2 * time.Second
	began := time.Now()
	w.cfg.Batch, w.cfg.InFlight = 64, 128
	var calls atomic.Int64
	var free atomic.Bool
	w.gcal.Admit = func(context.Context) error {
		if calls.Add(1) > allowed && !free.Load() {
			return usedUp(pause)
		}
		return nil
	}
	r, _ := w.start()
	for range 20 {
		w.events(w.user(), events/20)
	}
	r.Wake()
	w.untilTrue(`(select count(*) from reminders) = $1`, 3*events)
	w.until("memory empty", r.flight.empty)
	w.until("a pause", func() bool { left, why := r.Paused(); return left > 0 && why != "" })
	if n := one[int](w, `select count(*)::int from events where status = 'synced'`); n != allowed {
		t.Errorf("%d copies written with %d permits", n, allowed)
	}
	free.Store(true)
	w.untilTrue(`not exists (select from events where status <> 'synced')`)
	if n := one[int](w, `select max(sync_attempts) from events`); n != 0 {
		t.Errorf("%d attempts were used", n)
	}
	if n := w.log.count("all calendars paused"); n == 0 || n > 1+int(time.Since(began)/pause) {
		t.Errorf("the pause was logged %d times", n)
	}
}
