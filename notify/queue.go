package notify

import (
	"context"
	"sync"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/wheel"
)

// queue holds the ids that the wheel has fired, in order, each once: during a long rest of the sender the same window may be read, and
// fire, many times.
type queue struct {
	added chan struct{} // capacity 1

	mu     sync.Mutex
	ids    []uuid.UUID            // guarded by mu
	queued map[uuid.UUID]struct{} // what ids holds; guarded by mu
}

func newQueue() *queue {
	return &queue{added: make(chan struct{}, 1), queued: map[uuid.UUID]struct{}{}}
}

func (q *queue) add(due []wheel.Entry) {
	q.mu.Lock()
	for _, e := range due {
		q.push(uuid.UUID(e.ID))
	}
	q.mu.Unlock()
	q.ring()
}

func (q *queue) addIDs(ids []uuid.UUID) {
	q.mu.Lock()
	for _, id := range ids {
		q.push(id)
	}
	q.mu.Unlock()
	q.ring()
}

// push is called with mu held.
func (q *queue) push(id uuid.UUID) {
	if _, found := q.queued[id]; !found {
		q.queued[id] = struct{}{}
		q.ids = append(q.ids, id)
	}
}

func (q *queue) ring() {
	select {
	case q.added <- struct{}{}:
	default:
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ids)
}

// wait returns when there are ids, or when ctx ends. One goroutine waits, and cuts.
func (q *queue) wait(ctx context.Context) {
	for ctx.Err() == nil && q.len() == 0 {
		select {
		case <-ctx.Done():
		case <-q.added:
		}
	}
}

// cut takes up to size ids, the oldest first.
func (q *queue) cut(size int) []uuid.UUID {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(size, len(q.ids))
	ids := q.ids[:n:n]
	q.ids = q.ids[n:]
	for _, id := range ids {
		delete(q.queued, id)
	}
	if len(q.ids) == 0 && n > 0 {
		q.ids, q.queued = nil, map[uuid.UUID]struct{}{} // a herd's memory does not stay
	}
	return ids
}
