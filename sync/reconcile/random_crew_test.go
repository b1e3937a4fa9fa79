package reconcile

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// take takes a worker out of those that run.
func (t *trial) take(dice *rand.Rand) *worker {
	if len(t.workers) == 0 {
		return nil
	}
	i := dice.IntN(len(t.workers))
	w := t.workers[i]
	t.workers = append(t.workers[:i:i], t.workers[i+1:]...)
	return w
}

// crash ends a worker at any moment. Another takes its place, at once or later.
func (t *trial) crash(dice *rand.Rand) (string, error) {
	w := t.take(dice)
	if w == nil {
		return "", nil
	}
	t.causes += t.cfg.Concurrency
	what := w.name + " dies"
	if err := w.die(); err != nil || dice.IntN(4) == 0 {
		return what, err
	}
	return what + ", another comes", t.start()
}

// replace is a deployment: a worker stops, and another takes its place.
func (t *trial) replace(dice *rand.Rand) (string, error) {
	w := t.take(dice)
	if w == nil {
		return "", nil
	}
	t.causes += t.cfg.Concurrency
	if err := w.retire(); err != nil {
		return w.name + " stops", err
	}
	return w.name + " stops, another comes", t.start()
}

func (t *trial) join(*rand.Rand) (string, error) {
	if len(t.workers) >= 3 {
		return "", nil
	}
	return "one more worker", t.start()
}

// cutOff ends a worker's connections to the database.
func (t *trial) cutOff(dice *rand.Rand) (string, error) {
	w := pick(dice, t.workers)
	if w == nil {
		return "", nil
	}
	t.causes += t.cfg.Concurrency
	w.wire.cut(false)
	return w.name + " is cut off the database", nil
}

// stall holds a worker's connections to the database up for longer than its claims last.
func (t *trial) stall(dice *rand.Rand) (string, error) {
	w := pick(dice, t.workers)
	if w == nil {
		return "", nil
	}
	t.causes += t.cfg.Concurrency
	d := trialLease + time.Duration(dice.IntN(int(trialLease/2)))
	w.wire.hold()
	time.AfterFunc(d, w.wire.let)
	return fmt.Sprintf("%s is held up for %s", w.name, d.Round(time.Millisecond)), nil
}

// wait lets the others go on for a moment.
func (t *trial) wait(dice *rand.Rand) (string, error) {
	t.pass(dice)
	return "", nil
}

// pass waits for a few requests, or a few milliseconds.
func (t *trial) pass(dice *rand.Rand) {
	if dice.IntN(2) == 0 {
		sleep(context.Background(), time.Duration(dice.IntN(10))*time.Millisecond)
		return
	}
	seen := t.google.Count("", -1) + 1 + dice.IntN(4)
	for range 50 {
		if t.google.Count("", -1) >= seen {
			return
		}
		sleep(context.Background(), time.Millisecond)
	}
}

// soon is within which time what is due counts as work under way.
const soon = 1500 * time.Millisecond

// settle waits until the workers have done what they can.
func (t *trial) settle(*rand.Rand) (string, error) {
	if len(t.workers) == 0 {
		if err := t.start(); err != nil {
			return "", err
		}
	}
	return "all settles", t.untilIdle()
}

func (t *trial) untilIdle() error {
	for deadline := time.Now().Add(patienceOfTests); ; sleep(context.Background(), 5*time.Millisecond) {
		n, err := t.due(soon)
		if err != nil || n == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d rows do not come to rest", n)
		}
	}
}

// due counts the rows that are due within d and that somebody would take.
func (t *trial) due(d time.Duration) (n int, err error) {
	err = t.pool.QueryRow(context.Background(), `
		select (select count(*) from events where sync_due_at <= now() + $1::interval and (sync_planned is distinct from sync_revision or not $2))
			+ (select count(*) from reminder_worker.calendar_copies where due_at <= now() + $1::interval and not $2)
			+ (select count(*) from reminder_worker.google_accounts where leave_due_at <= now() + $1::interval)`, d, t.paused()).Scan(&n)
	return n, err
}

// paused reports whether all workers that run leave all calendars alone for longer.
func (t *trial) paused() bool {
	for _, w := range t.workers {
		if left, _ := w.r.Paused(); left < soon {
			return false
		}
	}
	return len(t.workers) > 0
}

// longestPause is the longest that anything may wait for: Google's day.
const longestPause = 25 * time.Hour

// rest lets everything come to rest: workers finish and stop, and what waits for a longer pause finds it over.
func (t *trial) rest() error {
	for range 20 {
		if err := t.untilIdle(); err != nil {
			return err
		}
		for _, w := range t.workers {
			if err := w.retire(); err != nil {
				return err
			}
		}
		t.workers = nil
		soonest, err := t.due(longestPause)
		if err != nil {
			return err
		}
		all, err := t.due(100 * 365 * 24 * time.Hour)
		if err != nil || all == 0 {
			return err
		}
		if all > soonest {
			return fmt.Errorf("%d rows are due in days or years", all-soonest)
		}
		if err := t.pausesEnd(); err != nil {
			return err
		}
		if err := t.start(); err != nil {
			return err
		}
	}
	return errors.New("there is always something due")
}

// pausesEnd is a long time later, while no worker runs.
func (t *trial) pausesEnd() error {
	return errors.Join(
		t.exec(t.pool, `update events set sync_due_at = now(), sync_lease_until = case when sync_lease_until is not null then now() end where sync_due_at is not null`),
		t.exec(t.pool, `update reminder_worker.calendar_copies set due_at = now(), lease_until = case when lease_until is not null then now() end where due_at is not null`),
		t.exec(t.pool, `update reminder_worker.google_accounts set leave_due_at = now() where leave_due_at is not null`),
		t.exec(t.pool, `update reminder_worker.google_accounts set paused_until = now() where paused_until is not null`))
}

// finish has the faults end, connects those who want it, lets everything come to rest, and compares.
func (t *trial) finish(dice *rand.Rand) error {
	t.google.Heal()
	for _, w := range t.workers {
		w.wire.let()
	}
	for _, u := range t.users {
		if u.linked && !u.dead && !u.doubted || dice.IntN(4) == 0 {
			continue // as it is
		}
		if err := t.connect(u, ""); err != nil {
			return err
		}
		u.doubted = false
		t.did("connect " + u.name)
	}
	if len(t.workers) == 0 {
		if err := t.start(); err != nil {
			return err
		}
	}
	if err := t.rest(); err != nil {
		return err
	}
	if err := t.askForFailed(); err != nil {
		return err
	}
	t.heed()
	if err := t.judge(); err != nil {
		return err
	}
	return t.nothingLeftToDo()
}

// askForFailed is what an operator does about events that Google has refused, now that it does not any more.
func (t *trial) askForFailed() error {
	tag, err := t.pool.Exec(context.Background(), `update events set status = 'pending' where status = 'failed'`)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	if !t.refusing {
		return fmt.Errorf("%d events are failed, and Google has refused none", tag.RowsAffected())
	}
	t.causes += int(tag.RowsAffected())
	if err := t.start(); err != nil {
		return err
	}
	return t.rest()
}

// nothingLeftToDo has one more worker look for work: at rest it finds none. Nor does it ask Google for anything when the app says that there is
// work and nothing has changed.
func (t *trial) nothingLeftToDo() error {
	if err := t.quiet("all was at rest"); err != nil {
		return err
	}
	if err := t.exec(t.pool, `update events set status = 'pending' where status = 'synced'`); err != nil {
		return err
	}
	return t.quiet("nothing had changed")
}

// quiet has a worker serve what is due, and expects it to make no request.
func (t *trial) quiet(why string) error {
	w, err := t.hire()
	if err != nil {
		return err
	}
	defer w.close()
	w.r.cfg.Lease = time.Minute // on a slow machine, too: after a claim has ended Google is asked, and rightly
	before := t.google.Count("", -1)
	if err := w.r.Drain(context.Background(), context.Background()); err != nil {
		return err
	}
	if n := t.google.Count("", -1) - before; n != 0 {
		return fmt.Errorf("%d requests although %s", n, why)
	}
	return nil
}
