package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/parentpal/reminder-worker/cmd/bench"
)

// pollingIndexes let the polling worker find what is pending without reading everything; it has no table of jobs.
const pollingIndexes = `
create index events_pending on app.events (created_at) where status = 'pending';
create index reminders_pending on app.reminders (notify_at_ts) where status = 'pending';
`

// pollingWorker is what one writes without a library: a loop that asks for what is pending.
func pollingWorker(program string, every time.Duration) bench.Worker {
	return bench.Worker{
		Name: "polling " + every.String(), Settings: "every " + every.String(),
		Prepare: func(ctx context.Context, db *pgx.Conn, _ bench.Site) error { return makeApp(ctx, db, pollingIndexes) },
		Command: func(ctx context.Context, s bench.Site) *exec.Cmd {
			cmd := exec.CommandContext(ctx, program, serveCommand, "polling")
			cmd.Env = environment(s, envEvery+"="+every.String())
			return cmd
		},
		SQL: bench.Statements{
			Event:     enterEvent + " select from e",
			Events:    enterEvents + " select from e",
			Reminders: enterReminders + " select from x",
			Done:      doneSQL,
			Sent:      alertedSQL,
		},
		Skips: skips,
	}
}

// page is how many rows the polling worker asks for at once.
const page = 1000

const (
	pendingEvents = `select id, user_id, title, start_ts from app.events where status = 'pending' order by created_at limit 1000`
	dueReminders  = `select id, 'ExponentPushToken[' || left(user_id::text, 20) || ']', 'Practice', message from app.reminders
		where status = 'pending' and notify_at_ts <= now() order by notify_at_ts limit 1000`
)

// servePolling looks for work every so often until ctx ends.
func servePolling(ctx context.Context) error {
	every, err := time.ParseDuration(os.Getenv(envEvery))
	if err != nil {
		return fmt.Errorf("read %s: %w", envEvery, err)
	}
	h, err := newHandlers(ctx, 1)
	if err != nil {
		return err
	}
	defer h.close()
	fmt.Println("ready")
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := errors.Join(poll(ctx, h, pendingEvents, h.event), poll(ctx, h, dueReminders, h.remind))
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, err) // what failed is still pending, and comes again
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// poll serves what query finds, page by page as long as pages are full.
func poll[job any](ctx context.Context, h *handlers, query string, handle func(context.Context, job) error) error {
	for {
		rows, err := h.db.Query(ctx, query)
		if err != nil {
			return fmt.Errorf("look for work: %w", err)
		}
		jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[job])
		if err != nil {
			return fmt.Errorf("read the work: %w", err)
		}
		var calls errgroup.Group
		calls.SetLimit(concurrency)
		for _, j := range jobs {
			calls.Go(func() error { return handle(ctx, j) })
		}
		if err := calls.Wait(); err != nil || len(jobs) < page {
			return err
		}
	}
}
