package reconcile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// Apps write, users change their copies, withdraw their consent and give it again, Google fails in every way it can, and workers die, all at
// random. When that ends and everything has come to rest, rows and calendars are as a simple model of the app and the users says.
//
// REMINDER_WORKER_TEST_FULL=1 makes 3,000 trials. REMINDER_WORKER_TEST_SEED names one to make again, as a failure tells it: the same is done in the
// same order, but what happens in between is up to the scheduler, so it is made twenty times.
func TestRandomOperations(t *testing.T) {
	t.Parallel()
	all := seeds(t)
	var sums figures
	var failed atomic.Bool
	next, stages := make(chan uint64), sync.WaitGroup{}
	for range 8 { // most of a trial is waiting
		s := newStage(t, &failed)
		stages.Go(func() {
			for seed := range next {
				s.try(seed, &sums)
			}
		})
	}
	for _, seed := range all {
		if failed.Load() {
			break
		}
		next <- seed
	}
	close(next)
	stages.Wait()
	t.Log(sums.String())
}

// seeds are those of the trials to make.
func seeds(t *testing.T) []uint64 {
	t.Helper()
	if given := os.Getenv("REMINDER_WORKER_TEST_SEED"); given != "" {
		seed, err := strconv.ParseUint(given, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Repeat([]uint64{seed}, 20)
	}
	chosen := make([]uint64, 40)
	if os.Getenv("REMINDER_WORKER_TEST_FULL") == "1" {
		chosen = make([]uint64, 3000)
	}
	for i := range chosen {
		chosen[i] = rand.Uint64()
	}
	return chosen
}

// stage is where trials take place, one after the other.
type stage struct {
	t      *testing.T
	pool   *pgxpool.Pool
	config *pgxpool.Config // of workers
	failed *atomic.Bool    // a trial did, on any stage
}

func newStage(t *testing.T, failed *atomic.Bool) *stage {
	t.Helper()
	db := pgtest.New(t)
	config, err := pgxpool.ParseConfig(db.URL())
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 4
	return &stage{t: t, pool: db.Pool, config: config, failed: failed}
}

// try makes a trial. If it fails, it looks for the shortest way to fail, and tells it.
func (s *stage) try(seed uint64, sums *figures) {
	steps := drawSteps(seed)
	t, err := s.play(seed, steps)
	sums.add(t, err)
	if err == nil || !s.failed.CompareAndSwap(false, true) {
		return // one failure is enough to look at
	}
	s.t.Logf("trial %d failed; looking for a shorter way\n%s", seed, t.report(err))
	if shorter, why := s.shorten(seed, steps); shorter != nil {
		t, err = shorter, why
	}
	s.t.Errorf("REMINDER_WORKER_TEST_SEED=%d\n%s", seed, t.report(err))
}

// shorten leaves out steps as long as a trial without them fails still.
func (s *stage) shorten(seed uint64, steps []step) (failed *trial, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for size := len(steps) / 2; size > 0; size /= 2 {
		for at := 0; at < len(steps) && ctx.Err() == nil; {
			fewer := slices.Concat(steps[:at], steps[min(at+size, len(steps)):])
			if t, why := s.playOften(seed, fewer); why != nil {
				failed, err, steps = t, why, fewer
			} else {
				at += size
			}
		}
	}
	return failed, err
}

// playOften makes a trial a few times or until it fails.
func (s *stage) playOften(seed uint64, steps []step) (t *trial, err error) {
	for range 3 {
		if t, err = s.play(seed, steps); err != nil {
			break
		}
	}
	return t, err
}

// step is one operation and the dice it is thrown with, so that it stays what it is when others are left out.
type step struct {
	operation
	seed uint64
}

// operation is something that may happen at any moment. It answers in few words what it did, or nothing if there was nothing to do.
type operation struct {
	weight int
	do     func(t *trial, dice *rand.Rand) (what string, err error)
}

// operations are all that happens. Another one is a line here; what it changes of how things should be, it notes in the model.
var operations = []operation{
	{10, (*trial).insert}, {16, apply(edit)}, {3, apply(undo)}, {6, apply(move)}, {5, apply(cancel)}, {4, apply(restore)}, {5, apply(remove)},
	{4, apply(give)}, {2, apply(ask)}, {6, (*trial).transact},
	{4, (*trial).link}, {3, (*trial).unlink}, {4, (*trial).choose},
	{14, (*trial).byHand}, {4, (*trial).collide}, {2, (*trial).revoke}, {2, (*trial).expire},
	{16, (*trial).trouble}, {2, (*trial).outage}, {4, (*trial).lag},
	{6, (*trial).crash}, {2, (*trial).replace}, {2, (*trial).join}, {1, (*trial).cutOff}, {1, (*trial).stall},
	{24, (*trial).wait}, {12, (*trial).settle},
}

func drawSteps(seed uint64) []step {
	dice := rand.New(rand.NewPCG(seed, 1))
	var all int
	for _, o := range operations {
		all += o.weight
	}
	steps := make([]step, 15+dice.IntN(35))
	for i := range steps {
		n := dice.IntN(all)
		for _, o := range operations {
			if n -= o.weight; n < 0 {
				steps[i] = step{o, dice.Uint64()}
				break
			}
		}
	}
	return steps
}

// trial is one run: a few users, their app, their calendars, and workers, none of which keeps still.
type trial struct {
	*stage
	google  *gcalfake.Server
	cfg     Config
	log     journal
	users   []*owner
	events  []*entry
	workers []*worker
	base    time.Time
	named   map[string]int

	mu     sync.Mutex
	alerts []alert // guarded by mu

	done     []string     // in few words
	causes   int          // of requests
	met      atomic.Int64 // requests that something went wrong with
	refusing bool         // Google may have refused events for good
	asked    int          // requests in all
	took     time.Duration
}

// play makes one trial.
func (s *stage) play(seed uint64, steps []step) (t *trial, err error) {
	dice := rand.New(rand.NewPCG(seed, 2))
	google, err := gcalfake.Start(gcalfake.Config{
		ClientID: "client", ClientSecret: "client-secret", RefuseUndelete: dice.IntN(3) == 0, LogSize: 10_000,
	})
	if err != nil {
		s.t.Error(err)
		return &trial{}, nil
	}
	began := time.Now()
	t = &trial{stage: s, google: google, cfg: trialConfig(dice), base: began.Truncate(time.Minute), named: map[string]int{}}
	defer func() {
		for _, w := range t.workers {
			err = errors.Join(err, w.die())
		}
		google.Close()
		t.asked, t.took = google.Count("", -1), time.Since(began)
	}()
	if err := t.begin(dice); err != nil {
		return t, err
	}
	for _, st := range steps {
		what, err := st.do(t, rand.New(rand.NewPCG(st.seed, 3)))
		if err != nil {
			return t, fmt.Errorf("%s: %w", what, err)
		}
		t.did(what)
	}
	return t, t.finish(rand.New(rand.NewPCG(seed, 4)))
}

func trialConfig(dice *rand.Rand) Config {
	c := DefaultConfig()
	c.Batch = pick(dice, []int{2, 8, 32})
	c.InFlight, c.Concurrency, c.Lease = 2*c.Batch, 1+dice.IntN(4), trialLease
	c.RetryBase, c.RetryMax, c.ProjectPause, c.SweepInterval = 5*time.Millisecond, 100*time.Millisecond, 50*time.Millisecond, 200*time.Millisecond
	return c
}

// begin makes users, workers and the first events.
func (t *trial) begin(dice *rand.Rand) error {
	if err := t.exec(t.pool, `truncate auth.users cascade`); err != nil {
		return err
	}
	for range 1 + dice.IntN(4) {
		u := &owner{name: t.name("u")}
		if err := t.pool.QueryRow(context.Background(), `insert into auth.users default values returning id`).Scan(&u.id); err != nil {
			return err
		}
		u.family = t.google.AddCalendar(u.id.String(), "Family")
		t.users = append(t.users, u)
		if dice.IntN(6) == 0 {
			continue // one who never connects, or later
		}
		if err := t.connect(u, ""); err != nil {
			return err
		}
	}
	for range 1 + dice.IntN(3) {
		if err := t.start(); err != nil {
			return err
		}
	}
	for range 1 + dice.IntN(4) {
		what, err := t.insert(dice)
		if err != nil {
			return err
		}
		t.did(what)
	}
	return nil
}

// did notes what was done, if anything was, and what the copies should show since.
func (t *trial) did(what string) {
	if what != "" {
		t.done = append(t.done, what)
	}
	t.note()
	t.heed()
}

// report is what there is to know of a trial that failed.
func (t *trial) report(err error) string {
	var b strings.Builder
	for i, what := range t.done {
		fmt.Fprintf(&b, "%3d. %s\n", i+1, what)
	}
	fmt.Fprintf(&b, "then: %v\n", err)
	log := t.google.Log()
	fmt.Fprintf(&b, "the last requests of %d:\n", len(log))
	for _, r := range log[max(0, len(log)-30):] {
		fmt.Fprintf(&b, "  %s %s %s of %s: %d\n", r.At.Format("05.000"), r.Op, r.ID, t.userName(r.User), r.Status)
	}
	fmt.Fprintf(&b, "the last that workers said:\n%s", t.log.tail())
	return b.String()
}

func (t *trial) userName(id string) string {
	for _, u := range t.users {
		if u.id.String() == id {
			return u.name
		}
	}
	return id
}

// figures are those of all trials.
type figures struct {
	mu               sync.Mutex
	trials, failures int
	steps            int
	causes, asked    int
	met              int64
	worst            float64 // requests for each cause
	longest, all     time.Duration
}

func (f *figures) add(t *trial, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trials++
	f.steps += len(t.done)
	f.causes += t.causes + int(t.met.Load())
	f.met += t.met.Load()
	f.asked += t.asked
	f.worst = max(f.worst, t.requestsPerCause())
	f.longest = max(f.longest, t.took)
	f.all += t.took
	if err != nil {
		f.failures++
	}
}

func (f *figures) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := max(f.trials, 1)
	return fmt.Sprintf("%d trials, %d failed; %d things done; %d requests, %d of them with a fault, for %d causes: %.2f for each, %.2f in the worst trial; a trial takes %s, the longest %s",
		f.trials, f.failures, f.steps, f.asked, f.met, f.causes, float64(f.asked)/float64(max(f.causes, 1)), f.worst,
		(f.all / time.Duration(n)).Round(time.Millisecond), f.longest.Round(time.Millisecond))
}
