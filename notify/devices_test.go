package notify

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
)

// Two users with two phones each; one phone passes from one to the other. Each message goes to the phones of its user, and of nobody else.
func TestPhoneChangesHands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, annas := w.user(2)
	ben, bens := w.user(2)
	passed := annas[1]
	ofAnna, ofBen := w.own(anna, 0), w.own(ben, 0)
	s, _ := w.start()
	w.untilStatus(ofAnna, "sent")
	w.untilStatus(ofBen, "sent")
	w.reached(ofAnna, annas...)
	w.reached(ofBen, bens...)
	pinned := w.own(anna, time.Hour) // for the phone that passes on, as an older app wrote it
	w.exec(`update reminders set push_token = $2 where id = $1`, pinned, passed)

	w.register(ben, passed)
	w.exec(`update reminders set notify_at_ts = now() where id = $1`, pinned)
	ofAnna, ofBen = w.own(anna, 0), w.own(ben, 0)
	s.Look(Changes)
	for _, id := range []uuid.UUID{ofAnna, ofBen, pinned} {
		w.untilStatus(id, "sent")
	}
	w.reached(ofAnna, annas[0])
	w.reached(ofBen, bens[0], bens[1], passed)
	w.reached(pinned, annas[0])
}

// reached checks which phones a reminder was pushed to, once each.
func (w *world) reached(reminder uuid.UUID, want ...string) {
	w.t.Helper()
	var got []string
	for _, p := range w.pushesOf(reminder) {
		got = append(got, p.Token)
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
		w.t.Errorf("phones reached (-want +got):\n%s", diff)
	}
}

// A token of the reminder's own wins over the user's devices, known or not, unless it is dead.
func TestTokenOfTheReminder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, tokens := w.user(2)
	const unknown = "ExponentPushToken[of-the-reminder]"
	w.exec(`update reminder_worker.push_devices set retired_at = now() where token = $1`, tokens[1])
	want := map[uuid.UUID][]string{}
	for token, phones := range map[string][]string{"": {tokens[0]}, tokens[0]: {tokens[0]}, unknown: {unknown}, tokens[1]: {tokens[0]}} {
		id := w.own(user, 0)
		w.exec(`update reminders set push_token = $2 where id = $1`, id, token)
		want[id] = phones
	}
	w.start()
	for id, phones := range want {
		w.untilStatus(id, "sent")
		w.reached(id, phones...)
	}
}

// A phone that has refused for good is not asked again while another is tried once more.
func TestOnlyWhatNeedsItIsSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.MaxAttempts = 1000
	user, tokens := w.user(3)
	w.expo.RefuseTicket(tokens[0], "MessageTooBig")
	w.expo.RefuseTicket(tokens[1], "MessageRateExceeded")
	asked := make(chan []string, 1000)
	w.expo.Fail(func(r expofake.Request) *expofake.Fault {
		if r.Endpoint == expofake.SendEndpoint {
			asked <- r.Tokens
		}
		return nil
	})
	id := w.own(user, 0)
	w.start()
	w.untilTrue(`retry_count >= 2 from reminders where id = $1`, id)
	w.expo.RefuseTicket(tokens[1], "")
	w.untilStatus(id, "sent")
	if first := <-asked; len(first) != 3 {
		t.Errorf("the first request was for %d phones", len(first))
	}
	for len(asked) > 0 {
		if again := <-asked; len(again) != 1 || again[0] != tokens[1] {
			t.Errorf("asked again for %d phones", len(again))
		}
	}
	w.same("deliveries", "accepted 3, accepted 1, failed 1", `select string_agg(format('%s %s', state, attempts), ', ' order by attempts desc, state) from (
		select case when state = 'delivered' then 'accepted' else state end as state, case when attempts > 2 then 3 else attempts end as attempts from reminder_worker.deliveries) d`)
}

// A receipt that asks for another push brings one, to that phone alone.
func TestReceiptAsksForAnotherPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, tokens := w.user(2)
	w.expo.RefuseReceipt(tokens[0], "ProviderError")
	id := w.planned(w.event(user, 30*time.Minute), 0)
	w.start()
	w.untilTrue(`retry_count >= 1 from reminders where id = $1`, id)
	w.expo.RefuseReceipt(tokens[0], "")
	w.untilTrue(`(select count(*) from reminder_worker.deliveries where state = 'delivered') = 2`)
	w.untilStatus(id, "sent")
	of := map[string]int{}
	for _, p := range w.pushesOf(id) {
		of[p.Token]++
	}
	if of[tokens[0]] < 2 || of[tokens[1]] != 1 {
		t.Errorf("pushes by phone: %v", of)
	}
	if n := len(w.expo.Shown(tokens[0])); n != 1 {
		t.Errorf("the phone shows %d", n)
	}
}

// Once the event has begun no receipt brings another push.
func TestReceiptComesTooLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, tokens := w.user(1)
	w.expo.RefuseReceipt(tokens[0], "ProviderError")
	w.cfg.ReceiptDelay = time.Second
	id := w.planned(w.event(user, time.Second), 0)
	w.start()
	w.untilTrue(`exists (select from reminder_worker.deliveries where state = 'failed')`)
	if got := w.reminder(id); got != "failed, 0 tries, no device took it: "+mask(tokens[0])+": expo: ProviderError" && len(w.pushesOf(id)) != 1 {
		t.Errorf("reminder is %s after %d pushes", got, len(w.pushesOf(id)))
	}
}

func mask(token string) string { return token[:len("ExponentPushToken[")+3] + "…]" }

// Receipts are asked for by whoever is there: after a restart, and after the death of the worker that was asking.
func TestReceiptsSurvive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.ReceiptDelay = 300 * time.Millisecond
	user, _ := w.user(1)
	w.herd(user, 700, 0) // three chunks of receipts
	w.expo.Fail(func(r expofake.Request) *expofake.Fault {
		if r.Endpoint != expofake.ReceiptsEndpoint {
			return nil
		}
		return expofake.Gateway()
	})
	first := w.sender()
	stop := w.run(context.Background(), first)
	first.Look(Window)
	w.untilTrue(`not exists (select from reminders where status <> 'sent')`)
	stop()
	w.same("settled before the restart", "0", `select count(*)::text from reminder_worker.deliveries where settled_at is not null`)

	// The next one dies while it asks.
	asked := make(chan struct{}, 100)
	w.expo.Fail(func(r expofake.Request) *expofake.Fault {
		if r.Endpoint != expofake.ReceiptsEndpoint {
			return nil
		}
		asked <- struct{}{}
		return &expofake.Fault{Accept: true, Delay: time.Hour}
	})
	dying := w.sender()
	ctx, kill := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- dying.Run(ctx, ctx) }()
	w.await("question for receipts", asked)
	kill()
	w.must(<-ended)
	w.expo.Fail(nil)

	w.start()
	w.untilTrue(`(select count(*) from reminder_worker.deliveries where state = 'delivered') = 700`)
	w.once(700)
}

// Without a receipt until the limit nobody knows, and nothing is sent again.
func TestNoReceiptIsNoReasonToSendAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *expofake.Config) { c.ReceiptDelay = time.Hour })
	w.cfg.ReceiptLimit = 300 * time.Millisecond
	user, _ := w.user(1)
	ids := []uuid.UUID{w.planned(w.event(user, 30*time.Minute), 0), w.own(user, 0)}
	s, _ := w.start()
	w.sweep(s)
	w.untilTrue(`(select count(*) from reminder_worker.deliveries where state = 'unknown' and receipt_due_at is null) = 2`)
	asked := w.expo.Counts().ReceiptRequests
	fence := w.own(user, 0)
	s.Look(Changes)
	w.untilStatus(fence, "sent")
	for _, id := range ids {
		if got := w.reminder(id); got != sentAtOnce || len(w.pushesOf(id)) != 1 {
			t.Errorf("reminder is %s after %d pushes", got, len(w.pushesOf(id)))
		}
	}
	if asked > 20 {
		t.Errorf("asked %d times", asked)
	}
}

// One word that a device is gone is not enough of a push near the limit of size, at which some services say so wrongly.
func TestLargePushAndDeviceGone(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]expofake.Place{"ticket": expofake.InTicket, "receipt": expofake.InReceipt} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *expofake.Config) { c.GoneIn = place })
			user, tokens := w.user(1)
			w.expo.Uninstall(tokens[0])
			large := func() uuid.UUID {
				return one[uuid.UUID](w, `update reminders set message = repeat('x', 4000) where id = $1 returning id`, w.own(user, 0))
			}
			id := large()
			s, _ := w.start()
			w.untilStatus(id, "failed")
			w.same("phone", "live", `select coalesce(retired_reason, 'live') from reminder_worker.push_devices`)
			id = large()
			s.Look(Changes)
			w.untilStatus(id, "failed")
			w.untilTrue(`retired_reason = 'Expo: DeviceNotRegistered' from reminder_worker.push_devices`)
		})
	}
}
