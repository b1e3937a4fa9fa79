package permits

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/store"
)

// freePart is the part of a quota that a process uses without asking, in any window: most of those who have one come nowhere near it, and are
// to cost no statement and no row.
const freePart = 20

// Each shares quotas that a service gives to each of many, as Google's requests a minute of one user. Make it with NewEach. It is safe for
// concurrent use and has no goroutine of its own.
//
// What a process uses of one's quota in a window is counted in memory, and up to a twentieth is free. From there on permits are taken from a
// row of the database, as a Limiter does, which gives out so much less that two other workers may stay below it.
type Each struct {
	db  *store.Queries
	cfg Config
	log zerolog.Logger
	m   series

	mu    sync.Mutex
	of    map[string]*share // who has used any in the last windows; guarded by mu, as is all below
	swept time.Time
}

// share is what one has used.
type share struct {
	began        time.Time // of the window that is counted
	used, before int       // in it, and in the one before
	limiter      *Limiter  // nil as long as it is free
}

// NewEach returns a limiter over db for quotas of cfg, whose name is that of their metrics, and what the rows' begin with.
func NewEach(db *store.Queries, cfg Config, log zerolog.Logger, m *Metrics) (*Each, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure quota: %w", err)
	}
	return &Each{db: db, cfg: cfg, log: log, m: m.of(cfg.Quota), of: map[string]*share{}, swept: time.Now()}, nil
}

// Take waits until one permit of key's quota may be used. It fails like Limiter.Take.
func (e *Each) Take(ctx context.Context, key string) error {
	if e.cfg.Allowed == 0 {
		return nil
	}
	l, idle := e.count(key, time.Now())
	if len(idle) > 0 {
		if err := e.db.ForgetPermits(ctx, store.ForgetPermitsParams{Quotas: idle, IdleUs: 2 * e.cfg.Window.Microseconds()}); err != nil {
			e.log.Warn().Err(fmt.Errorf("forget permits: %w", err)).Int("rows", len(idle)).Msg("rows of quotas are left")
		}
	}
	if l == nil {
		return nil
	}
	_, _, err := l.Take(ctx, 1)
	return err
}

// count notes one more of key's, and returns whom to ask for it, nil if it is free, and the rows that nobody here needs any more.
func (e *Each) count(key string, now time.Time) (l *Limiter, idle []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Sub(e.swept) >= e.cfg.Window {
		e.swept, idle = now, e.sweep(now)
	}
	s := e.of[key]
	if s == nil {
		s = &share{began: now}
		e.of[key] = s
	}
	if age := now.Sub(s.began); age >= e.cfg.Window {
		if s.before = s.used; age >= 2*e.cfg.Window {
			s.before = 0
		}
		s.began, s.used = now, 0
	}
	s.used++
	free := e.cfg.Allowed / freePart
	if s.used+s.before <= free {
		return nil, idle
	}
	if s.limiter == nil {
		cfg := e.cfg
		cfg.Quota, cfg.Allowed = e.row(key), max(1, cfg.Allowed-2*free)
		s.limiter = limiterOf(e.db, cfg, e.log, e.m)
	}
	return s.limiter, idle
}

func (e *Each) row(key string) string { return e.cfg.Quota + ":" + key }

// sweep drops whoever has not used any for two windows. It is called with mu held.
func (e *Each) sweep(now time.Time) (idle []string) {
	for key, s := range e.of {
		if now.Sub(s.began) < 2*e.cfg.Window {
			continue
		}
		if s.limiter != nil {
			idle = append(idle, e.row(key))
		}
		delete(e.of, key)
	}
	return idle
}
