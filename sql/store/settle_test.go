package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// accepted claims one due reminder, of an event that begins in an hour, of a user with two devices, and records that Expo has taken both.
func (b *base) accepted() store.ClaimRemindersRow {
	b.t.Helper()
	row := b.sending()
	b.push(new(pushed).reminder(row, "sent").to(row, phone, "accepted", false).to(row, tablet, "accepted", false))
	return row
}

// stand is how a reminder and its deliveries stand.
func (b *base) stand(id uuid.UUID) []string {
	b.t.Helper()
	return append(list[string](b, `select concat_ws(' ', status, retry_count, error_message) from reminders where id = $1`, id),
		list[string](b, `select concat_ws(' ', token, state, error_code, receipt_due_at is null) from reminder_worker.deliveries where reminder_id = $1 order by token`, id)...)
}

func TestReceiptsDecideAboutReminders(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before  string // run before the verdicts come
		verdict func(store.ClaimRemindersRow, *verdicts)
		want    []string
		due     bool // the reminder is answered as due again
	}{
		"one of two is owed again": {
			verdict: func(r store.ClaimRemindersRow, v *verdicts) {
				v.on(r, phone, "retry", "ProviderError").on(r, tablet, "delivered", "")
			},
			want: []string{"pending 1 " + phone + " ProviderError", phone + " retry ProviderError t", tablet + " delivered t"}, due: true,
		},
		"through a fault of ours": {
			verdict: func(r store.ClaimRemindersRow, v *verdicts) { v.on(r, phone, "retry", "InvalidCredentials") },
			want:    []string{"pending 0 " + phone + " InvalidCredentials", phone + " retry InvalidCredentials t", tablet + " accepted f"}, due: true,
		},
		"all attempts are used": {
			before:  `update reminders set retry_count = 4`,
			verdict: func(r store.ClaimRemindersRow, v *verdicts) { v.on(r, phone, "retry", "ProviderError") },
			want:    []string{"sent 4", phone + " failed ProviderError t", tablet + " accepted f"},
		},
		"all attempts are used, on both": {
			before: `update reminders set retry_count = 4`,
			verdict: func(r store.ClaimRemindersRow, v *verdicts) {
				v.on(r, phone, "retry", "ProviderError").on(r, tablet, "failed", "DeviceNotRegistered")
			},
			want: []string{"failed 4 no device took it: " + phone + " ProviderError; " + tablet + " DeviceNotRegistered", phone + " failed ProviderError t", tablet + " failed DeviceNotRegistered t"},
		},
		"a fault of ours is outlasted": {
			before:  `update reminders set retry_count = 4`,
			verdict: func(r store.ClaimRemindersRow, v *verdicts) { v.on(r, phone, "retry", "InvalidCredentials") },
			want:    []string{"pending 4 " + phone + " InvalidCredentials", phone + " retry InvalidCredentials t", tablet + " accepted f"}, due: true,
		},
		"the event has begun": {
			before:  `set session_replication_role = replica; update events set start_ts = now() - interval '1 second'`,
			verdict: func(r store.ClaimRemindersRow, v *verdicts) { v.on(r, phone, "retry", "InvalidCredentials") },
			want:    []string{"sent 0", phone + " failed InvalidCredentials t", tablet + " accepted f"},
		},
		"it is being sent at the moment": {
			before:  `update reminders set status = 'sending', next_attempt_at = now() + interval '1 minute'`,
			verdict: func(r store.ClaimRemindersRow, v *verdicts) { v.on(r, phone, "retry", "ProviderError") },
			want:    []string{"sending 0", phone + " accepted f", tablet + " accepted f"},
		},
		"it is pending for the other already": {
			before:  `update reminders set status = 'pending', retry_count = 1, next_attempt_at = now() + interval '1 minute'`,
			verdict: func(r store.ClaimRemindersRow, v *verdicts) { v.on(r, phone, "retry", "ProviderError") },
			want:    []string{"pending 1", phone + " retry ProviderError t", tablet + " accepted f"},
		},
		"the app has put it away": {
			before:  `update reminders set status = 'cancelled'`,
			verdict: func(r store.ClaimRemindersRow, v *verdicts) { v.on(r, phone, "retry", "ProviderError") },
			want:    []string{"cancelled 0", phone + " failed ProviderError t", tablet + " accepted f"},
		},
		"both are unknown": {
			verdict: func(r store.ClaimRemindersRow, v *verdicts) {
				v.on(r, phone, "unknown", "").on(r, tablet, "unknown", "")
			},
			want: []string{"sent 0", phone + " unknown t", tablet + " unknown t"},
		},
		"one has failed before": {
			before:  `update reminder_worker.deliveries set state = 'failed', receipt_due_at = null where token = '` + tablet + `'`,
			verdict: func(r store.ClaimRemindersRow, v *verdicts) { v.on(r, phone, "failed", "MessageTooBig") },
			want:    []string{"failed 0 no device took it: " + phone + " MessageTooBig", phone + " failed MessageTooBig t", tablet + " failed t"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBase(t)
			row := b.accepted()
			if c.before != "" {
				if _, err := b.db.Connect(t).Exec(t.Context(), c.before); err != nil {
					t.Fatal(err)
				}
			}
			v := new(verdicts)
			c.verdict(row, v)
			due := false
			for _, s := range b.settle(v) {
				due = due || s.DueAt.After(time.Unix(0, 0))
			}
			if diff := cmp.Diff(c.want, b.stand(row.ID)); diff != "" || due != c.due {
				t.Errorf("due again %v, want %v (-want +got):\n%s", due, c.due, diff)
			}
		})
	}
}

// What is owed again goes to that device alone, and counts as another attempt on it.
func TestOwedAgainGoesToOneDevice(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	row := b.accepted()
	b.settle(new(verdicts).on(row, phone, "retry", "ProviderError"))
	row = b.claimReminders(row.ID)[row.ID]
	if diff := cmp.Diff([]string{phone}, row.Tokens); diff != "" || !row.SentBefore || row.RetryCount != 1 {
		t.Errorf("claimed %+v (-want +got):\n%s", row, diff)
	}
	b.push(new(pushed).reminder(row, "sent").to(row, phone, "accepted", false))
	if got := ask[int](b, `select attempts from reminder_worker.deliveries where token = $1`, phone); got != 2 {
		t.Errorf("%d attempts on the phone, want 2", got)
	}
	if diff := cmp.Diff([]string{"sent 1", phone + " accepted f", tablet + " accepted f"}, b.stand(row.ID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A device that has refused for good is left out of further attempts, until it is registered again.
func TestRefusedForGoodIsLeftOut(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	row := b.sending()
	b.push(new(pushed).reminder(row, "pending").to(row, phone, "failed", false).to(row, tablet, "retry", false))
	again := b.claimReminders(row.ID)[row.ID]
	if diff := cmp.Diff([]string{tablet}, again.Tokens); diff != "" {
		t.Errorf("addressed (-want +got):\n%s", diff)
	}
	b.push(new(pushed).reminder(again, "pending").to(again, tablet, "retry", false))
	b.exec(`select reminder_worker.put_push_device(user_id, token, 'ios') from reminder_worker.push_devices where token = $1`, phone)
	if diff := cmp.Diff([]string{tablet, phone}, b.claimReminders(row.ID)[row.ID].Tokens); diff != "" {
		t.Errorf("addressed after the phone was registered again (-want +got):\n%s", diff)
	}
}

// When nobody is left to be asked, the reminder says what the last device said.
func TestNobodyLeftToAsk(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	row := b.sending()
	p := new(pushed).reminder(row, "pending").to(row, phone, "failed", false).to(row, tablet, "failed", false)
	p.PushErrors[1] = "it said no"
	p.PushSentAts[1] = time.Now().Add(time.Second)
	b.push(p)
	if got := b.claimReminders(row.ID)[row.ID].Status; got != "failed" {
		t.Errorf("status %s", got)
	}
	if _, reason := b.statusOf(row.ID); reason != "no device took it: it said no" {
		t.Errorf("reason %q", reason)
	}
}

// Projects are learned, and devices of another are told with the next claim.
func TestProjectsAreRemembered(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	row := b.sending()
	p := new(pushed).reminder(row, "pending").to(row, phone, "retry", false).to(row, tablet, "retry", false)
	p.Projects[1] = "@other/app"
	b.push(p)
	again := b.claimReminders(row.ID)[row.ID]
	if diff := cmp.Diff([]string{"", "@other/app"}, again.Projects); diff != "" {
		t.Errorf("projects (-want +got):\n%s", diff)
	}
}

// What the user has chosen holds at the claim.
func TestClaimKeepsSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ change, status, reason string }{
		"nothing chosen":   {`select`, "sending", ""},
		"push is off":      {`insert into notification_settings (user_id, push_enabled) select id, false from auth.users`, "skipped", "push is turned off in the user's settings"},
		"push is on":       {`insert into notification_settings (user_id, push_enabled) select id, true from auth.users`, "sending", ""},
		"dismissed":        {`update events set dismissed_for_ts = start_ts`, "skipped", "dismissed by the user"},
		"dismissed before": {`update events set dismissed_for_ts = start_ts - interval '1 hour'`, "sending", ""},
		"put off, begun": {`set session_replication_role = replica; update reminders set plan_revision = null, snoozed_from = id; update events set start_ts = now() - interval '2 hours'`,
			"expired", "the event had begun before the reminder could be sent"},
		"the app's, for after the start": {`set session_replication_role = replica; update reminders set plan_revision = null; update events set start_ts = now() - interval '2 hours'`, "sending", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBase(t)
			_, ids := b.overdue(b.user(phone), time.Minute)
			if _, err := b.db.Connect(t).Exec(t.Context(), c.change); err != nil {
				t.Fatal(err)
			}
			got := b.claimReminders(ids...)[ids[0]].Status
			if _, reason := b.statusOf(ids[0]); got != c.status || reason != c.reason {
				t.Errorf("%s, %q, want %s, %q", got, reason, c.status, c.reason)
			}
		})
	}
}

func TestClaimTellsSettings(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	_, ids := b.overdue(b.user(phone), time.Minute)
	b.exec(`insert into notification_settings (user_id, quiet_from, quiet_until, time_zone, locale, hour_cycle) select id, '22:30:59', '24:00', 'Asia/Kolkata', 'de', 'h12' from auth.users`)
	b.exec(`update events set push_data = '{"url": "a"}', location = 'Field 3', prep_items = '{cleats,"",water}'`)
	row := b.claimReminders(ids...)[ids[0]]
	if row.QuietFrom != 22*60+30 || row.QuietUntil != 0 || row.TimeZone != "Asia/Kolkata" || row.Locale != "de" || row.HourCycle != "h12" {
		t.Errorf("settings %+v", row)
	}
	if row.Data != `{"url": "a"}` || row.Location != "Field 3" || len(row.PrepItems) != 2 || !row.HasStart || row.HasEnd {
		t.Errorf("event %+v", row)
	}
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user(phone)
	event := b.eventAt(user, startOf(hour))
	before, after, snoozed, never := b.custom(event, user, 0), b.custom(event, user, 2*hour), b.custom(event, user, 3*hour), b.custom(event, user, time.Minute)
	b.exec(`update reminders set snoozed_from = id where id = $1`, snoozed)
	b.exec(`update reminders set notify_at_ts = 'infinity' where id = $1`, never)
	got := map[uuid.UUID]time.Time{}
	for _, r := range must[[]store.DeadlinesRow](t)(b.q.Deadlines(t.Context(), []uuid.UUID{before, after, snoozed, never, uuid.New()})) {
		got[r.ID] = r.Deadline
	}
	start := ask[time.Time](b, `select start_ts from events`)
	if len(got) != 3 || !got[before].Equal(start) || !got[snoozed].Equal(start) || !got[after].After(start.Add(24*time.Hour)) {
		t.Errorf("deadlines %v of an event at %s", got, start)
	}
}
