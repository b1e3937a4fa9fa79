package permits

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
)

// perUser is a quota like Google's for each user, over a shorter time.
func perUser() Config {
	return Config{Quota: "user", Allowed: 100, Window: time.Second, Keep: 100 * time.Millisecond, Margin: 100 * time.Millisecond, Chunk: 4, Patience: 50 * time.Millisecond}
}

func newEach(t *testing.T, db store.DBTX, cfg Config) *Each {
	t.Helper()
	e, err := NewEach(store.New(db), cfg, zerolog.New(zerolog.NewTestWriter(t)), NewMetrics(nil))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Two processes share everyone's quota: in no window is more of one's used than is allowed, and nobody waits for another.
func TestEachIsShared(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t).Pool
	cfg := perUser()
	var mu sync.Mutex
	used := map[string][]time.Time{}
	var takers sync.WaitGroup
	ends := time.Now().Add(3 * cfg.Window)
	for range 2 {
		e := newEach(t, pool, cfg)
		for _, user := range []string{"a", "b"} {
			for range 4 {
				takers.Go(func() {
					for time.Now().Before(ends) {
						before := time.Now()
						err := e.Take(t.Context(), user)
						if wait, ok := errors.AsType[*WaitError](err); ok {
							sleepUntil(t.Context(), time.Now().Add(min(wait.Wait, 50*time.Millisecond)))
							continue
						}
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						used[user] = append(used[user], before)
						mu.Unlock()
					}
				})
			}
		}
	}
	takers.Wait()
	for user, at := range used {
		slices.SortFunc(at, time.Time.Compare)
		most := 0 // of those that were asked for so close together that they were used within one window
		for i, from := range at {
			n, _ := slices.BinarySearchFunc(at[i:], from.Add(cfg.Window-cfg.Patience), time.Time.Compare)
			most = max(most, n)
		}
		if most > cfg.Allowed || len(at) < cfg.Allowed {
			t.Errorf("user %s: %d permits in one window, %d in all; %d allowed", user, most, len(at), cfg.Allowed)
		}
	}
}

// Who uses little costs no statement; who has used much leaves no row behind.
func TestEachCostsLittle(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t).Pool
	cfg := perUser()
	cfg.Patience = 0
	e := newEach(t, pool, cfg)
	for user := range 1000 {
		for range cfg.Allowed / freePart {
			if err := e.Take(t.Context(), fmt.Sprint(user)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := one[int](t, pool, `select count(*)::int from reminder_worker.permits`); n != 0 {
		t.Errorf("%d rows for those who use little", n)
	}
	for range 20 {
		if err := e.Take(t.Context(), "busy"); err != nil {
			t.Fatal(err)
		}
	}
	if n := one[int](t, pool, `select count(*)::int from reminder_worker.permits where name = 'user:busy'`); n != 1 {
		t.Errorf("%d rows for one who uses much", n)
	}
	later := time.Now().Add(4 * cfg.Window)
	sleepUntil(t.Context(), later)
	if err := e.Take(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, pool, `select count(*)::int from reminder_worker.permits`); n != 0 || len(e.of) != 1 {
		t.Errorf("%d rows and %d shares are left", n, len(e.of))
	}
}

func TestEachWithoutLimit(t *testing.T) {
	t.Parallel()
	cfg := perUser()
	cfg.Allowed = 0
	e := newEach(t, nil, cfg)
	for range 1000 {
		if err := e.Take(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Quota = ""
	if _, err := NewEach(nil, cfg, zerolog.Nop(), NewMetrics(nil)); err == nil {
		t.Error("a quota without a name")
	}
}
