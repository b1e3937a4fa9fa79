package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/store"
)

// From the commit of a pause on nothing of its part is claimed, whoever asks; and what is not of it is.
func TestClaimsKeepToPauses(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user("ExponentPushToken[a]")
	b.exec(`select reminder_worker.put_google_account($1, 'token')`, user)
	waits := b.event(user, day)
	b.exec(`update events set sync_planned = sync_revision where id = $1`, waits)
	fresh := b.event(user, day)
	b.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) values ($1, $2, now(), 'Pack the violin')`, fresh, user)
	b.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, tombstoned_at, due_at) values (gen_random_uuid(), $1, 'g', now(), now())`, user)
	leaves := b.user()
	b.exec(`insert into reminder_worker.google_accounts (user_id, refresh_token, state, leave_due_at, leave_until) values ($1, 'token', 'leaving', now(), now() - interval '1 day')`, leaves)
	told := b.user()
	b.exec(`insert into reminder_worker.google_accounts (user_id, refresh_token, state, notice_due_at) values ($1, 'token', 'needs_reconnect', now())`, told)
	reminders := list[uuid.UUID](b, `select id from reminders`)

	for _, part := range []string{"calendar", "push"} {
		must[time.Time](t)(b.q.PausePart(b.ctx(), store.PausePartParams{Part: part, Reason: "trial"}))
	}
	// claims counts what each claim takes, and undoes it.
	claims := func() map[string]int {
		t.Helper()
		tx := must[pgx.Tx](t)(b.db.Pool.Begin(b.ctx()))
		defer func() { _ = tx.Rollback(b.ctx()) }()
		q := store.New(tx)
		events := must[[]store.ClaimEventsRow](t)(q.ClaimEvents(b.ctx(), store.ClaimEventsParams{
			MaxRows: 10, MaxCopies: 10, MaxBytes: 65536, LeaseMs: lease.Milliseconds(), NoteCopies: true, OwnGrants: true,
		}))
		found := map[string]int{
			"reminders": len(must[[]store.ClaimRemindersRow](t)(q.ClaimReminders(b.ctx(), store.ClaimRemindersParams{Ids: reminders, LeaseMs: lease.Milliseconds()}))),
			"removals":  len(must[[]store.ClaimRemovalsRow](t)(q.ClaimRemovals(b.ctx(), store.ClaimRemovalsParams{MaxRows: 10, LeaseMs: lease.Milliseconds()}))),
			"leavings":  len(must[[]store.ClaimLeavingsRow](t)(q.ClaimLeavings(b.ctx(), store.ClaimLeavingsParams{MaxRows: 10, MaxCopies: 10, LeaseMs: lease.Milliseconds()}))),
			"notices":   len(must[[]store.ClaimNoticesRow](t)(q.ClaimNotices(b.ctx(), store.ClaimNoticesParams{MaxRows: 10, LeaseMs: lease.Milliseconds()}))),
		}
		for _, e := range events {
			switch {
			case e.ID == waits:
				found["copies"]++
			case e.CalendarPaused && !e.Noted:
				found["plans, no copy noted"]++
			case !e.CalendarPaused && e.Noted:
				found["plans, copy noted"]++
			}
		}
		return found
	}
	same := func(when string, want map[string]int) {
		t.Helper()
		for kind, n := range claims() {
			if n != want[kind] {
				t.Errorf("%s: %d %s", when, n, kind)
			}
			delete(want, kind)
		}
		for kind := range want {
			t.Errorf("%s: no %s", when, kind)
		}
	}
	zero := func(m map[string]int) map[string]int {
		for _, kind := range []string{"reminders", "removals", "leavings", "notices"} {
			m[kind] += 0
		}
		return m
	}
	same("both paused", zero(map[string]int{"plans, no copy noted": 1}))
	if n := must[int64](t)(b.q.ResumePart(b.ctx(), "push")); n != 1 {
		t.Errorf("%d pauses ended", n)
	}
	same("calendars paused", zero(map[string]int{"plans, no copy noted": 1, "reminders": 1, "notices": 1}))
	if n := must[int64](t)(b.q.ResumePart(b.ctx(), "calendar")); n != 1 {
		t.Errorf("%d pauses ended", n)
	}
	if !ask[bool](b, `select leave_until > now() + interval '23 hours' from reminder_worker.google_accounts where user_id = $1`, leaves) {
		t.Error("who was leaving has no day for it")
	}
	same("none paused", zero(map[string]int{"plans, copy noted": 1, "copies": 1, "reminders": 1, "notices": 1, "removals": 1, "leavings": 1}))
	if n := must[int64](t)(b.q.ResumePart(b.ctx(), "calendar")); n != 0 {
		t.Errorf("%d pauses ended, and there was none", n)
	}
}

// What waits for Google only is not looked for while calendars are paused.
func TestNextDueWithoutCalendars(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user()
	b.event(user, day)
	b.exec(`update events set sync_planned = sync_revision`)
	b.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, tombstoned_at, due_at) values (gen_random_uuid(), $1, 'g', now(), now())`, user)
	if got := must[store.NextDueRow](t)(b.q.NextDue(b.ctx(), false)); got.EventsMs != 1e15 || got.RemovalsMs != 1e15 {
		t.Errorf("%+v", got)
	}
	if got := must[store.NextDueRow](t)(b.q.NextDue(b.ctx(), true)); got.EventsMs > 0 || got.RemovalsMs > 0 {
		t.Errorf("%+v", got)
	}
	b.event(user, day)
	if got := must[store.NextDueRow](t)(b.q.NextDue(b.ctx(), false)); got.EventsMs > 0 || got.RemovalsMs != 1e15 {
		t.Errorf("%+v", got)
	}
}

// A reason holds nothing of a single row, and is its own reason.
func TestReasonOf(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	for message, want := range map[string]string{
		"":                                       "no reason was given",
		"title is empty: give the event a title": "title is empty: give the event a title",
		"start_ts is in the year 3021: use a time between 1970 and 2199":                                                "start_ts is in the year N: use a time between N and N",
		"end_ts is 1 h 30 min before start_ts: an event ends after it begins":                                           "end_ts is N h N min before start_ts: an event ends after it begins",
		"google insert: status 403: forbidden: Forbidden. Give the account leave":                                       "google insert: status 403: forbidden: Forbidden. Give the account leave",
		"gave up after 100 attempts: google update: dial tcp 127.0.0.1:8090: connect: connection refused":               "gave up after N attempts: google update: dial tcp N: connect: connection refused",
		`google get: Get "https://www.googleapis.com/calendar/v3/calendars/primary/events/6e97?x=1": EOF`:               `google get: Get "…": EOF`,
		"calendar family1234567890abcdef@group.calendar.google.com is gone":                                             "calendar … is gone",
		"no event 6e97c90a-da80-4744-b576-c5cf4f0dd251, and none 6e97c90ada804744b576c5cf4f0dd251":                      "no event …, and none …",
		"no device took it: ExponentPushToken[abc…]: expo: MessageTooBig; ExponentPushToken[x-z…]: expo: MessageTooBig": "no device took it: a device: expo: MessageTooBig",
		"no device took it: 0a1…: expo: DeviceNotRegistered":                                                            "no device took it: a device: expo: DeviceNotRegistered",
		"two\nlines  and a\ttab": "two lines and a tab",
	} {
		got := must[string](t)(b.q.ReasonOf(b.ctx(), message))
		if got != want {
			t.Errorf("%q:\n%q, want\n%q", message, got, want)
		}
		if again := must[string](t)(b.q.ReasonOf(b.ctx(), got)); again != got {
			t.Errorf("%q is told as %q", got, again)
		}
	}
}
