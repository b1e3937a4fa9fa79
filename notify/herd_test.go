package notify

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
)

// full asks for the long versions of tests.
const full = "REMINDER_WORKER_TEST_FULL"

// TestMixedHerd: ten thousand families are to be reminded at one instant. One phone in a hundred is dead, one reminder in a hundred has far
// more text than a phone takes, one in a hundred is too big for Apple all the same, one token in each batch is of another Expo project, and
// one answer in twenty is lost after Expo has taken the request. Whatever can be delivered is, and what comes twice replaces itself.
func TestMixedHerd(t *testing.T) {
	t.Parallel()
	families, rate := 2000, 0
	if os.Getenv(full) != "" {
		families, rate = 10_000, 600
	}
	w := newWorld(t, func(c *expofake.Config) { c.Rate, c.Weigh = rate, true })
	w.quota.Allowed = rate
	w.cfg.ReceiptDelay = time.Second
	w.families(families)
	dead, large, foreign := w.every(100, 10), w.every(100, 30), w.every(100, 50)
	w.expo.Uninstall(dead...)
	for _, token := range large {
		w.expo.RefuseReceipt(token, "MessageTooBig")
	}
	w.expo.Assign("@other/app", foreign...)
	w.expo.Fail(expofake.Every(expofake.SendEndpoint, 20, expofake.GatewayAfter()))
	s, _ := w.start()
	w.sweep(s)
	w.untilTrue(`not exists (select from reminders where status in ('pending', 'sending')) and not exists (
		select from reminder_worker.deliveries where state in ('accepted', 'retry'))`)

	w.same("reminders", fmt.Sprintf("failed %d, sent %d", len(dead)+len(large), families-len(dead)-len(large)),
		`select string_agg(format('%s %s', status, n), ', ' order by status) from (select status, count(*) as n from reminders group by status) s`)
	// A reminder that happens to be alone in two requests whose answers are lost, while others go through, uses an attempt.
	w.same("more than two attempts used", "0", `select count(*)::text from reminders where retry_count > 2`)
	w.same("devices retired", fmt.Sprintf("%d by DeviceNotRegistered", len(dead)),
		`select string_agg(format('%s by %s', n, reason), ', ') from (select count(*) as n, replace(retired_reason, 'Expo: ', '') as reason
			from reminder_worker.push_devices where retired_at is not null group by 2) s`)
	w.same("deliveries", fmt.Sprintf("delivered %d, failed %d", families-len(dead)-len(large), len(dead)+len(large)),
		`select string_agg(format('%s %s', state, n), ', ' order by state) from (select state, count(*) as n from reminder_worker.deliveries group by state) s`)
	shown := 0
	of := map[string]string{} // the collapse id by token
	for _, p := range w.expo.Pushes() {
		if was, found := of[p.Token]; found && was != p.CollapseID || p.Tag != p.CollapseID {
			t.Fatalf("pushes of different reminders on one phone: %s, %s", was, p.CollapseID)
		}
		of[p.Token] = p.CollapseID
		if p.Size > 4096 {
			t.Fatalf("a push of %d bytes", p.Size)
		}
	}
	for token := range of {
		shown += len(w.expo.Shown(token))
	}
	if shown != families-len(dead)-len(large) {
		t.Errorf("%d reminders are shown, want %d", shown, families-len(dead)-len(large))
	}
	t.Logf("%d families, %d dead, %d too big, %d of another project\n%s", families, len(dead), len(large), len(foreign), w.expo.Report())
}

// families makes n users with a phone each, an event that begins in half an hour, and a reminder of it that is due in a second. One in a
// hundred has very much to bring.
func (w *world) families(n int) {
	w.t.Helper()
	w.exec(`with u as (
			insert into auth.users (id, email) select md5('user' || n)::uuid, n || '@example.org' from generate_series(1, $1) n returning id
		), d as (
			insert into reminder_worker.push_devices (user_id, token) select md5('user' || n)::uuid, format('ExponentPushToken[family-%s]', n) from generate_series(1, $1) n
		)
		insert into events (id, user_id, title, location, start_ts, status)
		select md5('event' || n)::uuid, md5('user' || n)::uuid, 'Practice', case when n % 100 = 70 then repeat('🏟 Field ' || n || ' ', 200) else 'Field ' || n end, now() + interval '30 minutes', 'synced'
		from generate_series(1, $1) n`, n)
	// In order of their numbers, so that one in a hundred is one in each batch.
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message, plan_revision, planned_for_ts, lead_seconds)
		select e.id, e.user_id, clock_timestamp() + interval '1 second' + n * interval '1 microsecond', '', 1, e.start_ts, 1800
		from generate_series(1, $1) n join events e on e.id = md5('event' || n)::uuid`, n)
}

// every are the tokens of the families whose number is one of so many, counted from first.
func (w *world) every(of, first int) (tokens []string) {
	w.t.Helper()
	n := one[int](w, `select count(*)::int from auth.users`)
	for ; first <= n; first += of {
		tokens = append(tokens, fmt.Sprintf("ExponentPushToken[family-%d]", first))
	}
	return tokens
}

// same compares the one text that a query answers.
func (w *world) same(what, want, sql string, args ...any) {
	w.t.Helper()
	if got := one[string](w, sql, args...); got != want {
		w.t.Errorf("%s: %s, want %s", what, got, want)
	}
}
