package permits

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
)

// ledger notes what is used, and when, on this machine's clock.
type ledger struct {
	mu   sync.Mutex
	used []given
}

func (l *ledger) note(n int, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used = append(l.used, given{start: at, n: n})
}

func (l *ledger) most(window time.Duration) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortFunc(l.used, func(a, b given) int { return a.start.Compare(b.start) })
	most, sum, from := 0, 0, 0
	for _, g := range l.used {
		for sum += g.n; g.start.Sub(l.used[from].start) >= window; from++ {
			sum -= l.used[from].n
		}
		most = max(most, sum)
	}
	return most
}

// Three limiters with four users each want more than there is, in batches and in small: never more than allowed in any window, and hardly less.
func TestNeverMoreThanAllowed(t *testing.T) {
	t.Parallel()
	for name, sizes := range map[string][]int{"batches": {100, 100, 100, 100}, "small": {10, 1, 5, 3}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, cfg := pgtest.New(t), expo()
			span := cfg.Window + cfg.Margin // for what is said to be used at once
			ctx, cancel := context.WithTimeout(t.Context(), 5*span)
			defer cancel()
			var book ledger
			var users sync.WaitGroup
			m := NewMetrics(prometheus.NewRegistry())
			for range 3 {
				l, err := New(store.New(db.Pool), cfg, zerolog.Nop(), m)
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range sizes {
					users.Go(func() { book.use(ctx, l, n) })
				}
			}
			users.Wait()
			if n := book.most(cfg.Window); n > cfg.Allowed {
				t.Errorf("%d in one window, %d allowed", n, cfg.Allowed)
			}
			// Bursts of as many as are allowed, each a span after the other: how long the last one should have taken to come.
			granted := testutil.ToFloat64(m.granted.WithLabelValues("expo"))
			ideal := (math.Ceil(granted/float64(cfg.Allowed)) - 1) * span.Seconds()
			took := one[time.Time](t, db.Pool, `select starts from reminder_worker.permits`).Sub(book.used[0].start).Seconds()
			t.Logf("%d used at most in a window, %.0f granted, %.1f %% of what is possible", book.most(cfg.Window), granted, 100*ideal/took)
			if granted <= float64(cfg.Allowed) { // how many more is a matter of the machine
				t.Errorf("%.0f granted, no more than one window's", granted)
			}
		})
	}
}

// use takes n again and again until ctx ends, and notes what it could use in time.
func (l *ledger) use(ctx context.Context, from *Limiter, n int) {
	for {
		until, used, err := from.Take(ctx, n)
		if err != nil {
			return
		}
		if at := time.Now(); at.Before(until) {
			l.note(n, at)
			used(at)
		}
	}
}

// A large want is met although small ones never cease.
func TestLargeWantsDoNotStarve(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	cfg := Config{Quota: "a", Allowed: 50, Window: 200 * time.Millisecond, Keep: 100 * time.Millisecond, Chunk: 1}
	ctx, cancel := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	for range 4 {
		l := newLimiter(t, db.Pool, cfg)
		for range 10 {
			crowd.Go(func() {
				for {
					if _, _, err := l.Take(ctx, 5); err != nil {
						return
					}
				}
			})
		}
	}
	l := newLimiter(t, db.Pool, cfg)
	for range 3 {
		limited, end := context.WithTimeout(t.Context(), time.Minute)
		if _, _, err := l.Take(limited, 50); err != nil {
			t.Error(err)
		}
		end()
	}
	cancel()
	crowd.Wait()
}

// What a limiter held when it ended is lost for one window, and no more than that.
func TestEndedLimiterCostsWhatItHeld(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	cfg := Config{Quota: "a", Allowed: 10, Window: 500 * time.Millisecond, Keep: 100 * time.Millisecond, Chunk: 1}
	first, second := newLimiter(t, db.Pool, cfg), newLimiter(t, db.Pool, cfg)
	if _, _, err := first.Take(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { _, _, err := first.Take(ctx, 10); ended <- err }()
	for deadline := time.Now().Add(time.Minute); one[int](t, db.Pool, `select held from reminder_worker.permits`) < 14; {
		if time.Now().After(deadline) {
			t.Fatal("never booked")
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	limited, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	for range 3 {
		if _, _, err := second.Take(limited, 10); err != nil {
			t.Fatal(err)
		}
	}
}

// What was used at once counts for a window from then, and not for as long as it might have been kept.
func TestWhatWasUsedCountsForLess(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	cfg := Config{Quota: "a", Allowed: 100, Window: time.Hour, Keep: time.Hour, Chunk: 1}
	first, second := newLimiter(t, db.Pool, cfg), newLimiter(t, db.Pool, cfg)
	take := func(from *Limiter, n int, least, most time.Duration) {
		t.Helper()
		limited, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		_, _, err := from.Take(limited, n)
		var busy *WaitError
		if !errors.As(err, &busy) || busy.Wait < least || busy.Wait > most {
			t.Errorf("%d more: %v, want a wait of %s to %s", n, err, least, most)
		}
	}
	var told []func(time.Time)
	for _, n := range []int{60, 36, 4} {
		_, used, err := first.Take(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		told = append(told, used)
	}
	take(second, 10, 110*time.Minute, 130*time.Minute)
	for _, used := range told {
		used(time.Now())
	}
	take(first, 10, 50*time.Minute, 70*time.Minute)
	take(second, 96, 50*time.Minute, 70*time.Minute)
	take(second, 97, 110*time.Minute, 130*time.Minute) // of so few as 4 nothing is told
}

// What cannot be had in time is refused at once and takes nothing.
func TestRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	cfg := Config{Quota: "a", Allowed: 100, Window: time.Hour, Keep: time.Hour, Chunk: 1}
	m := NewMetrics(prometheus.NewRegistry())
	l, err := New(store.New(db.Pool), cfg, zerolog.Nop(), m)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Take(t.Context(), 60); err != nil {
		t.Fatal(err)
	}
	limited, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	var busy *WaitError
	if _, _, err := l.Take(limited, 41); !errors.As(err, &busy) || busy.Wait < 50*time.Minute || busy.Err != nil {
		t.Errorf("41 of the 40 that are left: %v", err)
	}
	if _, _, err := l.Take(t.Context(), 40); err != nil {
		t.Error(err)
	}
	if _, _, err := l.Take(t.Context(), 101); err == nil {
		t.Error("more than is allowed at once was granted")
	}
	for what, want := range map[string]float64{"granted": 100, "forgotten": 0, "refused": 1} {
		if got := testutil.ToFloat64(map[string]*prometheus.CounterVec{"granted": m.granted, "forgotten": m.forgotten, "refused": m.refused}[what].WithLabelValues("a")); got != want {
			t.Errorf("%v %s, want %v", got, what, want)
		}
	}
}

// A statement whose answer would come too late is not begun, for to break it off costs its connection; but not for ever.
func TestSlowDatabase(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, pgtest.New(t).Pool, expo())
	l.last = 100 * time.Second
	refused := 0
	for ; refused < 10; refused++ {
		limited, end := context.WithTimeout(t.Context(), 30*time.Second)
		_, _, err := l.Take(limited, 1)
		end()
		if err == nil {
			break
		}
		if !errors.Is(err, errSlow) {
			t.Fatal(err)
		}
	}
	if refused != 2 {
		t.Errorf("refused %d times", refused)
	}
	if len(l.line) != 0 {
		t.Errorf("%d are left in line", len(l.line))
	}
}

// One slow statement makes permits live a little longer, and not by its own time; a second one does.
func TestAllowance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ way, last, before, want time.Duration }{
		{time.Millisecond, 0, 0, 2 * time.Millisecond},
		{500 * time.Millisecond, 4 * time.Second, time.Millisecond, time.Second},
		{500 * time.Millisecond, 4 * time.Second, 3 * time.Second, 3250 * time.Millisecond},
		{500 * time.Millisecond, time.Hour, time.Hour, maxWay + 250*time.Millisecond},
	} {
		l := &Limiter{cfg: expo(), way: tt.way, last: tt.last, before: tt.before}
		if got := l.allowance(); got != tt.want {
			t.Errorf("%s of late, at last %s after %s: %s, want %s", tt.way, tt.last, tt.before, got, tt.want)
		}
	}
}

// A caller who stops while its permits lie ahead leaves them to the next.
func TestStopWhileWaiting(t *testing.T) {
	t.Parallel()
	cfg := Config{Quota: "a", Allowed: 10, Window: 300 * time.Millisecond, Keep: 300 * time.Millisecond, Chunk: 1}
	l := newLimiter(t, pgtest.New(t).Pool, cfg)
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		stop := time.AfterFunc(5*time.Millisecond, cancel)
		until, _, err := l.Take(ctx, 10)
		if err != nil && !errors.Is(err, context.Canceled) || err == nil && time.Now().After(until) {
			t.Errorf("until %s: %v", until, err)
		}
		stop.Stop()
		cancel()
	}
	if _, _, err := l.Take(t.Context(), 10); err != nil {
		t.Error(err)
	}
}

// Takes that wait together are one statement, and permits that go fast are taken ahead.
func TestFewStatements(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	statements := &counter{}
	pc := db.Pool.Config()
	pc.ConnConfig.Tracer = statements
	pool, err := pgxpool.NewWithConfig(t.Context(), pc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	l := newLimiter(t, pool, Config{Quota: "google", Allowed: 10_000, Window: time.Minute, Keep: time.Second, Chunk: 16, Patience: time.Second})
	var users sync.WaitGroup
	for range 32 {
		users.Go(func() {
			for range 50 {
				if _, _, err := l.Take(t.Context(), 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	users.Wait()
	t.Logf("%d statements for 1600 permits", statements.n.Load())
	if n := statements.n.Load(); n > 400 {
		t.Errorf("%d statements for 1600 permits", n)
	}
}

// No database, no permits: who is in a hurry hears it, who is not waits for it to come back.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if _, err := db.Pool.Exec(t.Context(), `alter table reminder_worker.permits rename to gone`); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Quota: "google", Allowed: 10, Window: time.Minute, Keep: time.Second, Chunk: 1, Patience: time.Second}
	var failed *WaitError
	if _, _, err := newLimiter(t, db.Pool, cfg).Take(t.Context(), 1); !errors.As(err, &failed) || failed.Err == nil || failed.Wait <= 0 {
		t.Errorf("in a hurry: %v", err)
	}
	cfg.Patience = 0
	patient := make(chan error)
	go func() { _, _, err := newLimiter(t, db.Pool, cfg).Take(t.Context(), 1); patient <- err }()
	if _, err := db.Pool.Exec(t.Context(), `alter table reminder_worker.gone rename to permits`); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-patient:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("not granted after the database came back")
	}
}

func TestNoLimitNoStatement(t *testing.T) {
	t.Parallel()
	l, err := New(nil, Config{Quota: "expo", Window: time.Second, Keep: time.Millisecond, Chunk: 1}, zerolog.Nop(), NewMetrics(nil))
	if err != nil {
		t.Fatal(err)
	}
	if until, _, err := l.Take(t.Context(), 1<<30); err != nil || !until.IsZero() {
		t.Errorf("until %s: %v", until, err)
	}
}

func TestConfigReportsEverything(t *testing.T) {
	t.Parallel()
	err := Config{Allowed: -1, Margin: -1, Patience: -1}.Validate()
	for _, part := range []string{"quota", "allowed -1", "window", "keep", "margin", "chunk", "patience"} {
		if got := fmt.Sprint(err); !strings.Contains(got, part) {
			t.Errorf("no fault about %q: %s", part, got)
		}
	}
	if _, err := New(nil, Config{}, zerolog.Nop(), NewMetrics(nil)); err == nil {
		t.Error("a limiter was made of nothing")
	}
	if err := expo().Validate(); err != nil {
		t.Error(err)
	}
}
