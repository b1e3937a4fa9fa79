package listener

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// BenchmarkPickup measures the time from sending a commit to the handler's call.
func BenchmarkPickup(b *testing.B) {
	for name, fold := range map[string]time.Duration{"fold=0": 0, "fold=2ms": 2 * time.Millisecond} {
		b.Run(name, func(b *testing.B) { benchmarkPickup(b, fold) })
	}
}

func benchmarkPickup(b *testing.B, fold time.Duration) {
	db := pgtest.New(b)
	cfg := DefaultConfig()
	cfg.Fold = fold
	ctx, cancel := context.WithCancel(b.Context())
	backlog, handed := make(chan struct{}, 1), make(chan struct{}, 1)
	done := make(chan error, 1)
	l := New(direct(b, db.URL()), cfg, zeroLog(), nil)
	go func() {
		done <- l.Run(ctx, func(c Change) {
			switch c.Cause {
			case Backlog:
				backlog <- struct{}{}
			case Committed:
				handed <- struct{}{}
			}
		})
	}()
	<-backlog
	conn := db.Connect(b)
	for b.Loop() {
		if _, err := conn.Exec(ctx, notify, pgx.QueryExecModeSimpleProtocol); err != nil {
			b.Fatal(err)
		}
		<-handed
	}
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
