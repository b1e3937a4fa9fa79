package notify

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sql/store"
)

// cutOff is a user whose consent has ended, with so many phones, of which a running sender hears at once: what is to be arranged for them is done
// before.
func (w *world) cutOff(phones int, before ...func(tokens []string)) (id uuid.UUID, tokens []string) {
	w.t.Helper()
	id, tokens = w.user(phones)
	for _, arrange := range before {
		arrange(tokens)
	}
	w.exec(`insert into reminder_worker.google_accounts (user_id, refresh_token, state, notice_due_at) values ($1, 'gone', 'needs_reconnect', now())`, id)
	return id, tokens
}

// told is how a user's notice stands.
func (w *world) told(user uuid.UUID) string {
	w.t.Helper()
	return one[string](w, `select concat_ws(', ', case when noticed_at is not null then 'told' else 'not told' end,
		case when notice_due_at is null then 'done' when notice_lease > now() then 'claimed' when notice_due_at > now() + interval '20 minutes' then 'much later' when notice_due_at > now() then 'later' else 'due' end,
		notice_attempts || ' tries', notice_error) from reminder_worker.google_accounts where user_id = $1`, user)
}

func (w *world) untilTold(s *Sender, user uuid.UUID, want string) {
	w.t.Helper()
	w.until(want, func() bool {
		s.Look(Overdue)
		return strings.HasPrefix(w.told(user), want)
	})
}

// Each of the user's phones is told, in the user's language, once: the push has words and a name of its own, and data that the app can act on.
func TestUserIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, tokens := w.cutOff(2)
	other, _ := w.user(1)
	w.exec(`insert into reminder_worker.google_accounts (user_id, refresh_token) values ($1, 'good')`, other)
	w.exec(`insert into notification_settings (user_id, locale) values ($1, 'de')`, user)
	s, _ := w.start()
	w.untilTold(s, user, "told, done, 1 tries")
	id := w.own(user, 0)
	s.Look(Overdue)
	w.untilStatus(id, "sent")
	var got []string
	for _, p := range w.expo.Pushes() {
		if p.CollapseID == id.String() {
			continue
		}
		got = append(got, p.Token)
		if p.Title != "Google Kalender ist getrennt" || p.CollapseID != "reconnect-"+user.String() || p.Tag != p.CollapseID || string(p.Data) != `{"kind":"reconnect_google_calendar"}` {
			t.Errorf("push %+v", p)
		}
		if left := time.Until(time.Unix(p.Expiration, 0)); left < 71*time.Hour || left > 72*time.Hour {
			t.Errorf("expires in %s", left)
		}
	}
	slices.Sort(got)
	slices.Sort(tokens)
	if !slices.Equal(got, tokens) {
		t.Errorf("told %v, want %v", got, tokens)
	}
}

// Who does not want pushes, has no phone, sleeps, or has connected again is not told, or not now.
func TestUserIsNotTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	mute, _ := w.cutOff(1)
	w.exec(`insert into notification_settings (user_id, push_enabled) values ($1, false)`, mute)
	none, _ := w.cutOff(0)
	asleep, _ := w.cutOff(1)
	w.exec(`insert into notification_settings (user_id, time_zone, quiet_from, quiet_until)
		values ($1, 'UTC', (now() at time zone 'UTC' - interval '1 hour')::time, (now() at time zone 'UTC' + interval '1 hour')::time)`, asleep)
	back, _ := w.cutOff(1)
	w.exec(`select reminder_worker.put_google_account($1, 'new')`, back)
	off, _ := w.cutOff(1)
	w.exec(`update reminder_worker.google_accounts set state = 'off' where user_id = $1`, off)
	without, _ := w.cutOff(1)
	w.exec(`insert into notification_settings (user_id, calendar_enabled) values ($1, false)`, without)
	s, _ := w.start()
	w.untilTold(s, mute, "not told, done, 1 tries, push is turned off in the user's settings")
	w.untilTold(s, none, "not told, done, 1 tries, no device: the user has no push token registered")
	w.untilTold(s, asleep, "not told, much later, 0 tries")
	w.untilTold(s, back, "not told, done, 0 tries")
	w.untilTold(s, off, "not told, done, 0 tries")
	w.untilTold(s, without, "not told, done, 1 tries, the calendar is turned off in the user's settings")
	if n := w.expo.Counts().Requests; n != 0 {
		t.Errorf("%d requests to Expo", n)
	}
}

// What Expo refuses for the time being is offered again, longer each time, and in the end given up; what says nothing about the notice uses no
// attempt: an outage, a refused access token, a quota that is used up. A phone that is gone is retired, and does not keep the others from being told;
// what is refused together is told one by one.
func TestNoticesAreTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Jitter = func(d time.Duration) time.Duration { return d }
	user, tokens := w.cutOff(1)
	w.expo.Fail(func(expofake.Request) *expofake.Fault { return expofake.Status(502, "") })
	s, _ := w.start()
	w.untilTold(s, user, "not told, later, 0 tries, expo: status 502")
	again := func(user uuid.UUID) {
		w.exec(`update reminder_worker.google_accounts set notice_due_at = now() where user_id = $1`, user)
	}
	for fault, words := range map[*expofake.Fault]string{
		expofake.Status(503, "no healthy upstream"): "expo: status 503", expofake.BadAccessToken(): "expo: status 401", expofake.Drop(): "expo: ",
	} {
		w.expo.Fail(func(expofake.Request) *expofake.Fault { return fault })
		again(user)
		w.untilTold(s, user, "not told, later, 0 tries, "+words)
		if left, _ := s.Paused(); left != 0 {
			t.Error("the sender rests for a notice")
		}
	}
	w.expo.Fail(nil)
	w.expo.RefuseTicket(tokens[0], "ExpoError")
	for n := 1; n < maxNotices; n++ {
		wait := "later"
		if n > 3 {
			wait = "much later"
		}
		again(user)
		w.untilTold(s, user, fmt.Sprintf("not told, %s, %d tries, ExponentPushToken[", wait, n))
	}
	again(user)
	w.untilTold(s, user, fmt.Sprintf("not told, done, %d tries, ExponentPushToken[", maxNotices))

	unregistered := func(tokens []string) { w.expo.RefuseTicket(tokens[0], "DeviceNotRegistered") }
	gone, tokens := w.cutOff(2, unregistered)
	w.untilTold(s, gone, "told, done, 1 tries, ExponentPushToken[")
	alone, last := w.cutOff(1, unregistered)
	w.untilTold(s, alone, "not told, done, 1 tries, ExponentPushToken[")
	w.same("retired", "2", `select count(*)::text from reminder_worker.push_devices where retired_reason = 'Expo: DeviceNotRegistered' and token = any ($1)`, append(last, tokens[0]))

	var all []uuid.UUID
	for range 4 {
		user, _ := w.cutOff(1)
		all = append(all, user)
	}
	refused, _ := w.cutOff(1, func(tokens []string) {
		w.expo.Fail(func(r expofake.Request) *expofake.Fault {
			if slices.Contains(r.Tokens, tokens[0]) {
				return expofake.Refuse(400, "VALIDATION_ERROR")
			}
			return nil
		})
	})
	all = append(all, refused)
	for i, user := range all {
		want := "told, done, 1 tries"
		if i == len(all)-1 {
			want = "not told, later, 1 tries, expo: status 400"
		}
		w.untilTold(s, user, want)
	}
}

// Many whose access is back do not hide those who are to be told.
func TestStaleNotices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`with u as (insert into auth.users (email) select 'parent@example.org' from generate_series(1, $1) returning id)
		insert into reminder_worker.google_accounts (user_id, refresh_token, notice_due_at) select id, 'back', now() - interval '1 hour' from u`, 2*noticeBatch+10)
	user, _ := w.cutOff(1)
	s := w.sender()
	if err := s.drainNotices(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := w.told(user); got != "told, done, 1 tries" {
		t.Errorf("notice: %s", got)
	}
	w.same("still due", "0", `select count(*)::text from reminder_worker.google_accounts where notice_due_at is not null`)
}

// A worker that dies between the claim and the record leaves the notice to its lease; what it had sent is folded by the phone.
func TestNoticeOfADeadWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, tokens := w.cutOff(1)
	dead := w.sender()
	rows, err := dead.db.ClaimNotices(t.Context(), store.ClaimNoticesParams{MaxRows: noticeBatch, LeaseMs: 300})
	if err != nil || len(rows) != 1 {
		t.Fatalf("%d claimed, %v", len(rows), err)
	}
	pushes, _ := dead.address(0, rows[0])
	if _, err := dead.expo.Send(t.Context(), []expo.Message{pushes[0].message}); err != nil {
		t.Fatal(err)
	}
	s, _ := w.start()
	w.untilTold(s, user, "told, done, 2 tries")
	if err := dead.recordNotices(t.Context(), rows, []notice{{wait: time.Minute}}); err != nil { // it wakes up
		t.Fatal(err)
	}
	if got := w.told(user); got != "told, done, 2 tries" {
		t.Errorf("after the result of a claim that was over: %s", got)
	}
	if n := len(w.expo.Shown(tokens[0])); n != 1 {
		t.Errorf("the phone shows %d", n)
	}
}
