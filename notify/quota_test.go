package notify

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
)

// everything is a quota without limit.
type everything struct{}

func (everything) Take(ctx context.Context, _ int) (time.Time, func(time.Time), error) {
	return time.Time{}, nil, ctx.Err()
}

// bucket is a quota of a single sender. What it gives is good for 50 ms.
type bucket struct{ *rate.Limiter }

func (b bucket) Take(ctx context.Context, n int) (time.Time, func(time.Time), error) {
	err := b.WaitN(ctx, n)
	if err != nil && ctx.Err() == nil {
		err = later(time.Second / 2)
	}
	return time.Now().Add(50 * time.Millisecond), nil, err
}

type later time.Duration

func (l later) Error() string             { return "used up for " + time.Duration(l).String() }
func (l later) RetryAfter() time.Duration { return time.Duration(l) }

// TestAdmitInTime: what would be allowed too late for its claim is refused at once and takes nothing, and nothing is claimed meanwhile.
func TestAdmitInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := pureSender(t, func(c *Config) { c.Lease = 2 * time.Second })
		s.quota = bucket{rate.NewLimiter(100, 100)}
		began := time.Now()
		for i, want := range []bool{true, true, false, false} { // saved up, a second's worth less one, then none
			if _, got := s.admitInTime(t.Context(), began, []int{100, 99, 50, 50}[i]); got != want {
				t.Errorf("request %d: %v, want %v", i, got, want)
			}
		}
		if took := time.Since(began); took != 990*time.Millisecond {
			t.Errorf("took %s", took)
		}
		if s.pace.wait(t.Context()); time.Since(began) != 1490*time.Millisecond {
			t.Errorf("claimed again after %s", time.Since(began))
		}
		if p, ok := s.admitInTime(t.Context(), time.Now(), 50); !ok || over(p.until) {
			t.Errorf("%v until %s", ok, p.until)
		}
		if s.inTime(began) || !s.inTime(time.Now()) {
			t.Error("in time is not within half of the lease")
		}
	})
}

// curious is a quota that wants to know when its permits were used.
type curious struct {
	took, used atomic.Int64 // Unix nanoseconds
	times      atomic.Int64
}

func (c *curious) Take(context.Context, int) (until time.Time, used func(time.Time), err error) {
	c.took.Store(time.Now().UnixNano())
	return until, func(at time.Time) { c.used.Store(at.UnixNano()); c.times.Add(1) }, nil
}

// The quota is told when a request was written, not when its answer came; and nothing of one that was not written.
func TestPermitsAreUsedWithTheWrite(t *testing.T) {
	t.Parallel()
	const answer = 300 * time.Millisecond
	w := newWorld(t)
	user, _ := w.user(1)
	s := w.sender()
	c := &curious{}
	s.quota = c
	w.expo.Fail(func(expofake.Request) *expofake.Fault { return &expofake.Fault{Delay: answer} })
	w.own(user, -time.Second)
	w.must(s.Drain(t.Context(), t.Context()))
	ended := time.Now()
	w.once(1)
	if n := c.times.Load(); n != 1 {
		t.Fatalf("told %d times", n)
	}
	if took, used := time.Unix(0, c.took.Load()), time.Unix(0, c.used.Load()); used.Before(took) || ended.Sub(used) < answer {
		t.Errorf("taken at %s, used at %s, answered before %s", took, used, ended)
	}
}

// hasty is a quota whose first permits are over before anybody can use them.
type hasty struct{ takes atomic.Int64 }

func (h *hasty) Take(context.Context, int) (until time.Time, used func(time.Time), err error) {
	if h.takes.Add(1) == 1 {
		until = time.Now()
	}
	return until, nil, nil
}

// Permits that are over when the request is to be written are not used: others are taken, and nobody rests.
func TestStalePermits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	s := w.sender()
	h := &hasty{}
	s.quota = h
	w.own(user, -time.Second)
	w.must(s.Drain(t.Context(), t.Context()))
	w.once(1)
	if n := h.takes.Load(); n != 2 {
		t.Errorf("%d takes", n)
	}
	if c := w.expo.Counts(); c.Requests != 1 {
		t.Errorf("%d requests", c.Requests)
	}
	if left, why := s.Paused(); left > 0 {
		t.Errorf("rests for %s: %s", left, why)
	}
}

// One, two and three senders and one quota: Expo, which counts every second exactly, refuses nobody. The margin is that of a machine on which
// one request may take a second longer than another.
func TestSendersShareTheQuota(t *testing.T) {
	t.Parallel()
	const rate, herd = 600, 1800
	for _, senders := range []int{1, 2, 3} {
		t.Run(strconv.Itoa(senders), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *expofake.Config) { c.Rate = rate })
			w.quota.Allowed, w.quota.Margin = rate, time.Second
			w.cfg.Lease = time.Minute // a busy machine takes longer for a request than a claim usually holds
			user, _ := w.user(1)
			w.herd(user, herd, 0)
			for range senders {
				w.start()
			}
			w.untilTrue(`not exists (select from reminders where status <> 'sent')`)
			w.once(herd)
			if c := w.expo.Counts(); c.Throttled > 0 {
				t.Errorf("%d requests were refused for their rate", c.Throttled)
			}
			pushes := w.expo.Pushes()
			first := pushes[0].FirstByte
			t.Logf("%d in %s, half of them in %s, %d requests", herd, pushes[herd-1].FirstByte.Sub(first).Round(time.Millisecond),
				pushes[herd/2].FirstByte.Sub(first).Round(time.Millisecond), w.expo.Counts().Requests)
		})
	}
}
