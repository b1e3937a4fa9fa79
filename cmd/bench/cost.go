package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// rebuild has the worker start several times with reminders within its horizon, and others behind it, and looks how long it takes to be ready. To
// write the reminders takes much longer than to start with them, so all starts are with the same.
func (r *rig) rebuild(ctx context.Context, starts, near, far int) (result Result, err error) {
	for _, part := range []struct {
		n    int
		from time.Duration // from now, over half an hour
	}{{near, 20 * time.Minute}, {far, 24 * time.Hour}} {
		gap := (30 * time.Minute).Seconds() / float64(max(part.n, 1))
		if err := r.fill(ctx, r.worker.SQL.Waiting, part.n, time.Now().Add(part.from), gap); err != nil {
			return result, fmt.Errorf("write the reminders: %w", err)
		}
	}
	if err := r.settle(ctx); err != nil {
		return result, err
	}
	var readies, rates []float64
	for range starts {
		if err := r.stop(); err != nil {
			return result, err
		}
		r.begin()
		ready, err := r.start(ctx)
		if err != nil {
			return result, err
		}
		r.cpu = 0
		readies = append(readies, ready.Seconds())
		if took := r.filling(ctx); took > 0 {
			rates = append(rates, float64(near)/took.Seconds())
		}
	}
	slices.Sort(readies)
	slices.Sort(rates)
	result.add("ready after", median(readies), "s")
	result.add("ready after at most", readies[len(readies)-1], "s")
	if len(rates) > 0 {
		result.add("rate", median(rates), "reminders/s")
		result.add("rate at least", rates[0], "reminders/s")
	}
	r.end(&result, near)
	return result, nil
}

// filling is how long the worker says that it took to fill its wheel, which may be a little after it is ready; 0: it says nothing of the kind.
func (r *rig) filling(ctx context.Context) (took time.Duration) {
	said, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	_ = r.proc.until(said, time.Millisecond, func() bool { took = filled(r.proc.said("wheel filled")); return took > 0 })
	return took
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

// growth measures pickup and lateness in a database that has been in use for years, several times: to write its history takes longer than that.
func (r *rig) growth(ctx context.Context, s Size, rows int) (result Result, err error) {
	if err := r.fill(ctx, r.worker.SQL.History, rows); err != nil {
		return result, fmt.Errorf("write the history: %w", err)
	}
	if err := r.settle(ctx); err != nil {
		return result, err
	}
	r.countsLater = true // it takes seconds, and what it reads would take the place of what the worker needs
	var each []Result
	for range s.Starts {
		one, err := r.inUse(ctx, s)
		if err != nil {
			return result, err
		}
		each = append(each, one)
	}
	reminders := s.Starts * s.Lateness[0]
	events := reminders + s.Starts*s.PickupRate*int(s.PickupFor.Seconds())
	err = errors.Join(r.counts(ctx, r.worker.SQL.Done, rows+events), r.counts(ctx, r.worker.SQL.Sent, rows+reminders))
	all := Summarise(each)[0]
	for _, f := range all.Figures {
		result.add(f.Name, f.Median, f.Unit)
		if strings.HasSuffix(f.Name, "p99") {
			result.add(f.Name+" at most", f.Top, f.Unit)
		}
	}
	result.Strangers = all.Strangers
	return result, err
}

// counts checks that a statement counts n rows, now that the worker has ended.
func (r *rig) counts(ctx context.Context, statement string, n int) error {
	var done int
	err := r.db.QueryRow(ctx, statement).Scan(&done)
	if err == nil && done != n {
		err = fmt.Errorf("%d of %d are written down", done, n)
	}
	return err
}

// inUse measures pickup, and then lateness, whatever has been measured in the same database before.
func (r *rig) inUse(ctx context.Context, s Size) (result Result, err error) {
	r.google.forget()
	r.expo.forget()
	if result, err = r.pickup(ctx, s, s.PickupRate, s.PickupFor, 1); err != nil {
		return result, err
	}
	if err := r.stop(); err != nil {
		return result, err
	}
	late, err := r.lateness(ctx, s, s.Lateness[0], s.PickupFor)
	if err != nil {
		return result, err
	}
	for _, f := range late.Figures {
		if f.Name == "p50" || f.Name == "p99" {
			result.add("lateness "+f.Name, f.Value, f.Unit)
		}
	}
	result.Strangers = max(result.Strangers, late.Strangers)
	return result, r.stop()
}
