package wal

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
)

// way is one way to hear, or to do without.
type way struct {
	name   string
	source func(r *rig, url string) listener.Source
	set    func(r *rig)
}

var ways = []way{
	{"notify", notifySource, func(*rig) {}},
	{"wal", func(r *rig, url string) listener.Source { return r.source(url) }, func(*rig) {}},
	{"permanent wal", func(r *rig, url string) listener.Source { return r.source(url) }, func(r *rig) { r.permanent() }},
	{"poll", func(*rig, string) listener.Source { return nil }, func(*rig) {}},
}

func notifySource(r *rig, url string) listener.Source {
	connect := func(ctx context.Context) (*pgx.Conn, error) {
		cfg, err := pgx.ParseConfig(url)
		if err != nil {
			return nil, err
		}
		cfg.DialFunc = listener.DialFunc()
		return pgx.ConnectConfig(ctx, cfg)
	}
	s, err := listener.NewNotifySource(connect, bell{store.New(r.pool), "notify", time.Minute}, prefix)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// eachWay runs one test over every way, in a database of its own each.
func eachWay(t *testing.T, test func(t *testing.T, w way, r *rig)) {
	t.Parallel()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			r := rigOn(t, db.Pool, db.URL())
			w.set(r)
			test(t, w, r.withUser())
		})
	}
}

// withUser makes somebody whose events are heard of.
func (r *rig) withUser() *rig {
	r.t.Helper()
	r.exec(`insert into auth.users (id) values ('00000000-0000-0000-0000-000000000001') on conflict do nothing`)
	return r
}

const newEvent = `insert into events (user_id, title, start_ts) values ('00000000-0000-0000-0000-000000000001', $1, now() + interval '2 days')`

// settings notice failures within a test. A sweep is made by those alone who have
// nothing else: everything must be heard, or be in a backlog.
func (w way) settings() listener.Config {
	c := listener.DefaultConfig()
	c.BackoffMin, c.BackoffMax = time.Millisecond, 20*time.Millisecond
	c.SweepInterval, c.SweepDegraded = time.Hour, time.Hour
	if w.name == "poll" {
		c.SweepDegraded = 10 * time.Millisecond
	}
	return c
}

// hearing is a listener under test whose handler reads the events. The mutex guards
// what is below it.
type hearing struct {
	*listener.Listener
	r    *rig
	stop func()
	hold chan struct{} // closed: the handler goes on

	mu     sync.Mutex
	seen   map[string]bool
	counts int // of commits heard
	looks  map[listener.Cause]int
	calls  int
	narrow int // calls for commits to events alone
	wide   int // calls for other commits, and for what has a look folded into it
}

// hear starts a listener over an address, and stops it at the end of the test.
func (w way) hear(r *rig, url string, change ...func(*listener.Config)) *hearing {
	r.t.Helper()
	cfg := w.settings()
	for _, c := range change {
		c(&cfg)
	}
	h := &hearing{r: r, hold: make(chan struct{}), seen: map[string]bool{}, looks: map[listener.Cause]int{}}
	close(h.hold)
	h.Listener = listener.New(w.source(r, url), cfg, zerolog.New(r.log), nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx, func(c listener.Change) { h.handle(ctx, c) }) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
	})
	r.t.Cleanup(func() {
		h.stop()
		if r.t.Failed() {
			r.t.Logf("seen %d, status %+v, log:\n%s", len(h.seen), h.Status(), r.log)
		}
	})
	return h
}

// listening waits until everything that is committed from now on must be heard.
func (h *hearing) listening() *hearing {
	h.r.t.Helper()
	h.r.until("it listens", func() bool { s := h.Status().State; return s == listener.Listening || s == listener.Polling })
	h.r.until("it has read the backlog", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.calls > 0
	})
	return h
}

// rests waits until the listener no longer looks by itself, as it does at first.
func (h *hearing) rests() {
	h.r.t.Helper()
	_, before := h.heard(listener.Look)
	since := time.Now()
	h.r.until("it looks no more", func() bool {
		if _, now := h.heard(listener.Look); now != before {
			before, since = now, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	})
}

// handle reads the events, as often as it takes.
func (h *hearing) handle(ctx context.Context, c listener.Change) {
	h.mu.Lock()
	hold := h.hold
	h.mu.Unlock()
	select {
	case <-hold:
	case <-ctx.Done():
	}
	var titles []string
	for ctx.Err() == nil {
		rows, err := h.r.pool.Query(ctx, `select title from events`)
		if err == nil {
			titles, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err == nil {
			break
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	h.counts += c.Count
	h.looks[c.Cause]++
	switch {
	case c.OnlyEvents:
		h.narrow++
	case c.Cause == listener.Committed:
		h.wide++
	}
	for _, title := range titles {
		h.seen[title] = true
	}
}

// block has the handler wait until release.
func (h *hearing) block() (release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	hold := make(chan struct{})
	h.hold = hold
	return func() { close(hold) }
}

// sees waits until the handler has seen events.
func (h *hearing) sees(titles ...string) {
	h.r.t.Helper()
	h.r.until(fmt.Sprintf("%d events are seen, %.3v among them", len(titles), titles), func() bool {
		return h.has(titles...)
	})
}

// has reports whether the handler has seen all of some events.
func (h *hearing) has(titles ...string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !slices.ContainsFunc(titles, func(title string) bool { return !h.seen[title] })
}

// heard returns how many commits were heard, and how often the handler was called
// for a cause.
func (h *hearing) heard(c listener.Cause) (commits, calls int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts, h.looks[c]
}
