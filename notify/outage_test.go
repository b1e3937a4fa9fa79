package notify

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
)

// Requests that fail as a whole say nothing about reminders: the sender rests, no attempt is used, then all go out.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]*expofake.Fault{
		"503":             expofake.Status(503, `{"errors":[{"code":"API_ERROR","message":"down"}]}`),
		"429":             expofake.Refuse(429, "TOO_MANY_REQUESTS"),
		"gateway":         expofake.Gateway(),
		"drop":            expofake.Drop(),
		"errors with 200": expofake.ErrorsWith200("API_ERROR"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			user, _ := w.user(1)
			w.expo.Fail(expofake.Once(expofake.SendEndpoint, 8, fault))
			for range 30 {
				w.own(user, 0)
			}
			w.start()
			w.untilTrue(`(select count(*) from reminders where status = 'sent') = 30`)
			w.untilTrue(`(select max(retry_count) from reminders) = 0`)
			if w.log.count("sender paused") == 0 {
				t.Error("the rest was not logged")
			}
			if c := w.expo.Counts(); c.Accepted != 30 || c.Repeats != 0 {
				t.Errorf("%d pushes, %d repeats, want 30 and none", c.Accepted, c.Repeats)
			}
		})
	}
}

// While the sender rests nothing goes out, also not what falls due in the meantime.
func TestRestIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.PauseMin, w.cfg.PauseMax = 700*time.Millisecond, time.Second
	w.cfg.Jitter = func(d time.Duration) time.Duration { return d }
	user, _ := w.user(1)
	failed := make(chan time.Time, 100)
	w.expo.Fail(func(r expofake.Request) *expofake.Fault {
		if r.Endpoint == expofake.SendEndpoint && r.Number == 1 {
			failed <- r.FirstByte
			return expofake.Status(503, "")
		}
		return nil
	})
	first := w.own(user, 0)
	w.own(user, 0) // two in one request: it is not one of them that it fails for
	s, _ := w.start()
	w.until("rest", func() bool { return w.log.count("sender paused") > 0 })
	for range 5 {
		w.own(user, 0)
	}
	s.Look(Changes)
	w.untilStatus(first, "sent")
	w.untilTrue(`(select count(*) from reminders where status = 'sent') = 7`)
	end := (<-failed).Add(700 * time.Millisecond)
	for _, p := range w.expo.Pushes() {
		if p.FirstByte.Before(end) {
			t.Errorf("pushed %s before the rest was over", end.Sub(p.FirstByte))
		}
	}
}

// A wrong access token rests the sender with an error in the log; no device and no attempt is lost.
func TestUnauthorized(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	w.expo.Fail(expofake.Once(expofake.SendEndpoint, 3, expofake.Refuse(401, "UNAUTHORIZED")))
	id := w.own(user, 0)
	w.start()
	w.untilStatus(id, "sent")
	if got := w.reminder(id); got != "sent, 0 tries, -" {
		t.Errorf("reminder is %s", got)
	}
	if w.log.count(`"level":"error"`) == 0 {
		t.Error("no error was logged")
	}
	w.untilTrue(`not exists (select from reminder_worker.push_devices where retired_at is not null)`)
}

// Credentials that Expo refuses for every device raise an alarm; a sender id that is wrong for one device is that device's matter. Neither
// uses an attempt.
func TestCredentialsInTickets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, tokens := w.user(1)
	w.expo.RefuseTicket(tokens[0], "InvalidCredentials")
	id := w.own(user, 0)
	s, _ := w.start()
	w.until("alarm", func() bool { return s.Alarm() != "" && w.expo.Counts().Refused >= 3 })
	w.untilTrue(`retry_count = 0 from reminders where id = $1`, id)
	w.expo.RefuseTicket(tokens[0], "")
	w.untilStatus(id, "sent")

	w.expo.RefuseTicket(tokens[0], "MismatchSenderId")
	id = w.own(user, 0)
	s.Look(Changes)
	w.untilTrue(`exists (select from reminder_worker.deliveries where reminder_id = $1 and state = 'retry' and attempts >= 3)`, id)
	if got := w.reminder(id); !strings.HasPrefix(got, "pending, 0 tries") && !strings.HasPrefix(got, "sending, 0 tries") {
		t.Errorf("reminder is %s", got)
	}
	w.expo.RefuseTicket(tokens[0], "")
	w.untilStatus(id, "sent")
}

// Tokens of another project in a batch keep nobody from getting their push.
func TestForeignProject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 20 {
		user, tokens := w.user(1)
		if i%7 == 3 {
			w.expo.Assign("@other/app", tokens[0])
		}
		w.own(user, 0)
	}
	w.start()
	w.untilTrue(`(select count(*) from reminders where status = 'sent' and retry_count = 0) = 20`)
	if c := w.expo.Counts(); c.Accepted != 20 || c.Repeats != 0 {
		t.Errorf("%d pushes, %d repeats", c.Accepted, c.Repeats)
	}
}

// Connections to the database are cut again and again: every reminder goes out, and no phone shows one twice.
func TestDatabaseCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Lease, w.cfg.Batch, w.cfg.Connections = 2*time.Second, 10, 2
	user, tokens := w.user(1)
	w.herd(user, 300, 0)
	s, _ := w.start()
	w.sweep(s)
	for n := 30; n <= 150; n += 30 {
		w.untilTrue(`count(*) >= $1 from reminders where status = 'sent'`, n)
		w.exec(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'worker' and datname = current_database()`)
	}
	w.untilTrue(`not exists (select from reminders where status <> 'sent')`)
	if n := len(w.expo.Shown(tokens[0])); n != 300 {
		t.Errorf("the phone shows %d, want 300", n)
	}
}

// A claim whose worker died runs out, and the reminder is sent again under the same collapse id: the phone shows one.
func TestLeaseRunsOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Lease = time.Second
	user, tokens := w.user(1)
	id := w.own(user, 0)
	w.expo.Fail(expofake.Once(expofake.SendEndpoint, 1, &expofake.Fault{Accept: true, Delay: time.Hour}))
	dying := w.sender()
	work, kill := context.WithCancel(context.Background())
	stop := w.run(work, dying)
	dying.Look(Window)
	w.until("first push", func() bool { return len(w.expo.Pushes()) == 1 })
	kill()
	stop()
	if got := w.reminder(id); got != "sending, 0 tries, -" {
		t.Errorf("after the death of its worker the reminder is %s", got)
	}
	w.start() // the fill arms the end of the claim
	w.untilStatus(id, "sent")
	if n := len(w.pushesOf(id)); n != 2 {
		t.Errorf("%d pushes, want 2", n)
	}
	if n := len(w.expo.Shown(tokens[0])); n != 1 {
		t.Errorf("the phone shows %d, want 1", n)
	}
	w.untilTrue(`retry_count = 0 and lost_claims is null from reminders where id = $1`, id)
}

// One row whose result the database refuses does not have the others sent again.
func TestRefusedResultStandsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Lease = time.Second
	user, _ := w.user(2)
	w.exec(`alter table reminders add constraint no_poison check (message <> 'poison' or status <> 'sent')`)
	for range 12 {
		w.own(user, 0)
	}
	bad := w.own(user, 0)
	w.exec(`update reminders set message = 'poison' where id = $1`, bad)
	w.start()
	w.untilTrue(`(select count(*) from reminders where status = 'sent') = 12`)
	w.untilStatus(bad, "failed")
	if got := w.reminder(bad); !strings.Contains(got, "the database refuses to have it sent: ") || !strings.Contains(got, "no_poison") {
		t.Errorf("the row at fault is %s", got)
	}
	for _, p := range w.expo.Pushes() {
		if p.Repeat {
			t.Errorf("the push of %s was repeated", p.CollapseID)
		}
	}
	w.untilTrue(`(select count(*) from reminder_worker.deliveries where state = 'delivered') = 26`)
}

// A stop lets the request on the wire finish and be recorded, and claims nothing more.
func TestStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Batch, w.cfg.Connections = 5, 1
	user, _ := w.user(1)
	w.herd(user, 20, 0)
	begun, let := w.hold()
	s := w.sender()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, context.Background()) }()
	s.Look(Window)
	w.await("request", begun)
	cancel()
	let()
	w.must(<-ended)
	state := one[string](w, `select string_agg(format('%s %s', status, n), ', ' order by status) from (select status, count(*) as n from reminders group by status) s`)
	if want := "pending 15, sent 5"; state != want {
		t.Errorf("after the stop: %s, want %s", state, want)
	}
}

// Drain sends all that is due, settles what receipts there are, and ends.
func TestDrain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Batch = 7
	user, _ := w.user(2)
	w.herd(user, 30, 0)
	future := w.own(user, time.Hour)
	if err := w.sender().Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := one[int](w, `select count(*)::int from reminders where status = 'sent'`); n != 30 || w.expo.Counts().Accepted != 60 {
		t.Errorf("%d sent, %d pushes, want 30 and 60", n, w.expo.Counts().Accepted)
	}
	if got := w.reminder(future); got != "pending, 0 tries, -" {
		t.Errorf("what is not due is %s", got)
	}
	w.untilTrue(`not exists (select from reminder_worker.deliveries where receipt_due_at >= now())`) // a slow machine has settled some already
	if err := w.sender().Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := one[int](w, `select count(*)::int from reminder_worker.deliveries where state = 'delivered'`); n != 60 {
		t.Errorf("%d receipts settled, want 60", n)
	}
}

// Drain ends although it cannot take what is due, and although Expo is down.
func TestDrainEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	id := w.own(user, 0)
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `select from reminders where id = $1 for update`, id); err != nil {
		t.Fatal(err)
	}
	if err := w.sender().Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.expo.Fail(func(expofake.Request) *expofake.Fault { return expofake.Status(503, "") })
	if err := w.sender().Drain(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	w.untilTrue(`status = 'pending' and retry_count = 0 from reminders where id = $1`, id)
}
