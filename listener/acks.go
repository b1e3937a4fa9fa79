package listener

import "sync"

// acks tells a path how far its messages have had their effect: a commit when the
// handler that was called for it has returned, anything else at once, but never
// before what came earlier. The mutex guards the positions.
type acks struct {
	path Path

	mu      sync.Mutex
	seen    uint64 // received
	pending uint64 // the last commit received
	done    uint64 // the last commit handled
}

// commit notes a commit that is to be handled.
func (a *acks) commit(position uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen, a.pending = position, position
}

// other notes a message that asks for nothing.
func (a *acks) other(position uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = position
	a.tell()
}

// handled notes that all commits up to a position have been handled.
func (a *acks) handled(position uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done = max(a.done, position)
	a.tell()
}

// tell is called with mu held.
func (a *acks) tell() {
	if a.done == a.pending {
		a.path.Acknowledge(a.seen)
	} else {
		a.path.Acknowledge(a.done)
	}
}
