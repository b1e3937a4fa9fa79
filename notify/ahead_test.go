package notify

import (
	"context"
	"sync/atomic"
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
	var ahead atomic.Int64
	w.expo.Fail(func(r expofake.Request) *expofake.Fault {
		if r.Endpoint == expofake.SendEndpoint {
			ahead.Add(one[int64](w, `select count(*) from reminders where status = 'sending' and next_attempt_at - $1::interval < notify_at_ts`, w.cfg.Lease))
		}
		return nil
	})
	s, _ := w.start()
	const n = 20
	rounds := 0
	for began := time.Now(); ahead.Load() == 0 && time.Since(began) < patience; rounds++ { // a busy machine may be late for a whole round
		ids := map[uuid.UUID]time.Time{}
		for i := range n {
			id := w.own(user, time.Second+time.Duration(i)*30*time.Millisecond)
			s.Look(Changes)
			ids[id] = one[time.Time](w, `select notify_at_ts from reminders where id = $1`, id)
		}
		w.untilTrue(`not exists (select from reminders where status <> 'sent')`)
		w.once(n * (rounds + 1))
		for id, due := range ids {
			for _, p := range w.pushesOf(id) {
				if p.FirstByte.Before(due) {
					t.Errorf("sent %s before it was due", due.Sub(p.FirstByte))
				}
			}
		}
	}
	if ahead.Load() == 0 {
		t.Error("none was claimed before it was due")
	}
	t.Logf("%d of %d were claimed before they were due, in round %d", ahead.Load(), n, rounds)
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

// TestDueAtOnceIsNotHeldUp: while as many batches are held for their moment as may be, what is due at once gets a connection, and what is due
// later one at its time.
func TestDueAtOnceIsNotHeldUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := pureSender(t)
		entry := func(n byte, in time.Duration) []wheel.Entry {
			return []wheel.Entry{{ID: wheel.ID{n}, At: s.now().Add(in)}}
		}
		s.queue.add(entry(1, 40*time.Millisecond))
		for range heldFor * s.cfg.Connections {
			if held, ok := s.takePlace(t.Context()); !held || !ok {
				t.Fatalf("held %v, %v: there are places for what is due later", held, ok)
			}
		}
		for _, tt := range []struct {
			add  time.Duration // is due so much later than it comes
			want time.Duration
		}{{-1, 5 * time.Millisecond}, {time.Hour, 40 * time.Millisecond}} {
			began := time.Now()
			time.AfterFunc(5*time.Millisecond, func() { s.queue.add(entry(byte(2+len(s.slots)), tt.add)) })
			if held, ok := s.takePlace(t.Context()); held || !ok || time.Since(began) != tt.want {
				t.Errorf("held %v, %v after %s, want a connection after %s", held, ok, time.Since(began), tt.want)
			}
			if tt.add < 0 {
				s.queue.cut(1, true, s.now())
				time.Sleep(time.Hour)
				s.queue.cut(1, true, s.now())
				s.queue.add(entry(1, 40*time.Millisecond))
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.queue.cut(2, true, s.now().Add(time.Hour))
		s.queue.add(entry(1, time.Hour))
		if _, ok := s.takePlace(ctx); ok {
			t.Error("a place was taken after the end")
		}
	})
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
