package reconcile

import (
	"context"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
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
	w.gcal.Admit = func(context.Context, uuid.UUID) error {
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

// Google takes fewer requests than it is said to: the rate is found out, hardly any is refused, and no attempt is used. With
// REMINDER_WORKER_TEST_FULL=1 there are 10,000 events, which takes two minutes.
func TestRateIsFoundOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const perSecond = 100
	users, each, refusedAtMost := 50, 12, 0.15 // the limit is found by being refused, which weighs more the fewer there are
	full := os.Getenv("REMINDER_WORKER_TEST_FULL") == "1"
	if full {
		each, refusedAtMost = 200, 0.02
	}
	w.google.Fail(gcalfake.ProjectQuota(perSecond, time.Second))
	for range users {
		w.events(w.user(), each)
	}
	began := time.Now()
	r, _ := w.start()
	r.Wake()
	total := users * each
	for synced := 0; synced < total; {
		w.until("progress", func() bool {
			n := one[int](w, `select count(*)::int from events where status = 'synced'`)
			moved := n > synced
			synced = max(synced, n)
			return moved
		})
	}
	took := time.Since(began)
	done, refused := w.google.Count(gcalfake.OpInsert, http.StatusOK), w.google.Count("", http.StatusForbidden)
	use, share := float64(done)/(perSecond*took.Seconds()), float64(refused)/float64(done+refused)
	t.Logf("%d events in %s: %.1f %% of what is allowed; %d requests refused, %.2f %%", done, took.Round(time.Millisecond), 100*use, refused, 100*share)
	if done != total || share > refusedAtMost {
		t.Errorf("%d copies written, want %d; %.1f %% of the requests were refused, want at most %.0f", done, total, 100*share, 100*refusedAtMost)
	}
	if full && use < 0.95 {
		t.Errorf("%.1f %% of what is allowed was used, want 95", 100*use)
	}
	if n := one[int](w, `select max(sync_attempts) from events`); n != 0 {
		t.Errorf("%d attempts were used", n)
	}
}
