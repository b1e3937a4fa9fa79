package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sync/audit"
	"github.com/parentpal/reminder-worker/sync/reconcile"
)

// AuditReport is what an audit tells.
type AuditReport = audit.Report

// AuditFinding is one thing that is out of step.
type AuditFinding = audit.Finding

// AuditLooked is how far an audit has come.
type AuditLooked = audit.Looked

// AuditOptions say what an audit is about.
type AuditOptions struct {
	// User limits it to one user; nil: all.
	User uuid.UUID
	// Google has calendars read, too.
	Google bool
	// Repair has what is found mended.
	Repair bool
	// Progress, if set, is told now and then how far it has come.
	Progress func(AuditLooked)
}

// Audit compares what should be with what is, and if that is asked for has it mended: what becomes due by that is served here, or by a worker
// that is faster. It migrates nothing.
func (a *App) Audit(ctx context.Context, o AuditOptions) (AuditReport, error) {
	defer a.close()
	if err := a.attach(ctx); err != nil {
		return AuditReport{}, err
	}
	if err := a.learnPauses(ctx); err != nil {
		return AuditReport{}, err
	}
	if p, paused := a.pauses.of(PartCalendar); paused && o.Google && a.cal != nil {
		return AuditReport{}, fmt.Errorf("read calendars: %w: resume them, or leave them out (--google=false)", &pausedError{p})
	}
	work, end := graceful(ctx, a.cfg.ShutdownGrace)
	defer end()
	return a.auditor.Audit(ctx, audit.Scope{
		User: o.User, Google: o.Google, Repair: o.Repair, Progress: o.Progress,
		Serve: func(ctx context.Context) error { return a.serveOnce(ctx, work) },
	})
}

// serveOnce serves the events and removals that are due, and has running workers read what was planned into their wheels. It pushes nothing: a
// reminder that is due is the workers'.
func (a *App) serveOnce(ctx, work context.Context) error {
	db := a.store()
	nothing := func([]reconcile.Armed) {} // there is no wheel here
	events, err := reconcile.New(db, a.cal, a.cfg.reconcile(), a.log, reconcile.NewMetrics(nil), nothing)
	if err != nil {
		return err
	}
	if _, paused := a.pauses.of(PartCalendar); paused {
		events.Pause()
	}
	if err := events.Drain(ctx, work); err != nil {
		return err
	}
	return a.tellWorkers(ctx)
}

// compareTriggers compares the triggers with how the migrations make them, and if repair is set makes them so.
func (a *App) compareTriggers(ctx context.Context, repair bool) (findings []audit.Finding, err error) {
	m, err := migrations.New(migrations.Options{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	conn, err := a.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach database: %w", err)
	}
	defer conn.Release()
	faults, err := m.Faults(ctx, conn.Conn())
	if err != nil {
		return nil, err
	}
	var unmended []error
	for _, f := range faults {
		found := audit.Finding{Kind: audit.Kind(f.Kind), Detail: f.String()}
		if repair {
			err := m.Mend(ctx, conn.Conn(), f)
			if found.Repaired = err == nil; err != nil {
				found.Detail += ": " + unmendedBecause(err)
				unmended = append(unmended, err)
			}
		}
		findings = append(findings, found)
	}
	if len(unmended) > 0 {
		a.log.Warn().Err(errors.Join(unmended...)).Msg("triggers not made again")
	}
	return findings, nil
}

// unmendedBecause says why what belongs to the app's tables was not made again, and who can.
func unmendedBecause(err error) string {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok && pe.Code == insufficientPrivilege {
		return "the worker's role may not; repair with the DATABASE_URL of the tables' owner"
	}
	return oneLine(err)
}
