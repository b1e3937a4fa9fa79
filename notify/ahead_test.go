package notify

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/notify/wheel"
)

// TestClaimedAhead: what comes due is claimed before, and not one is sent before it is due.
func TestClaimedAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	var mu sync.Mutex
	ahead := 0
	w.expo.Fail(func(r expofake.Request) *expofake.Fault {
		if r.Endpoint == expofake.SendEndpoint {
			n := one[int](w, `select count(*)::int from reminders where status = 'sending' and next_attempt_at - $1::interval < notify_at_ts`, w.cfg.Lease)
			mu.Lock()
			ahead += n
			mu.Unlock()
		}
		return nil
	})
	s, _ := w.start()
	for s.lead.learn(s.wheel, aheadMost); s.lead.now() < aheadMost; {
		s.lead.learn(s.wheel, aheadMost) // as if the database were far away
	}
	const n = 20
	ids := map[uuid.UUID]time.Time{}
	for i := range n {
		id := w.own(user, time.Second+time.Duration(i)*30*time.Millisecond)
		ids[id] = one[time.Time](w, `select notify_at_ts from reminders where id = $1`, id)
	}
	s.Look(Changes)
	w.untilTrue(`not exists (select from reminders where status <> 'sent')`)
	w.once(n)
	for id, due := range ids {
		for _, p := range w.pushesOf(id) {
			if p.FirstByte.Before(due) {
				t.Errorf("sent %s before it was due", due.Sub(p.FirstByte))
			}
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if ahead == 0 {
		t.Error("none was claimed before it was due")
	}
	t.Logf("%d of %d were claimed before they were due", ahead, n)
}

// TestPostponedWhenClaimed: a reminder that the app puts off by a moment, after it has left the wheel, is held until then.
func TestPostponedWhenClaimed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	id := w.own(user, 30*time.Millisecond)
	due := one[time.Time](w, `select notify_at_ts from reminders where id = $1`, id)
	s := w.sender()
	if _, err := s.readClock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.deliver(t.Context(), []uuid.UUID{id}); err != nil {
		t.Fatal(err)
	}
	w.untilStatus(id, "sent")
	if p := w.pushesOf(id); len(p) != 1 || p[0].FirstByte.Before(due) {
		t.Errorf("pushes %v, want one, not before %s", p, due)
	}
}

// TestLead follows what claims take, within its bounds, and what is slow once moves it little.
func TestLead(t *testing.T) {
	t.Parallel()
	var l lead
	w := wheel.New()
	if got := l.now(); got != 2*aheadFirst {
		t.Errorf("at first %s", got)
	}
	l.learn(w, time.Millisecond)
	l.learn(w, time.Hour)
	if got := l.now(); got < 2*time.Millisecond || got > aheadMost/3 {
		t.Errorf("after one slow claim %s", got)
	}
	for range 100 {
		l.learn(w, time.Hour)
	}
	if got := l.now(); got != aheadMost {
		t.Errorf("with a slow database %s, want %s", got, aheadMost)
	}
	for range 100 {
		l.learn(w, time.Millisecond)
	}
	if got := l.now(); got > 3*time.Millisecond || l.told-got > aheadStep {
		t.Errorf("when it is quick again %s, and the wheel was told %s", got, l.told)
	}
}

// TestHold waits for the due time, and no longer than the claim allows when the clock was set back.
func TestHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := pureSender(t)
		for _, tt := range []struct{ due, want time.Duration }{{-time.Second, 0}, {0, 0}, {30 * time.Millisecond, 30 * time.Millisecond}} {
			began := time.Now()
			if ok := s.hold(t.Context(), batch{began: began, due: s.now().Add(tt.due)}); !ok || time.Since(began) != tt.want {
				t.Errorf("due in %s: %v after %s", tt.due, ok, time.Since(began))
			}
		}
		began := time.Now()
		if s.hold(t.Context(), batch{began: began, due: s.now().Add(time.Hour)}) || time.Since(began) > s.cfg.Lease {
			t.Errorf("held for %s, beyond its claim", time.Since(began))
		}
	})
}
