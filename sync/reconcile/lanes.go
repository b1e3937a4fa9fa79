package reconcile

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal"
)

// job is one event or removal in flight.
type job struct {
	event, user uuid.UUID
	revision    int64
	attempts    int
	removal     bool
	lease       time.Time // of a removal's claim, as its row has it
	account     gcal.Account
	stored      string // the account's refresh token as its row has it
	home        string // the calendar that the account writes to; empty for a removal, or if it is yet to be made
	makes       string // the name of a calendar that is to be made first
	ends        bool   // it ends a move, and nothing more is to be written
	target      string // of a removal: the calendar that the copy was being moved to
	targetID    string // and its id there, empty: the event's first
	wait        time.Duration
	content     gcal.Event
	known       gcal.Copy
	plan        *commitment // nil: its reminders were committed before

	// What follows is guarded by the flight's mu.

	// holdsUntil is, by this machine's clock, when the claim ends. Those of events are extended while they are in flight.
	holdsUntil time.Time
	// cancel ends the call under way, nil if there is none.
	cancel context.CancelFunc
}

// lanes runs jobs, those of one user one after the other, of at most so many users at once.
type lanes struct {
	serve func(*job)
	slots chan struct{}
	wg    sync.WaitGroup

	mu     sync.Mutex
	queues map[uuid.UUID]*lane // guarded by mu; a user has an entry while a goroutine owns the lane
}

// lane is what waits for one user's calendar.
type lane struct {
	waiting []*job
	turn    time.Time // when the last one that was turned away is to come back
}

func newLanes(concurrency int, serve func(*job)) *lanes {
	return &lanes{serve: serve, slots: make(chan struct{}, concurrency), queues: map[uuid.UUID]*lane{}}
}

func (l *lanes) add(j *job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q, owned := l.queues[j.user]
	if !owned {
		q = &lane{}
		l.queues[j.user] = q
		l.wg.Go(func() { l.run(j.user) })
	}
	q.waiting = append(q.waiting, j)
}

// turnLimit is the longest a call is taken to last when others wait behind it: after a slow spell the estimate is still long, and who comes
// back too early costs one claim.
const turnLimit = 100 * time.Millisecond

// turn is 0 if a user's lane has room, with at most so many waiting. Otherwise it is after how long one more may come back, each
// one later than the last by what a call takes.
func (l *lanes) turn(user uuid.UUID, most int, call time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queues[user]
	if q == nil || len(q.waiting) < most {
		return 0
	}
	now := time.Now()
	call = min(max(call, time.Millisecond), turnLimit)
	if all := now.Add(time.Duration(len(q.waiting)) * call); all.After(q.turn) {
		q.turn = all
	}
	q.turn = q.turn.Add(call)
	return q.turn.Sub(now)
}

// room reports whether a user's lane has room, with at most so many waiting.
func (l *lanes) room(user uuid.UUID, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queues[user]
	return q == nil || len(q.waiting) < most
}

func (l *lanes) run(user uuid.UUID) {
	for l.serveNext(user) {
	}
}

// serveNext takes a place for one job only, so that many long lanes share the places.
func (l *lanes) serveNext(user uuid.UUID) bool {
	l.slots <- struct{}{}
	defer func() { <-l.slots }()
	j := l.next(user)
	if j != nil {
		l.serve(j)
	}
	return j != nil
}

// next takes the user's next job, or gives the lane up.
func (l *lanes) next(user uuid.UUID) *job {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queues[user]
	if len(q.waiting) == 0 {
		delete(l.queues, user)
		return nil
	}
	j := q.waiting[0]
	q.waiting = q.waiting[1:]
	return j
}

// wait returns when every lane is empty.
func (l *lanes) wait() { l.wg.Wait() }

// flight knows what is held in memory and tells when room comes free.
type flight struct {
	limit int
	freed chan struct{} // capacity 1

	mu   sync.Mutex
	jobs map[*job]bool // guarded by mu; false: the claim was lost
}

func newFlight(limit int) *flight {
	return &flight{limit: limit, freed: make(chan struct{}, 1), jobs: map[*job]bool{}}
}

func (f *flight) add(j *job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.jobs[j] = true
}

func (f *flight) remove(jobs ...*job) {
	f.mu.Lock()
	for _, j := range jobs {
		delete(f.jobs, j)
	}
	f.mu.Unlock()
	select {
	case f.freed <- struct{}{}:
	default:
	}
}

func (f *flight) room() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.limit - len(f.jobs)
}

func (f *flight) empty() bool { return f.room() == f.limit }

// begin notes that a call for j begins, which cancel ends, and reports whether the claim of j still stands; until says how long.
func (f *flight) begin(j *job, cancel context.CancelFunc) (until time.Time, stands bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j.cancel = cancel
	return j.holdsUntil, f.jobs[j] && time.Now().Before(j.holdsUntil)
}

// held reports whether the claim of j still stands.
func (f *flight) held(j *job) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.jobs[j] && time.Now().Before(j.holdsUntil)
}

// extend notes until when the claims of jobs hold now.
func (f *flight) extend(jobs []*job, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range jobs {
		j.holdsUntil = until
	}
}

// events returns the events in flight whose claim stands.
func (f *flight) events() []*job {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := make([]*job, 0, len(f.jobs))
	for j, stands := range f.jobs {
		if stands && !j.removal {
			held = append(held, j)
		}
	}
	return held
}

// lose notes that the claims of jobs no longer stand, and ends the calls under way for them: their events are gone, or others'.
func (f *flight) lose(jobs []*job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range jobs {
		if _, here := f.jobs[j]; here {
			f.jobs[j] = false
			if j.cancel != nil {
				j.cancel()
			}
		}
	}
}

// pause is a time before which no calendar is called, and why.
type pause struct {
	mu    sync.Mutex
	until time.Time
	why   string
}

func (p *pause) set(until time.Time, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until.After(p.until) {
		p.until, p.why = until, why
	}
}

// left is for how much longer, and why; 0: calendars may be called.
func (p *pause) left() (time.Duration, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, time.Until(p.until)), p.why
}
