package notify

import (
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sql/store"
)

// TestStrike counts the reminders that are refused alone since Expo last took anything.
func TestStrike(t *testing.T) {
	t.Parallel()
	p := newPace(DefaultConfig())
	a, b, c := uuid.UUID{1}, uuid.UUID{2}, uuid.UUID{3}
	for i, want := range []int{1, 1, 2, 2, 3, 3} {
		if got := p.strike([]uuid.UUID{a, a, b, a, c, b}[i]); got != want {
			t.Errorf("strike %d: %d, want %d", i, got, want)
		}
	}
	p.succeeded(time.Now())
	if got := p.strike(c); got != 1 {
		t.Errorf("%d after a success, want 1", got)
	}
}

// devices are the user's devices, their projects, and why they were retired.
func (w *world) devices() []string {
	return list[string](w, `select concat_ws(' ', token, project, retired_reason) from reminder_worker.push_devices order by token`)
}

// Expo refuses our own project while it takes what is sent to another: our devices are kept, and our alarm is raised.
func TestOurDevicesAreKept(t *testing.T) {
	t.Parallel()
	const a, b, foreign = "ExponentPushToken[aaa-ours]", "ExponentPushToken[bbb-ours]", "ExponentPushToken[zzz-foreign]"
	for _, project := range []string{"", "@us/app"} {
		for _, place := range []string{"request", "ticket"} {
			t.Run(project+" "+place, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.cfg.Project = project
				ours := []uuid.UUID{w.reminderOn(a), w.reminderOn(b)}
				theirs := w.reminderOn(foreign)
				w.expo.Assign("@us/app", a, b)
				w.expo.Assign("@other/app", foreign)
				if place == "request" {
					w.expo.Fail(func(r expofake.Request) *expofake.Fault {
						if r.Endpoint == expofake.SendEndpoint && !slices.Contains(r.Tokens, foreign) {
							return expofake.Refuse(403, "UNAUTHORIZED")
						}
						return nil
					})
				} else {
					w.expo.RefuseProject("@us/app", expofake.InTicket, "InvalidCredentials")
				}
				s, _ := w.start()
				w.sweep(s)
				w.untilStatus(theirs, "sent")
				w.until("an alarm", func() bool { return s.Alarm() != "" })
				w.until("a few more tries", func() bool { return w.expo.Counts().Requests > 8 })
				if diff := cmp.Diff([]string{a, b, foreign + " @other/app"}, w.devices()); diff != "" {
					t.Errorf("devices (-want +got):\n%s", diff)
				}
				w.expo.Fail(nil)
				w.expo.RefuseProject("@us/app", expofake.InTicket, "")
				for _, id := range ours {
					w.untilStatus(id, "sent")
					if got := w.reminder(id); got != sentAtOnce {
						t.Errorf("reminder is %s", got)
					}
				}
			})
		}
	}
}

// Others outnumber us in a batch with tokens of an app of theirs: nothing that follows retires our device.
func TestOutnumbered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const ours = "ExponentPushToken[ours]"
	first := w.reminderOn(ours)
	for _, token := range []string{"ExponentPushToken[evil-1]", "ExponentPushToken[evil-2]", "ExponentPushToken[evil-3]"} {
		w.expo.Assign("@evil/app", token)
		user, _ := w.user(0)
		w.exec(`update reminders set push_token = $2 where id = $1`, w.own(user, 0), token)
	}
	s, _ := w.start()
	w.sweep(s)
	w.untilStatus(first, "sent")
	w.expo.Fail(func(r expofake.Request) *expofake.Fault {
		if r.Endpoint == expofake.SendEndpoint && slices.Contains(r.Tokens, ours) {
			return expofake.Refuse(403, "UNAUTHORIZED")
		}
		return nil
	})
	again := one[uuid.UUID](w, `insert into reminders (event_id, user_id, notify_at_ts, message) select event_id, user_id, now(), 'again' from reminders where id = $1 returning id`, first)
	s.Look(Changes)
	w.untilTrue(`error_message is not null from reminders where id = $1`, again)
	w.expo.Fail(nil)
	w.untilStatus(again, "sent")
	if got := w.devices(); !strings.HasPrefix(got[0], ours) || strings.Contains(got[0], "UNAUTHORIZED") {
		t.Errorf("devices %v", got)
	}
}

// A phone of another project, alone in its request: nobody waits for it, and no alarm is raised, as long as others go through.
func TestForeignPhoneAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *expofake.Config) { c.AccessToken = "secret" })
	w.cfg.Project = expofake.DefaultProject
	user, _ := w.user(1)
	s, _ := w.start()
	w.sweep(s)
	next := func() {
		t.Helper()
		id := w.own(user, 0)
		s.Look(Changes)
		w.untilStatus(id, "sent")
	}
	next()
	const her = "ExponentPushToken[her-old]"
	w.expo.Assign("@other/app", her)
	hers := w.reminderOn(her)
	w.untilTrue(`error_message is not null from reminders where id = $1`, hers)
	for range 5 {
		next()
	}
	if n := w.log.count("sender paused"); n != 0 || s.Alarm() != "" {
		t.Errorf("paused %d times, alarm %q", n, s.Alarm())
	}
	if got := w.reminder(hers); !strings.HasPrefix(got, "pending, 0 tries") && !strings.HasPrefix(got, "sending, 0 tries") {
		t.Errorf("her reminder is %s", got)
	}
}

// Credentials of another project, which its receipts blame, are not ours to mend, and raise no alarm.
func TestForeignCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Project = expofake.DefaultProject
	const foreign = "ExponentPushToken[zzz-foreign]"
	ours, theirs := w.reminderOn("ExponentPushToken[aaa-ours]"), w.reminderOn(foreign)
	w.expo.Assign("@other/app", foreign)
	w.expo.RefuseReceipt(foreign, "InvalidCredentials")
	s, _ := w.start()
	w.untilStatus(ours, "sent")
	w.untilStatus(theirs, "failed")
	if n := len(w.pushesOf(theirs)); n != 1 || s.Alarm() != "" {
		t.Errorf("%d pushes, alarm %q", n, s.Alarm())
	}
	w.same("her phone", "live", `select coalesce(retired_reason, 'live') from reminder_worker.push_devices where token = $1`, foreign)
}

// Rows without a time, and of long ago, are put away; they do not come again and again.
func TestNoTimeAtAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	event := w.event(user, time.Hour)
	w.exec(`update events set start_ts = 'infinity' where id = $1`, event)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) select $1, $2, now() - interval '2 days' - n * interval '1 second', 'x' from generate_series(1, 300) n`, event, user)
	soon := one[uuid.UUID](w, `insert into reminders (event_id, user_id, notify_at_ts, message) values ($1, $2, now(), 'x') returning id`, event, user)
	w.start()
	w.untilStatus(soon, "sent")
	w.untilTrue(`(select count(*) from reminders where status = 'expired') = 300`)
	if n := w.metric("reminders_total"); n > 310 {
		t.Errorf("%v claims and results for 301 reminders", n)
	}
}

// A reminder at the start itself is worth a quarter of an hour; what the app has set for after the start a day.
func TestAtTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	at := func(ago string) uuid.UUID {
		return one[uuid.UUID](w, `with e as (insert into events (user_id, title, start_ts, status) values ($1, 'Recital', now() - $2::interval, 'synced') returning *)
			insert into reminders (event_id, user_id, notify_at_ts, message, lead_seconds, plan_revision, planned_for_ts) select id, user_id, start_ts, '', 0, sync_revision, start_ts from e returning id`, user, ago)
	}
	just, long := at("1 minute"), at("23 hours")
	own := w.own(user, -23*time.Hour)
	w.exec(`update events set start_ts = now() - interval '30 hours' where id = (select event_id from reminders where id = $1)`, own)
	w.exec(`update events set status = 'synced'`)
	w.start()
	w.untilStatus(just, "sent")
	w.untilStatus(long, "expired")
	w.untilStatus(own, "sent")
}

// What the app asks for again goes out again, also when the first try of it does not.
func TestAskedForAgainAfterAFault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	id := w.own(user, 0)
	s, _ := w.start()
	w.sweep(s)
	w.untilTrue(`exists (select from reminder_worker.deliveries where reminder_id = $1 and state = 'delivered')`, id)
	var failed atomic.Bool
	w.expo.Fail(func(r expofake.Request) *expofake.Fault {
		if r.Endpoint == expofake.SendEndpoint && failed.CompareAndSwap(false, true) {
			return expofake.Refuse(503, "X")
		}
		return nil
	})
	w.exec(`update reminders set status = 'pending' where id = $1`, id)
	s.Look(Changes)
	w.until("a second push", func() bool { return len(w.pushesOf(id)) == 2 })
	w.untilStatus(id, "sent")
}

// A row that refuses to be changed keeps no other from its verdict, and is asked about no more.
func TestVerdictThatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`create function app_guard() returns trigger language plpgsql as $$ begin if new.message = 'bad' and new.status = 'failed' then raise exception 'app says no'; end if; return new; end $$`)
	w.exec(`create trigger app_guard before update on reminders for each row execute function app_guard()`)
	const bad, good = "ExponentPushToken[bad]", "ExponentPushToken[good]"
	refused, other := w.reminderOn(bad), w.reminderOn(good)
	w.exec(`update reminders set message = 'bad' where id = $1`, refused)
	w.expo.RefuseReceipt(bad, "DeviceNotRegistered")
	w.expo.RefuseReceipt(good, "DeviceNotRegistered")
	w.start()
	w.untilStatus(other, "failed")
	w.untilTrue(`exists (select from reminder_worker.deliveries where token = $1 and state = 'unknown' and error_message like 'the verdict could not be written%' and receipt_due_at is null)`, bad)
	if diff := cmp.Diff([]string{bad + " Expo: DeviceNotRegistered", good + " Expo: DeviceNotRegistered"}, w.devices()); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
	if got := w.reminder(refused); got != sentAtOnce {
		t.Errorf("the row at fault is %s", got)
	}
}

// Expo refuses to be asked for receipts: after the limit nobody knows, and the question ends.
func TestReceiptsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.ReceiptLimit = 300 * time.Millisecond
	user, _ := w.user(1)
	w.own(user, 0)
	w.own(user, 0)
	w.expo.Fail(func(r expofake.Request) *expofake.Fault {
		if r.Endpoint != expofake.SendEndpoint {
			return expofake.Refuse(400, "VALIDATION_ERROR")
		}
		return nil
	})
	w.start()
	w.untilTrue(`(select count(*) from reminder_worker.deliveries where state = 'unknown' and receipt_due_at is null) = 2`)
}

// Thousands of tickets and receipts may blame us: the log says it once for each kind.
func TestBlameIsLoggedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.PauseMax = time.Minute
	for range 30 {
		user, tokens := w.user(2)
		w.own(user, 0)
		w.expo.RefuseReceipt(tokens[0], "InvalidCredentials")
		w.expo.RefuseReceipt(tokens[1], "MismatchSenderId")
	}
	w.start()
	w.untilTrue(`(select count(*) from reminder_worker.deliveries where state = 'retry') = 60`)
	if n := w.log.count("push credentials refused"); n != 2 {
		t.Errorf("logged %d times, want twice", n)
	}
	if n := w.metric("push_project_faults_total"); n < 60 {
		t.Errorf("%v counted, want 60", n)
	}
}

// One phone waits for us to mend our credentials; the other has its five attempts, and no more.
func TestAttemptsEndBesideABlockedPhone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, tokens := w.user(2)
	w.expo.RefuseTicket(tokens[0], "MessageRateExceeded")
	w.expo.RefuseTicket(tokens[1], "MismatchSenderId")
	id := w.own(user, 0)
	w.start()
	w.untilTrue(`exists (select from reminder_worker.deliveries where token = $1 and state = 'failed')`, tokens[0])
	w.untilTrue(`exists (select from reminder_worker.deliveries where token = $1 and attempts >= 8)`, tokens[1])
	w.same("attempts of the one", "5", `select attempts::text from reminder_worker.deliveries where token = $1`, tokens[0])
	w.expo.RefuseTicket(tokens[1], "")
	w.untilStatus(id, "sent")
}

// TestProof: what proves that Expo takes ours is a request that was made after the doubt and was taken, with no failure since.
func TestProof(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPace(DefaultConfig())
		moment := func() time.Time {
			sleep(t.Context(), time.Millisecond)
			return time.Now()
		}
		before := moment()
		doubt := moment()
		if p.succeeded(before); p.takenSince(doubt) {
			t.Error("a request from before the doubt is taken for a proof")
		}
		if p.succeeded(moment()); !p.takenSince(doubt) {
			t.Error("a request from after it is none")
		}
		older := moment()
		moment()
		p.failed("down", 0)
		if p.succeeded(older); p.takenSince(doubt) || p.healthy() {
			t.Error("an older request ends the rest")
		}
		if p.succeeded(moment()); !p.takenSince(doubt) {
			t.Error("a newer one does not")
		}
		if left, _ := p.left(); left > 0 {
			t.Errorf("%s of the rest are left", left)
		}
		first, known := p.refusedFirst("@other/app")
		if again, found := p.refusedFirst("@other/app"); known || !found || !again.Equal(first) {
			t.Error("another project is not remembered")
		}
		for n := range 3 * maxForeign {
			p.refusedFirst(strconv.Itoa(n))
		}
		if len(p.foreign) > maxForeign {
			t.Errorf("%d projects are remembered", len(p.foreign))
		}
	})
}

// Whatever a client has written into push_token: its reminder fails, and nobody else's is held up or sent twice.
func TestTokenThatIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	var bad []uuid.UUID
	for _, token := range []string{"ExponentPushToken[" + strings.Repeat("x", 9000) + "]", "no token", "ExponentPushToken[]", "ExponentPushToken[\u00fc]"} {
		id := w.own(user, 0)
		w.exec(`update reminders set push_token = $2 where id = $1`, id, token)
		bad = append(bad, id)
	}
	// Of a length that an index cannot hold, and that does not compress.
	long := w.own(user, 0)
	w.exec(`update reminders set push_token = 'ExponentPushToken[' || (select string_agg(md5(random()::text), '') from generate_series(1, 200)) || ']' where id = $1`, long)
	good := w.own(user, 0)
	w.start()
	w.untilStatus(good, "sent")
	for _, id := range append(bad, long) {
		w.untilStatus(id, "failed")
		if got := w.reminder(id); got != "failed, 0 tries, push_token is not an Expo push token: leave it empty, and the reminder goes to all devices of the user" {
			t.Errorf("reminder is %s", got)
		}
	}
	if n := len(w.pushesOf(good)); n != 1 || w.metric("notify_database_errors_total") != 0 {
		t.Errorf("%d pushes, %v statements failed", n, w.metric("notify_database_errors_total"))
	}
}

// A result that the database refuses in whatever words is divided: the one at fault alone is not recorded.
func TestResultThatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Lease = time.Second
	w.exec(`create function too_much() returns trigger language plpgsql as $$ begin
		if new.message = 'bad' and new.status = 'sent' then raise exception 'too much' using errcode = '54000'; end if; return new; end $$`)
	w.exec(`create trigger too_much before update on reminders for each row execute function too_much()`)
	user, _ := w.user(1)
	w.herd(user, 30, 0)
	bad := one[uuid.UUID](w, `update reminders set message = 'bad' where id = (select id from reminders limit 1) returning id`)
	w.start()
	w.untilTrue(`(select count(*) from reminders where status = 'sent') = 29`)
	for _, p := range w.expo.Pushes() {
		if p.Repeat && p.CollapseID != bad.String() {
			t.Error("a reminder without fault was sent again")
		}
	}
}

// No pause goes past the start of the event: what waits for our credentials is tried again before.
func TestPausesEndBeforeTheEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := pureSender(t)
		for _, left := range []time.Duration{time.Hour, 8 * time.Minute, time.Minute, 5 * time.Second} {
			due := s.now().Add(-22 * time.Minute)
			row := store.ClaimRemindersRow{NotifyAtTs: due, Deadline: s.now().Add(left), RetryCount: 3}
			for _, state := range []pushState{again, blocked} {
				if got := s.verdict(row, []*push{{state: state}}).retry; got > left/2 {
					t.Errorf("%s before the start the next try is after %s", left, got)
				}
			}
			if got := s.judge(&expo.Error{Kind: expo.Project}, store.ClaimReceiptsRow{SentAt: due, Deadline: row.Deadline}).retry; got > left/2 {
				t.Errorf("%s before the start a receipt's next try is after %s", left, got)
			}
		}
	})
}

// All that wait for our credentials come at the same moments, and share their requests.
func TestBlockedShareRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.PauseMax = 500 * time.Millisecond
	for range 100 {
		user, tokens := w.user(1)
		w.expo.RefuseTicket(tokens[0], "MismatchSenderId")
		w.own(user, 0)
	}
	w.start()
	w.untilTrue(`(select min(attempts) from reminder_worker.deliveries) >= 4`)
	if c := w.expo.Counts(); c.Requests > 60 {
		t.Errorf("%d requests for %d refused messages", c.Requests, c.Refused)
	}
}

// What was claimed while all was well, and comes to be offered when requests have failed meanwhile, is given back: after a rest one reminder is tried
// at a time, on however many phones.
func TestClaimedBeforeTheFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := pureSender(t) // which can make no request
		f := &flight{Sender: s, claimed: time.Now(), rows: make([]store.ClaimRemindersRow, 3)}
		chunk := []*push{{reminder: 0}, {reminder: 0}, {reminder: 1}, {reminder: 2}}
		rest := s.pace.failed("down", 0)
		for range 2 {
			f.send(t.Context(), chunk, permit{})
			for _, p := range chunk {
				if p.state != unsent || p.ticket.Err == nil || p.ticket.Err.Message != "at rest after down" {
					t.Fatalf("state %d, %v", p.state, p.ticket.Err)
				}
			}
			sleep(t.Context(), rest) // the second time the rest is over
		}
		for n, want := range []bool{true, true, false, false} {
			if _, ok := s.pace.allows(reminders(chunk[:n+1])); ok != want {
				t.Errorf("%d pushes: allowed is %t", n+1, ok)
			}
		}
		s.pace.succeeded(time.Now())
		if _, ok := s.pace.allows(3); !ok {
			t.Error("the others wait, after a success")
		}
	})
}
