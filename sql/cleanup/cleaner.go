package cleanup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/store"
)

// Database is where the rows are.
type Database interface {
	store.DBTX
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Cleaner removes old rows. Make it with New.
type Cleaner struct {
	db  Database
	q   *store.Queries
	cfg Config
	log zerolog.Logger
	m   *Metrics
}

// New returns a cleaner of db.
func New(db Database, cfg Config, log zerolog.Logger, m *Metrics) (*Cleaner, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure cleanup: %w", err)
	}
	return &Cleaner{db: db, q: store.New(db), cfg: cfg, m: m, log: log.With().Str("component", "cleanup").Logger()}, nil
}

const (
	// longestNap is the longest time between two looks at whether a cleanup is due.
	longestNap = 10 * time.Minute
	// failedNap is the time after which one that failed is gone on with.
	failedNap = time.Minute
	// stopLimit bounds what is written when the worker has been stopped.
	stopLimit = 5 * time.Second
	// statementLimit bounds one look, and one transaction.
	statementLimit = 30 * time.Second
)

// Run does the cleanups that are due, with the other workers, until ctx ends. Without an interval it only tells of those that Clean has done.
func (c *Cleaner) Run(ctx context.Context) {
	for ctx.Err() == nil {
		nap, err := c.turn(ctx)
		if err != nil && ctx.Err() == nil {
			c.m.failed.Inc()
			c.log.Warn().Err(err).Msg("cleanup not done")
			nap = failedNap
		}
		_ = pause(ctx, nap) // ended: so is the loop
	}
}

// turn does a cleanup if one is due and nobody is at it, and returns when to look again.
func (c *Cleaner) turn(ctx context.Context) (nap time.Duration, err error) {
	limited, cancel := context.WithTimeout(ctx, statementLimit)
	defer cancel()
	due, err := c.q.CleanupDue(limited)
	if err != nil {
		return 0, fmt.Errorf("ask when the cleanup is due: %w", err)
	}
	c.m.last(due.EndedAt, due.TookMs)
	switch {
	case c.cfg.Interval == 0:
		return longestNap, nil
	case due.InMs > 0:
		return min(time.Duration(min(due.InMs, 1e9))*time.Millisecond+time.Millisecond, longestNap), nil
	}
	r, err := c.take(limited, false, c.cfg.Share)
	if err != nil || r == nil {
		return time.Second, err
	}
	return 0, r.through(ctx)
}

// Options say how Clean goes about it.
type Options struct {
	// DryRun has old rows counted, and none removed.
	DryRun bool
	// Share, if not 0, takes the place of Config.Share.
	Share float64
	// Progress, if set, is told of every step.
	Progress func(Progress)
}

// Progress is how far a cleanup has come.
type Progress struct {
	Part        string // the kind of rows that is looked for
	Done, Total int64  // blocks
	Counts      Counts
}

// Report is what became of one cleanup.
type Report struct {
	DryRun bool          `json:"dry_run"`
	Counts Counts        `json:"rows"`
	Took   time.Duration `json:"-"`
}

// BusyError says that somebody else is at a cleanup.
type BusyError struct{}

// Error implements error.
func (*BusyError) Error() string {
	return "a worker is cleaning up at this moment, and goes on with it by itself"
}

// Clean does a whole cleanup now, from the beginning. It waits for Config.Hold at most if one is under way, which may be another's who has died, and then
// fails with a BusyError. The report is good up to where an error ended it.
func (c *Cleaner) Clean(ctx context.Context, o Options) (Report, error) {
	if o.Share == 0 {
		o.Share = c.cfg.Share
	}
	began := time.Now()
	r, err := c.begin(ctx, o)
	if err != nil {
		return Report{DryRun: o.DryRun}, err
	}
	r.progress = o.Progress
	err = r.through(ctx)
	return Report{DryRun: o.DryRun, Counts: r.counts, Took: time.Since(began)}, err
}

func (c *Cleaner) begin(ctx context.Context, o Options) (*round, error) {
	if o.DryRun {
		return &round{Cleaner: c, share: o.Share, dry: true}, nil
	}
	waits := false
	for since := time.Now(); ; {
		r, err := c.take(ctx, true, o.Share)
		if err != nil || r != nil {
			return r, err
		}
		if !waits {
			waits = true
			c.log.Info().Dur("at_most_ms", c.cfg.Hold).Msg("a cleanup is under way: waiting for its end")
		}
		if time.Since(since) > c.cfg.Hold {
			return nil, &BusyError{}
		}
		if err := pause(ctx, min(c.cfg.Hold/4, time.Second)); err != nil {
			return nil, err
		}
	}
}

// take takes the cleanup, to go on with it or from the beginning; nil: it is somebody else's.
func (c *Cleaner) take(ctx context.Context, anew bool, share float64) (*round, error) {
	rows, err := c.q.TakeCleanup(ctx, store.TakeCleanupParams{HoldMs: c.cfg.Hold.Milliseconds(), Anew: anew})
	if err != nil {
		return nil, fmt.Errorf("take the cleanup: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	t := rows[0]
	return &round{
		Cleaner: c, share: share, held: t.HeldUntil, noted: time.Now(),
		part: t.Part, at: place(t.Place), counts: readCounts(t.Removed),
	}, nil
}

// errLost says that the cleanup has become somebody else's.
var errLost = errors.New("the cleanup is another worker's by now")

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
