package demo

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// startWatch installs the journal and follows it until the stage is struck.
func (s *stage) startWatch(ctx context.Context) error {
	var conns [3]*pgx.Conn
	for i := range conns {
		c, err := pgx.Connect(ctx, s.postgres.URL(database))
		if err != nil {
			closeAll(conns[:i])
			return fmt.Errorf("connect to the private PostgreSQL: %w", err)
		}
		conns[i] = c
	}
	ring := conns[2]
	s.db, s.tracker.journal = conns[0], conns[1]
	if _, err := s.db.Exec(ctx, journalSQL); err != nil {
		closeAll(conns[:])
		return fmt.Errorf("install the journal: %w", err)
	}
	if _, err := ring.Exec(ctx, "listen demo"); err != nil {
		closeAll(conns[:])
		return fmt.Errorf("listen to the journal: %w", err)
	}
	watching, quit := context.WithCancel(context.WithoutCancel(ctx))
	s.quitWatch, s.watchEnded = quit, make(chan struct{})
	go s.watch(watching, ring)
	return nil
}

// watch rings the tracker whenever the journal was written, until ctx ends.
func (s *stage) watch(ctx context.Context, ring *pgx.Conn) {
	defer close(s.watchEnded)
	defer closeAll([]*pgx.Conn{ring})
	tracked := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel() // nobody is left to ring for
		tracked <- s.tracker.run(ctx)
	}()
	var err error
	for err == nil {
		_, err = ring.WaitForNotification(ctx)
		s.tracker.inbox.put(nil)
	}
	if ctx.Err() != nil {
		err = nil // asked to end, or the tracker has failed and says why
	}
	cancel()
	s.watchErr = cmp.Or(<-tracked, err)
}

// reconnect replaces the family's connection if it is closed.
func (s *stage) reconnect(ctx context.Context) (err error) {
	if !s.db.IsClosed() {
		return nil
	}
	if s.db, err = pgx.Connect(ctx, s.postgres.URL(database)); err != nil {
		return fmt.Errorf("connect to the private PostgreSQL: %w", err)
	}
	return nil
}

func closeAll(conns []*pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for _, c := range conns {
		if c != nil {
			_ = c.Close(ctx) // the server goes next
		}
	}
}
