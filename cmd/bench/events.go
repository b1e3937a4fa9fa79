package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// pickup writes events one by one at a steady rate, whether or not the worker follows, and looks how long each takes to Google.
func (r *rig) pickup(ctx context.Context, s Size, rate int, span time.Duration, hands int) (result Result, err error) {
	if _, err := r.start(ctx); err != nil {
		return result, err
	}
	if err := r.pause(ctx, s.Settle); err != nil {
		return result, err
	}
	r.begin()
	n := rate * int(span.Seconds())
	acks, reached, err := r.write(ctx, n, rate, hands)
	if err != nil {
		return result, err
	}
	backlog := n - r.google.count()
	calls, err := r.arrived(ctx, r.google, n)
	if err != nil {
		return result, err
	}
	if err := r.untilCounted(ctx, r.worker.SQL.Done, n); err != nil {
		return result, err
	}
	latencies := make([]time.Duration, 0, n)
	for _, c := range calls {
		latencies = append(latencies, c.at.Sub(acks[c.id]))
	}
	result.spread(latencies)
	if hands > 1 {
		result.add("written", reached, "/s")
		result.add("backlog", float64(backlog), "events")
	}
	r.end(&result, n)
	return result, nil
}

// write writes n events at the instants that the rate gives, with so many connections, and returns when each was acknowledged, and how many it
// were in a second.
func (r *rig) write(ctx context.Context, n, rate, hands int) (acks map[uuid.UUID]time.Time, reached float64, err error) {
	var next atomic.Int64
	var mu sync.Mutex
	acks = make(map[uuid.UUID]time.Time, n)
	began, start := time.Now(), time.Now().Add(50*time.Hour).Truncate(time.Second)
	writing, ctx := errgroup.WithContext(ctx)
	for range hands {
		writing.Go(func() error {
			conn, err := r.db.Acquire(ctx)
			if err != nil {
				return err
			}
			defer conn.Release()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := r.pause(ctx, time.Until(began.Add(time.Duration(i)*time.Second/time.Duration(rate)))); err != nil {
					return err
				}
				e := Event{ID: uuid.New(), User: r.Users[i%len(r.Users)], Start: start}
				if err := r.enter(ctx, conn.Conn(), e); err != nil {
					return fmt.Errorf("write an event: %w", err)
				}
				at := time.Now()
				mu.Lock()
				acks[e.ID] = at
				mu.Unlock()
			}
		})
	}
	err = writing.Wait()
	return acks, float64(n) / max(time.Since(began).Seconds(), float64(n)/float64(rate)), err
}

// enter writes one event the way the worker's users do.
func (r *rig) enter(ctx context.Context, db *pgx.Conn, e Event) error {
	if r.worker.Enter != nil {
		return r.worker.Enter(ctx, db, e)
	}
	_, err := db.Exec(ctx, r.worker.SQL.Event, e.ID, e.User, e.Start)
	return err
}

// pause sleeps, unless the worker ends or ctx does.
func (r *rig) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	var ended chan struct{}
	if r.proc != nil {
		ended = r.proc.ended
	}
	select {
	case <-t.C:
		return nil
	case <-ended:
		return r.proc.failure()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var errMissing = errors.New("nothing has come for a minute")

// arrived waits until n have reached a service, as long as any do.
func (r *rig) arrived(ctx context.Context, l *ledger, n int) ([]call, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	watching.Go(func() {
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		for last := -1; ; {
			select {
			case <-r.proc.ended:
				cancel(r.proc.failure())
			case <-tick.C:
				if seen := l.count(); seen > last {
					last = seen
					continue
				}
				cancel(errMissing)
			case <-ctx.Done():
			}
			return
		}
	})
	return l.await(ctx, n)
}

// drain has the worker start on events that wait.
func (r *rig) drain(ctx context.Context, n int) (result Result, err error) {
	ids, owners := make([]uuid.UUID, n), make([]uuid.UUID, n)
	for i := range ids {
		ids[i], owners[i] = uuid.New(), r.Users[i%len(r.Users)]
	}
	start := time.Now().Add(50 * time.Hour).Truncate(time.Second)
	if _, err := r.db.Exec(ctx, r.worker.SQL.Events, ids, owners, start); err != nil {
		return result, fmt.Errorf("write the events: %w", err)
	}
	if _, err := r.db.Exec(ctx, "analyze"); err != nil {
		return result, err
	}
	r.begin()
	if _, err := r.start(ctx); err != nil {
		return result, err
	}
	r.cpu = 0
	if _, err := r.arrived(ctx, r.google, n); err != nil {
		return result, err
	}
	if err := r.untilCounted(ctx, r.worker.SQL.Done, n); err != nil {
		return result, err
	}
	end := time.Now()
	calls, err := r.google.await(ctx, n)
	if err != nil {
		return result, err
	}
	first := slices.MinFunc(calls, func(a, b call) int { return a.at.Compare(b.at) }).at
	result.add("rate", float64(n)/end.Sub(first).Seconds(), "events/s")
	result.add("from start", end.Sub(r.proc.began).Seconds(), "s")
	r.end(&result, n)
	return result, nil
}

// untilCounted waits until a statement counts n rows at least: what a service was asked for is to be written down too.
func (r *rig) untilCounted(ctx context.Context, statement string, n int) (err error) {
	if r.countsLater {
		return nil
	}
	limited, cancel := context.WithTimeoutCause(ctx, writtenLimit, errUnwritten)
	defer cancel()
	var done int
	wait := r.proc.until(limited, 5*time.Millisecond, func() bool {
		err = r.db.QueryRow(ctx, statement).Scan(&done)
		return err != nil || done >= n
	})
	if wait != nil {
		wait = fmt.Errorf("%d of %d are written down: %w", done, n, wait)
	}
	return errors.Join(err, wait)
}

// writtenLimit is how long it may take to write down what has been done.
const writtenLimit = time.Minute

var errUnwritten = errors.New("the rows have not followed for a minute")
