package app

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/listener/wal"
	"github.com/parentpal/reminder-worker/sql/store"
)

// channel is what the triggers NOTIFY.
const channel = "reminder_worker"

// source is how committed changes are heard, or nil if they are to be found by a sweep.
func (a *App) source(db *store.Queries) (listener.Source, error) {
	cfg := a.pool.Config().ConnConfig.Copy()
	cfg.Tracer = nil
	switch a.cfg.ChangeSource {
	case sourcePoll:
		return nil, nil
	case sourceWAL:
		settings := a.cfg.wal()
		settings.Shape(cfg)
		return wal.New(dialing(cfg), bell{db, "wal", a.cfg.walBellKeeps()}, settings, a.log, wal.NewMetrics(a.reg))
	}
	return listener.NewNotifySource(dialing(cfg), bell{db, "notify", bellKeeps}, channel)
}

func dialing(cfg *pgx.ConnConfig) listener.Connect {
	return func(ctx context.Context) (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, cfg) }
}
