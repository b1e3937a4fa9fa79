package reconcile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
)

// Armed is a reminder that planning has committed and that becomes due At.
type Armed struct {
	ID uuid.UUID
	At time.Time
}

// ArmFunc is told of reminders as soon as they are committed. It must not block.
type ArmFunc func([]Armed)

// Reconciler serves events that need work. Make it with New and run it once.
type Reconciler struct {
	db  *store.Queries
	cal *gcal.Client
	cfg Config
	log zerolog.Logger
	m   *Metrics
	arm ArmFunc

	worker  uuid.UUID     // names this reconciler in the rows it claims
	wake    chan struct{} // capacity 1
	left    chan struct{} // capacity 1: somebody may have left
	flight  *flight
	lanes   *lanes
	results chan outcome
	pause   pause
	byHand  atomic.Bool // a person has paused calendars
	locked  pause       // while the last fault of our keys is told
	service pause       // of delegated accounts only
	alarms  alarms

	// rows is held by the statement that writes to rows of events in flight: the recorder's, or that which extends their leases. Each
	// passes over rows that somebody else is at, and must not take the other for somebody else.
	rows sync.Mutex

	barred     barred
	planner    *Planner
	owed       owed
	patience   patience
	share      int         // how much of the memory one user's lane may fill
	swept      atomic.Bool // the next look is a sweep's
	committing committing
	idle       bool         // the last look found nothing; only the intake touches it
	callTook   atomic.Int64 // nanoseconds that a call takes of late
}

// New returns a reconciler over db. A nil cal writes no calendars: events become 'scheduled' and get their reminders.
func New(db *store.Queries, cal *gcal.Client, cfg Config, log zerolog.Logger, m *Metrics, arm ArmFunc) (*Reconciler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure reconciler: %w", err)
	}
	r := &Reconciler{
		db: db, cal: cal, cfg: cfg, m: m, arm: arm,
		log:     log.With().Str("component", "reconcile").Logger(),
		worker:  uuid.New(),
		barred:  barred{},
		planner: NewPlanner(cfg),
		wake:    make(chan struct{}, 1),
		left:    make(chan struct{}, 1),
		flight:  newFlight(cfg.InFlight),
		results: make(chan outcome, cfg.InFlight),
	}
	if cal != nil {
		r.cal = cal.Noting(r.noteRenewal)
	}
	r.patience.base, r.patience.limit = cfg.RetryBase, cfg.RetryMax
	return r, nil
}

// Sweep is Wake when nobody has announced any work: what the next look finds and should have been announced is counted.
func (r *Reconciler) Sweep() {
	r.swept.Store(true)
	r.Wake()
}

// Wake says that there may be work. It never blocks; several before the next look are one.
func (r *Reconciler) Wake() {
	r.WakeForEvents()
	select {
	case r.left <- struct{}{}:
	default:
	}
}

// WakeForEvents is Wake when it is known that only rows of events have changed, which concerns nobody who leaves.
func (r *Reconciler) WakeForEvents() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Paused tells for how much longer no calendar is called, and why; 0: they are.
func (r *Reconciler) Paused() (time.Duration, string) { return r.pause.left() }

// Pause keeps away from every calendar until Resume. Calls under way finish; what waits for them is given back to the table, where it stays, and reminders
// are planned all the same.
func (r *Reconciler) Pause() { r.byHand.Store(true) }

// Resume ends Pause.
func (r *Reconciler) Resume() {
	r.byHand.Store(false)
	r.Wake()
}

// Locked tells for how much longer copies wait for a key of Config.Keys that is not there, and which; 0: none does.
func (r *Reconciler) Locked() (time.Duration, string) { return r.locked.left() }

// Run serves events until ctx ends. Calls under way then finish under work, which is the caller's to end; the rest is given back.
func (r *Reconciler) Run(ctx, work context.Context) error {
	r.share = max(r.cfg.InFlight/8, 1)
	r.serving(ctx, work, func() {
		for ctx.Err() == nil {
			r.rest(ctx, r.restFor(r.look(ctx, work)))
		}
	})
	return nil
}

// Drain serves all that is due now and what comes due while it does, then returns. The error is that of the database, if it
// could not be asked.
func (r *Reconciler) Drain(ctx, work context.Context) error {
	var fault error
	r.share = r.cfg.InFlight // nothing is to come back later
	r.serving(ctx, work, func() {
		for ctx.Err() == nil && fault == nil {
			idle := r.flight.empty() // before the step: what ends during it may have left work behind
			took, err := r.step(work)
			if fault = err; !took.more { // else the next step asks
				fault = errors.Join(fault, r.ended())
			}
			switch {
			case took.more:
			case idle && took.none():
				return
			case !r.flight.empty():
				r.waitFreed(ctx)
			}
		}
	})
	return fault
}

// serving keeps results recorded and leases alive around intake, and returns when nothing is in flight any more.
func (r *Reconciler) serving(ctx, work context.Context, intake func()) {
	r.lanes = newLanes(r.cfg.Concurrency, func(j *job) { r.serve(ctx, work, j) })
	var keepers, recorder sync.WaitGroup
	stopped := make(chan struct{})
	recorder.Go(func() { r.record(work) })
	keepers.Go(func() { r.keepLeases(work, stopped) })
	keepers.Go(func() { r.keepLeaving(work, stopped) })
	r.recall(work)
	intake()
	if err := r.ended(); err != nil {
		r.log.Error().Err(err).Msg("last step failed")
	}
	r.lanes.wait()
	close(r.results)
	recorder.Wait()
	close(stopped)
	keepers.Wait()
}

// recallBatch is how many accounts are looked at by one statement.
const recallBatch = 1000

// recall takes up what was served while no worker wrote calendars, because Google's client was configured later.
func (r *Reconciler) recall(ctx context.Context) {
	if r.cal == nil {
		return
	}
	arg, total := store.RecallScheduledParams{MaxRows: recallBatch, OwnGrants: r.ownGrants(), Domains: r.domains()}, int64(0)
	for ctx.Err() == nil {
		row, err := r.db.RecallScheduled(ctx, arg)
		if err != nil {
			r.log.Error().Err(fmt.Errorf("recall scheduled events: %w", err)).Msg("events without a copy are left until the next start")
			return
		}
		total += row.Events
		if row.Accounts < recallBatch {
			break
		}
		arg.After = row.Last
	}
	if total > 0 {
		r.log.Info().Int64("events", total).Msg("events without a copy are due again")
	}
	r.recallWaiting(ctx)
}

// look takes one batch and returns how long to rest before the next look.
func (r *Reconciler) look(ctx, work context.Context) time.Duration {
	if r.places() == 0 && r.soonFree() {
		r.waitFreed(ctx)
		return 0
	}
	if d := r.stillIdle(work); d > 0 {
		return d
	}
	took, err := r.step(work)
	r.idle = err == nil && took.none()
	switch {
	case err != nil:
		if ctx.Err() == nil {
			r.m.databaseErrors.Inc()
			r.log.Error().Err(err).Msg("step failed")
		}
		sleep(ctx, time.Second) // no change makes it better
		return 0
	case took.more:
		return 0
	case r.places() == 0:
		return r.cfg.SweepInterval // what is due waits for a place, and rest for one that comes free
	case took.none():
		return max(r.untilDue(work, took), lockedRest, min(r.resting(), longRest))
	}
	return r.untilDue(work, took)
}

// stillIdle answers a sweep after a look that found nothing: one question, when anything will be due, in place of a claim and that question. It is how
// long to rest; 0: look.
func (r *Reconciler) stillIdle(ctx context.Context) time.Duration {
	if !r.idle || !r.owed.none() || !r.swept.Load() {
		return 0
	}
	d, err := r.nextDue(ctx)
	if err != nil || d == 0 {
		return 0 // of a database that does not answer the look has to tell
	}
	r.swept.Store(false)
	return d
}

// restFor is how long to rest when there is nothing to do for d.
func (r *Reconciler) restFor(d time.Duration) time.Duration {
	if !r.owed.none() {
		return min(d, lockedRest)
	}
	return d
}

// shortWait is how long planning may wait for calls under way rather than plan ahead, which costs a second claim of each event.
const shortWait = time.Second

// soonFree reports whether the calls in flight will be done in a moment, at the pace of the last ones.
func (r *Reconciler) soonFree() bool {
	rounds := r.cfg.InFlight/r.cfg.Concurrency + 1
	return time.Duration(r.callTook.Load())*time.Duration(rounds) < shortWait
}

// lockedRest is how long due rows are left alone that could not be claimed: a transaction of the app's holds them.
const lockedRest = 50 * time.Millisecond

// longRest is how long the queue is left alone while all calendars rest, unless a change comes in: most of what is due waits for them.
const longRest = time.Second

func (r *Reconciler) resting() time.Duration {
	left, _ := r.pause.left()
	return left
}

// untilDue is when the queue has work again. In between a change wakes us.
func (r *Reconciler) untilDue(ctx context.Context, took taken) time.Duration {
	if !took.until.IsZero() {
		return min(max(time.Until(took.until), time.Millisecond), r.cfg.SweepInterval)
	}
	d, err := r.nextDue(ctx)
	if err != nil {
		return time.Second
	}
	return max(d, time.Millisecond)
}

// nextDue asks the table how long it is until something is due; 0: something is. It is the time to the next sweep at most.
func (r *Reconciler) nextDue(ctx context.Context) (time.Duration, error) {
	due, err := r.db.NextDue(ctx, !r.byHand.Load())
	if err != nil {
		return 0, err
	}
	ms := min(due.EventsMs, due.RemovalsMs)
	if ms <= 0 {
		return 0, nil
	}
	return min(fromNow(ms), r.cfg.SweepInterval), nil
}

func (r *Reconciler) rest(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	var freed <-chan struct{}
	if r.places() == 0 {
		freed = r.flight.freed
	}
	select {
	case <-ctx.Done():
	case <-r.wake:
	case <-freed:
	case <-t.C:
	}
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (r *Reconciler) waitFreed(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-r.flight.freed:
	}
}

// keepLeases extends the claims of events in flight, and learns which of them are gone.
func (r *Reconciler) keepLeases(ctx context.Context, stopped <-chan struct{}) {
	tick := time.NewTicker(r.cfg.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-stopped:
			return
		case <-tick.C:
			if err := r.extend(ctx); err != nil {
				r.m.databaseErrors.Inc()
				r.log.Warn().Err(err).Msg("leases not extended")
			}
		}
	}
}

func (r *Reconciler) extend(ctx context.Context) error {
	jobs := r.flight.events()
	if len(jobs) == 0 {
		return nil
	}
	arg := store.ExtendEventLeasesParams{LeaseMs: r.cfg.Lease.Milliseconds(), Worker: r.worker}
	for _, j := range jobs {
		arg.EventIds = append(arg.EventIds, j.event)
	}
	r.rows.Lock()
	asked := time.Now()
	still, err := r.db.ExtendEventLeases(ctx, arg)
	r.rows.Unlock()
	if err != nil {
		return fmt.Errorf("extend leases: %w", err)
	}
	held := make(map[uuid.UUID]bool, len(still))
	for _, id := range still {
		held[id] = true
	}
	var kept, lost []*job
	for _, j := range jobs {
		if held[j.event] {
			kept = append(kept, j)
		} else {
			lost = append(lost, j)
		}
	}
	r.flight.extend(kept, asked.Add(r.cfg.Lease))
	r.flight.lose(lost)
	return nil
}
