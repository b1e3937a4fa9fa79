package demo

import "sync"

// inbox passes on what the hooks of the stand-ins see. Putting never blocks, since a hook holds up the answer to the program.
type inbox struct {
	ring chan struct{} // holds one token while something may be waiting

	mu    sync.Mutex
	items []any
}

func newInbox() *inbox { return &inbox{ring: make(chan struct{}, 1)} }

// put adds an item; nil only rings.
func (b *inbox) put(item any) {
	if item != nil {
		b.mu.Lock()
		b.items = append(b.items, item)
		b.mu.Unlock()
	}
	select {
	case b.ring <- struct{}{}:
	default:
	}
}

func (b *inbox) take() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	items := b.items
	b.items = nil
	return items
}
