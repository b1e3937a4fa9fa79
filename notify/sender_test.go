package notify

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/notify/wheel"
)

// A reminder goes out at its time, never before, once, with all that a phone needs; its delivery and receipt are recorded.
func TestFires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, tokens := w.user(1)
	event := w.event(user, 30*time.Minute)
	early := w.planned(event, 400*time.Millisecond) // known from the fill
	s, _ := w.start()
	late := w.planned(w.event(user, 30*time.Minute), 500*time.Millisecond) // told by planning
	s.Arm(late, one[time.Time](w, `select notify_at_ts from reminders where id = $1`, late))
	own := w.own(user, 450*time.Millisecond) // learned from a change
	s.Look(Changes)
	for _, id := range []uuid.UUID{early, late, own} {
		w.untilStatus(id, "sent")
		pushes := w.pushesOf(id)
		if len(pushes) != 1 {
			t.Fatalf("%d pushes, want 1", len(pushes))
		}
		if due := one[time.Time](w, `select notify_at_ts from reminders where id = $1`, id); pushes[0].FirstByte.Before(due) {
			t.Errorf("pushed %s before it was due", due.Sub(pushes[0].FirstByte))
		}
	}
	p := w.pushesOf(early)[0]
	start := one[time.Time](w, `select start_ts from events where id = $1`, event)
	if p.Token != tokens[0] || p.Tag != early.String() || p.Priority != "high" || p.Expiration != start.Unix() || p.Title != "Recital" || !strings.HasSuffix(p.Body, " · Field 3") {
		t.Errorf("push %+v", p)
	}
	var data map[string]string
	if err := json.Unmarshal(p.Data, &data); err != nil || data["reminderId"] != early.String() || data["eventId"] != event.String() {
		t.Errorf("data %s: %v", p.Data, err)
	}
	w.untilTrue(`(select count(*) from reminder_worker.deliveries where state = 'delivered' and lateness_ms >= 0 and settled_at is not null) = 3`)
	if n := w.metric("sweep_found_total"); n != 0 {
		t.Errorf("a sweep found %v", n)
	}
}

// What was withdrawn does not go out, although the wheel still fires it.
func TestWithdrawn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	moved, cancelled := w.event(user, 30*time.Minute), w.event(user, 30*time.Minute)
	fromMoved, fromCancelled, later := w.planned(moved, 0), w.planned(cancelled, 0), w.own(user, time.Hour)
	w.exec(`update events set start_ts = start_ts + interval '1 day' where id = $1`, moved)
	w.exec(`update events set status = 'cancelled' where id = $1`, cancelled)
	s, _ := w.start()
	for _, id := range []uuid.UUID{fromMoved, fromCancelled, later, uuid.New()} {
		s.wheel.Arm(wheel.ID(id), time.Now())
	}
	fence := w.own(user, 0)
	s.Look(Changes)
	w.untilStatus(fence, "sent")
	w.untilStatus(fromCancelled, "cancelled")
	if n := len(w.expo.Pushes()); n != 1 {
		t.Errorf("%d pushes, want the fence alone", n)
	}
	for id, want := range map[uuid.UUID]string{
		fromMoved: "pending, 0 tries, -", later: "pending, 0 tries, -", fromCancelled: "cancelled, 0 tries, the event was cancelled",
	} {
		if got := w.reminder(id); got != want {
			t.Errorf("reminder is %s, want %s", got, want)
		}
	}
}

// A reminder that the app moves earlier fires at the new time.
func TestMovedEarlier(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	id := w.own(user, 30*time.Minute)
	s, _ := w.start()
	w.exec(`update reminders set notify_at_ts = clock_timestamp() + interval '200 milliseconds' where id = $1`, id)
	s.Look(Changes)
	w.untilStatus(id, "sent")
}

// A device that is asked to wait is tried five times, then the reminder has failed and says why.
func TestRetriesEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, tokens := w.user(1)
	w.expo.RefuseTicket(tokens[0], "MessageRateExceeded")
	id := w.own(user, 0)
	w.start()
	w.untilStatus(id, "failed")
	got := w.reminder(id)
	if !strings.HasPrefix(got, "failed, 5 tries, gave up after 5 attempts: ExponentPushToken[") || !strings.Contains(got, "MessageRateExceeded") || strings.Contains(got, tokens[0]) {
		t.Errorf("reminder is %s", got)
	}
	if n := w.expo.Counts().Requests; n != 5 {
		t.Errorf("%d requests, want 5", n)
	}
}

func TestRetrySucceeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.MaxAttempts = 1000
	user, tokens := w.user(1)
	w.expo.RefuseTicket(tokens[0], "MessageRateExceeded")
	id := w.own(user, 0)
	w.start()
	w.untilTrue(`retry_count >= 1 from reminders where id = $1`, id)
	w.expo.RefuseTicket(tokens[0], "")
	w.untilStatus(id, "sent")
}

// Two phones: the one that was reached is left in peace while the other is tried again.
func TestTwoPhones(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.MaxAttempts = 1000
	user, tokens := w.user(2)
	w.expo.RefuseTicket(tokens[1], "MessageRateExceeded")
	id := w.own(user, 0)
	w.start()
	w.untilTrue(`retry_count >= 1 from reminders where id = $1`, id)
	w.expo.RefuseTicket(tokens[1], "")
	w.untilStatus(id, "sent")
	got := map[string]int{}
	for _, p := range w.pushesOf(id) {
		got[p.Token]++
	}
	if got[tokens[0]] != 1 || got[tokens[1]] != 1 {
		t.Errorf("pushes per phone: %v, want one each", got)
	}
	if n := w.expo.Counts().Repeats; n != 0 {
		t.Errorf("%d repeats", n)
	}
}

// A dead token is retired, whether the ticket says so or the receipt; the user's other phone gets its push.
func TestDeviceGone(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]expofake.Place{"ticket": expofake.InTicket, "receipt": expofake.InReceipt} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *expofake.Config) { c.GoneIn = place })
			user, tokens := w.user(2)
			w.expo.Uninstall(tokens[0])
			id := w.own(user, 0)
			w.start()
			w.untilStatus(id, "sent")
			w.untilTrue(`retired_reason = 'Expo: DeviceNotRegistered' from reminder_worker.push_devices where token = $1`, tokens[0])
			w.untilTrue(`retired_at is null from reminder_worker.push_devices where token = $1`, tokens[1])
			if n := len(w.expo.Shown(tokens[1])); n != 1 {
				t.Errorf("the other phone shows %d", n)
			}
		})
	}
}

// A token that the app registers again while its push is on the wire is not retired for the old one's answer.
func TestRegisteredAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *expofake.Config) { c.GoneIn = expofake.InTicket })
	user, tokens := w.user(1)
	w.expo.RefuseTicket(tokens[0], "DeviceNotRegistered")
	begun, let := w.hold()
	id := w.own(user, 0)
	w.start()
	w.await("request", begun)
	w.register(user, tokens[0])
	let()
	w.untilStatus(id, "failed")
	w.untilTrue(`retired_at is null from reminder_worker.push_devices where token = $1`, tokens[0])
}

// The last device gone, or a message that Expo never takes: failed at once, in words.
func TestRefusedForGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, tokens := w.user(1)
	nobody, _ := w.user(0)
	w.expo.RefuseTicket(tokens[0], "MessageTooBig")
	big, none := w.own(user, 0), w.own(nobody, 0)
	w.start()
	w.untilStatus(big, "failed")
	w.untilStatus(none, "failed")
	if got := w.reminder(big); !strings.HasPrefix(got, "failed, 0 tries, ExponentPushToken[") || !strings.Contains(got, "MessageTooBig") {
		t.Errorf("reminder is %s", got)
	}
	if got := w.reminder(none); !strings.HasPrefix(got, "failed, 0 tries, no device: ") {
		t.Errorf("reminder without a device is %s", got)
	}
	w.untilTrue(`retired_at is null from reminder_worker.push_devices where token = $1`, tokens[0])
	w.untilTrue(`(select count(*) from reminder_worker.deliveries where state = 'failed' and error_code = 'MessageTooBig') = 1`)
}

// Two thousand at one instant: each goes out once, in full requests.
func TestHerd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	w.herd(user, 2000, 700*time.Millisecond)
	s, _ := w.start()
	w.untilTrue(`not exists (select from reminders where status <> 'sent')`)
	w.once(2000)
	if n := w.expo.Counts().Requests; n > 100 {
		t.Errorf("%d requests for 2000 messages", n)
	}
	if s.Waiting() != 0 {
		t.Errorf("%d are left in the wheel", s.Waiting())
	}
}

// herd makes n reminders due at the same instant.
func (w *world) herd(user uuid.UUID, n int, in time.Duration) {
	w.t.Helper()
	w.exec(`with e as (
			insert into events (user_id, title, start_ts, status)
			select $1, 'Event ' || n, now() + interval '5 hours', 'synced' from generate_series(1, $2) n returning id)
		insert into reminders (event_id, user_id, notify_at_ts, message) select id, $1, clock_timestamp() + $3, 'Go' from e`, user, n, in)
}

// once checks that each of n reminders was pushed once.
func (w *world) once(n int) {
	w.t.Helper()
	of := map[string]int{}
	for _, p := range w.expo.Pushes() {
		of[p.CollapseID]++
	}
	twice := 0
	for _, times := range of {
		if times > 1 {
			twice++
		}
	}
	if len(of) != n || twice > 0 {
		w.t.Errorf("%d reminders pushed, %d of them more than once, want %d once", len(of), twice, n)
	}
}

// Two workers hold the same wheel and fire at the same instant: each reminder goes out once.
func TestTwoSenders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Batch = 10
	user, _ := w.user(1)
	w.herd(user, 400, time.Second)
	w.start()
	w.start()
	w.untilTrue(`not exists (select from reminders where status <> 'sent')`)
	w.once(400)
}

// Expo has no receipt until the limit: the delivery is 'unknown', and nobody asks again.
func TestReceiptUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *expofake.Config) { c.ReceiptDelay = time.Hour })
	w.cfg.ReceiptLimit = 150 * time.Millisecond
	user, _ := w.user(1)
	id := w.own(user, 0)
	w.start()
	w.untilStatus(id, "sent")
	w.untilTrue(`exists (select from reminder_worker.deliveries where state = 'unknown' and error_message like 'Expo has no receipt%' and receipt_due_at is null)`)
}

// Receipts that cannot be had now are asked for again.
func TestReceiptsRecover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, tokens := w.user(1)
	w.expo.RefuseReceipt(tokens[0], "MessageTooBig")
	w.expo.Fail(expofake.Once(expofake.ReceiptsEndpoint, 2, expofake.Gateway()))
	id := w.own(user, 0)
	w.start()
	w.untilStatus(id, "sent")
	w.untilTrue(`exists (select from reminder_worker.deliveries where state = 'failed' and error_code = 'MessageTooBig')`)
	w.untilTrue(`not exists (select from reminder_worker.push_devices where retired_at is not null)`)
	if w.log.count("receipts not read") == 0 {
		t.Error("the failure was not logged")
	}
}

// Many devices and a small batch: the 20 most recent devices are reached, a foreign project among them or not.
func TestManyDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Batch, w.quota.Allowed = 3, 500
	user, tokens := w.user(40)
	w.expo.Assign("@other/app", tokens[31])
	ids := []uuid.UUID{w.own(user, 0), w.own(user, 0), w.own(user, 0)}
	w.start()
	for _, id := range ids {
		w.untilStatus(id, "sent")
		got := map[string]bool{}
		for _, p := range w.pushesOf(id) {
			got[p.Token] = true
		}
		for i, token := range tokens {
			if got[token] != (i >= 20) {
				t.Errorf("device %d of 40 has it: %v", i, got[token])
			}
		}
	}
}

// More messages than the rate allows within a claim: what does not fit goes out under the next one, and no device gets anything twice.
func TestMoreThanFitsIntoAClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.quota.Allowed, w.cfg.Lease = 100, 3*time.Second
	user, _ := w.user(0)
	w.exec(`insert into reminder_worker.push_devices (user_id, token) select $1, format('ExponentPushToken[%s]', n) from generate_series(1, 200) n`, user)
	for token := range strings.FieldsSeq(one[string](w, `select string_agg(token, ' ') from reminder_worker.push_devices`)) {
		w.expo.Register(token)
	}
	w.herd(user, 25, 0)
	s, _ := w.start()
	w.sweep(s)
	w.untilTrue(`not exists (select from reminders where status <> 'sent' or retry_count > 0)`)
	if c := w.expo.Counts(); c.Accepted != 25*20 || c.Repeats != 0 {
		t.Errorf("%d pushes, %d repeats, want 500 and none", c.Accepted, c.Repeats)
	}
}

func TestConfigReportsEverything(t *testing.T) {
	t.Parallel()
	err := Config{Batch: 1000}.Validate()
	if err == nil {
		t.Fatal("an empty config is valid")
	}
	for _, part := range []string{
		"zone", "horizon", "page size", "sweep grace", "batch 1000", "connections", "lease", "max attempts", "retry base",
		"pause min", "receipt delay", "jitter",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("fault about %q is not reported: %v", part, err)
		}
	}
	if _, err := New(nil, nil, nil, Config{}, zerolog.Nop(), NewMetrics(nil)); err == nil {
		t.Error("a sender was made of it")
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("default config: %v", err)
	}
}
