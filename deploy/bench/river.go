package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/parentpal/reminder-worker/cmd/bench"
)

// Kind names the job in River's table.
func (eventJob) Kind() string { return "event" }

// Kind names the job in River's table.
func (reminderJob) Kind() string { return "reminder" }

// riverConfig is River's own; tuned has the pauses of River's benchmark command. The client of the app has it too, since the cooldown also bounds how
// often a client announces what it enters.
func riverConfig(tuned bool) *river.Config {
	cfg := &river.Config{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if tuned {
		cfg.FetchCooldown, cfg.FetchPollInterval = 2*time.Millisecond, 20*time.Millisecond
	}
	return cfg
}

// riverWorker is River, whose process is a program of ours that embeds it.
func riverWorker(program string, tuned bool) (bench.Worker, error) {
	name, settings := "River", "installed"
	if tuned {
		name, settings = "River (tuned)", "tuned"
	}
	app, err := river.NewClient(riverpgxv5.New(nil), riverConfig(tuned))
	if err != nil {
		return bench.Worker{}, fmt.Errorf("make the app's River client: %w", err)
	}
	w := bench.Worker{
		Name: name, Settings: settings + ", MaxWorkers 50",
		Prepare: func(ctx context.Context, db *pgx.Conn, s bench.Site) error {
			return errors.Join(makeApp(ctx, db, ""), migrateRiver(ctx, s.DatabaseURL))
		},
		Command: func(ctx context.Context, s bench.Site) *exec.Cmd {
			cmd := exec.CommandContext(ctx, program, serveCommand, "river")
			cmd.Env = environment(s, envSettings+"="+settings)
			return cmd
		},
		Enter: func(ctx context.Context, db *pgx.Conn, e bench.Event) error {
			return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, enterEvent+" select from e", e.ID, e.User, e.Start); err != nil {
					return err
				}
				_, err := app.InsertTx(ctx, tx, eventJob{e.ID, e.User, "Practice", e.Start}, nil)
				return err
			})
		},
		SQL: bench.Statements{
			Events: enterEvents + `
				insert into river_job (kind, args, max_attempts, state)
				select 'event', ` + eventJSON + `, 25, 'available' from e`,
			Reminders: enterReminders + `
				insert into river_job (kind, args, max_attempts, state, scheduled_at)
				select 'reminder', ` + reminderJSON + `, 25, 'scheduled', x.due from x`,
			Done: doneSQL,
			Sent: alertedSQL,
		},
		Skips: skips,
	}
	return w, nil
}

func migrateRiver(ctx context.Context, url string) error {
	db, err := pgxpool.New(ctx, url)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	defer db.Close()
	m, err := rivermigrate.New(riverpgxv5.New(db), &rivermigrate.Config{Logger: riverConfig(false).Logger})
	if err != nil {
		return fmt.Errorf("read River's migrations: %w", err)
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("make River's tables: %w", err)
	}
	return nil
}

type riverEvents struct {
	river.WorkerDefaults[eventJob]
	h *handlers
}

// Work writes the copy of an event.
func (w riverEvents) Work(ctx context.Context, job *river.Job[eventJob]) error {
	return w.h.event(ctx, job.Args)
}

type riverReminders struct {
	river.WorkerDefaults[reminderJob]
	h *handlers
}

// Work sends a reminder.
func (w riverReminders) Work(ctx context.Context, job *river.Job[reminderJob]) error {
	return w.h.remind(ctx, job.Args)
}

// riverConns are those that River itself uses beside the handlers: to listen, to fetch, to complete, to schedule.
const riverConns = 4

// serveRiver works jobs until ctx ends.
func serveRiver(ctx context.Context, tuned bool) error {
	h, err := newHandlers(ctx, riverConns)
	if err != nil {
		return err
	}
	defer h.close()
	cfg := riverConfig(tuned)
	cfg.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: concurrency}}
	cfg.Workers = river.NewWorkers()
	river.AddWorker(cfg.Workers, riverEvents{h: h})
	river.AddWorker(cfg.Workers, riverReminders{h: h})
	client, err := river.NewClient(riverpgxv5.New(h.db), cfg)
	if err != nil {
		return fmt.Errorf("make the River client: %w", err)
	}
	working := context.WithoutCancel(ctx) // a signal ends it by Stop, which lets jobs finish
	if err := client.Start(working); err != nil {
		return fmt.Errorf("start River: %w", err)
	}
	fmt.Println("ready")
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(working, 10*time.Second)
	defer cancel()
	if err := client.Stop(stopping); err != nil {
		return fmt.Errorf("stop River: %w", err)
	}
	return nil
}
