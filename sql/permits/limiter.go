package permits

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/store"
)

// Limiter takes permits of one quota for one process. Make it with New. It is safe for concurrent use and has no goroutine of its own:
// one of those that wait asks for all.
type Limiter struct {
	db  *store.Queries
	cfg Config
	log zerolog.Logger
	m   series

	turn chan struct{} // capacity 1; full while somebody asks the database

	mu           sync.Mutex
	line         []*want // in order; guarded by mu, as is all below
	stock        stock
	ahead        int           // how many were taken beyond what was wanted
	asked        time.Time     // when the database was last asked
	way          time.Duration // what a statement takes of late
	last, before time.Duration // what the last one took, and the one before
	spared       int           // how many statements were not begun since the last, because they would not have been answered in time
	away         bool          // the last statement failed
	used         []use         // what the next statement is to tell
}

// want is one Take that waits. What is below its line is written before done is closed.
type want struct {
	n     int
	limit time.Time // by when its permits must be good; zero: whenever
	done  chan struct{}

	grant grant
	err   error
}

// New returns a limiter over db.
func New(db *store.Queries, cfg Config, log zerolog.Logger, m *Metrics) (*Limiter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure quota: %w", err)
	}
	return limiterOf(db, cfg, log, m.of(cfg.Quota)), nil
}

func limiterOf(db *store.Queries, cfg Config, log zerolog.Logger, m series) *Limiter {
	return &Limiter{
		db: db, cfg: cfg, m: m,
		log:  log.With().Str("component", "permits").Str("quota", cfg.Quota).Logger(),
		turn: make(chan struct{}, 1),
	}
}

// Take waits until n permits may be used and returns until when they may; zero: for ever. At least half of Config.Keep is left then. It fails
// when ctx ends, and with a *WaitError as soon as it is known that ctx's deadline, or Config.Patience, ends before the wait does: nothing is
// taken then. Who calls used, once, with the moment at which all of them had been used, gets the
// next ones sooner; it is nil where there is no limit.
func (l *Limiter) Take(ctx context.Context, n int) (until time.Time, used func(time.Time), err error) {
	if l.cfg.Allowed == 0 || n <= 0 {
		return time.Time{}, nil, nil
	}
	if n > l.cfg.Allowed {
		return time.Time{}, nil, fmt.Errorf("take permits of quota %s: %d are wanted, %d allowed at once", l.cfg.Quota, n, l.cfg.Allowed)
	}
	began := time.Now()
	defer func() { l.m.waited.Add(time.Since(began).Seconds()) }()
	limit := l.limit(ctx, began)
	for {
		g, err := l.obtain(ctx, &want{n: n, limit: limit, done: make(chan struct{})})
		if err != nil {
			return time.Time{}, nil, err
		}
		if sleepUntil(ctx, g.from); ctx.Err() != nil {
			l.put(g)
			return time.Time{}, nil, fmt.Errorf("wait for permits: %w", ctx.Err())
		}
		if g.good(time.Now(), l.cfg.Keep/2) {
			return g.until, func(at time.Time) { l.note(g, at) }, nil
		}
		l.m.forgotten.Add(float64(g.n)) // the machine was busy, or stood still
	}
}

func (l *Limiter) limit(ctx context.Context, now time.Time) (limit time.Time) {
	limit, _ = ctx.Deadline()
	if p := now.Add(l.cfg.Patience); l.cfg.Patience > 0 && (limit.IsZero() || p.Before(limit)) {
		limit = p
	}
	return limit
}

// put makes permits anybody's.
func (l *Limiter) put(g grant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stock.add(g)
	l.serve()
}

// obtain stands in line until w is met, and asks the database when it is its turn.
func (l *Limiter) obtain(ctx context.Context, w *want) (grant, error) {
	l.mu.Lock()
	l.line = append(l.line, w)
	l.serve()
	l.mu.Unlock()
	for {
		select { // what is met needs no turn
		case <-w.done:
			return w.grant, w.err
		default:
		}
		select {
		case <-w.done:
			return w.grant, w.err
		case <-ctx.Done():
			l.leave(w)
			return grant{}, fmt.Errorf("wait for permits: %w", ctx.Err())
		case l.turn <- struct{}{}:
			err := l.ask(ctx, w)
			<-l.turn
			if err != nil {
				l.leave(w)
				return grant{}, err
			}
		}
	}
}

// use is what has become of permits.
type use struct {
	ends  time.Time // until when they count
	n     int
	spare time.Duration // by how much sooner they were used than they might have been
}

const (
	// notedPart is the least part of a quota that is worth to be told of: the entries of a row stay few.
	notedPart = 20
	// maxNoted bounds what one statement tells.
	maxNoted = 32
)

// note has the next statement tell when permits were used.
func (l *Limiter) note(g grant, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range g.parts {
		spare := min(p.until.Sub(at), p.until.Round(0).Sub(at.Round(0))) // by the clock that is set as well: see good
		if p.n*notedPart >= l.cfg.Allowed && spare > 0 && len(l.used) < maxNoted {
			l.used = append(l.used, use{ends: p.ends, n: p.n, spare: spare})
		}
	}
}

// leave takes w out of the line. If it was met in that moment, its permits are anybody's.
func (l *Limiter) leave(w *want) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, other := range l.line {
		if other == w {
			l.line = append(l.line[:i], l.line[i+1:]...)
			return
		}
	}
	if w.err == nil {
		l.stock.add(w.grant)
		l.serve()
	}
}

// serve meets as much of the line as there is in stock, in order. What would be good too late for a want is refused to it. It is called with
// mu held.
func (l *Limiter) serve() {
	now := time.Now()
	l.forget(now)
	for len(l.line) > 0 {
		w := l.line[0]
		g, enough := l.stock.take(w.n)
		if !enough {
			return
		}
		if !w.limit.IsZero() && g.from.After(w.limit) {
			l.stock.add(g)
			l.refuse(w, &WaitError{Quota: l.cfg.Quota, Wait: g.from.Sub(now)})
			continue
		}
		w.grant = g
		l.answer(w)
	}
}

// forget drops what is too old.
func (l *Limiter) forget(now time.Time) {
	l.m.forgotten.Add(float64(l.stock.forget(now, l.cfg.Keep/2)))
}

func (l *Limiter) refuse(w *want, err error) {
	l.m.refused.Inc()
	w.err = err
	l.answer(w)
}

// answer sends the first of the line on its way.
func (l *Limiter) answer(w *want) {
	l.line = l.line[1:]
	close(w.done)
}

// sleepUntil waits until t or until ctx ends.
func sleepUntil(ctx context.Context, t time.Time) {
	d := time.Until(t)
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
