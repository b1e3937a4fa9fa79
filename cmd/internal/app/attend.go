package app

import (
	"context"
	"fmt"

	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/sql/store"
)

// Attend has the database reached and examined, and use called, for a command that serves nothing. It migrates nothing. The program cannot be used again.
func (a *App) Attend(ctx context.Context, use func(context.Context) error) error {
	defer a.close()
	if err := a.attach(ctx); err != nil {
		return err
	}
	return use(ctx)
}

// attach has the database reached and examined for a command, which migrates nothing.
func (a *App) attach(ctx context.Context) error {
	a.cfg.MigrateOnStart = false
	return a.prepare(ctx)
}

// tellWorkers has every worker look at the tables, and at the pauses.
func (a *App) tellWorkers(ctx context.Context) error {
	if _, err := a.store().SendWord(ctx, store.SendWordParams{Way: "notify", Payload: listener.Told()}); err != nil {
		return fmt.Errorf("tell the workers: %w", err)
	}
	return nil
}

// store are the statements over the pool, each with its limit.
func (a *App) store() *store.Queries { return store.New(bounded{a.pool, statementLimit}) }
