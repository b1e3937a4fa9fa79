package wheel

const (
	chunkBits = 12
	chunkSize = 1 << chunkBits
	chunkMask = chunkSize - 1

	// A link holds a node number and, above it, the tag: a few bits of the hash.
	// 67 million numbers are enough: Expo takes 54 million pushes of one project
	// in 25 hours.
	numberBits = 26
	numberMask = 1<<numberBits - 1

	isHead = 1 << 31 // prev holds a list number instead of a node number
	inPast = 1 << 30 // the node is in the heap; next is its position there
)

// node is one waiting reminder. Without pointers the garbage collector has
// nothing to follow.
type node struct {
	id   ID
	at   int64  // Unix milliseconds of the database clock
	next uint32 // in its list, or position in the heap; in the free list
	prev uint32 // in its list; isHead|list for the first; inPast for the heap
}

// chunk keeps the hash links apart from the nodes: the index walks links, which
// are few cache lines, and touches a node only when the hash bits agree.
type chunk struct {
	nodes [chunkSize]node
	links [chunkSize]uint32
}

// arena numbers nodes from 1. It grows by chunks, so that growing copies nothing.
type arena struct {
	chunks []*chunk
	used   uint32 // highest number given out since the last reset
	freed  uint32 // first of the free list
}

func (a *arena) node(n uint32) *node {
	return &a.chunks[n>>chunkBits].nodes[n&chunkMask]
}

func (a *arena) link(n uint32) *uint32 {
	return &a.chunks[n>>chunkBits].links[n&chunkMask]
}

func (a *arena) alloc() uint32 {
	if n := a.freed; n != 0 {
		a.freed = a.node(n).next
		return n
	}
	a.used++
	if a.used > numberMask {
		panic("wheel: more than 67 million reminders wait")
	}
	if int(a.used>>chunkBits) == len(a.chunks) {
		a.chunks = append(a.chunks, new(chunk))
	}
	return a.used
}

func (a *arena) free(n uint32) {
	a.node(n).next = a.freed
	a.freed = n
}

// reset gives back all but the first chunk. No node may be in use.
func (a *arena) reset() {
	clear(a.chunks[1:])
	a.chunks = a.chunks[:1]
	a.used, a.freed = 0, 0
}
