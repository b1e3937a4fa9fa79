package audit

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/reconcile"
)

// SchemaFunc compares the triggers of the database with how they were made, and if repair is set makes them so.
type SchemaFunc func(ctx context.Context, repair bool) ([]Finding, error)

// Auditor compares what should be with what is. Make it with New. Its methods are for one goroutine at a time, but for Pause and Resume.
type Auditor struct {
	db      *store.Queries
	cal     *gcal.Client
	schema  SchemaFunc
	cfg     Config
	log     zerolog.Logger
	m       *Metrics
	planner *reconcile.Planner

	stepLimit time.Duration
	paused    atomic.Bool
}

// New returns an auditor over db. With a nil cal, as where no calendars are written, none is read; with a nil schema triggers are not compared.
func New(db *store.Queries, cal *gcal.Client, schema SchemaFunc, cfg Config, log zerolog.Logger, m *Metrics) (*Auditor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure audit: %w", err)
	}
	return &Auditor{
		db: db, cal: cal, schema: schema, cfg: cfg, m: m,
		log:     log.With().Str("component", "audit").Logger(),
		planner: reconcile.NewPlanner(cfg.Plan), stepLimit: stepLimit,
	}, nil
}

// Pause has the background make no step until Resume. One that is under way ends as its requests do.
func (a *Auditor) Pause() { a.paused.Store(true) }

// Resume ends Pause.
func (a *Auditor) Resume() { a.paused.Store(false) }

// Scope is what one audit is about, and what is done with what it finds.
type Scope struct {
	// User limits it to one user; nil: all, and the triggers.
	User uuid.UUID
	// Google has calendars read, too.
	Google bool
	// Repair has what is found mended.
	Repair bool
	// Serve, if set, is called when repairs have made rows due, and returns when they have been served. What then is still out of step at Google
	// shows only after that.
	Serve func(context.Context) error
	// Progress, if set, is told now and then how far the audit has come.
	Progress func(Looked)
}

// Audit goes through everything in scope. The report is good up to where an error ended it.
func (a *Auditor) Audit(ctx context.Context, s Scope) (Report, error) {
	run := &run{Auditor: a, scope: s}
	err := run.all(ctx)
	run.report.finish()
	return run.report, err
}

// run is one audit under way, or one step of one.
type run struct {
	*Auditor
	scope  Scope
	report Report
	served []uuid.UUID // the keys of what repairs have made due and that has not been waited for

	events, copies, reminders *judge // nil until there is something to judge
	suspects                  []candidate
	over                      *overError // what Google said when it was to be asked no more for a while
}

func (r *run) all(ctx context.Context) error {
	if r.scope.User == uuid.Nil {
		if err := r.lookAtSchema(ctx); err != nil {
			return err
		}
	}
	for _, walk := range []func(context.Context, uuid.UUID) error{r.walkPauses, r.walkEvents, r.walkCopies} {
		if err := walk(ctx, uuid.Nil); err != nil {
			return err
		}
	}
	if err := r.walkReminders(ctx); err != nil {
		return err
	}
	if err := r.serve(ctx); err != nil || !r.scope.Google || r.cal == nil {
		return err
	}
	if err := r.walkAccounts(ctx); err != nil {
		return err
	}
	return r.serve(ctx)
}

func (r *run) lookAtSchema(ctx context.Context) error {
	if r.schema == nil {
		return nil
	}
	findings, err := r.schema(ctx, r.scope.Repair)
	r.note(findings)
	if err != nil {
		return fmt.Errorf("compare triggers: %w", err)
	}
	return nil
}

// conclude mends what was found twice, if that is asked for, and notes it.
func (r *run) conclude(ctx context.Context, findings []Finding) error {
	var err error
	if r.scope.Repair {
		err = r.repair(ctx, findings)
	}
	r.note(findings)
	return err
}

func (r *run) note(findings []Finding) {
	r.report.add(findings)
	r.m.observe(findings)
}

func (r *run) progress() {
	if r.scope.Progress != nil {
		r.scope.Progress(r.report.Looked)
	}
}

// serve waits until what repairs have made due has been served. What waits for longer, as for an account that Google has paused, is left to the
// workers.
func (r *run) serve(ctx context.Context) error {
	if r.scope.Serve == nil || !r.scope.Repair {
		return nil
	}
	least, since := int64(-1), time.Now()
	for {
		if err := r.scope.Serve(ctx); err != nil {
			return fmt.Errorf("serve what was made due: %w", err)
		}
		queued, err := r.queued(ctx)
		if err != nil {
			return err
		}
		if least < 0 || queued < least {
			least, since = queued, time.Now()
		}
		if queued == 0 || time.Since(since) > servePatience {
			r.served = nil
			return nil
		}
		if err := pause(ctx, servePause); err != nil {
			return err
		}
	}
}

const (
	// servePause is the time between two looks at what is being served.
	servePause = 100 * time.Millisecond
	// servePatience is for how long nothing may come of what is being served.
	servePatience = 30 * time.Second
)

func (r *run) queued(ctx context.Context) (total int64, err error) {
	for keys := range slices.Chunk(r.served, r.cfg.Page) {
		n, err := r.db.QueuedStill(ctx, keys)
		if err != nil {
			return 0, fmt.Errorf("count what is due: %w", err)
		}
		total += n
	}
	return total, nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
