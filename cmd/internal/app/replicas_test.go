package app

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// storm is how much TestReplicas does to how many.
type storm struct {
	rows        int           // events, and as many reminders
	burst       int           // more reminders, for one moment before the first kill, so that the quota of a second is used up
	span        time.Duration // in which they are written and fall due
	kill        time.Duration // from one kill to the next
	lease       time.Duration
	slack       time.Duration // how much later than its instant and a lease for each lost claim a reminder may be; 0: it is told only
	users       int
	atMostToEnd time.Duration
}

// The short one runs on machines that do other things meanwhile: how late those make it says nothing about the worker.
var (
	shortStorm = storm{2000, 0, 12 * time.Second, 3 * time.Second, 5 * time.Second, 0, 20, 2 * patience}
	fullStorm  = storm{20_000, 1200, time.Minute, 5 * time.Second, 15 * time.Second, 2 * time.Second, 100, 5 * time.Minute}
)

// Three workers, of which one is killed every few seconds and started again: every event has one copy, every reminder is pushed, a lease
// later for each claim that was lost with the killed and not much more, and what Expo and Google allow is kept to by all of them together.
// REMINDER_WORKER_TEST_FULL=1 runs 20,000 of each, and holds them to the lateness.
func TestReplicas(t *testing.T) {
	t.Parallel()
	s := shortStorm
	if full {
		s = fullStorm
	}
	w := newWorld(t)
	w.rememberCalls(10 * s.rows)
	w.keepLedger()
	w.slowly(100*time.Millisecond, 10*time.Millisecond)
	family := w.newFamily(s.users)
	fleet := w.newFleet(3, "LEASE="+s.lease.String())

	const beat = 100 * time.Millisecond
	family.burst(s.burst, time.Second/2)
	stop := family.keepWriting(beat, s.rows/int(s.span/beat), 2*time.Second)
	began := time.Now()
	for i := 0; time.Since(began) < s.span; i++ {
		w.pass(s.kill)
		fleet.restart(i%3, syscall.SIGKILL)
	}
	stop()
	sum := family.check(s.atMostToEnd)
	t.Logf("%d workers were killed; %d reminders were claimed by two of them or more before they were sent", fleet.started-3, sum.heldTwice)
	w.checkQuotas()
	if sum.late > 0 {
		t.Errorf("%d pushes were sent under a claim that was over", sum.late)
	}
	// One that is claimed by two that are killed waits for two leases, and kills at a third of a lease make that likely.
	if most := s.slack + time.Duration(s.burst)*time.Second/pushesPerSecond; s.slack > 0 && sum.waited > most {
		t.Errorf("a reminder was sent %s later than its instant and a lease for each lost claim, at most %s may it be", sum.waited, most)
	}
}

// Three workers are asked to stop, one after the other, and replaced: nothing is pushed twice, and no result is lost.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.keepLedger()
	w.slowly(100*time.Millisecond, 20*time.Millisecond)
	family := w.newFamily(10)
	fleet := w.newFleet(3)
	stop := family.keepWriting(50*time.Millisecond, 3, time.Second)
	for i := range 6 {
		w.pass(800 * time.Millisecond)
		fleet.restart(i%3, syscall.SIGTERM)
	}
	w.pass(time.Second)
	stop()
	if sum := family.check(2 * patience); sum.repeats > 0 || sum.lost > 0 {
		t.Errorf("%d pushes were repeated, %d results lost", sum.repeats, sum.lost)
	}
}

// A worker stands still in the middle of its work for longer than its claims hold, as on a machine that sleeps, and goes on: what it held
// is done by another meanwhile, and what it does with it on waking changes nothing. REMINDER_WORKER_TEST_FULL=1 lets it sleep for minutes.
func TestSuspended(t *testing.T) {
	t.Parallel()
	lease, asleep, times := 3*time.Second, 4500*time.Millisecond, 3
	if full {
		lease, asleep, times = 15*time.Second, time.Minute, 5
	}
	w := newWorld(t)
	w.keepLedger()
	w.slowly(150*time.Millisecond, 50*time.Millisecond)
	family := w.newFamily(10)
	fleet := w.newFleet(2, "LEASE="+lease.String())
	stop := family.keepWriting(50*time.Millisecond, 3, time.Second)
	r := rand.New(rand.NewPCG(5, 6))
	held := map[string]bool{} // the reminders that a sleeper had claimed
	w.pass(time.Second)
	for range times {
		w.pass(time.Duration(r.Int64N(int64(time.Second))))
		i := r.IntN(2)
		for _, id := range fleet.suspend(i) {
			held[id.String()] = true
		}
		w.pass(asleep)
		fleet.resume(i)
	}
	w.pass(lease)
	stop()
	sum := family.check(2 * patience)
	t.Logf("%d reminders were held by a sleeper, of which %d were pushed again: they had been on the wire", len(held), sum.repeats)
	if sum.late > 0 {
		t.Errorf("%d pushes were sent under a claim that was over", sum.late)
	}
	for id, h := range w.histories() {
		if len(h.pushes) > 1+h.Unsure && !held[id] {
			t.Errorf("reminder %s was pushed %d times, and no sleeper held it", id, len(h.pushes))
		}
	}
}
