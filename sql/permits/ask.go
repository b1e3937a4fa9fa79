package permits

import (
	"context"
	"errors"
	"time"

	"github.com/parentpal/reminder-worker/sql/store"
)

// retryPause is how long nobody asks a database that has failed to answer.
const retryPause = 250 * time.Millisecond

// maxWay bounds what is believed of a statement's time. Permits are asked for with so much longer to live, and count for so much longer.
const maxWay = 10 * time.Second

// forEver is the patience of who waits as long as it must.
const forEver = time.Duration(-1000)

// request is what one statement asks for.
type request struct {
	first          *want
	want, need     int // need: of the first in line alone
	keep, patience time.Duration
}

// ask asks for what the line needs, unless it has been met meanwhile. The caller has the turn. An error is the caller's alone.
func (l *Limiter) ask(ctx context.Context, w *want) error {
	r, open := l.compose(w)
	if !open {
		return nil
	}
	if l.tooSlow(ctx) {
		l.m.refused.Inc()
		return &WaitError{Quota: l.cfg.Quota, Wait: retryPause, Err: errSlow}
	}
	granted, wait, err := l.take(ctx, r)
	if err == nil && granted == 0 && r.want > r.need {
		r.want = r.need // together they do not fit; the first may
		granted, wait, err = l.take(ctx, r)
	}
	switch {
	case ctx.Err() != nil: // somebody else's turn
	case err != nil:
		l.failed(err)
		sleepUntil(ctx, time.Now().Add(retryPause))
	case granted == 0:
		l.usedUp(ctx, r.first, wait)
	}
	return nil
}

var errSlow = errors.New("the database answers too slowly")

// tooSlow reports whether ctx would break a statement off before its answer, which costs its connection. Each time the next has a better
// chance: nobody would find out otherwise that the database is quick again.
func (l *Limiter) tooSlow(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !limited || time.Until(deadline) > l.last>>l.spared {
		return false
	}
	l.spared++
	return true
}

// compose adds up what is wanted: by the first in line, by those behind as long as that makes it little larger, and ahead of need. It
// reports false when w needs nothing any more.
func (l *Limiter) compose(w *want) (r request, open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-w.done:
		return r, false
	default:
	}
	first := l.line[0]
	r.first, r.need = first, first.n
	most := max(r.need, l.cfg.Allowed/10)
	for _, other := range l.line {
		if other != first && r.want+other.n > most {
			break
		}
		r.want += other.n
	}
	r.want += max(0, min(l.lookAhead(), most-r.want))
	r.keep = l.cfg.Keep + l.allowance()
	r.patience = forEver
	if !first.limit.IsZero() {
		r.patience = max(0, time.Until(first.limit))
	}
	return r, true
}

// allowance is how much longer than Config.Keep permits are to live, for the time that their statement takes. A single slow one changes little,
// for what counts longer counts so for all workers; where two in a row were too slow for that, their time is allowed for.
func (l *Limiter) allowance() time.Duration {
	if steady := min(l.last, l.before, maxWay); steady > l.cfg.Window/2 {
		return steady + l.cfg.Window/4
	}
	return 2 * l.way
}

// lookAhead is how many permits to take beyond what is wanted: more each time the last ones were used up while they were good.
func (l *Limiter) lookAhead() int {
	now := time.Now()
	if now.Sub(l.asked) < l.cfg.Keep/2 {
		l.ahead = min(2*l.ahead+1, l.cfg.Chunk-1)
	} else {
		l.ahead = 0
	}
	l.asked = now
	return l.ahead
}

// take runs the statement and puts what it grants into the stock, from which the line is served.
func (l *Limiter) take(ctx context.Context, r request) (granted int, wait time.Duration, err error) {
	arg := store.TakePermitsParams{
		Quota: l.cfg.Quota, Want: int32(r.want), Allowed: int32(l.cfg.Allowed),
		SpanUs: (l.cfg.Window + r.keep + l.cfg.Margin).Microseconds(), PatienceUs: r.patience.Microseconds(),
	}
	for _, u := range l.noted() {
		arg.UsedEnds, arg.UsedCounts, arg.UsedSparesUs = append(arg.UsedEnds, u.ends), append(arg.UsedCounts, int32(u.n)), append(arg.UsedSparesUs, u.spare.Microseconds())
	}
	asked := time.Now()
	row, err := l.db.TakePermits(ctx, arg)
	if err != nil {
		return 0, 0, err // what was to be told is not known to be told: it counts for as long as it was to
	}
	answered := time.Now()
	took := answered.Sub(asked)
	granted, wait = int(row.Granted), time.Duration(row.WaitMs*float64(time.Millisecond))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spared = 0
	l.before, l.last = l.last, took
	l.way = min((3*l.way+took)/4, l.cfg.Window/2)
	if l.away {
		l.away = false
		l.log.Info().Msg("permits granted again")
	}
	if granted > 0 {
		l.m.granted.Add(float64(granted))
		// The database's moment lies between question and answer: never before it, never kept for longer than was said.
		g := grant{n: granted, from: answered.Add(wait), until: asked.Add(wait + r.keep)}
		g.parts = []part{{n: granted, until: g.until, ends: row.Ends}}
		l.stock.add(g)
		l.serve()
	}
	return granted, wait, nil
}

// noted is what the statement to come is to tell.
func (l *Limiter) noted() []use {
	l.mu.Lock()
	defer l.mu.Unlock()
	used := l.used
	l.used = nil
	return used
}

// failed tells all who are in a hurry that the database gave no answer; the others stay in line.
func (l *Limiter) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.away {
		l.away = true
		l.log.Error().Err(err).Msg("no permits: the database could not be asked")
	}
	waiting := l.line
	l.line = nil
	for _, w := range waiting {
		if w.limit.IsZero() {
			l.line = append(l.line, w)
			continue
		}
		l.m.refused.Inc()
		w.err = &WaitError{Quota: l.cfg.Quota, Wait: retryPause, Err: err}
		close(w.done)
	}
}

// usedUp refuses first, if it cannot wait so long. Otherwise so many are in line, all workers together, that no more are let in: whoever
// asks when that has changed is next, whatever the size of its want.
func (l *Limiter) usedUp(ctx context.Context, first *want, wait time.Duration) {
	l.mu.Lock()
	hurry := !first.limit.IsZero() && time.Now().Add(wait).After(first.limit)
	if hurry && len(l.line) > 0 && l.line[0] == first {
		l.refuse(first, &WaitError{Quota: l.cfg.Quota, Wait: wait})
	}
	l.mu.Unlock()
	if !hurry {
		sleepUntil(ctx, time.Now().Add(min(wait, l.cfg.Window)/4))
	}
}
