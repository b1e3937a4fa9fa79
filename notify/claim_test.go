package notify

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/notify/wheel"
	"github.com/parentpal/reminder-worker/sql/store"
)

// lock opens a transaction of the app that holds a row as sql says; let ends it.
func (w *world) lock(sql string, args ...any) (let func()) {
	w.t.Helper()
	conn, err := pgx.Connect(context.Background(), w.url)
	w.must(err)
	w.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	tx, err := conn.Begin(context.Background())
	w.must(err)
	_, err = tx.Exec(context.Background(), sql, args...)
	w.must(err)
	return func() { w.must(tx.Rollback(context.Background())) }
}

// One row that the app's own rules keep from being changed: those claimed with it go out, once, and it goes out when the rule is gone.
func TestRefusedClaimStandsAlone(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string][2]string{
		"constraint": {
			`alter table reminders add constraint no_poison check (message <> 'poison') not valid`,
			`alter table reminders drop constraint no_poison`,
		},
		"trigger": {
			`create function no_poison() returns trigger language plpgsql as $$ begin raise 'poison'; end $$;
			create trigger no_poison before update on reminders for each row when (old.message = 'poison') execute function no_poison()`,
			`drop trigger no_poison on reminders`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			user, _ := w.user(1)
			w.herd(user, 20, 0)
			bad := one[uuid.UUID](w, `update reminders set message = 'poison' where id = (select id from reminders limit 1) returning id`)
			w.exec(rule[0])
			s, _ := w.start()
			w.untilTrue(`(select count(*) from reminders where status = 'sent' and retry_count = 0) = 19`)
			if got := w.reminder(bad); got != "pending, 0 tries, -" {
				t.Errorf("the row at fault is %s", got)
			}
			w.until("the row at fault told", func() bool { return w.log.count("claim failed") > 0 })
			if n := w.log.count("claim failed"); n != 1 || w.log.count(bad.String()) != 1 {
				t.Errorf("told %d times, want once, by its id", n)
			}
			w.exec(rule[1])
			w.sweep(s)
			w.untilStatus(bad, "sent")
			w.once(20)
		})
	}
}

// A row that the app holds at the instant it is due goes out soon after, without a sweep.
func TestLockedWhenDue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	id, fence := w.own(user, 0), w.own(user, 0)
	let := w.lock(`select from reminders where id = $1 for update`, id)
	w.start()
	w.untilStatus(fence, "sent")
	let()
	w.untilStatus(id, "sent")
	if n := len(w.pushesOf(id)); n != 1 {
		t.Errorf("%d pushes, want 1", n)
	}
}

// What another worker holds is tried again when that worker's claim ends: it may be dead.
func TestDeadPeersClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	s, _ := w.start()
	id := w.own(user, 0)
	end := one[time.Time](w, `update reminders set status = 'sending', next_attempt_at = clock_timestamp() + interval '1500 milliseconds'
		where id = $1 returning next_attempt_at`, id)
	s.wheel.Arm(wheel.ID(id), time.Now())
	w.untilStatus(id, "sent")
	if pushes := w.pushesOf(id); len(pushes) != 1 || pushes[0].FirstByte.Before(end.Add(-claimSlack)) {
		t.Errorf("%d pushes, want one, after the claim's end", len(pushes))
	}
}

// What waits for planning does not come back again and again: planning arms it.
func TestWaitsForPlanning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	event := w.event(user, 30*time.Minute)
	id := w.planned(event, 0)
	w.exec(`update events set start_ts = start_ts + interval '1 day' where id = $1`, event)
	s := w.sender()
	w.must(s.fill(t.Context()))
	s.wheel.Disarm(wheel.ID(id))
	taken, err := s.deliver(t.Context(), []uuid.UUID{id})
	if err != nil || taken != 0 || s.Waiting() != 0 {
		t.Errorf("took %d, %d in the wheel, want none: %v", taken, s.Waiting(), err)
	}
	w.exec(`update events set status = 'synced' where id = $1`, event) // planning could not withdraw it
	if taken, err = s.deliver(t.Context(), []uuid.UUID{id}); err != nil || taken != 1 {
		t.Errorf("took %d, want 1: %v", taken, err)
	}
	w.untilStatus(id, "cancelled")
}

// What was not claimed could not be read either: it is not lost.
func TestUnclaimedNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.sender()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.armUnclaimed(ctx, []uuid.UUID{uuid.New(), uuid.New()})
	if s.Waiting() != 2 || w.log.count("unclaimed not read") != 1 {
		t.Errorf("%d in the wheel, want 2", s.Waiting())
	}
}

// The app sits on a row from before its push is recorded until long after the claim's end: the push is not repeated.
func TestLockedWhenRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Lease = time.Second
	user, _ := w.user(2)
	begun, answer := w.hold()
	id := w.own(user, 0)
	s, _ := w.start()
	w.await("request", begun)
	let := w.lock(`update reminders set message = message where id = $1`, id)
	answer()
	w.sweep(s)
	w.until("the result left", func() bool { return w.log.count("result left to the next claim") > 0 })
	let()
	w.untilStatus(id, "sent")
	if n := len(w.pushesOf(id)); n != 2 {
		t.Errorf("%d pushes, want one per phone", n)
	}
	w.untilTrue(`sent_at_ts is not null from reminders where id = $1`, id)
	w.untilTrue(`(select count(*) from reminder_worker.deliveries where state = 'delivered') = 2`)
}

// What cannot be claimed is tried again after 50 ms, and twice as long after each further try, up to a second.
func TestTryAgain(t *testing.T) {
	t.Parallel()
	due := time.Unix(1000, 0)
	now, want := due, []int{50, 100, 200, 400, 800, 1600, 2600, 3600}
	for i, ms := range want {
		if now = tryAgain(due, now); now.Sub(due).Milliseconds() != int64(ms) {
			t.Fatalf("try %d after %s, want %d ms", i, now.Sub(due), ms)
		}
	}
	if at := tryAgain(due.Add(time.Minute), due); !at.Equal(due.Add(time.Minute)) {
		t.Errorf("what is claimed for a minute is tried after %s", at.Sub(due))
	}
}

// lossy is a way to the database on which the answers to claims are lost, once the database has done what they ask.
type lossy struct {
	store.DBTX
	losses int
}

// Query implements store.DBTX.
func (l *lossy) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, err := l.DBTX.Query(ctx, sql, args...)
	if err != nil || l.losses == 0 || !strings.Contains(sql, "name: ClaimReminders ") {
		return rows, err
	}
	l.losses--
	for rows.Next() {
	}
	rows.Close()
	return nil, errors.Join(rows.Err(), io.ErrUnexpectedEOF)
}

// A database in trouble takes many claims and answers none: 8 of them take the reminder, 5 let it rest. What was never offered is not given up.
func TestAnswersLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	id := w.own(user, 0)
	s := w.sender()
	w.must(s.fill(t.Context()))
	way := &lossy{DBTX: w.pool, losses: 13}
	s.db = store.New(way)
	deliver := func() {
		w.exec(`update reminders set next_attempt_at = now() - interval '1 second' where next_attempt_at > now()`) // the lease, or the rest, is over
		_, err := s.deliver(t.Context(), []uuid.UUID{id})
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	}
	for way.losses > 0 {
		deliver()
	}
	s.wheel.Disarm(wheel.ID(id))
	deliver()
	if got := w.reminder(id); !strings.HasPrefix(got, "pending, 0 tries, claimed 8 times with no result") || s.Waiting() != 1 {
		t.Fatalf("the reminder is %s, %d in the wheel", got, s.Waiting())
	}
	deliver()
	if got := w.reminder(id); got != "sent, 0 tries, -" {
		t.Errorf("the reminder is %s", got)
	}
	w.once(1)
}
