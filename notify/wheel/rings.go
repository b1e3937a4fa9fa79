package wheel

import "math"

// The three rings. A slot of a ring is as wide as noted; a ring spans two slots
// of the next one at least, so that a slot can be emptied downwards long before
// its first reminder is due.
const (
	fineBits = 12 // 4096 slots of 1 ms: 4 s
	midShift = 10 // slots of 1.024 s
	midBits  = 17 // 131072 slots: 37 h
	farShift = 26 // slots of 18.6 h
	farBits  = 10 // 1024 slots: 2 years; what lies beyond waits in the last

	fineSpan = 1 << fineBits
	midWidth = 1 << midShift
	midSpan  = 1 << (midShift + midBits)
	farWidth = 1 << farShift
)

// ring is a circle of lists, one per slot of time.
type ring struct {
	base  uint32 // number of the list of slot 0
	shift uint   // slot = at >> shift, modulo the size
	mask  int64
	busy  bitset // slots whose list is not empty
}

// rings holds what is due from tick on, by time:
//
//	tick <= fine < fineEnd <= mid < midEnd <= far
//
// The bounds only ever move forward, and each node moves down at most twice. A
// node of the slot that is being emptied may be in either ring.
type rings struct {
	arena   *arena
	heads   []uint32 // first node of every list
	fine    ring
	mid     ring
	far     ring
	tick    int64 // everything before has been handed out
	fineEnd int64 // multiple of midWidth, at most fineSpan after tick
	midEnd  int64 // multiple of farWidth, at most midSpan after fineEnd
}

func newRings(a *arena, now int64) rings {
	var lists uint32
	add := func(shift, size uint) ring {
		r := ring{base: lists, shift: shift, mask: 1<<size - 1, busy: newBitset(1 << size)}
		lists += 1 << size
		return r
	}
	r := rings{arena: a, fine: add(0, fineBits), mid: add(midShift, midBits), far: add(farShift, farBits)}
	r.heads = make([]uint32, lists)
	r.tick = now
	r.fineEnd = floor(now, midWidth) + fineSpan - midWidth
	r.midEnd = floor(r.fineEnd, farWidth) + farWidth
	r.ripen(1) // all slots are empty: this only moves the bounds out
	return r
}

// floor rounds down to a multiple of width, a power of two, below zero as well.
func floor(ms, width int64) int64 { return ms &^ (width - 1) }

// slot is the slot of a time that the ring covers.
func (r *ring) slot(at int64) int { return int(at >> r.shift & r.mask) }

// list is the list of a time that the ring covers.
func (r *ring) list(at int64) uint32 { return r.base + uint32(r.slot(at)) }

// first returns the start of the first busy slot at or after from, within one
// turn of the ring.
func (r *ring) first(from int64) (start int64, ok bool) {
	here := r.slot(from)
	next := r.busy.next(here)
	if next < 0 {
		if next = r.busy.next(0); next < 0 {
			return 0, false
		}
		next += int(r.mask) + 1
	}
	return floor(from, 1<<r.shift) + int64(next-here)<<r.shift, true
}

// add puts a node whose time is not before tick into its list.
func (r *rings) add(n uint32) {
	at := r.arena.node(n).at
	switch {
	case at < r.fineEnd:
		r.push(&r.fine, r.fine.list(at), n)
	case at < r.midEnd:
		r.push(&r.mid, r.mid.list(at), n)
	default:
		last := r.midEnd + r.far.mask<<farShift
		r.push(&r.far, r.far.list(min(at, last)), n)
	}
}

func (r *rings) push(to *ring, list, n uint32) {
	node, first := r.arena.node(n), r.heads[list]
	node.next, node.prev = first, isHead|list
	r.heads[list] = n
	if first == 0 {
		to.busy.set(int(list - to.base))
		return
	}
	r.arena.node(first).prev = n
}

// remove takes a node out of its list.
func (r *rings) remove(n uint32) {
	node := r.arena.node(n)
	if node.next != 0 {
		r.arena.node(node.next).prev = node.prev
	}
	if node.prev&isHead == 0 {
		r.arena.node(node.prev).next = node.next
		return
	}
	list := node.prev &^ isHead
	r.heads[list] = node.next
	if node.next == 0 {
		owner := r.owner(list)
		owner.busy.clear(int(list - owner.base))
	}
}

func (r *rings) owner(list uint32) *ring {
	switch {
	case list < r.mid.base:
		return &r.fine
	case list < r.far.base:
		return &r.mid
	}
	return &r.far
}

// ready returns the first node due at or before now, or zero, and moves tick up
// to it. With zero, tick is now+1 or has met fineEnd.
func (r *rings) ready(now int64) uint32 {
	end := min(now+1, r.fineEnd)
	if r.tick >= end {
		return 0
	}
	if at, ok := r.fine.first(r.tick); ok && at < end {
		r.tick = at
		return r.heads[r.fine.list(at)]
	}
	r.tick = end
	return 0
}

// leap moves the bounds over a stretch in which nothing is due. The fine ring
// is empty up to fineEnd, where tick has arrived.
func (r *rings) leap(now int64) {
	to := min(r.midEnd, floor(now, midWidth))
	if start, ok := r.mid.first(r.fineEnd); ok {
		to = min(to, start)
	}
	if _, ok := r.fine.first(r.tick); !ok && to > r.fineEnd {
		r.tick, r.fineEnd = to, to
	}
}

// ripen empties slots into the ring below as early as that has room for them,
// touching at most budget nodes. It reports whether nothing is left to move.
func (r *rings) ripen(budget int) bool {
	for {
		switch {
		case r.midEnd+farWidth <= r.fineEnd+midSpan:
			if budget = r.emptyFar(budget); budget == 0 {
				return false
			}
			r.midEnd += farWidth
		case r.fineEnd+midWidth <= r.tick+fineSpan:
			if budget = r.emptyMid(budget); budget == 0 {
				return false
			}
			r.fineEnd += midWidth
		default:
			return true
		}
	}
}

// emptyMid moves the slot at fineEnd down and returns what is left of the
// budget, zero if the slot may not be empty yet.
func (r *rings) emptyMid(budget int) int {
	list := r.mid.list(r.fineEnd)
	for ; budget > 0; budget-- {
		n := r.heads[list]
		if n == 0 {
			return budget
		}
		r.remove(n)
		r.push(&r.fine, r.fine.list(r.arena.node(n).at), n)
	}
	return 0
}

// emptyFar does the same with the slot at midEnd. What had only been parked
// there, since its time lies beyond the far ring, is parked again.
func (r *rings) emptyFar(budget int) int {
	list := r.far.list(r.midEnd)
	for ; budget > 0; budget-- {
		n := r.heads[list]
		if n == 0 {
			return budget
		}
		r.remove(n)
		if at := r.arena.node(n).at; at < r.midEnd+farWidth {
			r.push(&r.mid, r.mid.list(at), n)
		} else {
			r.add(n)
		}
	}
	return 0
}

// soonest is the time of the first node in the fine ring, which is all that can
// be due within the next seconds.
func (r *rings) soonest() int64 {
	if at, ok := r.fine.first(r.tick); ok {
		return at
	}
	return math.MaxInt64
}

// earliest is the time of the first node in all rings.
func (r *rings) earliest() int64 {
	best := r.soonest()
	best = r.scan(&r.mid, r.fineEnd, best)
	return r.scan(&r.far, r.midEnd, best)
}

// scan looks for times before best in the slots of a ring that begin before it.
func (r *rings) scan(in *ring, from, best int64) int64 {
	for turn := from + (in.mask+1)<<in.shift; from < turn; {
		start, ok := in.first(from)
		if !ok || start >= min(best, turn) {
			break
		}
		for n := r.heads[in.list(start)]; n != 0; n = r.arena.node(n).next {
			best = min(best, r.arena.node(n).at)
		}
		from = start + 1<<in.shift
	}
	return best
}
