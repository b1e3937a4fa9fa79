package gcal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

// google takes so many requests in any window, counted exactly.
type google struct {
	allowed int
	window  time.Duration

	mu              sync.Mutex
	taken           []time.Time // within the window
	accepted, tried int
}

func (g *google) take() verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for len(g.taken) > 0 && now.Sub(g.taken[0]) >= g.window {
		g.taken = g.taken[1:]
	}
	g.tried++
	if len(g.taken) >= g.allowed {
		return overRate
	}
	g.taken = append(g.taken, now)
	g.accepted++
	return accepted
}

// load has workers make requests, each with so many calls at once, of many users, for so long.
func load(t *testing.T, g *google, workers int, length time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	var calls sync.WaitGroup
	for range workers {
		pace := &governor{now: time.Now}
		for range 32 {
			calls.Go(func() {
				for ctx.Err() == nil {
					callOnce(ctx, g, pace)
				}
			})
		}
	}
	calls.Wait()
}

func callOnce(ctx context.Context, g *google, pace *governor) {
	user := uuid.New()
	for range maxRefusals + 1 {
		done, err := pace.admit(ctx, user)
		if err != nil {
			var later interface{ RetryAfter() time.Duration }
			if errors.As(err, &later) {
				nap(ctx, later.RetryAfter())
			}
			return
		}
		nap(ctx, time.Duration(2+rand.IntN(8))*time.Millisecond) // there
		v := g.take()
		nap(ctx, time.Duration(2+rand.IntN(8))*time.Millisecond) // and back
		if !done(v) {
			return
		}
	}
}

func nap(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Whatever Google takes, by the second or by the minute, is made use of, and little is refused.
func TestGovernorFindsTheRate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		allowed      int
		window       time.Duration
		workers      int
		length       time.Duration
		use, refused float64 // at least, and at most
	}{
		{100, time.Second, 1, 100 * time.Second, 0.93, 0.02},
		{100, time.Second, 3, 60 * time.Second, 0.85, 0.04},
		{600, time.Second, 1, 20 * time.Second, 0.85, 0.02},
		{10, time.Second, 1, 2 * time.Minute, 0.60, 0.12}, // few requests, so each that finds the limit counts for much
		{6000, time.Minute, 1, 4 * time.Minute, 0.70, 0.02},
		{600, time.Minute, 2, 10 * time.Minute, 0.60, 0.12},
		{1 << 30, time.Second, 2, 10 * time.Second, 0, 0},
	} {
		t.Run(fmt.Sprintf("%d in %s, %d workers", tt.allowed, tt.window, tt.workers), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				g := &google{allowed: tt.allowed, window: tt.window}
				load(t, g, tt.workers, tt.length)
				possible := float64(tt.allowed) * float64(tt.length) / float64(tt.window)
				use, refused := float64(g.accepted)/possible, float64(g.tried-g.accepted)/float64(g.tried)
				t.Logf("%d in %s, %d workers: %.1f %% of what is allowed, %.2f %% refused of %d", tt.allowed, tt.window, tt.workers, 100*use, 100*refused, g.tried)
				if use < tt.use || refused > tt.refused {
					t.Errorf("want %.0f %% and at most %.0f %%", 100*tt.use, 100*tt.refused)
				}
			})
		})
	}
}

// One user's refusals are that user's affair, and a limit that is lifted is forgotten.
func TestGovernorLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pace := &governor{now: time.Now}
		request := func(user uuid.UUID, v verdict) (again bool) {
			done, err := pace.admit(t.Context(), user)
			if err != nil {
				t.Fatal(err)
			}
			return done(v)
		}
		her := uuid.New()
		began := time.Now()
		for range 50 {
			if request(uuid.New(), accepted); request(her, overRate) {
				t.Fatal("one user's refusal is taken for everybody's")
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("others waited %s", took)
		}
		for range 10 {
			request(uuid.New(), overRate)
		}
		if pace.rate == 0 {
			t.Fatal("the refusals of many are not noticed")
		}
		for range 10_000 {
			request(uuid.New(), accepted)
		}
		if pace.rate != 0 {
			t.Errorf("after 10,000 requests that were taken there is a limit of %.1f a second", pace.rate)
		}
	})
}

// Users at their own limits, for which Google has the same word, do not slow others down: whether it is seen at once that it is their own, or, where
// nobody else was there to compare with, when others come.
func TestOwnLimitsAreOwn(t *testing.T) {
	t.Parallel()
	for name, alone := range map[string]time.Duration{"among others": 0, "at first alone": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), alone+60*time.Second)
				defer cancel()
				pace := &governor{now: time.Now}
				var calls sync.WaitGroup
				for range 6 { // importers, who may make five requests a second each
					own, user := &google{allowed: 5, window: time.Second}, uuid.New()
					calls.Go(func() {
						for ctx.Err() == nil {
							if callOf(ctx, own, pace, user) == overRate {
								nap(ctx, 2*time.Second)
							}
						}
					})
				}
				nap(ctx, alone)
				all := &google{allowed: 1 << 30, window: time.Second}
				for range 8 { // others, about 60 requests a second
					calls.Go(func() {
						for ctx.Err() == nil {
							callOf(ctx, all, pace, uuid.New())
							nap(ctx, 120*time.Millisecond)
						}
					})
				}
				calls.Wait()
				t.Logf("%s: others made %.0f requests a second", name, float64(all.accepted)/60)
				if all.accepted < 60*40 {
					t.Errorf("others made %d requests in a minute", all.accepted)
				}
			})
		})
	}
}

// callOf makes one request and returns what it came to at last.
func callOf(ctx context.Context, g *google, pace *governor, user uuid.UUID) (v verdict) {
	for range maxRefusals + 1 {
		done, err := pace.admit(ctx, user)
		if err != nil {
			return neutral
		}
		nap(ctx, 10*time.Millisecond)
		if v = g.take(); !done(v) {
			return v
		}
	}
	return v
}

// A call does not wait for long: it is told when to come back. The end of its context ends it at once.
func TestGovernorIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pace := &governor{now: time.Now}
		for range manyUsers {
			done, err := pace.admit(t.Context(), uuid.New())
			if err != nil {
				t.Fatal(err)
			}
			done(overRate)
		}
		for pace.hold < patient {
			nap(t.Context(), pace.hold)
			done, err := pace.admit(t.Context(), uuid.New())
			if err != nil {
				t.Fatal(err)
			}
			if !done(overRate) {
				t.Fatal("what is tried is taken for one user's affair")
			}
		}
		_, err := pace.admit(t.Context(), uuid.New())
		e := classify(OpInsert, err, time.Now())
		if e.Kind != Throttled || !e.Shared() || e.RetryAfter != pace.hold {
			t.Errorf("%v, pause %s", e, e.RetryAfter)
		}
		nap(t.Context(), pace.hold)
		done, err := pace.admit(t.Context(), uuid.New()) // on the wire
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		var later governed
		if _, err := pace.admit(ctx, uuid.New()); !errors.As(err, &later) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if _, err := pace.admit(ended, uuid.New()); !errors.Is(err, context.Canceled) {
			t.Errorf("a call that was ended: %v", err)
		}
		done(neutral)
		if done, err = pace.admit(t.Context(), uuid.New()); err != nil {
			t.Fatal(err)
		}
		if done(accepted); pace.eased.IsZero() {
			t.Error("a request that was taken does not end the pause")
		}
	})
}
