package wheel

import (
	"context"
	"errors"
	"runtime"
	"time"
)

const (
	// maxSleep bounds every sleep while something waits: timers stand still
	// when the machine is suspended and do not see the wall clock being set.
	maxSleep = time.Second

	// early is how long before a due time the timer is set. The runtime waits
	// in whole milliseconds, so that a timer is up to 1.1 ms late.
	early = 1200 * time.Microsecond
)

// errRunning is returned by a second Run.
var errRunning = errors.New("run wheel: it is running already")

// Run fires what falls due until ctx ends, and returns nil then. It calls fire
// from its own goroutine with at most MaxBatch entries in order of their time; the
// slice is used again after fire returns. What is fired has left the wheel.
//
// Nothing fires before its time by the database clock. While fire runs nothing
// else is fired.
func (w *Wheel) Run(ctx context.Context, fire func(due []Entry)) error {
	if err := w.begin(); err != nil {
		return err
	}
	defer w.end()
	due := make([]Entry, 0, MaxBatch)
	sleep := newSleeper(w.wake)
	defer sleep.stop()
	for ctx.Err() == nil {
		var wait time.Duration
		due, wait = w.step(due[:0], time.Now())
		switch {
		case len(due) > 0:
			sleep.napped = false
			fire(due)
		case wait == 0:
			runtime.Gosched() // unfinished work, but none that is due
		default:
			sleep.until(ctx, wait)
		}
	}
	return nil
}

func (w *Wheel) begin() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running {
		return errRunning
	}
	w.running = true
	return nil
}

func (w *Wheel) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running, w.wakeAt = false, awake
}

// forever is the wait of an empty wheel.
const forever = time.Duration(1<<63 - 1)

// step appends what is due at the local time, or says how long nothing will be.
// A wait of zero means that step wants to be called again at once.
func (w *Wheel) step(due []Entry, local time.Time) ([]Entry, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wakeAt = awake
	if w.index.count == 0 {
		w.wakeAt = asleepForGood
		return due, forever
	}
	now := w.now(local)
	due, settled := w.take(due, now)
	if len(due) > 0 || !settled {
		return due, 0
	}
	w.wakeAt = min(w.soonest(), now+maxSleep.Milliseconds())
	database := local.Add(w.offset)
	return due, max(time.UnixMilli(w.wakeAt).Sub(database.Round(0)), 1)
}

func (w *Wheel) soonest() int64 {
	if n := w.past.first(); n != 0 {
		return w.arena.node(n).at
	}
	return w.rings.soonest()
}

// take moves what is due into the batch until that is full or the hold of the
// lock has been long enough. Settled means that nothing more is due and that no
// node needs to move down.
func (w *Wheel) take(due []Entry, now int64) (_ []Entry, settled bool) {
	for len(due) < cap(due) {
		n := w.past.ready(now)
		if n == 0 {
			n = w.rings.ready(now)
		}
		switch {
		case n != 0:
			due = append(due, w.fired(n))
		case len(due) > 0:
			return due, false // what is due does not wait for what is not
		case w.rings.tick > now:
			return due, w.rings.ripen(holdWork)
		default:
			w.rings.leap(now)
			if !w.rings.ripen(holdWork) {
				return due, false
			}
		}
	}
	return due, false
}

func (w *Wheel) fired(n uint32) Entry {
	node := w.arena.node(n)
	e := Entry{ID: node.id, At: time.UnixMilli(node.at)}
	w.detach(n)
	w.forget(n)
	return e
}
