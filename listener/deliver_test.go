package listener

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// entry is a change and when it was handed on, counted from the start.
type entry struct {
	After time.Duration
	Cause Cause
	Count int
}

// deliverer runs the delivering half of a listener in a synctest bubble. The test
// plays the owner of the connection.
type deliverer struct {
	*Listener
	begin time.Time
	acks  *acks
	work  time.Duration // how long the handler takes

	mu  sync.Mutex // guards got
	got []entry
}

func deliverIn(t *testing.T, cfg Config) *deliverer {
	t.Helper()
	d := &deliverer{Listener: New(nil, cfg, zeroLog(), nil), begin: time.Now(), acks: &acks{path: deafPath{}}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.deliver(ctx, func(c Change) {
			d.mu.Lock()
			d.got = append(d.got, entry{time.Since(d.begin), c.Cause, c.Count})
			d.mu.Unlock()
			<-time.After(d.work)
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return d
}

// deafPath is a path for what needs one and does not use it.
type deafPath struct{ Path }

// Acknowledge implements Path.
func (deafPath) Acknowledge(uint64) {}

// at moves to a moment after the start and lets everything due by then happen.
func (d *deliverer) at(after time.Duration) {
	<-time.After(time.Until(d.begin.Add(after)))
	synctest.Wait()
}

// taken returns what was handed on since it was last asked for.
func (d *deliverer) taken() []entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	got := d.got
	d.got = nil
	return got
}

// want compares that with what should have been.
func (d *deliverer) want(t *testing.T, want ...entry) {
	t.Helper()
	if diff := cmp.Diff(want, d.taken(), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

// listeningIn returns a deliverer that is told it hears.
func listeningIn(t *testing.T) *deliverer {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Fold = 2 * time.Millisecond
	d := deliverIn(t, cfg)
	d.began()
	d.at(cfg.Fold)
	d.want(t, entry{cfg.Fold, Backlog, 0})
	return d
}

func TestWhatComesWithinTheFoldIsOneChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := listeningIn(t)
		for _, ms := range []int{100, 101, 101, 103, 200} {
			d.at(time.Duration(ms) * time.Millisecond)
			d.heard(d.acks, Message{Position: 1})
		}
		d.at(time.Second)
		d.want(t, entry{102 * time.Millisecond, Committed, 3}, entry{105 * time.Millisecond, Committed, 1},
			entry{202 * time.Millisecond, Committed, 1})
	})
}

func TestASlowHandlerFoldsIntoOnePendingChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := listeningIn(t)
		d.work = time.Second
		d.at(10 * time.Millisecond)
		d.heard(d.acks, Message{Position: 1})
		for i := range 1000 {
			d.at(time.Duration(20+i/2) * time.Millisecond)
			d.heard(d.acks, Message{Position: 1})
		}
		d.at(5 * time.Second)
		// The second call follows the first at once: its changes have waited enough.
		d.want(t, entry{12 * time.Millisecond, Committed, 1}, entry{1012 * time.Millisecond, Committed, 1000})
	})
}

func TestABacklogAbsorbsCommits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := listeningIn(t)
		d.at(100 * time.Millisecond)
		d.heard(d.acks, Message{Position: 1})
		d.box.put(Change{Cause: Backlog, At: time.Now()})
		d.heard(d.acks, Message{Position: 1})
		d.at(time.Second)
		d.want(t, entry{102 * time.Millisecond, Backlog, 2})
	})
}

func TestSweepsWhileListening(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := listeningIn(t)
		d.at(10 * time.Second)
		d.heard(d.acks, Message{Position: 1}) // a commit does not put off the sweep
		d.at(65 * time.Second)
		fold := d.cfg.Fold
		d.want(t, entry{10*time.Second + fold, Committed, 1},
			entry{30*time.Second + fold, Sweep, 0}, entry{60*time.Second + fold, Sweep, 0})
	})
}

func TestSweepsComeAtTheDegradedPaceWhileDeaf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := listeningIn(t)
		d.at(20 * time.Second)
		_ = d.stopped(t.Context(), ErrNoProof)
		d.at(22500 * time.Millisecond)
		d.began()
		d.at(52 * time.Second)
		// The first comes at once: none was due for longer than the new pace.
		d.want(t, entry{20 * time.Second, Sweep, 0}, entry{21 * time.Second, Sweep, 0}, entry{22 * time.Second, Sweep, 0},
			entry{22502 * time.Millisecond, Backlog, 0})
		d.at(53 * time.Second)
		d.want(t, entry{52502 * time.Millisecond, Sweep, 0}) // 30s after the backlog
	})
}

func TestFlappingDoesNotMultiplySweeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := deliverIn(t, DefaultConfig())
		for i := range 100 {
			d.at(time.Duration(i) * 50 * time.Millisecond)
			_ = d.stopped(t.Context(), ErrNoProof)
		}
		d.at(5500 * time.Millisecond)
		if n := len(d.taken()); n != 5 {
			t.Errorf("%d sweeps in 5.5s, want 5", n)
		}
	})
}

func TestNothingIsHandedOnAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := New(nil, DefaultConfig(), zeroLog(), nil)
		l.heard(&acks{path: deafPath{}}, Message{Position: 1})
		cancel()
		l.deliver(ctx, func(c Change) { t.Errorf("got %+v", c) })
	})
}
