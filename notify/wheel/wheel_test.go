package wheel

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// numbered makes an id of a number.
func numbered(n int) ID {
	var id ID
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func number(id ID) int { return int(binary.BigEndian.Uint64(id[8:])) }

// fired is one id and the time at which fire was called with it.
type fired struct {
	ID    int
	After time.Duration
}

// recorder collects what a running wheel fires.
type recorder struct {
	start time.Time
	got   []fired
}

func (r *recorder) fire(due []Entry) {
	for _, e := range due {
		r.got = append(r.got, fired{number(e.ID), time.Since(r.start)})
	}
}

// run starts a wheel in a bubble of fake time. Read what was recorded after
// synctest.Wait only.
func run(t *testing.T) (*Wheel, *recorder) {
	t.Helper()
	w, r := New(), &recorder{start: time.Now()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx, r.fire) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return w, r
}

func TestFiresInOrderAndOnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, r := run(t)
		var want []fired
		for i, d := range []time.Duration{
			0, time.Millisecond, 30 * time.Minute, 3 * time.Hour, 24 * time.Hour,
			40 * time.Hour,
		} {
			w.Arm(numbered(i), r.start.Add(d))
			want = append(want, fired{i, d})
		}
		time.Sleep(41 * time.Hour)
		synctest.Wait()
		if diff := cmp.Diff(want, r.got); diff != "" {
			t.Errorf("fired (-want +got):\n%s", diff)
		}
		if n := w.Len(); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

// TestNewestArmWins moves ids both ways while the wheel sleeps.
func TestNewestArmWins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, r := run(t)
		w.Arm(numbered(1), r.start.Add(time.Hour))
		w.Arm(numbered(2), r.start.Add(time.Minute))
		w.Arm(numbered(3), r.start.Add(time.Minute))
		synctest.Wait()
		w.Arm(numbered(1), r.start.Add(500*time.Millisecond)) // within the sleep of a second
		w.Arm(numbered(2), r.start.Add(2*time.Minute))
		if !w.Disarm(numbered(3)) || w.Disarm(numbered(3)) {
			t.Error("Disarm is to report whether the id waited")
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		want := []fired{{1, 500 * time.Millisecond}, {2, 2 * time.Minute}}
		if diff := cmp.Diff(want, r.got); diff != "" {
			t.Errorf("fired (-want +got):\n%s", diff)
		}
	})
}

// TestRoundsUp fires a time between two milliseconds at the later one.
func TestRoundsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, r := run(t)
		w.Arm(numbered(1), r.start.Add(time.Second+time.Nanosecond))
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]fired{{1, time.Second + time.Millisecond}}, r.got); diff != "" {
			t.Errorf("fired (-want +got):\n%s", diff)
		}
	})
}

// TestOffset moves the database clock under what waits: a step forward fires at
// once, a step back holds until the time comes again.
func TestOffset(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, r := run(t)
		w.SetOffset(10 * time.Second)
		w.Arm(numbered(1), r.start.Add(70*time.Second))
		w.Arm(numbered(2), r.start.Add(2*time.Hour))
		w.Arm(numbered(3), r.start.Add(3*time.Hour))
		time.Sleep(61 * time.Second)
		w.SetOffset(2 * time.Hour)
		time.Sleep(time.Second)
		w.SetOffset(-time.Hour)
		w.Arm(numbered(4), r.start.Add(time.Hour)) // before what the wheel has passed
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		want := []fired{{1, time.Minute}, {2, 61 * time.Second}, {4, 2 * time.Hour}, {3, 4 * time.Hour}}
		if diff := cmp.Diff(want, r.got); diff != "" {
			t.Errorf("fired (-want +got):\n%s", diff)
		}
	})
}

// TestFireMayArm arms the id that is being fired again, from within fire.
func TestFireMayArm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, start, rounds := New(), time.Now(), 0
		ctx, cancel := context.WithCancel(t.Context())
		w.Arm(numbered(1), start)
		err := w.Run(ctx, func(due []Entry) {
			if rounds++; rounds == 5 {
				cancel()
				return
			}
			w.Arm(due[0].ID, due[0].At.Add(time.Hour))
		})
		if err != nil || rounds != 5 || time.Since(start) != 4*time.Hour || w.Len() != 0 {
			t.Errorf("%d rounds in %v, %d wait, error %v", rounds, time.Since(start), w.Len(), err)
		}
	})
}

// TestArmBeforeRun keeps what was armed, and fires in order what is overdue.
func TestArmBeforeRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, start := New(), time.Now()
		var entries []Entry
		const many = 3 * MaxBatch
		for i := range many {
			n := i * 7919 % many // any order but the right one
			entries = append(entries, Entry{numbered(n), start.Add(time.Duration(n-many) * time.Second)})
		}
		w.ArmAll(entries)
		ctx, cancel := context.WithCancel(t.Context())
		got, batches := 0, 0
		_ = w.Run(ctx, func(due []Entry) {
			batches++
			for _, e := range due {
				if number(e.ID) != got {
					t.Fatalf("fired %d, want %d", number(e.ID), got)
				}
				got++
			}
			if got == many {
				cancel()
			}
		})
		if batches != 3 || time.Since(start) != 0 {
			t.Errorf("%d batches in %v, want 3 at once", batches, time.Since(start))
		}
	})
}

// TestIdleWheelSleeps lets an empty wheel be for a year, which takes no time if
// nothing ticks, and arms it then.
func TestIdleWheelSleeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, r := run(t)
		time.Sleep(365 * 24 * time.Hour)
		w.Arm(numbered(1), time.Now().Add(30*time.Minute))
		time.Sleep(time.Hour)
		synctest.Wait()
		want := []fired{{1, 365*24*time.Hour + 30*time.Minute}}
		if diff := cmp.Diff(want, r.got); diff != "" {
			t.Errorf("fired (-want +got):\n%s", diff)
		}
	})
}

func TestRunOnceOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := run(t)
		synctest.Wait()
		if err := w.Run(t.Context(), nil); err == nil {
			t.Error("a second Run is to be refused")
		}
	})
}

// TestConcurrentUse lets many arm, move and disarm while the wheel fires; every id
// that was armed last and not disarmed fires exactly once more.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	const workers, each = 8, 500
	w := New()
	ctx, cancel := context.WithCancel(t.Context())
	left := workers * each
	seen := make(map[int]bool, left)
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			for i := range each {
				id := numbered(worker*each + i)
				w.Arm(id, time.Now().Add(time.Hour))
				w.Arm(id, time.Now().Add(2*time.Hour))
				w.Disarm(id)
				w.Len()
				w.Next()
				w.Arm(id, time.Now().Add(time.Duration(i%10)*time.Millisecond))
			}
		})
	}
	err := w.Run(ctx, func(due []Entry) {
		now := time.Now()
		for _, e := range due {
			n := number(e.ID)
			if seen[n] || e.At.After(now) {
				t.Errorf("%d fired again or early: due %v, now %v", n, e.At, now)
			}
			seen[n] = true
			if left--; left == 0 {
				cancel()
			}
		}
	})
	group.Wait()
	if err != nil || left != 0 {
		t.Errorf("%d did not fire, error %v", left, err)
	}
}
