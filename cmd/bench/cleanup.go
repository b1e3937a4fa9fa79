package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// cleanup has a worker's cleanup remove old rows while the worker serves, and compares how late reminders are with how late they were before.
func (r *rig) cleanup(ctx context.Context, s Size, events int) (result Result, err error) {
	if err := r.fill(ctx, r.worker.SQL.Old, events+events/10); err != nil {
		return result, fmt.Errorf("write old rows: %w", err)
	}
	if err := r.settle(ctx); err != nil {
		return result, err
	}
	stay, err := r.rows(ctx)
	if err != nil {
		return result, err
	}
	if _, err := r.start(ctx); err != nil {
		return result, err
	}
	if err := r.pause(ctx, s.Settle); err != nil {
		return result, err
	}
	var quiet, busy waves
	if err := quiet.roll(ctx, r, s, func() bool { return len(quiet.late) > 0 }); err != nil {
		return result, err
	}
	r.begin()
	began, longest, err := busy.while(ctx, r, s, func(ctx context.Context) error {
		out, err := r.worker.Cleanup(ctx, r.Site).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("clean up: %w: %s", err, out)
		}
		return err
	})
	if err != nil {
		return result, err
	}
	took := busy.until.Sub(began)
	left, err := r.rows(ctx)
	if err != nil {
		return result, err
	}
	if left.old > 0 || left.young != stay.young+quiet.written+busy.written {
		return result, fmt.Errorf("%d old rows are left, and of others there are %d where there should be %d", left.old, left.young, stay.young+quiet.written+busy.written)
	}
	result.add("rows", float64(stay.old), "removed")
	result.add("took", took.Seconds(), "s")
	result.add("rate", float64(stay.old)/took.Seconds(), "rows/s")
	result.add("longest transaction", millis(longest), "ms")
	for _, part := range []struct {
		name string
		of   waves
	}{{"before", quiet}, {"meanwhile", busy}} {
		slices.Sort(part.of.late)
		var times []float64
		for _, d := range part.of.late {
			times = append(times, millis(d))
		}
		result.Times = times
		for _, q := range []struct {
			name  string
			share float64
		}{{"p50", 0.5}, {"p99", 0.99}, {"max", 1}} {
			result.add(part.name+" "+q.name, quantile(times, q.share), "ms")
		}
	}
	r.end(&result, 0)
	return result, nil
}

// rows counts events and reminders: those that are old, and others.
func (r *rig) rows(ctx context.Context) (n struct{ old, young int }, err error) {
	if err = r.db.QueryRow(ctx, r.worker.SQL.Ages).Scan(&n.old, &n.young); err != nil {
		err = fmt.Errorf("count the rows: %w", err)
	}
	return n, err
}

// waves are reminders that fall due at random instants, one lot after the other.
type waves struct {
	late    []time.Duration
	written int       // events and reminders
	until   time.Time // when what they were made for ended; those that are due later do not count
}

// roll makes waves until enough says so.
func (w *waves) roll(ctx context.Context, r *rig, s Size, enough func() bool) error {
	dice := rand.New(rand.NewPCG(3, 3))
	for !enough() {
		n := s.CleanupReminders
		first := time.Now().Add(ahead).Truncate(time.Millisecond)
		ids, owners, times, starts := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]time.Time, n), make([]time.Time, n)
		due := make(map[uuid.UUID]time.Time, n)
		for i := range ids {
			ids[i], owners[i] = uuid.New(), r.Users[i%len(r.Users)]
			times[i] = first.Add(time.Duration(dice.Int64N(int64(s.LatenessFor)))).Truncate(time.Millisecond)
			starts[i] = times[i].Add(time.Hour)
			due[ids[i]] = times[i]
		}
		before := r.expo.count()
		if _, err := r.db.Exec(ctx, r.worker.SQL.Reminders, ids, owners, times, starts); err != nil {
			return fmt.Errorf("write the reminders: %w", err)
		}
		w.written += 2 * n
		if err := r.pause(ctx, time.Until(slices.MaxFunc(times, time.Time.Compare))); err != nil {
			return err
		}
		calls, err := r.arrived(ctx, r.expo, before+n)
		if err != nil {
			return err
		}
		for _, c := range calls[before:] {
			at := due[c.id]
			if w.until.IsZero() || at.Before(w.until) {
				w.late = append(w.late, c.at.Sub(at))
			}
		}
	}
	return nil
}

// while makes waves as long as work lasts, and looks how long transactions take meanwhile, our own aside.
func (w *waves) while(ctx context.Context, r *rig, s Size, work func(context.Context) error) (began time.Time, longest time.Duration, err error) {
	g, ctx := errgroup.WithContext(ctx)
	ended := make(chan struct{})
	over := func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}
	began = time.Now()
	var end time.Time
	g.Go(func() error {
		defer close(ended)
		// Not before the first of them are due.
		if err := r.pause(ctx, ahead); err != nil {
			return err
		}
		began = time.Now()
		err := work(ctx)
		end = time.Now()
		return err
	})
	g.Go(func() error {
		return w.roll(ctx, r, s, func() bool {
			if over() && w.until.IsZero() {
				w.until = end
			}
			return over() && len(w.late) > 0
		})
	})
	g.Go(func() (err error) {
		longest, err = r.longestTransaction(ctx, over)
		return err
	})
	err = g.Wait()
	w.until = end
	return began, longest, err
}

// looked is the time between two looks at the transactions under way.
const looked = 100 * time.Millisecond

// longestTransaction looks at those of all others until over says so.
func (r *rig) longestTransaction(ctx context.Context, over func() bool) (longest time.Duration, err error) {
	for !over() {
		var seconds float64
		err := r.db.QueryRow(ctx, `select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8 from pg_stat_activity
			where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()`).Scan(&seconds)
		if err != nil {
			return longest, fmt.Errorf("look at transactions: %w", err)
		}
		longest = max(longest, time.Duration(seconds*float64(time.Second)))
		if err := r.pause(ctx, looked); err != nil && !errors.Is(err, context.Canceled) {
			return longest, err
		}
	}
	return longest, nil
}
