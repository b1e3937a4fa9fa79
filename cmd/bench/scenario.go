package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// scenario is one thing that is measured, in one case or several.
type scenario struct {
	name string
	// Paced keeps to the limits of the services.
	paced bool
	cases func(Size) []string
	// expects is how many calls a service will get.
	expects func(Size, int) int
	run     func(ctx context.Context, r *rig, s Size, i int) (Result, error)
}

var scenarios = []scenario{
	{
		"pickup", false,
		func(s Size) []string { return []string{fmt.Sprintf("%d/s", s.PickupRate)} },
		func(s Size, _ int) int { return s.PickupRate * int(s.PickupFor.Seconds()) },
		func(ctx context.Context, r *rig, s Size, _ int) (Result, error) {
			return r.pickup(ctx, s.PickupRate, s.PickupFor, 1)
		},
	},
	{
		"drain", false,
		func(s Size) []string { return counts(s.Drain, " events") },
		func(s Size, i int) int { return s.Drain[i] },
		func(ctx context.Context, r *rig, s Size, i int) (Result, error) { return r.drain(ctx, s.Drain[i]) },
	},
	{
		"sustained", false,
		func(s Size) []string { return counts(s.Sustained, "/s") },
		func(s Size, i int) int { return s.Sustained[i] * int(s.SustainedFor.Seconds()) },
		func(ctx context.Context, r *rig, s Size, i int) (Result, error) {
			return r.pickup(ctx, s.Sustained[i], s.SustainedFor, writers)
		},
	},
	{
		"lateness", false,
		func(s Size) []string { return counts(s.Lateness, " reminders") },
		func(s Size, i int) int { return s.Lateness[i] },
		func(ctx context.Context, r *rig, s Size, i int) (Result, error) {
			return r.lateness(ctx, s.Lateness[i], s.LatenessFor)
		},
	},
	{
		"herd", false,
		func(s Size) []string { return counts([]int{s.Herd}, " reminders") },
		func(s Size, _ int) int { return s.Herd },
		func(ctx context.Context, r *rig, s Size, _ int) (Result, error) { return r.herd(ctx, s.Herd) },
	},
	{
		"paced herd", true,
		func(s Size) []string { return counts([]int{s.PacedHerd}, " reminders") },
		func(s Size, _ int) int { return s.PacedHerd },
		func(ctx context.Context, r *rig, s Size, _ int) (Result, error) { return r.pacedHerd(ctx, s.PacedHerd) },
	},
	{
		"rebuild", false,
		func(s Size) []string {
			labels := counts(s.Rebuild, " reminders")
			if s.Far > 0 {
				labels[len(labels)-1] += fmt.Sprintf(" of %d", s.Far+s.Rebuild[len(s.Rebuild)-1])
			}
			return labels
		},
		func(Size, int) int { return 0 },
		func(ctx context.Context, r *rig, s Size, i int) (Result, error) {
			far := 0
			if i == len(s.Rebuild)-1 {
				far = s.Far
			}
			return r.rebuild(ctx, s.Rebuild[i], far)
		},
	},
	{
		"idle", false,
		func(Size) []string { return []string{""} },
		func(Size, int) int { return 0 },
		func(ctx context.Context, r *rig, s Size, _ int) (Result, error) { return r.idle(ctx, s.IdleFor) },
	},
	{
		"growth", false,
		func(s Size) []string { return counts(s.Growth, " old rows") },
		func(s Size, _ int) int { return s.PickupRate * int(s.PickupFor.Seconds()) },
		func(ctx context.Context, r *rig, s Size, i int) (Result, error) { return r.growth(ctx, s, s.Growth[i]) },
	},
}

// ScenarioNames are those that Config.Only may name.
func ScenarioNames() (names []string) {
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

// counts labels cases that differ by a number.
func counts(numbers []int, unit string) (labels []string) {
	for _, n := range numbers {
		labels = append(labels, fmt.Sprintf("%d%s", n, unit))
	}
	return labels
}

// writers are the app's connections.
const writers = 8

func processors() int { return runtime.NumCPU() }

// settle is how long what a start has set going is given before something is measured.
const settle = 3 * time.Second

// pickup writes events one by one at a steady rate, whether or not the worker follows, and looks how long each takes to Google.
func (r *rig) pickup(ctx context.Context, rate int, span time.Duration, hands int) (result Result, err error) {
	if _, err := r.start(ctx); err != nil {
		return result, err
	}
	if err := r.pause(ctx, settle); err != nil {
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
	latencies := make([]time.Duration, 0, n)
	for _, c := range calls {
		latencies = append(latencies, c.at.Sub(acks[c.id]))
	}
	result.spread(latencies)
	if hands > 1 {
		result.add("written", reached, "/s")
		result.add("backlog", float64(backlog), " events")
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
				id := uuid.New()
				if _, err := conn.Exec(ctx, r.worker.SQL.Event, id, r.Users[i%len(r.Users)], start); err != nil {
					return fmt.Errorf("write an event: %w", err)
				}
				at := time.Now()
				mu.Lock()
				acks[id] = at
				mu.Unlock()
			}
		})
	}
	err = writing.Wait()
	return acks, float64(n) / max(time.Since(began).Seconds(), float64(n)/float64(rate)), err
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
	defer cancel(nil)
	go func() {
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
	}()
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
	if err := r.untilDone(ctx, n); err != nil {
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

// untilDone waits until the rows say that all is done.
func (r *rig) untilDone(ctx context.Context, n int) (err error) {
	var done int
	wait := r.proc.until(ctx, 5*time.Millisecond, func() bool {
		err = r.db.QueryRow(ctx, r.worker.SQL.Done).Scan(&done)
		return err != nil || done >= n
	})
	return errors.Join(err, wait)
}

// ahead is how long before the first of them reminders are written.
const ahead = 5 * time.Second

// remind writes reminders, and waits until all have been sent.
func (r *rig) remind(ctx context.Context, times, starts []time.Time) ([]call, map[uuid.UUID]int, error) {
	n := len(times)
	ids, owners, index := make([]uuid.UUID, n), make([]uuid.UUID, n), make(map[uuid.UUID]int, n)
	for i := range ids {
		ids[i], owners[i] = uuid.New(), r.Users[i%len(r.Users)]
		index[ids[i]] = i
	}
	if _, err := r.start(ctx); err != nil {
		return nil, nil, err
	}
	if _, err := r.db.Exec(ctx, r.worker.SQL.Reminders, ids, owners, times, starts); err != nil {
		return nil, nil, fmt.Errorf("write the reminders: %w", err)
	}
	if err := r.pause(ctx, time.Until(slices.MinFunc(times, time.Time.Compare))-time.Second); err != nil {
		return nil, nil, err
	}
	r.begin()
	if err := r.pause(ctx, time.Until(slices.MaxFunc(times, time.Time.Compare))); err != nil {
		return nil, nil, err
	}
	calls, err := r.arrived(ctx, r.expo, n)
	return calls, index, err
}

// lateness has reminders fall due at random instants.
func (r *rig) lateness(ctx context.Context, n int, span time.Duration) (result Result, err error) {
	dice := rand.New(rand.NewPCG(1, uint64(n)))
	times, starts := make([]time.Time, n), make([]time.Time, n)
	first := time.Now().Add(ahead + settle).Round(0)
	for i := range times {
		times[i] = first.Add(time.Duration(dice.Int64N(int64(span)))).Truncate(time.Millisecond)
		starts[i] = times[i].Add(time.Hour)
	}
	calls, index, err := r.remind(ctx, times, starts)
	if err != nil {
		return result, err
	}
	late := make([]time.Duration, 0, n)
	for _, c := range calls {
		late = append(late, c.at.Sub(times[index[c.id]]))
	}
	result.spread(late)
	if late[0] < 0 {
		return result, fmt.Errorf("a reminder came %s early", -late[0])
	}
	r.end(&result, n)
	return result, nil
}

// instants are n times the same.
func instants(n int) []time.Time {
	return slices.Repeat([]time.Time{time.Now().Add(ahead + settle).Truncate(time.Second)}, n)
}

// herd has reminders fall due at one instant.
func (r *rig) herd(ctx context.Context, n int) (result Result, err error) {
	times := instants(n)
	starts := slices.Repeat([]time.Time{times[0].Add(time.Hour)}, n)
	calls, _, err := r.remind(ctx, times, starts)
	if err != nil {
		return result, err
	}
	late := make([]time.Duration, 0, n)
	for _, c := range calls {
		late = append(late, c.at.Sub(times[0]))
	}
	slices.Sort(late)
	result.add("first", millis(late[0]), "ms")
	result.add("last", millis(late[n-1]), "ms")
	r.end(&result, n)
	return result, nil
}

// overtaking is by how many reminders requests overtake each other: six at a time, of a hundred each.
const overtaking = 600

// pacedHerd is a herd under Expo's limits: each reminds of an event with a start of its own.
func (r *rig) pacedHerd(ctx context.Context, n int) (result Result, err error) {
	times := instants(n)
	starts := make([]time.Time, n)
	for i, nr := range rand.New(rand.NewPCG(2, 2)).Perm(n) {
		starts[i] = times[0].Add(time.Hour + time.Duration(nr)*time.Second)
	}
	calls, index, err := r.remind(ctx, times, starts)
	if err != nil {
		return result, err
	}
	slices.SortStableFunc(calls, func(a, b call) int { return a.at.Compare(b.at) })
	span := calls[n-1].at.Sub(calls[0].at)
	most, from := 0, 0
	for i, c := range calls {
		for c.at.Sub(calls[from].at) >= time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	// Requests overtake each other on their way, so a reminder may be some requests away from its place.
	var astray int
	for i, c := range calls {
		if place := int(starts[index[c.id]].Sub(times[0].Add(time.Hour)).Seconds()); place-i > overtaking || i-place > overtaking {
			astray++
		}
	}
	result.add("rate", float64(n)/span.Seconds(), "/s")
	result.add("most in a second", float64(most), "")
	result.add("out of order", float64(astray), "")
	result.add("last", millis(calls[n-1].at.Sub(times[0])), "ms")
	r.end(&result, n)
	return result, nil
}

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
	if took := filled(r.proc.said("wheel filled")); took > 0 {
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

// idle leaves the worker alone, and looks what it does all the same.
func (r *rig) idle(ctx context.Context, span time.Duration) (result Result, err error) {
	if _, err := r.start(ctx); err != nil {
		return result, err
	}
	// What the start has done is counted within ten seconds, see the monitoring chapter of Postgres: backends report when they have been idle for so long.
	if err := r.pause(ctx, settle+10*time.Second); err != nil {
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
	result, err = r.pickup(ctx, s.PickupRate, s.PickupFor, 1)
	if err != nil {
		return result, err
	}
	if err := r.stop(); err != nil {
		return result, err
	}
	late, err := r.lateness(ctx, s.Lateness[0], s.PickupFor)
	for _, f := range late.Figures {
		if f.Name == "p50" || f.Name == "p99" {
			result.add("lateness "+f.Name, f.Value, f.Unit)
		}
	}
	return result, err
}
