package wheel

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// failer is what *testing.T and *rapid.T have in common here.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// model is a wheel, and what it should contain.
type model struct {
	t     failer
	w     *Wheel
	local time.Time // the local clock
	turns int       // calls of pass
	ahead time.Duration
	want  map[int]int64
}

func newModel(t failer) *model {
	local := time.UnixMilli(1_800_000_000_123)
	return &model{t: t, w: newAt(local), local: local, want: map[int]int64{}}
}

// now is the database clock.
func (m *model) now() time.Time { return m.local.Add(m.ahead) }

func (m *model) arm(n int, in time.Duration) {
	at := m.now().Add(in)
	m.w.Arm(numbered(n), at)
	m.want[n] = ceilMilli(at)
}

func (m *model) armAll(first, count int, in time.Duration) {
	var entries []Entry
	for i := range count {
		at := m.now().Add(in + time.Duration(i)*3*time.Millisecond)
		entries = append(entries, Entry{numbered(first + i), at})
		m.want[first+i] = ceilMilli(at)
	}
	m.w.ArmAll(entries)
}

func (m *model) disarm(n int) {
	m.t.Helper()
	_, waits := m.want[n]
	if got := m.w.Disarm(numbered(n)); got != waits {
		m.t.Fatalf("Disarm(%d) = %v, want %v", n, got, waits)
	}
	delete(m.want, n)
}

func (m *model) setOffset(d time.Duration) {
	m.ahead = d
	m.w.SetOffset(d)
}

// pass moves the local clock, forward or back, and checks all that then fires.
func (m *model) pass(d time.Duration) {
	m.t.Helper()
	m.local = m.local.Add(d)
	now := m.now().UnixMilli()
	due := make([]Entry, 0, 7) // small, so that batches end everywhere
	last := int64(-1 << 62)
	for wait := time.Duration(0); wait == 0; {
		due, wait = m.w.step(due[:0], m.local)
		for _, e := range due {
			n, at := number(e.ID), e.At.UnixMilli()
			want, waits := m.want[n]
			if !waits || want != at || at > now || at < last {
				m.t.Fatalf("fired %d due at %d after one due at %d; it is %d now and %d (%v) was due", n, at, last, now, want, waits)
			}
			last = at
			delete(m.want, n)
		}
		if wait > maxSleep && wait != forever {
			m.t.Fatalf("a wait of %v is too long", wait)
		}
	}
	for n, at := range m.want {
		if at <= now {
			m.t.Fatalf("%d was due at %d and did not fire, it is %d now", n, at, now)
		}
	}
	m.check()
}

// check compares what can be seen from outside, then looks inside.
func (m *model) check() {
	m.t.Helper()
	if got := m.w.Len(); got != len(m.want) {
		m.t.Fatalf("Len = %d, want %d", got, len(m.want))
	}
	var times []int64
	for _, at := range m.want {
		times = append(times, at)
	}
	next, ok := m.w.Next()
	if ok != (len(times) > 0) || ok && next.UnixMilli() != slices.Min(times) {
		m.t.Fatalf("Next = %v, %v with %d waiting", next.UnixMilli(), ok, len(times))
	}
	if m.turns++; m.turns%16 == 0 { // there are many lists
		m.checkLists()
	}
}

// checkLists verifies that every list is linked both ways, is marked if and only if
// it holds something, and that each node is in one place.
func (m *model) checkLists() {
	m.t.Helper()
	r, seen := &m.w.rings, len(m.w.past.heap)
	for list, n := range r.heads {
		owner := r.owner(uint32(list))
		slot := list - int(owner.base)
		if marked := owner.busy[0][slot>>6]>>(slot&63)&1 == 1; marked != (n != 0) {
			m.t.Fatalf("list %d begins with %d, marked %v", list, n, marked)
		}
		for prev := isHead | uint32(list); n != 0; n = m.w.arena.node(n).next {
			if got := m.w.arena.node(n).prev; got != prev {
				m.t.Fatalf("node %d of list %d follows %x, want %x", n, list, got, prev)
			}
			prev = n
			seen++
		}
	}
	if seen != len(m.want) {
		m.t.Fatalf("%d nodes in lists and heap, want %d", seen, len(m.want))
	}
	for i, n := range m.w.past.heap {
		if node := m.w.arena.node(n); node.prev != inPast || node.next != uint32(i) {
			m.t.Fatalf("node %d at %d of the heap holds %x, %d", n, i, node.prev, node.next)
		}
	}
}

// spans are the distances at which something changes: slots, rings, sleeps.
var spans = []time.Duration{
	0, 1, time.Millisecond, 999 * time.Microsecond, 1024 * time.Millisecond, 3072 * time.Millisecond,
	4095 * time.Millisecond, 4096 * time.Millisecond, time.Minute, 30 * time.Minute, 3 * time.Hour,
	farWidth * time.Millisecond, 25 * time.Hour, midSpan * time.Millisecond, 90 * 24 * time.Hour,
	3 * 365 * 24 * time.Hour,
}

// FuzzWheel lets bytes decide what happens: three for each step.
func FuzzWheel(f *testing.F) {
	f.Add([]byte{0, 1, 9, 4, 0, 10})                                     // arm, pass
	f.Add([]byte{0, 1, 9, 0, 1, 2, 4, 0, 3, 2, 1, 0, 4, 0, 12})          // move earlier, fire, disarm
	f.Add([]byte{0, 1, 15, 4, 0, 15, 0, 2, 14, 4, 0, 14})                // beyond the far ring
	f.Add([]byte{0, 1, 12, 5, 0, 10, 0, 2, 2, 0, 3, 9, 4, 0, 10})        // clock set back
	f.Add([]byte{1, 0, 9, 6, 0, 8, 4, 0, 9, 3, 5, 8, 6, 1, 0, 4, 0, 12}) // many, offset
	f.Fuzz(func(t *testing.T, program []byte) {
		m := newModel(t)
		for len(program) >= 3 && len(program) < 3*64 {
			m.do(program[0], program[1], spans[int(program[2])%len(spans)])
			program = program[3:]
		}
		m.checkLists()
		m.pass(4 * 365 * 24 * time.Hour)
	})
}

// do is one step of a program.
func (m *model) do(op, arg byte, span time.Duration) {
	m.t.Helper()
	jitter := time.Duration(arg) * 700 * time.Microsecond
	switch op % 7 {
	case 0:
		m.arm(int(arg)%16, span+jitter)
	case 1:
		m.armAll(int(arg), 40, span)
	case 2:
		m.disarm(int(arg) % 64)
	case 3:
		m.arm(int(arg)%16, -span)
	case 4:
		m.pass(span + jitter)
	case 5:
		m.pass(-span - jitter)
	case 6:
		m.setOffset(span - jitter*8)
	}
}

// TestAgainstModel draws longer programs than the fuzzer's seeds, with times
// anywhere between the spans.
func TestAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		ids := rapid.IntRange(0, 300)
		span := func(most time.Duration) time.Duration {
			return time.Duration(rapid.Int64Range(-int64(time.Minute), int64(most)).Draw(t, "span"))
		}
		t.Repeat(map[string]func(*rapid.T){
			"arm":    func(t *rapid.T) { m.arm(ids.Draw(t, "id"), span(50*time.Hour)) },
			"many":   func(t *rapid.T) { m.armAll(ids.Draw(t, "id"), 100, span(30*time.Second)) },
			"disarm": func(t *rapid.T) { m.disarm(ids.Draw(t, "id")) },
			"moment": func(t *rapid.T) { m.pass(max(0, span(6*time.Second))) },
			"day":    func(t *rapid.T) { m.pass(max(0, span(30*time.Hour))) },
			"back":   func(t *rapid.T) { m.pass(-max(0, span(2*time.Hour))) },
			"offset": func(t *rapid.T) { m.setOffset(span(time.Minute)) },
		})
	})
}

// TestManyAtOnce arms more than any batch or hold of the lock takes, for one
// moment and across the growth of the index, and takes half of them out.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const many = 30_000
	m := newModel(t)
	for n := range many {
		m.arm(n, time.Hour)
	}
	for n := 0; n < many; n += 2 {
		m.disarm(n)
	}
	m.pass(time.Hour - time.Millisecond)
	m.pass(time.Millisecond)
	if n := len(m.want); n != 0 {
		t.Errorf("%d did not fire", n)
	}
	if got := len(m.w.arena.chunks); got != 1 {
		t.Errorf("an empty wheel holds %d chunks, want 1", got)
	}
}

// TestIndexKeepsAll grows and shrinks the index and finds every id throughout.
func TestIndexKeepsAll(t *testing.T) {
	t.Parallel()
	const many = 400_000 // beyond the size at which buckets are split by tag
	var a arena
	x := newIndex(&a)
	id := func(n int) ID {
		id := numbered(n)
		binary.LittleEndian.PutUint32(id[:], uint32(n)*2654435761)
		return id
	}
	for n := range many {
		number, id := a.alloc(), id(n)
		a.node(number).id = id
		x.insert(x.hash(&id), number)
	}
	if x.buckets <= 1<<tagShift {
		t.Fatalf("%d buckets are too few for the test", x.buckets)
	}
	for n := range many {
		id := id(n)
		number := x.find(x.hash(&id), &id)
		if number == 0 {
			t.Fatalf("id %d is lost with %d in the index", n, x.count)
		}
		if n%8 != 0 {
			x.remove(number)
			a.free(number)
		}
	}
	for n := range many {
		id := id(n)
		if found := x.find(x.hash(&id), &id) != 0; found != (n%8 == 0) {
			t.Fatalf("id %d found: %v", n, found)
		}
	}
	if int(x.buckets) > 2*x.count+minBuckets {
		t.Errorf("%d buckets for %d ids", x.buckets, x.count)
	}
}
