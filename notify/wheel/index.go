package wheel

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

const (
	minBuckets = 1024

	// Mean chain lengths, in halves, beyond which a bucket is added or taken away.
	growAbove   = 3
	shrinkBelow = 1

	// tagShift is the lowest bit of the hash that a tag holds. The tag serves
	// twice: a node whose tag differs is not looked at, and between 131 thousand
	// and 8 million buckets it holds the bit by which a bucket is split, so that
	// growing touches no node at all. Nodes are where the cache misses are.
	tagShift = 17
)

// index finds nodes by id: linear hashing with chains through the links of the
// arena. Compared with a table that doubles, it grows by one bucket at a time and
// has therefore neither the pause of a rehash nor half a table of empty slots.
type index struct {
	arena   *arena
	seed    [2]uint64 // unknown to whoever makes up ids
	count   int
	buckets uint32 // in use
	high    uint32 // largest power of two not above buckets
	chunks  []*[chunkSize]uint32
	warmed  uint32 // makes the compiler keep the reads of warm
}

func newIndex(a *arena) index {
	x := index{arena: a, seed: [2]uint64{rand.Uint64(), rand.Uint64()}}
	x.chunks = append(x.chunks, new([chunkSize]uint32))
	x.buckets, x.high = minBuckets, minBuckets
	return x
}

// reset returns an empty index to its first size.
func (x *index) reset() {
	clear(x.chunks[1:])
	x.chunks = x.chunks[:1]
	x.buckets, x.high = minBuckets, minBuckets
}

func (x *index) hash(id *ID) uint64 {
	a := binary.LittleEndian.Uint64(id[:8]) ^ x.seed[0]
	b := binary.LittleEndian.Uint64(id[8:]) ^ x.seed[1]
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// bucket returns the place of a chain's first link.
func (x *index) bucket(hash uint64) *uint32 {
	b := uint32(hash) & (2*x.high - 1)
	if b >= x.buckets {
		b &^= x.high // not split off yet
	}
	return x.place(b)
}

func (x *index) place(b uint32) *uint32 { return &x.chunks[b>>chunkBits][b&chunkMask] }

// warm reads what inserting ids with these hashes is about to read. Where each
// insert waits for memory twice or thrice, one after the other, the loops here ask
// for it all at once, for no read depends on the one before.
func (x *index) warm(hashes []uint64) {
	if x.count == 0 {
		return // the arena may not have begun
	}
	var sum uint32
	for _, h := range hashes {
		sum += *x.bucket(h)
	}
	for _, h := range hashes {
		sum += *x.arena.link(*x.bucket(h) & numberMask)
	}
	for b := range uint32(len(hashes) * 2 / growAbove) { // buckets that are about to be split
		sum += *x.arena.link(*x.place((x.buckets + b) & (x.high - 1)) & numberMask)
	}
	x.warmed = sum
}

// link is what leads to node n.
func link(hash uint64, n uint32) uint32 { return uint32(hash>>tagShift)<<numberBits | n }

// find returns the number of the node with this id, or zero.
func (x *index) find(hash uint64, id *ID) uint32 {
	tag := link(hash, 0)
	for l := *x.bucket(hash); l != 0; {
		n := l & numberMask
		if l&^numberMask == tag && x.arena.node(n).id == *id {
			return n
		}
		l = *x.arena.link(n)
	}
	return 0
}

// insert adds a node whose id is not in the index.
func (x *index) insert(hash uint64, n uint32) {
	first := x.bucket(hash)
	*x.arena.link(n) = *first
	*first = link(hash, n)
	x.count++
	if 2*x.count > growAbove*int(x.buckets) {
		x.grow()
	}
}

// remove takes out a node that is in the index.
func (x *index) remove(n uint32) {
	at := x.bucket(x.hash(&x.arena.node(n).id))
	for *at&numberMask != n {
		at = x.arena.link(*at & numberMask)
	}
	*at = *x.arena.link(n)
	x.count--
	for range 2 / shrinkBelow { // keeps step, however many are removed
		if 2*x.count < shrinkBelow*int(x.buckets) && x.buckets > minBuckets {
			x.shrink()
		}
	}
}

// grow adds one bucket and moves into it what belongs there from its buddy.
func (x *index) grow() {
	b := x.buckets
	if int(b>>chunkBits) == len(x.chunks) {
		x.chunks = append(x.chunks, new([chunkSize]uint32))
	}
	from, to := x.place(b&^x.high), x.place(b)
	for *from != 0 {
		l := *from
		next := x.arena.link(l & numberMask)
		if !x.splits(l) {
			from = next
			continue
		}
		*from = *next
		*next = *to
		*to = l
	}
	x.buckets++
	if x.buckets == 2*x.high {
		x.high = x.buckets
	}
}

// splits reports whether the hash of a node has the bit of the bucket that is
// being added.
func (x *index) splits(l uint32) bool {
	if x.high >= 1<<tagShift && x.high < 1<<(tagShift+32-numberBits) {
		return l>>numberBits&(x.high>>tagShift) != 0
	}
	return uint32(x.hash(&x.arena.node(l&numberMask).id))&x.high != 0
}

// shrink takes the last bucket away and hangs its chain behind its buddy's.
func (x *index) shrink() {
	x.buckets--
	if x.buckets < x.high {
		x.high /= 2
	}
	last := x.place(x.buckets)
	at := x.place(x.buckets &^ x.high)
	for *at != 0 {
		at = x.arena.link(*at & numberMask)
	}
	*at = *last
	*last = 0
	if spare := int(x.buckets>>chunkBits) + 2; spare < len(x.chunks) {
		x.chunks[spare] = nil
		x.chunks = x.chunks[:spare]
	}
}
