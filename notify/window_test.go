package notify

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
)

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// at makes a reminder of the app's own for an exact time.
func (w *world) at(user uuid.UUID, due time.Time) uuid.UUID {
	w.t.Helper()
	return one[uuid.UUID](w, `insert into reminders (event_id, user_id, notify_at_ts) values ($1, $2, $3) returning id`, w.event(user, 5*time.Hour), user, due)
}

// Around the window's end nothing is lost and nothing is read twice.
func TestSeam(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Horizon, w.cfg.PageSize = time.Minute, 2
	user, _ := w.user(1)
	s := w.sender()
	for range 5 { // more than a page, all at one instant
		w.at(user, time.Now().Add(30*time.Second).Truncate(time.Second))
	}
	w.must(s.fill(t.Context()))
	if s.Waiting() != 5 {
		t.Fatalf("%d in the wheel, want 5", s.Waiting())
	}
	end := s.windowEnd().Truncate(time.Microsecond)
	for _, d := range []time.Duration{-time.Microsecond, 0, time.Microsecond, time.Second, time.Hour} {
		w.at(user, end.Add(d))
	}
	s.Arm(uuid.New(), end.Add(time.Second)) // beyond the window: left to the refill
	if s.Waiting() != 5 {
		t.Errorf("%d in the wheel, want 5", s.Waiting())
	}
	w.must(s.readChanges(t.Context()))
	if s.Waiting() != 7 {
		t.Errorf("%d in the wheel after the changes, want 7", s.Waiting())
	}
	w.untilTrue(`clock_timestamp() > $1::timestamptz - interval '59 seconds'`, end)
	w.must(s.refill(t.Context()))
	if s.Waiting() != 9 {
		t.Errorf("%d in the wheel after the refill, want 9", s.Waiting())
	}
	w.must(s.fill(t.Context()))
	if s.Waiting() != 9 {
		t.Errorf("%d in the wheel after another fill, want 9", s.Waiting())
	}
}

// A transaction that stays open for long, while others commit and are looked at, is not overlooked when it commits.
func TestLookMissesNoTransaction(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	event := w.event(user, 5*time.Hour)
	s := w.sender()
	insert := `insert into reminders (event_id, user_id, notify_at_ts) values ($1, $2, now() + interval '10 minutes' + $3 * interval '1 second')`
	begin := func(n int) func() {
		tx, err := w.pool.Begin(context.Background())
		w.must(err)
		_, err = tx.Exec(t.Context(), insert, event, user, n)
		w.must(err)
		return func() { w.must(tx.Commit(context.Background())) }
	}
	look := func(want int) {
		t.Helper()
		w.must(s.readChanges(t.Context()))
		if s.Waiting() != want {
			t.Errorf("%d in the wheel, want %d", s.Waiting(), want)
		}
	}
	before := begin(0)
	w.must(s.fill(t.Context()))
	during := begin(1)
	for n := range 5 {
		w.exec(insert, event, user, 10+n)
		look(n + 1)
	}
	late := begin(2)
	before()
	look(6)
	late()
	look(7)
	during()
	look(8)
	since := s.window.since
	look(8)
	if s.window.since < since {
		t.Errorf("the look went back from transaction %d to %d", since, s.window.since)
	}
}

// What neither fill nor look can know is found by a sweep, sent, and counted.
func TestSweepFinds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	s, _ := w.start()
	id := w.own(user, time.Hour)
	w.exec(`alter table reminders disable trigger user`) // as if no one had told
	w.exec(`update reminders set notify_at_ts = now(), changed_xid = '3' where id = $1`, id)
	w.sweep(s)
	w.untilStatus(id, "sent")
	if n := w.metric("sweep_found_total"); n < 1 {
		t.Errorf("%v counted as found, want 1", n)
	}
	if w.log.count("sweep found overdue") == 0 {
		t.Error("the find was not logged")
	}
}

// The database is away when the wheel is to be filled: it is filled when it is back.
func TestFillIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	id := w.own(user, 0)
	w.exec(`alter table reminders rename to elsewhere`)
	s := w.sender()
	w.run(context.Background(), s)
	s.Look(Changes)
	w.until("failure", func() bool { return w.log.count("wheel not filled") > 0 })
	if s.Ready() {
		t.Error("ready without having read the window")
	}
	w.exec(`alter table elsewhere rename to reminders`)
	w.untilStatus(id, "sent")
}

// A claim that the database refuses for a while is repeated, and nothing of it is lost.
func TestClaimIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	s, _ := w.start()
	w.exec(`alter table reminder_worker.push_devices rename to elsewhere`)
	id := w.own(user, 0)
	s.Look(Changes)
	w.until("failure", func() bool { return w.log.count("claim failed") > 0 })
	w.exec(`alter table reminder_worker.elsewhere rename to push_devices`)
	w.untilStatus(id, "sent")
	if got := w.reminder(id); got != "sent, 0 tries, -" {
		t.Errorf("reminder is %s", got)
	}
}

// One reminder is resent when the app asks for it.
func TestSentAgainOnDemand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	s, _ := w.start()
	id := w.own(user, 0)
	s.Look(Changes)
	w.untilStatus(id, "sent")
	w.exec(`update reminders set status = 'pending', notify_at_ts = clock_timestamp() where id = $1`, id)
	s.Look(Changes)
	w.until("second push", func() bool { return len(w.pushesOf(id)) == 2 })
	w.untilStatus(id, "sent")
}
