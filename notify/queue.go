package notify

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/wheel"
)

// queue holds the ids that are due, each once: during a long rest of the sender the same window may be read, and fire, many times.
//
// They leave in the order in which they are due, until there are more than can be sent at once. Then it is read from the table until when each
// is worth sending, and the one whose event is nearest leaves first, of two the one that is longer overdue. What has only just come does not wait
// for that, unless there are so many that whoever leaves last would be late: of a crowd nobody leaves before all are ranked, or rankPatience is over.
//
// A suspect is an id whose request failed as a whole, and had no other in it: it may be what the request failed for. While requests fail it
// is tried after all others, and later it leaves alone.
type queue struct {
	added chan struct{} // capacity 1
	grown chan struct{} // capacity 1; something was added whose deadline is not known

	mu       sync.Mutex // guards all below
	fresh    line       // those whose deadline is not known yet
	ranked   line
	doubtful line      // the suspects among those that wait
	crowded  time.Time // since when there is a crowd of fresh ones; zero: there is none
	queued   map[uuid.UUID]struct{}
	suspects map[uuid.UUID]doubt
	seq      uint64
}

// doubt is what is held against a suspect.
type doubt struct {
	since time.Time // when its request failed, or was last counted against it
	times int       // how often it has failed since, with nothing else in its request
}

// place is an id in the queue.
type place struct {
	id       uuid.UUID
	seq      uint64
	due      time.Time
	deadline time.Time
	ranked   bool // deadline is known
}

// line is a heap of places, the next to leave on top. Those whose deadline is not known come first: they have only just come.
type line []place

func (l line) Len() int      { return len(l) }
func (l line) Swap(i, j int) { l[i], l[j] = l[j], l[i] }
func (l line) Less(i, j int) bool {
	a, b := &l[i], &l[j]
	switch {
	case a.ranked != b.ranked:
		return !a.ranked
	case a.ranked && !a.deadline.Equal(b.deadline):
		return a.deadline.Before(b.deadline)
	case !a.due.Equal(b.due):
		return a.due.Before(b.due)
	}
	return a.seq < b.seq
}

// Push implements heap.Interface.
func (l *line) Push(x any) { *l = append(*l, x.(place)) }

// Pop implements heap.Interface.
func (l *line) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// maxSuspects bounds what is remembered of failed requests.
const maxSuspects = 1000

func newQueue() *queue {
	return &queue{added: make(chan struct{}, 1), grown: make(chan struct{}, 1), queued: map[uuid.UUID]struct{}{}, suspects: map[uuid.UUID]doubt{}}
}

func (q *queue) add(due []wheel.Entry) {
	q.mu.Lock()
	for _, e := range due {
		q.push(uuid.UUID(e.ID), e.At)
	}
	q.mu.Unlock()
	q.ring()
}

func (q *queue) addIDs(ids []uuid.UUID) {
	q.mu.Lock()
	for _, id := range ids {
		q.push(id, time.Time{})
	}
	q.mu.Unlock()
	q.ring()
}

// push is called with mu held.
func (q *queue) push(id uuid.UUID, due time.Time) {
	if _, found := q.queued[id]; found {
		return
	}
	q.queued[id] = struct{}{}
	q.seq++
	l := &q.fresh
	if _, doubted := q.suspects[id]; doubted {
		l = &q.doubtful
	}
	heap.Push(l, place{id: id, seq: q.seq, due: due})
	if len(q.fresh) > crowd && q.crowded.IsZero() {
		q.crowded = time.Now()
	}
}

func (q *queue) ring() {
	signal(q.added)
	signal(q.grown)
}

// signal leaves word in a channel of capacity 1, unless some is there.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.queued)
}

const (
	// crowd is how many make it matter who leaves first: what Expo takes in ten seconds.
	crowd = 6000
	// rankPatience is how long the first of a crowd wait to be ranked.
	rankPatience = 500 * time.Millisecond
)

// wait returns when there are ids to be cut, or when ctx ends. One goroutine waits, and cuts.
func (q *queue) wait(ctx context.Context) {
	for ctx.Err() == nil {
		left := q.hold(time.Now())
		if left == 0 {
			return
		}
		q.pause(ctx, left)
	}
}

// hold is for how long nothing is to be cut, unless something is added or ranked meanwhile.
func (q *queue) hold(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case len(q.queued) == 0:
		return time.Hour
	case q.crowded.IsZero():
		return 0
	}
	return max(0, rankPatience-now.Sub(q.crowded))
}

func (q *queue) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-q.added:
	case <-t.C:
	}
}

// together is how far apart reminders may be due that are claimed, and sent, together ahead of their time.
const together = time.Millisecond

// cut takes up to size ids, the most urgent first, of those that are due now, or if none is, at the moment that comes next; healthy says that
// requests succeed at present.
func (q *queue) cut(size int, healthy bool, now time.Time) []uuid.UUID {
	q.mu.Lock()
	defer q.mu.Unlock()
	next := q.next()
	if len(q.doubtful) > 0 && (next == nil || healthy && !before((*next)[0], q.doubtful[0])) {
		return []uuid.UUID{q.pop(&q.doubtful)}
	}
	ids := make([]uuid.UUID, 0, min(size, len(q.fresh)+len(q.ranked)))
	var moment time.Time
	if next != nil {
		moment = latest(now, (*next)[0].due).Add(together)
	}
	for ; next != nil && len(ids) < size && !(*next)[0].due.After(moment); next = q.next() {
		ids = append(ids, q.pop(next))
	}
	if len(q.fresh) <= crowd {
		q.crowded = time.Time{}
	}
	if len(q.queued) == 0 {
		q.fresh, q.ranked, q.doubtful, q.queued = nil, nil, nil, map[uuid.UUID]struct{}{} // a herd's memory does not stay
	}
	return ids
}

// dueIn is in how long what is to be cut next is due; 0: it is, or is not known to be later.
func (q *queue) dueIn(now time.Time) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	next := q.next()
	if next == nil || len(q.doubtful) > 0 {
		return 0
	}
	return max(0, (*next)[0].due.Sub(now))
}

// next is the line whose top is to leave next, nil if both are empty. What has only just come leaves first, but not before a crowd that is
// ranked: it is ranked itself in a moment. It is called with mu held.
func (q *queue) next() *line {
	switch {
	case len(q.ranked) > 0 && (len(q.fresh) == 0 || len(q.fresh)+len(q.ranked) > crowd):
		return &q.ranked
	case len(q.fresh) > 0:
		return &q.fresh
	}
	return nil
}

// pop is called with mu held.
func (q *queue) pop(l *line) uuid.UUID {
	id := heap.Pop(l).(place).id
	delete(q.queued, id)
	return id
}

func before(a, b place) bool { return line{a, b}.Less(0, 1) }

// suspect remembers an id whose request failed and had no other in it, and returns what was held against it before.
func (q *queue) suspect(id uuid.UUID) (before doubt) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before, found := q.suspects[id]
	if !found && len(q.suspects) >= maxSuspects {
		clear(q.suspects)
	}
	d := before
	if !found {
		d.since = time.Now()
	}
	d.times++
	q.suspects[id] = d
	return before
}

// counted notes that a failure was counted against a suspect: for the next one there must be another proof.
func (q *queue) counted(id uuid.UUID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.suspects[id] = doubt{since: time.Now(), times: 1}
}

// acquit forgets what was held against an id.
func (q *queue) acquit(id uuid.UUID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.suspects, id)
}

// unranked returns up to limit ids whose deadline is not known, if more than spare ids wait.
func (q *queue) unranked(spare, limit int) (ids []uuid.UUID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queued) <= spare {
		return nil
	}
	for _, l := range []line{q.fresh, q.doubtful} {
		for i := range l {
			if !l[i].ranked && len(ids) < limit {
				ids = append(ids, l[i].id)
			}
		}
	}
	return ids
}

// rank makes the deadlines known of ids that were asked for. One without a deadline is gone; it leaves soon, for the claim to see.
func (q *queue) rank(asked []uuid.UUID, deadlines map[uuid.UUID]time.Time) {
	known := make(map[uuid.UUID]struct{}, len(asked))
	for _, id := range asked {
		known[id] = struct{}{}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.doubtful {
		if p := &q.doubtful[i]; !p.ranked {
			_, p.ranked = known[p.id]
			p.deadline = deadlines[p.id]
		}
	}
	heap.Init(&q.doubtful)
	q.fresh = slices.DeleteFunc(q.fresh, func(p place) bool {
		if _, found := known[p.id]; found {
			p.deadline, p.ranked = deadlines[p.id], true
			q.ranked = append(q.ranked, p)
		}
		return p.ranked
	})
	heap.Init(&q.fresh)
	heap.Init(&q.ranked)
	if len(q.fresh) == 0 {
		q.crowded = time.Time{}
	}
	signal(q.added)
}
