package app

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/sql/store"
)

// channel is what the triggers NOTIFY.
const channel = "reminder_worker"

// source is how committed changes are heard, or nil if they are to be found by a sweep.
func (a *App) source(db *store.Queries) (listener.Source, error) {
	if a.cfg.ChangeSource == "poll" {
		return nil, nil
	}
	cfg := a.pool.Config().ConnConfig.Copy()
	cfg.Tracer = nil
	connect := func(ctx context.Context) (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, cfg) }
	return listener.NewNotifySource(connect, bell{db, "notify", bellKeeps}, channel)
}
