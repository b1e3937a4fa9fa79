package app

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
)

// family is the app in use: it writes events, changes and deletes some, and sets reminders of its own, whatever becomes of the workers.
type family struct {
	w     *world
	users []uuid.UUID
	told  []uuid.UUID // one event of each user, not to be served, for reminders of the app's own

	mu     sync.Mutex // guards the fields below
	events []uuid.UUID
	beats  int
}

// newFamily makes n users with calendar and phone.
func (w *world) newFamily(n int) *family {
	w.t.Helper()
	f := &family{w: w, users: w.crowd(n)}
	for _, u := range f.users {
		f.told = append(f.told, one[uuid.UUID](w, `insert into events (user_id, title, start_ts, status)
			values ($1, 'Told already', now() + interval '5 hours', 'synced') returning id`, u))
	}
	return f
}

// write writes some events and as many reminders, which are due after lead, once, and touches what is there.
func (f *family) write(ctx context.Context, some int, lead time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.beats
	f.beats++
	user, told := f.users[n%len(f.users)], f.told[n%len(f.told)]
	var written []uuid.UUID
	err := f.w.db.QueryRow(ctx, `with e as (
			insert into events (user_id, title, start_ts) select $1, 'Practice ' || $2::int || '.' || i, now() + interval '3 days' from generate_series(1, $3::int) i
			returning id)
		select array_agg(id) from e`, user, n, some).Scan(&written)
	if err != nil {
		return err
	}
	f.events = append(f.events, written...)
	_, err = f.w.db.Exec(ctx, `insert into reminders (event_id, user_id, notify_at_ts, message)
		select $1, $2, clock_timestamp() + $3::interval + i * interval '1 microsecond', 'Pack the bag' from generate_series(1, $4::int) i`, told, user, lead, some)
	if err == nil && n%3 == 2 {
		_, err = f.w.db.Exec(ctx, `update events set title = 'Practice, changed ' || $2::int where id = $1`, f.any(), n)
	}
	if err == nil && n%10 == 9 {
		_, err = f.w.db.Exec(ctx, `delete from events where id = $1`, f.any())
	}
	return err
}

// burst sets so many reminders, of all users, for one moment.
func (f *family) burst(n int, lead time.Duration) {
	f.w.t.Helper()
	f.w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message)
		select e.id, e.user_id, clock_timestamp() + $2::interval + i * interval '1 microsecond', 'Pack the bag'
		from generate_series(1, $3::int) i join events e on e.id = ($1::uuid[])[1 + i % cardinality($1)]`, f.told, lead, n)
}

// any is one of the newer events; the lock is held.
func (f *family) any() uuid.UUID {
	newer := f.events[max(0, len(f.events)-200):]
	return newer[rand.IntN(len(newer))]
}

// keepWriting writes at every beat until stop is called, which waits for the last.
func (f *family) keepWriting(beat time.Duration, some int, lead time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var writing sync.WaitGroup
	writing.Go(func() {
		t := time.NewTicker(beat)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			if err := f.write(context.WithoutCancel(ctx), some, lead); err != nil {
				f.w.t.Errorf("the app cannot write: %v", err)
				return
			}
		}
	})
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); writing.Wait() }) }
	f.w.t.Cleanup(stop)
	return stop
}

// left says what is left to do for whom; nothing when all is served.
func (f *family) left() string {
	return one[string](f.w, `with open as (
			select 'event ' || id || ' is ' || status || coalesce(', due ' || sync_due_at - now(), '') || coalesce(': ' || error_message, '') as what
			from events where status <> 'synced' or sync_due_at is not null
			union all
			select 'reminder ' || id || ' is ' || status || ', due ' || coalesce(next_attempt_at, notify_at_ts) - now()
			from reminders where status in ('pending', 'sending') and notify_at_ts < now() + interval '1 minute'
			union all
			select 'the copy of event ' || event_id || ' is to be removed' || coalesce(' in ' || due_at - now(), '')
			from reminder_worker.calendar_copies where tombstoned_at is not null)
		select case when count(*) = 0 then '' else count(*) || ' open, for example: ' || min(what) || '; ' || max(what) end from open`)
}

// check waits until all is served and demands one copy of each event and one push of each reminder, repeats for lost claims aside.
func (f *family) check(limit time.Duration) tally {
	f.w.t.Helper()
	began := time.Now()
	for next := began.Add(limit / 4); f.left() != ""; f.w.pass(50 * time.Millisecond) {
		if took := time.Since(began); took > limit {
			f.w.t.Fatalf("not everything is served %s after the last write: %s", took.Round(time.Second), f.left())
		} else if time.Now().After(next) {
			f.w.t.Logf("%s after the last write: %s", took.Round(time.Second), f.left())
			next = next.Add(limit / 4)
		}
	}
	f.w.t.Logf("everything served %s after the last write", time.Since(began).Round(10*time.Millisecond))
	f.w.checkCopies(f.users)
	sum := f.w.checkReminders()
	f.w.t.Log(sum)
	return sum
}

// within is until with a limit of its own, for what takes long by right.
func (w *world) within(limit time.Duration, what string, ok func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain for %s", what)
		}
		w.pass(20 * time.Millisecond)
	}
}
