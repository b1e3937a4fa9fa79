package listener

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// house is a database that an app writes to, and its worker's listeners watch.
type house struct {
	*pgtest.DB
	user string

	mu   sync.Mutex // guards rows
	rows int        // committed
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{DB: pgtest.New(t)}
	if err := h.Pool.QueryRow(t.Context(), `INSERT INTO auth.users DEFAULT VALUES RETURNING id::text`).Scan(&h.user); err != nil {
		t.Fatal(err)
	}
	return h
}

const addRow = `INSERT INTO public.events (user_id, title, start_ts, status) VALUES ($1, 'Swimming', now(), 'draft')`

// begin writes a row and leaves its transaction open until the test calls what is returned.
func (h *house) begin(t *testing.T) (commit func()) {
	t.Helper()
	tx, err := h.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	if _, err := tx.Exec(t.Context(), addRow, h.user); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.count()
	}
}

func (h *house) count() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rows++
}

func (h *house) committed() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rows
}

// write has several writers commit rows side by side until ctx ends or each has
// committed as many as it should, if that is not negative. What it returns waits for them.
func (h *house) write(ctx context.Context, t *testing.T, writers, each int) (wait func()) {
	t.Helper()
	var all sync.WaitGroup
	for range writers {
		conn := h.Connect(t)
		all.Go(func() {
			for i := 0; i != each && ctx.Err() == nil; i++ {
				if _, err := conn.Exec(context.Background(), addRow, h.user); err != nil {
					t.Errorf("write: %v", err)
					return
				}
				h.count()
			}
		})
	}
	return all.Wait
}

// watcher is a listener whose handler reads the table, and never when it is swept.
type watcher struct {
	*running
	h    *house
	news chan struct{} // room for one: it has read again

	mu   sync.Mutex // guards seen
	seen int        // rows, when it last read
}

// watch starts one.
func (h *house) watch(t *testing.T, cfg Config) *watcher {
	t.Helper()
	w := &watcher{h: h, news: make(chan struct{}, 1)}
	conn := h.Connect(t)
	w.running = start(t, direct(t, h.URL()), cfg, func(c Change) { w.read(t, conn, c) })
	return w
}

func (w *watcher) read(t *testing.T, conn *pgx.Conn, c Change) {
	if c.Cause == Sweep {
		return
	}
	var n int
	if err := conn.QueryRow(context.Background(), `SELECT count(*) FROM public.events`).Scan(&n); err != nil {
		t.Errorf("read: %v", err)
	}
	w.mu.Lock()
	w.seen = n
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// sees returns when the handler has seen all rows that are committed.
func (w *watcher) sees(t *testing.T) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	want := w.h.committed()
	for {
		w.mu.Lock()
		seen := w.seen
		w.mu.Unlock()
		if seen >= want {
			return
		}
		select {
		case <-w.news:
		case <-limit.C:
			t.Fatalf("%d of %d rows were seen; status %+v", seen, want, w.Status())
		}
	}
}

// settled returns when the silence at the beginning is over: its end is a proof.
func (w *watcher) settled(t *testing.T) {
	t.Helper()
	awaitCount(t, "silence at the beginning", func() int {
		if w.Status().State != Listening {
			return 0
		}
		return 1
	}, 1)
	for range 2 { // the second may be told of before its opening has asked for writers, so one more
		awaitProof(t, w.running, time.Now())
	}
}

func (w *watcher) silences() int { return int(testutil.ToFloat64(w.metrics.silences)) }
func (w *watcher) gaps() int     { return int(testutil.ToFloat64(w.metrics.gaps)) }
func (w *watcher) heard() int    { return int(testutil.ToFloat64(w.metrics.heard)) }

// awaitCount returns when a count has been reached.
func awaitCount(t *testing.T, what string, count func() int, want int) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for count() < want {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("%s: %d, want %d", what, count(), want)
		}
	}
}

// stormy returns settings with which a few commits are a storm, and short silences.
func stormy() Config {
	cfg := quick()
	cfg.StormCommits, cfg.StormWithin = 5, time.Minute
	cfg.Silence, cfg.ProofInterval = 300*time.Millisecond, 50*time.Millisecond
	cfg.ProofTimeout = patience
	return cfg
}

// calm is stormy for one who never hushes by himself.
func calm() Config {
	cfg := stormy()
	cfg.StormCommits = 0
	return cfg
}

func TestACommitThatFoundTheBellClosedIsFound(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	commit := h.begin(t)
	w := h.watch(t, calm())
	w.settled(t)
	commit()
	w.sees(t)
	if w.heard() != 0 || w.gaps() != 0 {
		t.Errorf("heard %d commits and %d gaps, want it to be found by looking", w.heard(), w.gaps())
	}
}

func TestAStormIsSilencedAndNothingIsMissed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	cfg := stormy()
	cfg.Silence = DefaultConfig().Silence
	w := h.watch(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wait := h.write(ctx, t, 8, -1)
	awaitCount(t, "silences", w.silences, 1)
	early := h.begin(t) // found the bell closed, or will soon
	// Of the commits between one silence and the next few are announced. A machine
	// that is held up may open the bell without having closed it: then the next.
	for round := 1; ; round++ {
		rows, heard := h.committed(), w.heard()
		awaitCount(t, "silences", w.silences, round+1)
		rows, heard = h.committed()-rows, w.heard()-heard
		t.Logf("%d of %d commits were announced", heard, rows)
		if heard < rows/2 {
			break
		}
	}
	late := h.begin(t)
	cancel()
	wait()
	w.sees(t)
	early()
	w.settled(t)
	late()
	w.sees(t)
}

func TestABellThatSomebodyClosesIsNoticed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b := h.watch(t, calm()), h.watch(t, calm())
	a.settled(t)
	b.settled(t)
	execute(t, h.URL(), closeBell)
	h.begin(t)()
	for _, w := range []*watcher{a, b} { // one opens it, and the other must notice that
		w.sees(t)
		awaitCount(t, "gaps", w.gaps, 1)
	}
}

const closeBell = `SELECT setval('reminder_worker.doorbell_notify', 0)`

func TestAHushHasTheOthersLook(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b := h.watch(t, stormy()), h.watch(t, calm())
	a.settled(t)
	b.settled(t)
	h.write(t.Context(), t, 1, 20)()
	awaitCount(t, "silences of the one", a.silences, 1)
	awaitCount(t, "silences of the other", b.silences, 1)
	straddles := h.begin(t)
	h.begin(t)()
	a.sees(t)
	b.sees(t)
	straddles()
	a.sees(t)
	b.sees(t)
}

func TestAWorkerThatDiesInItsSilenceHarmsNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, b := h.watch(t, stormy()), h.watch(t, calm())
	a.settled(t)
	b.settled(t)
	h.write(t.Context(), t, 1, 20)()
	awaitCount(t, "silences", a.silences, 1)
	straddles := h.begin(t)
	if err := a.stop(); err != nil {
		t.Error(err)
	}
	h.begin(t)()
	b.sees(t)
	straddles()
	b.sees(t)
	b.settled(t)
	h.begin(t)()
	b.sees(t)
}

func TestASuccessorFindsWhatWasWrittenInTheSilence(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.watch(t, stormy())
	a.settled(t)
	h.write(t.Context(), t, 1, 20)()
	awaitCount(t, "silences", a.silences, 1)
	if err := a.stop(); err != nil {
		t.Error(err)
	}
	straddles := h.begin(t)
	b := h.watch(t, calm())
	b.settled(t)
	straddles()
	b.sees(t)
}

func TestToldIsALookForTheOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	cfg := calm()
	a, b := run(t, direct(t, h.URL()), cfg), run(t, direct(t, h.URL()), cfg)
	for _, r := range []*running{a, b} {
		(&watcher{running: r}).settled(t)
		(&watcher{running: r}).settled(t) // both have been told of both
		for len(r.changes) > 0 {
			<-r.changes
		}
	}
	a.Tell()
	b.next(t, Look)
	execute(t, h.URL(), notify)
	for c := range a.changes {
		if c.Cause == Committed {
			break
		}
		t.Errorf("the teller was handed a %v", c.Cause)
	}
}

// TestNoOrderOfTroublesLosesARow goes through troubles of every kind in an order that
// the seed decides, and lets the workers come to rest after each.
func TestNoOrderOfTroublesLosesARow(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	h := newHouse(t)
	cfg := stormy()
	cfg.Silence, cfg.LookInterval, cfg.ProofInterval = 40*time.Millisecond, 2*time.Millisecond, 20*time.Millisecond
	workers := []*watcher{h.watch(t, cfg), h.watch(t, cfg)}
	troubles := []func(){
		func() {},
		func() { terminate(t, h.Pool) },
		func() { execute(t, h.URL(), closeBell) },
		func() { workers[0].Tell() },
		func() {
			i := dice.IntN(len(workers))
			if err := workers[i].stop(); err != nil {
				t.Error(err)
			}
			workers[i] = h.watch(t, cfg)
		},
	}
	for range 12 {
		wait := h.write(t.Context(), t, 1+dice.IntN(3), dice.IntN(30))
		straddles := h.begin(t)
		for range 1 + dice.IntN(2) {
			troubles[dice.IntN(len(troubles))]()
		}
		wait()
		straddles()
		for _, w := range workers {
			w.sees(t)
		}
	}
}
