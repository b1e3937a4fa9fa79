package notify

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// rankChunk is how many deadlines one statement reads.
const rankChunk = 10_000

// rankEvery is the shortest time from one look at the queue to the next.
const rankEvery = 20 * time.Millisecond

// rankBacklog keeps the queue in order of urgency while it holds more than can be sent at once. It does so beside the sending, so that the
// first of a herd do not wait for it.
func (s *Sender) rankBacklog(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.queue.grown:
		}
		if err := s.rank(ctx); err != nil && ctx.Err() == nil {
			s.m.databaseErrors.Inc()
			s.log.Warn().Err(err).Msg("backlog not ranked: it is sent in order of time")
			sleep(ctx, retryFill)
		}
		sleep(ctx, rankEvery)
	}
}

// rank reads the deadlines that are not known, if more ids wait than one request takes.
func (s *Sender) rank(ctx context.Context) error {
	for {
		ids := s.queue.unranked(s.cfg.Batch, rankChunk)
		if len(ids) == 0 {
			return nil
		}
		rows, err := s.db.Deadlines(ctx, ids)
		if err != nil {
			return fmt.Errorf("read deadlines: %w", err)
		}
		deadlines := make(map[uuid.UUID]time.Time, len(rows))
		for _, row := range rows {
			deadlines[row.ID] = row.Deadline
		}
		s.queue.rank(ids, deadlines)
	}
}
