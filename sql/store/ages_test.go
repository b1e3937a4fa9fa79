package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parentpal/reminder-worker/sql/store"
)

func TestOldestDue(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	is := func(when string, want store.OldestDueRow) {
		t.Helper()
		got := must[store.OldestDueRow](t)(b.q.OldestDue(t.Context()))
		if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 300), cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(time.Hour)); diff != "" { // the test may take minutes
			t.Errorf("%s: %s", when, diff)
		}
	}
	is("nothing is there", store.OldestDueRow{})
	user := b.user()
	id := b.event(user, day)
	b.exec(`update events set sync_due_at = null`)
	b.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) values ($1, $2, now() + interval '1 day', 'Field 3')`, id, user)
	b.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id) values ($1, $2, 'g')`, id, user)
	b.exec(`insert into reminder_worker.deliveries (reminder_id, token, state, sent_at, lateness_ms) select id, 'ExponentPushToken[one]', 'accepted', now(), 3 from reminders`)
	is("nothing is due", store.OldestDueRow{})

	const hour = 3600
	b.exec(`update events set sync_due_at = now() - interval '1 hour'`)
	is("an event is", store.OldestDueRow{Event: hour})
	b.exec(`update events set sync_planned = sync_revision`)
	is("a copy is", store.OldestDueRow{Copy: hour})
	b.exec(`update reminder_worker.calendar_copies set tombstoned_at = now(), due_at = now() - interval '2 hours'`)
	b.exec(`update reminders set notify_at_ts = now() - interval '3 hours'`)
	b.exec(`update reminder_worker.deliveries set receipt_due_at = now() - interval '4 hours'`)
	is("all but an event are", store.OldestDueRow{Copy: hour, Removal: 2 * hour, Reminder: 3 * hour, Receipt: 4 * hour})
	b.exec(`update reminders set next_attempt_at = now() + interval '1 hour'`)
	b.exec(`update events set sync_due_at = 'infinity'`)
	b.exec(`update reminder_worker.calendar_copies set due_at = 'infinity'`)
	b.exec(`update reminder_worker.deliveries set receipt_due_at = null`)
	is("all are put off", store.OldestDueRow{})
	b.exec(`insert into reminder_worker.pauses (part, reason) values ('push', 'a trial'), ('calendar', '')`)
	is("all is paused", store.OldestDueRow{Paused: []string{"calendar", "push"}, PausedSince: repeat(time.Now(), 2), PauseReasons: []string{"", "a trial"}})
	b.exec(`update events set sync_due_at = '-infinity', sync_planned = null`)
	if got := must[store.OldestDueRow](t)(b.q.OldestDue(t.Context())); got.Event < 1e9 {
		t.Errorf("due since ever: %+v", got)
	}
}
