package app

import (
	"context"
	"time"

	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/sql/store"
)

// bell is what the triggers look at before they announce a commit one way.
type bell struct {
	db    *store.Queries
	way   string // as the functions of the schema name it: notify or wal
	keeps time.Duration
}

var _ listener.Bell = bell{}

// Open implements listener.Bell.
func (b bell) Open(ctx context.Context, word string) (listener.Opened, error) {
	row, err := b.db.OpenBell(ctx, store.OpenBellParams{Way: b.way, TtlMs: b.keeps.Milliseconds(), Payload: word})
	return listener.Opened{Openings: row.Openings, QueueUsage: row.QueueUsage}, err
}

// Send implements listener.Bell.
func (b bell) Send(ctx context.Context, word string) (int64, error) {
	return b.db.SendWord(ctx, store.SendWordParams{Way: b.way, Payload: word})
}

// Close implements listener.Bell.
func (b bell) Close(ctx context.Context, sentMs int64, within time.Duration) (bool, error) {
	return b.db.CloseBell(ctx, store.CloseBellParams{Way: b.way, SinceMs: sentMs, WithinMs: within.Milliseconds()})
}

// Writers implements listener.Bell.
func (b bell) Writers(ctx context.Context, among []string) ([]string, error) {
	return b.db.Writers(ctx, among)
}
