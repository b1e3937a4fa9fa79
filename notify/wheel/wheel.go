package wheel

import (
	"math"
	"sync"
	"time"
)

// ID names a reminder: its UUID.
type ID [16]byte

// Entry is a reminder and the time at which it is due by the database clock.
type Entry struct {
	ID ID
	At time.Time
}

const (
	// MaxBatch is the largest number of entries that one call of fire receives.
	MaxBatch = 1024

	// holdWork bounds how many nodes are touched in one hold of the lock.
	holdWork = 512

	// asleepForGood is a wakeAt later than every due time.
	asleepForGood = math.MaxInt64
	// awake is a wakeAt earlier than every due time.
	awake = math.MinInt64
)

// Wheel is an alarm clock for reminders. Make one with New. All methods may be
// called from any goroutine, also from within fire.
type Wheel struct {
	wake chan struct{} // one signal that Run should look again

	mu      sync.Mutex // guards everything below
	running bool
	offset  time.Duration // database clock minus local clock
	wakeAt  int64         // the time for which Run sleeps

	arena arena
	index index
	rings rings
	past  past
}

// New returns an empty wheel.
func New() *Wheel { return newAt(time.Now()) }

// newAt returns an empty wheel whose rings begin at a local time.
func newAt(local time.Time) *Wheel {
	w := &Wheel{wake: make(chan struct{}, 1), wakeAt: awake}
	w.index = newIndex(&w.arena)
	w.past.arena = &w.arena
	w.rings = newRings(&w.arena, w.now(local))
	return w
}

// Arm makes the wheel fire id at the given time of the database clock. An id that
// waits already is moved, earlier or later: the newest call wins. A time in the
// past fires at once. Times are exact to the millisecond, rounded up.
func (w *Wheel) Arm(id ID, at time.Time) {
	ms := ceilMilli(at)
	w.mu.Lock()
	w.arm(&id, w.index.hash(&id), ms)
	signal := w.mustWake(ms)
	w.mu.Unlock()
	if signal {
		w.signal()
	}
}

// ArmAll arms many, as if by Arm one after the other, and lets others have the
// lock in between.
func (w *Wheel) ArmAll(entries []Entry) {
	for len(entries) > 0 {
		n := min(len(entries), holdWork)
		w.armSome(entries[:n])
		entries = entries[n:]
	}
}

func (w *Wheel) armSome(entries []Entry) {
	first := int64(math.MaxInt64)
	var room [holdWork]uint64
	hashes := room[:len(entries)]
	w.mu.Lock()
	for at := range entries {
		hashes[at] = w.index.hash(&entries[at].ID)
	}
	w.index.warm(hashes)
	for at := range entries {
		ms := ceilMilli(entries[at].At)
		w.arm(&entries[at].ID, hashes[at], ms)
		first = min(first, ms)
	}
	signal := w.mustWake(first)
	w.mu.Unlock()
	if signal {
		w.signal()
	}
}

func (w *Wheel) arm(id *ID, hash uint64, at int64) {
	n := w.index.find(hash, id)
	if n == 0 {
		n = w.arena.alloc()
		w.arena.node(n).id = *id
		w.index.insert(hash, n)
	} else {
		w.detach(n)
	}
	w.arena.node(n).at = at
	w.attach(n)
}

// Disarm takes id out of the wheel and reports whether it was waiting.
func (w *Wheel) Disarm(id ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.index.find(w.index.hash(&id), &id)
	if n == 0 {
		return false
	}
	w.detach(n)
	w.forget(n)
	return true
}

// Len is the number of ids that wait.
func (w *Wheel) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.index.count
}

// Next returns the earliest due time, and false if nothing waits. It is meant
// for a page or a gauge: when nothing is due within seconds it looks at every
// reminder of the second that comes next.
func (w *Wheel) Next() (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.index.count == 0 {
		return time.Time{}, false
	}
	if n := w.past.first(); n != 0 {
		return time.UnixMilli(w.arena.node(n).at), true
	}
	return time.UnixMilli(w.rings.earliest()), true
}

// SetOffset tells how far the database clock is ahead of the local one. Due times
// are the database's, so every new measurement belongs here.
func (w *Wheel) SetOffset(d time.Duration) {
	w.mu.Lock()
	changed := w.offset != d
	w.offset = d
	w.mu.Unlock()
	if changed {
		w.signal()
	}
}

// attach puts a node where its time belongs.
func (w *Wheel) attach(n uint32) {
	if w.arena.node(n).at < w.rings.tick {
		w.past.push(n)
		return
	}
	w.rings.add(n)
}

// detach is the opposite of attach.
func (w *Wheel) detach(n uint32) {
	if w.arena.node(n).prev == inPast {
		w.past.remove(n)
		return
	}
	w.rings.remove(n)
}

// forget gives up a detached node.
func (w *Wheel) forget(n uint32) {
	w.index.remove(n)
	w.arena.free(n)
	if w.index.count == 0 {
		w.arena.reset()
		w.index.reset()
	}
}

// mustWake reports whether Run sleeps beyond at.
func (w *Wheel) mustWake(at int64) bool {
	if at >= w.wakeAt {
		return false
	}
	w.wakeAt = awake
	return true
}

func (w *Wheel) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // a signal is waiting already
	}
}

// now is the database clock in milliseconds, rounded down. UnixNano reads the
// wall clock; the monotonic part of local plays no role.
func (w *Wheel) now(local time.Time) int64 {
	return local.Add(w.offset).UnixMilli()
}

// ceilMilli rounds up, so that nothing fires before its time.
func ceilMilli(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		ms++
	}
	return ms
}
