package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/sql/migrations"
)

func (a *App) openPool() error {
	cfg, err := a.cfg.poolConfig()
	if err != nil {
		return err
	}
	cfg.MaxConns, cfg.MinConns = int32(a.cfg.PoolSize), int32(a.cfg.PoolSize) // what is to be made first is late
	cfg.MaxConnLifetime = time.Hour
	cfg.MaxConnLifetimeJitter = 10 * time.Minute
	cfg.PingTimeout = pingLimit
	cfg.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool { return p.IdleDuration > pingAfter }
	shape(cfg.ConnConfig)
	a.route = newRoute(chosenMode(cfg.ConnString()))
	a.route.guard(cfg)
	cfg.ConnConfig.Tracer = &multitracer.Tracer{
		QueryTracers:       []pgx.QueryTracer{a.pulse, a.route},
		PoolAcquireTracers: []pgxpool.AcquireTracer{a.pulse, &vigil{log: a.log, started: a.start.done}},
	}
	if a.pool, err = pgxpool.NewWithConfig(context.Background(), cfg); err != nil {
		return fmt.Errorf("open pool: %w", err)
	}
	a.route.pool.Store(a.pool)
	return nil
}

// reachDatabase waits until the database is there and its schema is ours, or returns why it never will be.
func (a *App) reachDatabase(ctx context.Context) error {
	for pause := 250 * time.Millisecond; ; pause = min(2*pause, 15*time.Second) {
		err := a.prepare(ctx)
		if err == nil || ctx.Err() != nil || hopeless(err) {
			return err
		}
		a.start.waits(err)
		wait, why := beforeRetry(err, pause)
		a.log.Error().Err(err).Dur("retry_in_ms", wait).Msg(why)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}

// lockPause is the least time between two tries of a migration that found its table in use. While it waits for its lock, every read of
// the app's queues behind it.
const lockPause = 10 * migrations.DefaultLockTimeout

// beforeRetry says how long to wait before the next try, and why, for the log.
func beforeRetry(err error, pause time.Duration) (wait time.Duration, why string) {
	if s, ok := errors.AsType[*migrations.StatementError](err); ok && s.LockTimeout() {
		return max(pause, lockPause), "database not ready: a migration waits for a table in use, and the app's reads queue behind each try, so the next is not soon"
	}
	return pause, "database not ready"
}

// prepare connects, migrates unless told not to, and checks the schema.
func (a *App) prepare(ctx context.Context) error {
	conn, err := a.pool.Acquire(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("reach database: %w", err)
		}
		return unreachable(&a.pool.Config().ConnConfig.Config, err)
	}
	defer conn.Release()
	m, err := migrations.New(migrations.Options{})
	if err != nil {
		return err
	}
	if a.cfg.MigrateOnStart {
		applied, err := m.Up(ctx, conn.Conn())
		for _, one := range applied {
			a.log.Info().Int("version", one.Version).Str("name", one.Name).Msg("migration applied")
		}
		if err != nil {
			return fmt.Errorf("migrate database: %w", err)
		}
	} else if pending, err := m.Pending(ctx, conn.Conn()); err != nil {
		return fmt.Errorf("check schema: %w", err)
	} else if len(pending) > 0 {
		return fmt.Errorf("check schema: %d migrations are pending, beginning with %d: run reminder-worker migrate up", len(pending), pending[0].Version)
	}
	a.start.finish()
	return nil
}

// hopeless reports whether trying again cannot help: the schema is not one this program may serve, a migration is refused, or the role
// lacks the right to migrate.
func hopeless(err error) bool {
	var (
		changed   *migrations.ChangedError
		gap       *migrations.GapError
		newer     *migrations.NewerError
		denied    *migrations.PermissionError
		statement *migrations.StatementError
	)
	switch {
	case errors.As(err, &changed), errors.As(err, &gap), errors.As(err, &newer), errors.As(err, &denied):
		return true
	case errors.As(err, &statement):
		var pe *pgconn.PgError
		return !statement.LockTimeout() && errors.As(err, &pe) && !goesAway(pe) && !inClass(pe, "25", "40", "53", "57")
	}
	return false
}

// phase is how far the start has come.
type phase struct {
	err     atomic.Pointer[error]
	reached atomic.Bool
}

func (p *phase) waits(err error) { p.err.Store(&err) }
func (p *phase) finish()         { p.reached.Store(true) }
func (p *phase) done() bool      { return p.reached.Load() }

// why is what the start waits for; nil before the first try has failed.
func (p *phase) why() error {
	if err := p.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (p *phase) reason() string {
	if err := p.why(); err != nil {
		return err.Error()
	}
	return "the database has not been reached yet"
}
