package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// rebuild has the worker start with reminders within its horizon, and others behind it, and looks how long it takes to be ready.
func (r *rig) rebuild(ctx context.Context, near, far int) (result Result, err error) {
	for _, part := range []struct {
		n    int
		from time.Duration // from now, over half an hour
	}{{near, 20 * time.Minute}, {far, 24 * time.Hour}} {
		if err := r.waiting(ctx, part.n, part.from); err != nil {
			return result, err
		}
	}
	if _, err := r.db.Exec(ctx, "vacuum analyze"); err != nil {
		return result, err
	}
	r.begin()
	ready, err := r.start(ctx)
	if err != nil {
		return result, err
	}
	r.cpu = 0
	result.add("ready after", ready.Seconds(), "s")
	var took time.Duration
	said, stop := context.WithTimeout(ctx, 10*time.Second) // a program may be ready before it has said so
	defer stop()
	if r.proc.until(said, time.Millisecond, func() bool { took = filled(r.proc.said("wheel filled")); return took > 0 }) == nil {
		result.add("rate", float64(near)/took.Seconds(), "reminders/s")
	}
	r.end(&result, near)
	return result, nil
}

// waiting writes n reminders that are due within half an hour from so far ahead.
func (r *rig) waiting(ctx context.Context, n int, from time.Duration) error {
	const page = 100_000
	began := time.Now().Add(from)
	for at := 0; at < n; at += page {
		size := min(page, n-at)
		ids, owners, times, starts := make([]uuid.UUID, size), make([]uuid.UUID, size), make([]time.Time, size), make([]time.Time, size)
		for i := range ids {
			ids[i], owners[i] = uuid.New(), r.Users[i%len(r.Users)]
			times[i] = began.Add(time.Duration(at+i) * 30 * time.Minute / time.Duration(n))
			starts[i] = times[i].Add(time.Hour)
		}
		if _, err := r.db.Exec(ctx, r.worker.SQL.Reminders, ids, owners, times, starts); err != nil {
			return fmt.Errorf("write the reminders: %w", err)
		}
	}
	return nil
}

// filled reads how long a worker says that it took to fill its wheel.
func filled(line string) time.Duration {
	var said struct {
		Took float64 `json:"took"` // ms
	}
	if json.Unmarshal([]byte(line), &said) != nil {
		return 0
	}
	return time.Duration(said.Took * float64(time.Millisecond))
}

// reported is how long a backend of Postgres may keep to itself what it has done: PGSTAT_IDLE_INTERVAL in pgstat.c.
const reported = 10 * time.Second

// idle leaves the worker alone, and looks what it does all the same.
func (r *rig) idle(ctx context.Context, s Size, span time.Duration) (result Result, err error) {
	if _, err := r.start(ctx); err != nil {
		return result, err
	}
	if err := r.pause(ctx, s.Settle+reported); err != nil {
		return result, err
	}
	r.begin()
	before, err := r.transactions(ctx)
	if err != nil {
		return result, err
	}
	if err := r.pause(ctx, span); err != nil {
		return result, err
	}
	after, err := r.transactions(ctx)
	if err != nil {
		return result, err
	}
	result.add("transactions", float64(after-before-1)/span.Seconds(), "/s") // one of them was ours
	r.end(&result, 0)
	result.add("memory", float64(usageOf(r.proc.cmd.Process.Pid).rss)/(1<<20), "MB")
	return result, nil
}

func (r *rig) transactions(ctx context.Context) (n int64, err error) {
	err = r.db.QueryRow(ctx, `select xact_commit + xact_rollback from pg_stat_database where datname = current_database()`).Scan(&n)
	return n, err
}

// growth measures pickup and lateness in a database that has been in use for years.
func (r *rig) growth(ctx context.Context, s Size, rows int) (result Result, err error) {
	if _, err := r.db.Exec(ctx, r.worker.SQL.History, rows); err != nil {
		return result, fmt.Errorf("write the history: %w", err)
	}
	if _, err := r.db.Exec(ctx, "vacuum analyze"); err != nil {
		return result, err
	}
	result, err = r.pickup(ctx, s, s.PickupRate, s.PickupFor, 1)
	if err != nil {
		return result, err
	}
	if err := r.stop(); err != nil {
		return result, err
	}
	late, err := r.lateness(ctx, s, s.Lateness[0], s.PickupFor)
	for _, f := range late.Figures {
		if f.Name == "p50" || f.Name == "p99" {
			result.add("lateness "+f.Name, f.Value, f.Unit)
		}
	}
	return result, err
}
