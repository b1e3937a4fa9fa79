package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/cmd/internal/page"
	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/notify"
	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/sql/cleanup"
	"github.com/parentpal/reminder-worker/sql/permits"
	"github.com/parentpal/reminder-worker/sql/personal"
	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/audit"
	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/reconcile"
	"github.com/parentpal/reminder-worker/sync/seal"
)

// App is the program, wired. Make it with New and use it for one Run or Once.
type App struct {
	cfg Config
	log zerolog.Logger
	reg *prometheus.Registry

	pool      *pgxpool.Pool
	route     *route // of the pool's connections
	pulse     *pulse
	cal       *gcal.Client // nil: no calendars
	push      *expo.Client
	listener  *listener.Listener
	events    *reconcile.Reconciler
	sender    *notify.Sender
	auditor   *audit.Auditor
	cleaner   *cleanup.Cleaner
	forgetter *personal.Forgetter
	keys      *seal.Keys // nil: refresh tokens are stored in plain text
	sealer    *sealer    // nil: likewise
	ages      *ages
	pauses    *pauses
	http      *ops.Server // nil: no HTTP
	page      *page.Page  // nil: likewise
	rates     *rates      // nil: likewise
	start     phase
}

// httpOff is the value of HTTP_ADDR that answers nowhere.
const httpOff = "off"

// New wires the program. It connects to nothing.
func New(cfg Config, build ops.Build, log zerolog.Logger) (*App, error) {
	a := &App{cfg: cfg, log: log, reg: prometheus.NewRegistry(), pulse: &pulse{}}
	if err := a.openPool(); err != nil {
		return nil, err
	}
	if err := a.wire(build); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *App) wire(build ops.Build) (err error) {
	if a.push, err = expo.New(a.cfg.expo()); err != nil {
		return fmt.Errorf("configure push client: %w", err)
	}
	db := a.store()
	counted := permits.NewMetrics(a.reg)
	pushes, err := permits.New(db, a.cfg.pushQuota(), a.log, counted)
	if err != nil {
		return err
	}
	requests, err := permits.New(db, a.cfg.calendarQuota(), a.log, counted)
	if err != nil {
		return err
	}
	users, err := permits.NewEach(db, a.cfg.userQuota(), a.log, counted)
	if err != nil {
		return err
	}
	if a.keys, err = a.cfg.Keys(); err != nil {
		return err
	}
	if a.keys != nil {
		a.sealer = newSealer(db, a.keys, a.log)
	}
	if a.cfg.WritesCalendars() {
		c := a.cfg.gcal()
		c.Admit = func(ctx context.Context, user uuid.UUID) error {
			if p, paused := a.pauses.of(PartCalendar); paused {
				return &pausedError{p}
			}
			return admit(ctx, users, requests, user)
		}
		c.OnRotate = func(account gcal.Account, is string) { a.storeRotated(db, account, is) }
		if a.cal, err = gcal.New(c); err != nil {
			return fmt.Errorf("configure calendar client: %w", err)
		}
	}
	if a.sender, err = notify.New(db, a.push, pushes, a.cfg.notify(), a.log, notify.NewMetrics(a.reg)); err != nil {
		return err
	}
	if a.events, err = reconcile.New(db, a.cal, a.cfg.reconcile(), a.log, reconcile.NewMetrics(a.reg), a.armed); err != nil {
		return err
	}
	if a.auditor, err = audit.New(db, a.cal, a.compareTriggers, a.cfg.audit(), a.log, audit.NewMetrics(a.reg)); err != nil {
		return err
	}
	if a.cleaner, err = cleanup.New(a.pool, a.cfg.cleanup(), a.log, cleanup.NewMetrics(a.reg)); err != nil {
		return err
	}
	a.forgetter = personal.NewForgetter(db, a.cfg.SweepInterval, a.log, personal.NewMetrics(a.reg))
	a.pauses = newPauses(db, pausedCalendar{a.events, a.auditor}, a.sender, a.log, a.reg)
	a.ages = newAges(db, a.cfg.SweepInterval, a.pauses, a.log, a.reg)
	source, err := a.source(db)
	if err != nil {
		return err
	}
	a.listener = listener.New(source, a.cfg.listener(), a.log, listener.NewMetrics(a.reg))
	if a.cfg.HTTPAddr != httpOff {
		c := ops.DefaultConfig()
		c.Addr, c.Build = a.cfg.HTTPAddr, build
		if err := a.openPage(build); err != nil {
			return err
		}
		c.Page = a.page
		a.http = ops.New(c, a.reg, a.checks(), a.log)
	}
	return nil
}

// admit waits until one request may be made for a user: of what Google takes for each, and of what it takes from us.
func admit(ctx context.Context, users *permits.Each, all *permits.Limiter, user uuid.UUID) error {
	if err := users.Take(ctx, user.String()); err != nil {
		return personalError{err}
	}
	_, _, err := all.Take(ctx, 1)
	return err
}

// personalError says that a quota is used up which is one user's.
type personalError struct{ error }

// Personal tells gcal so.
func (personalError) Personal() bool { return true }

// Unwrap gives errors.As the error that knows for how long.
func (e personalError) Unwrap() error { return e.error }

// Addr is where HTTP is answered, or empty before it is.
func (a *App) Addr() string {
	if a.http == nil {
		return ""
	}
	return a.http.Addr()
}

// Ready reports whether the program serves: connected, listening or sweeping, its wheel filled.
func (a *App) Ready() bool { return a.start.done() && a.sender.Ready() }

func (a *App) close() {
	if a.cal != nil {
		a.cal.Close()
	}
	if a.push != nil {
		a.push.Close()
	}
	a.pool.Close()
}

// Run serves until ctx ends, which is no error.
func (a *App) Run(ctx context.Context) error {
	defer a.close()
	// HTTP outlives the parts, so that readiness can be seen to end.
	answering, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	var http errgroup.Group
	supervised, leave := context.WithCancel(ctx)
	defer leave()
	http.Go(func() error { ops.Supervise(supervised, a.checks(), a.log); return nil })
	if a.http != nil {
		if err := a.http.Listen(ctx); err != nil {
			return err
		}
		http.Go(func() error { return a.http.Run(answering) })
		http.Go(func() error { a.page.Run(answering); return nil })
		http.Go(func() error { a.rates.run(answering); return nil })
	}
	err := a.serve(ctx)
	leave()
	hangUp()
	return errors.Join(err, http.Wait())
}

func (a *App) serve(ctx context.Context) error {
	if err := a.reachDatabase(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if err := a.learnPauses(ctx); err != nil {
		a.log.Warn().Err(err).Msg("pauses not read: they are with the ages of work")
	}
	work, end := graceful(ctx, a.cfg.ShutdownGrace)
	defer end()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.listener.Run(ctx, a.heard) })
	g.Go(func() error { return a.events.Run(ctx, work) })
	g.Go(func() error { return a.sender.Run(ctx, work) })
	g.Go(func() error { a.auditor.Run(ctx); return nil })
	g.Go(func() error { a.cleaner.Run(aside(ctx)); return nil })
	g.Go(func() error { a.forgetter.Run(aside(ctx)); return nil })
	g.Go(func() error { a.warm(ctx); return nil })
	g.Go(func() error { a.rehearse(ctx); return nil })
	g.Go(func() error { a.ages.run(ctx); return nil })
	g.Go(func() error { a.pauses.run(ctx); return nil })
	if a.sealer != nil {
		g.Go(func() error { a.sealer.run(ctx); return nil })
	}
	err := g.Wait()
	a.log.Info().Msg("stopped")
	return err
}

// Once serves what is pending and due, then returns. A database that cannot be reached is an error.
func (a *App) Once(ctx context.Context) error {
	defer a.close()
	if err := a.prepare(ctx); err != nil {
		return err
	}
	if err := a.learnPauses(ctx); err != nil {
		return err
	}
	if a.sealer != nil {
		a.sealer.seal(ctx)
	}
	work, end := graceful(ctx, a.cfg.ShutdownGrace)
	defer end()
	if err := a.forgetter.Due(ctx); err != nil {
		return err
	}
	if err := a.events.Drain(ctx, work); err != nil {
		return err
	}
	return a.sender.Drain(ctx, work)
}

// heard passes a change on to both parts. It never blocks.
func (a *App) heard(c listener.Change) {
	if c.OnlyEvents {
		a.events.WakeForEvents()
		return
	}
	if a.sealer != nil {
		a.sealer.look()
	}
	if c.Cause != listener.Sweep || a.listener.Status().State != listener.Listening { // else they are read with the ages of work, as often
		a.pauses.look()
	}
	a.forgetter.Look()
	if c.Cause == listener.Sweep {
		a.events.Sweep()
	} else {
		a.events.Wake()
	}
	switch c.Cause {
	case listener.Backlog:
		a.sender.Look(notify.Window)
	case listener.Sweep:
		a.sender.Look(notify.Overdue)
	default:
		a.sender.Look(notify.Changes)
	}
}

// armed puts planned reminders into this worker's wheel and has the others read them into theirs.
func (a *App) armed(reminders []reconcile.Armed) {
	for _, r := range reminders {
		a.sender.Arm(r.ID, r.At)
	}
	if len(reminders) > 0 {
		a.listener.Tell()
	}
}

// storeRotated keeps the refresh token that Google has put in another's place; the old one may not work for long.
func (a *App) storeRotated(db *store.Queries, account gcal.Account, is string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	sealed := a.keys.Seal(account.UserID, is)
	n, err := db.StoreRotatedToken(ctx, store.StoreRotatedTokenParams{
		UserID: account.UserID, Consent: account.Consent, OldToken: account.RefreshToken, NewToken: sealed,
	})
	switch {
	case err != nil:
		a.log.Error().Err(err).Stringer("user", account.UserID).Msg("rotated refresh token not stored")
	case n == 0:
		a.log.Warn().Stringer("user", account.UserID).Msg("rotated refresh token not stored: the user has connected again")
	}
}

// warm opens the connection to Expo before the first reminder needs it.
func (a *App) warm(ctx context.Context) {
	if err := a.push.Warm(ctx); err != nil && ctx.Err() == nil {
		a.log.Warn().Err(err).Msg("expo not reached")
	}
}

// graceful returns a context that outlives ctx by grace, or until end is called.
func graceful(ctx context.Context, grace time.Duration) (work context.Context, end func()) {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-ctx.Done():
		case <-work.Done():
			return
		}
		t := time.NewTimer(grace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-work.Done():
		}
	})
	return work, func() { cancel(); waiting.Wait() }
}
