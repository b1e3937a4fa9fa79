package listener

import "sync"

// inbox is what the goroutine that reads a path leaves for the keeper, without
// ever waiting for it. The mutex guards all fields but ready.
type inbox struct {
	ready chan struct{} // room for one: there is something

	mu      sync.Mutex
	own     []word // that came back, at most ownLimit
	pong    bool
	hushed  bool // another worker is about to close the bell
	stormed bool
	early   bool // a commit was heard that may not be visible yet
}

// ownLimit is more words than a keeper ever waits for.
const ownLimit = 8

// mail is what an inbox held.
type mail struct {
	own                          []word
	pong, hushed, stormed, early bool
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

func (b *inbox) leave(note func(*inbox)) {
	b.mu.Lock()
	note(b)
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default: // the keeper has been told already
	}
}

func (b *inbox) leavePong()  { b.leave(func(b *inbox) { b.pong = true }) }
func (b *inbox) leaveHush()  { b.leave(func(b *inbox) { b.hushed = true }) }
func (b *inbox) leaveStorm() { b.leave(func(b *inbox) { b.stormed = true }) }
func (b *inbox) leaveEarly() { b.leave(func(b *inbox) { b.early = true }) }

func (b *inbox) leaveOwn(w word) {
	b.leave(func(b *inbox) {
		if len(b.own) < ownLimit {
			b.own = append(b.own, w)
		}
	})
}

// take empties the inbox.
func (b *inbox) take() mail {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := mail{b.own, b.pong, b.hushed, b.stormed, b.early}
	b.own, b.pong, b.hushed, b.stormed, b.early = nil, false, false, false, false
	return m
}
