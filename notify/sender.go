package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/notify/wheel"
	"github.com/parentpal/reminder-worker/sql/settings"
	"github.com/parentpal/reminder-worker/sql/store"
)

// Sender sends due reminders. Make it with New and run it once.
type Sender struct {
	db   *store.Queries
	expo *expo.Client
	cfg  Config
	log  zerolog.Logger
	m    *Metrics

	wheel   *wheel.Wheel
	queue   *queue
	pace    *pace
	quota   Quota
	slots   chan struct{} // one per connection
	held    chan struct{} // one per batch that is held for its moment
	looks   chan Scope    // capacity 1; see Look
	notices chan struct{} // capacity 1
	window  window
	ready   atomic.Bool
	offset  atomic.Int64 // the database's clock minus ours, in nanoseconds
	alarm   alarm
	zones   settings.Zones

	clockKnown atomic.Bool // offset has been measured
	clock      clock
}

// Scope says how far a look goes.
type Scope int

// The scopes, each including the ones before it.
const (
	// Changes reads what transactions since the last look have touched.
	Changes Scope = iota
	// Overdue also takes what the wheel should have fired and did not.
	Overdue
	// Window reads the whole near window anew.
	Window
)

// New returns a sender over db and client, which offers as many messages as quota allows.
func New(db *store.Queries, client *expo.Client, quota Quota, cfg Config, log zerolog.Logger, m *Metrics) (*Sender, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure sender: %w", err)
	}
	s := &Sender{
		db: db, expo: client, cfg: cfg, m: m,
		log:   log.With().Str("component", "notify").Logger(),
		wheel: wheel.New(), queue: newQueue(), pace: newPace(cfg), quota: quota,
		slots:   make(chan struct{}, cfg.Connections),
		held:    make(chan struct{}, heldFor*cfg.Connections),
		looks:   make(chan Scope, 1),
		notices: make(chan struct{}, 1),
	}
	m.observe(s)
	s.wheel.SetOffset(ahead)
	return s, nil
}

// Arm puts a reminder that is known to be committed into the wheel, if it is due within the window; what is due later is
// read when the window reaches it.
func (s *Sender) Arm(id uuid.UUID, at time.Time) {
	if s.window.covers(at) {
		s.wheel.Arm(wheel.ID(id), at)
	}
}

// Look asks for the table to be read. It never blocks; of several before the next read the widest counts.
func (s *Sender) Look(scope Scope) {
	if scope != Changes {
		s.lookForNotices()
	}
	for {
		select {
		case s.looks <- scope:
			return
		case waiting := <-s.looks:
			scope = max(scope, waiting)
		}
	}
}

// Ready reports whether the wheel has been filled.
func (s *Sender) Ready() bool { return s.ready.Load() }

// Waiting is the number of reminders in the wheel.
func (s *Sender) Waiting() int { return s.wheel.Len() }

// Paused tells for how much longer nothing is sent, and why; 0: the sender is at work.
func (s *Sender) Paused() (time.Duration, string) { return s.pace.left() }

// Pause has nothing claimed or written until Resume: reminders stay in the table. What is on the wire finishes, and receipts are asked for.
func (s *Sender) Pause() { s.pace.pause() }

// Resume ends Pause. What has become due meanwhile is read from the table.
func (s *Sender) Resume() {
	s.pace.resume()
	s.Look(Window)
}

// Run sends until ctx ends. Requests on the wire then finish under work, which is the caller's to end. The wheel is empty until the
// first Look.
func (s *Sender) Run(ctx, work context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.wheel.Run(ctx, s.fired) })
	g.Go(func() error { s.watch(ctx); return nil })
	g.Go(func() error { s.dispatch(ctx, work); return nil })
	g.Go(func() error { s.rankBacklog(ctx); return nil })
	g.Go(func() error { s.askReceipts(ctx); return nil })
	g.Go(func() error { s.tellUsers(ctx, work); return nil })
	return g.Wait()
}

// Drain sends all that is due now and settles the receipts that are, then returns.
func (s *Sender) Drain(ctx, work context.Context) error {
	if _, err := s.readClock(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil && !s.pace.paused() {
		ids, err := s.db.DueReminders(ctx, store.DueRemindersParams{MaxRows: int32(s.cfg.PageSize)})
		if err != nil {
			return fmt.Errorf("read due reminders: %w", err)
		}
		taken, err := s.drainPage(ctx, work, ids)
		if err != nil {
			return err
		}
		if left, _ := s.pace.left(); taken == 0 || left > 0 {
			break // nothing is due, somebody else holds it, or Expo takes nothing
		}
	}
	return errors.Join(s.drainNotices(ctx, work), s.drainReceipts(ctx))
}

// drainPage sends what ids say, the most urgent first, and returns how many it took.
func (s *Sender) drainPage(ctx, work context.Context, ids []uuid.UUID) (taken int, err error) {
	s.queue.addIDs(ids)
	if err := s.rank(ctx); err != nil {
		return 0, err
	}
	for ctx.Err() == nil && s.queue.len() > 0 {
		if left, _ := s.pace.left(); left > 0 || s.pace.paused() {
			break
		}
		n, err := s.deliver(work, s.queue.cut(s.pace.wait(ctx), s.pace.healthy(), s.now()))
		if taken += n; err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// fired takes due ids from the wheel. It must not block: the wheel waits for it. What fires while the sender is paused by hand is let go, for a pause
// has no end that memory could be meant for; Resume reads it from the table.
func (s *Sender) fired(due []wheel.Entry) {
	if !s.pace.paused() {
		s.queue.add(due)
	}
}

// dispatch takes what is due, batch by batch, as connections, pace and quota allow. It claims one batch at a time: what waits for the quota
// meanwhile is anybody's.
func (s *Sender) dispatch(ctx, work context.Context) {
	var requests sync.WaitGroup
	defer requests.Wait()
	for {
		s.queue.wait(ctx)
		held, ok := s.takePlace(ctx)
		if !ok {
			return
		}
		slots := 1
		for !held && !s.pace.healthy() && slots < cap(s.slots) && s.takeSlot(ctx) {
			slots++ // one request feels its way, with no other on the wire
		}
		// The pace is asked only when there is something to send: a rest may have begun while nothing was due.
		ids := s.queue.cut(s.pace.wait(ctx), s.pace.healthy(), s.now())
		var b batch
		if ctx.Err() == nil {
			b, _, _ = s.take(work, ids) // told in the log
		} // asked to stop: nothing is claimed
		requests.Go(func() {
			if held {
				s.pushHeld(work, b)
				return
			}
			defer s.giveSlots(slots)
			s.push(work, b)
		})
		s.armUnclaimed(work, b.missed)
	}
}

func (s *Sender) takeSlot(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case s.slots <- struct{}{}:
		return ctx.Err() == nil
	}
}

func (s *Sender) giveSlots(n int) {
	for range n {
		<-s.slots
	}
}

// now is the database's clock as far as we know it.
func (s *Sender) now() time.Time {
	return time.Now().Round(0).Add(time.Duration(s.offset.Load()))
}
