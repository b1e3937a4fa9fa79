package listener

import "sync"

// mailbox holds at most one pending change between the owner of the connection,
// who must never wait, and the deliverer, who may. The mutex guards pending and
// full; ready has room for one token and holds one whenever full is true and
// nobody has been woken for it yet.
type mailbox struct {
	mu      sync.Mutex
	pending Change
	full    bool
	ready   chan struct{}
}

func newMailbox() *mailbox { return &mailbox{ready: make(chan struct{}, 1)} }

// put folds c into what is pending. It never blocks.
func (m *mailbox) put(c Change) {
	m.mu.Lock()
	if m.full {
		c = m.pending.fold(c)
	}
	m.pending, m.full = c, true
	m.mu.Unlock()
	select {
	case m.ready <- struct{}{}:
	default: // the deliverer has been woken already
	}
}

// peek returns what is pending, and whether anything is.
func (m *mailbox) peek() (Change, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pending, m.full
}

// take returns what is pending and empties the box.
func (m *mailbox) take() (Change, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.pending, m.full
	m.pending, m.full = Change{}, false
	return c, ok
}
