package reconcile

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// overlaps counts the calls that Google serves at the same moment.
type overlaps struct {
	mu    sync.Mutex
	now   map[string]int
	most  int // of one user
	users int // at the same moment
}

func (o *overlaps) begin(r gcalfake.Request) *gcalfake.Fault {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now[r.User]++
	o.most = max(o.most, o.now[r.User])
	o.users = max(o.users, len(o.now))
	return nil
}

func (o *overlaps) end(r gcalfake.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.now[r.User]--; o.now[r.User] == 0 {
		delete(o.now, r.User)
	}
}

// Calls of one user never overlap, and no more users than allowed are served at once.
func TestCallsDoNotOverlap(t *testing.T) {
	t.Parallel()
	o := &overlaps{now: map[string]int{}}
	w := newWorld(t, func(c *gcalfake.Config) { c.Latency, c.OnRequest = 2*time.Millisecond, o.end })
	w.google.Fail(o.begin)
	w.cfg.Concurrency = 3
	users := make([]uuid.UUID, 6)
	for i := range users {
		users[i] = w.user()
		w.events(users[i], 10)
	}
	w.start()
	w.untilAll("synced")
	w.exec(`update events set title = title || '!'`)
	w.untilAll("synced")
	w.exec(`delete from events`)
	w.untilTrue(`not exists (select from reminder_worker.calendar_copies)`)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.most != 1 {
		t.Errorf("%d calls of one user at once", o.most)
	}
	if o.users > 3 {
		t.Errorf("%d users at once, want at most 3", o.users)
	}
}

// A user whose calendar hangs, and who has far more events than memory has room, delays nobody: neither copies nor reminders.
func TestHangingUserDelaysNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Batch, w.cfg.InFlight, w.cfg.Concurrency = 8, 16, 2
	hanging, other := w.user(), w.user()
	h := w.hold(gcalfake.OpInsert, hanging)
	w.events(hanging, 60)
	w.start()
	w.await("insert", h.begun)
	w.events(other, 30)
	w.untilTrue(`not exists (select from events where user_id = $1 and status <> 'synced')`, other)
	w.untilTrue(`(select count(*) from reminders where status = 'pending') = 270`)
	w.wantCopies(other, 30)
	w.wantCopies(hanging, 0)
	h.let()
	w.untilAll("synced")
	w.wantCopies(hanging, 60)
}

// Calls that run into their timeout hold up their user's other events as little as anybody else's.
func TestStuckCalls(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gcal.Timeout = time.Second
	stuck, other := w.user(), w.user()
	heal := w.google.Fail(gcalfake.ForUser(stuck.String(), gcalfake.Always(gcalfake.OpInsert, gcalfake.Fault{Hang: true})))
	w.events(stuck, 10)
	w.start()
	w.untilTrue(`exists (select from events where sync_attempts > 0)`)
	w.untilTrue(`(select count(*) from events where status = 'pending' and error_message like 'Google did not answer in time%') >= 5`)
	w.events(other, 5)
	w.untilTrue(`not exists (select from events where user_id = $1 and status <> 'synced')`, other)
	heal()
	w.untilAll("synced")
	w.wantCopies(stuck, 10)
}

// Connections to the database are cut again and again while events are served, changed and deleted: nothing is lost or doubled.
func TestDatabaseCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Lease, w.cfg.Batch, w.cfg.InFlight = time.Second, 16, 32
	users := []uuid.UUID{w.user(), w.user(), w.user(), w.user()}
	for _, u := range users {
		w.events(u, 25)
	}
	w.start()
	for n := 10; n <= 60; n += 10 {
		w.untilTrue(`count(*) >= $1 from events where status = 'synced'`, n)
		w.exec(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'worker' and datname = current_database()`)
	}
	w.exec(`update events set title = title || '!' where user_id = $1`, users[0])
	w.exec(`delete from events where user_id = $1`, users[1])
	w.exec(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'worker' and datname = current_database()`)
	w.untilAll("synced")
	w.untilTrue(`not exists (select from reminder_worker.calendar_copies where tombstoned_at is not null)`)
	for i, u := range users {
		w.wantCopies(u, []int{25, 0, 25, 25}[i])
	}
	for _, c := range w.live(users[0]) {
		if c.Summary[len(c.Summary)-1] != '!' {
			t.Errorf("copy %q is out of date", c.Summary)
		}
	}
	w.untilTrue(`(select count(*) from reminders where status = 'pending') = 225`)
}

// Drain serves everything there is, removals included, and ends; also with more than memory holds, of one user.
func TestDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Batch, w.cfg.InFlight = 4, 8
	user, other := w.user(), w.user()
	w.events(user, 40)
	w.events(other, 5)
	if err := w.reconciler().Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	w.untilAll("synced") // true at once
	w.wantCopies(user, 40)
	w.exec(`delete from events where user_id = $1`, other)
	w.exec(`update events set status = 'cancelled'`)
	if err := w.reconciler().Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	w.wantCopies(user, 0)
	w.wantCopies(other, 0)
	if n := one[int](w, `select count(*)::int from reminder_worker.calendar_copies`); n != 0 {
		t.Errorf("%d copies are left behind", n)
	}
}

func TestDrainTellsOfTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`alter table events rename to elsewhere`)
	if err := w.reconciler().Drain(t.Context(), t.Context()); err == nil {
		t.Error("drained without a table")
	}
}

// An event changed while it is drained is served to its end.
func TestDrainServesWhatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user()
	event := w.event(user, "Old")
	h := w.hold(gcalfake.OpInsert, user)
	drained := make(chan error, 1)
	r := w.reconciler()
	go func() { drained <- r.Drain(context.Background(), context.Background()) }()
	w.await("insert", h.begun)
	w.exec(`update events set title = 'New' where id = $1`, event)
	h.let()
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
	if c := w.live(user); len(c) != 1 || c[0].Summary != "New" {
		t.Errorf("copies after the drain: %+v", c)
	}
}

// A stop in the middle finishes the call under way and gives the rest back, due at once and without an attempt used.
func TestStopGivesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user()
	h := w.hold(gcalfake.OpInsert, user)
	w.events(user, 20)
	r := w.reconciler()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, context.Background()) }()
	w.await("insert", h.begun)
	w.untilTrue(`(select count(*) from events where sync_lease_until is not null) = 20`)
	cancel()
	h.let()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	state := one[string](w, `select string_agg(format('%s %s', status, n), ', ' order by status) from (
		select status, count(*) as n from events
		where sync_lease_until is null and sync_attempts = 0 and (status = 'synced' or sync_due_at <= now()) group by status) s`)
	if want := "pending 19, synced 1"; state != want {
		t.Errorf("after the stop: %s, want %s", state, want)
	}
	w.start()
	w.untilAll("synced")
	w.wantCopies(user, 20)
}

// The grace ends before Google answers: Run returns all the same, and the next worker makes no twin.
func TestGraceEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Lease = time.Second
	user := w.user()
	event := w.event(user, "Practice")
	stop := w.google.Fail(gcalfake.Always(gcalfake.OpInsert, gcalfake.Fault{Hang: true}))
	r := w.reconciler()
	ctx, cancel := context.WithCancel(context.Background())
	work, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, work) }()
	w.untilTrue(`exists (select from reminder_worker.calendar_copies)`)
	cancel()
	end()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	stop()
	w.start()
	w.untilStatus(event, "synced")
	w.wantCopies(user, 1)
}

// Two workers on one database share the work; no event is written twice.
func TestTwoWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Batch = 8
	users := []uuid.UUID{w.user(), w.user(), w.user(), w.user()}
	w.start()
	w.start()
	for _, u := range users {
		w.events(u, 25)
	}
	w.untilAll("synced")
	for _, u := range users {
		w.wantCopies(u, 25)
	}
	if n := w.asked(gcalfake.OpInsert); n != 100 {
		t.Errorf("%d inserts for 100 events", n)
	}
	if n := one[int](w, `select count(*)::int from reminders`); n != 300 {
		t.Errorf("%d reminders, want 300", n)
	}
}

// While the lease of a slow call is extended, no other worker takes the event.
func TestLeaseIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Lease = time.Second
	user := w.user()
	w.start()
	h := w.hold(gcalfake.OpInsert, user)
	event := w.event(user, "Practice")
	w.await("insert", h.begun)
	first := one[time.Time](w, `select sync_lease_until from events where id = $1`, event)
	w.start()
	w.untilTrue(`sync_lease_until > $2::timestamptz + interval '1 second' from events where id = $1`, event, first)
	h.let()
	w.untilStatus(event, "synced")
	if n := w.asked(gcalfake.OpInsert); n != 1 {
		t.Errorf("%d inserts, want 1", n)
	}
}

// A change is served when it is told, long before the next sweep; and a burst of them blocks nobody.
func TestWake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.SweepInterval = time.Hour
	r, _ := w.start()
	user := w.user()
	w.untilTrue(`exists (select from pg_stat_activity where application_name = 'worker' and datname = current_database())`)
	event := w.event(user, "Practice")
	for range 1000 {
		r.Wake()
	}
	w.untilStatus(event, "synced")
}

// Google hangs for everybody: all calendars pause, events leave memory, and every reminder is planned all the same.
func TestOutageKeepsMemoryFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gcal.Timeout = time.Second
	w.cfg.Batch, w.cfg.InFlight = 8, 16
	heal := w.google.Fail(gcalfake.Always(gcalfake.OpInsert, gcalfake.Fault{Hang: true}))
	users := make([]uuid.UUID, 8)
	for i := range users {
		users[i] = w.user()
		w.events(users[i], 5)
	}
	w.start()
	w.untilTrue(`(select count(*) from reminders where status = 'pending') = 120`)
	w.until("pause of everybody", func() bool { return w.log.count("all calendars paused") > 0 })
	heal()
	w.untilAll("synced")
	for _, u := range users {
		w.wantCopies(u, 5)
	}
}

// A due event that a transaction of the app's holds locked is waited for, not asked for without pause.
func TestLockedEventIsNoBusyLoop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	event := w.event(w.user(), "Practice")
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `select from events where id = $1 for update`, event); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.until("first look", func() bool { return w.statements.n.Load() > 3 })
	before, began := w.statements.n.Load(), time.Now()
	w.until("ten rests", func() bool { return time.Since(began) > 10*lockedRest })
	asked := w.statements.n.Load() - before
	// Three to find it locked, and one now and then to look who has left.
	if most := 3*(int64(time.Since(began)/lockedRest)+2) + (int64(time.Since(began)/leaveRest) + 2); asked > most {
		t.Errorf("%d statements in %s, want at most %d", asked, time.Since(began), most)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.untilStatus(event, "synced")
}

// A sweep of an idle reconciler asks one question. What only the sweep finds, since nobody had announced it, is counted.
func TestIdleSweep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.SweepInterval = time.Hour
	user := w.user()
	r := w.reconciler()
	r.share = w.cfg.InFlight
	sweep := func() (asked int64, rest time.Duration) {
		before := w.statements.n.Load()
		r.Sweep()
		rest = r.look(t.Context(), t.Context())
		return w.statements.n.Load() - before, rest
	}
	if asked, rest := sweep(); asked < 2 || rest != time.Hour {
		t.Errorf("the first look asked %d and rests %s", asked, rest)
	}
	for range 3 {
		if asked, rest := sweep(); asked != 1 || rest != time.Hour {
			t.Errorf("a sweep asked %d and rests %s, want 1 and an hour", asked, rest)
		}
	}
	event := w.event(user, "Practice")
	w.exec(`update events set sync_changed_at = now() - interval '1 minute' where id = $1`, event)
	r.serving(t.Context(), t.Context(), func() { sweep() })
	w.untilStatus(event, "synced")
	if n := testutil.ToFloat64(r.m.sweepFound); n != 1 {
		t.Errorf("%v found by sweeps only, want 1", n)
	}

	gone, cancel := context.WithCancel(t.Context())
	r.idle = true
	cancel()
	r.Sweep()
	if r.look(t.Context(), gone); !r.swept.Load() {
		t.Error("the database did not answer, and the sweep is forgotten")
	}
	if n := testutil.ToFloat64(r.m.databaseErrors); n != 1 || w.log.count("step failed") != 1 {
		t.Errorf("of a database that does not answer is told %v and %d times, want once", n, w.log.count("step failed"))
	}
}
