package store_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// What a calendar of ours that is not there tells depends on whose consent there is now, and on what has become of it meanwhile.
func TestLoseCalendars(t *testing.T) {
	t.Parallel()
	const renewed = `update reminder_worker.google_accounts set connected_at = now() + interval '1 second'; `
	for name, tt := range map[string]struct {
		before string
		want   string // of the account, and of the event whose copy stands in the calendar
		again  bool   // what could not be written is to be tried again
	}{
		"under the consent it was made with": {``, "gone synced", false},
		"under another":                      {renewed, "to be made pending", true},
		"under another, and written to since": {
			renewed + `update reminder_worker.calendar_copies set created_at = now() + interval '1 minute'`, "gone synced", false,
		},
		"under another, and not yet written to": {
			renewed + `update reminder_worker.calendar_copies set created_at = now() + interval '1 minute', etag = ''`, "to be made pending", true,
		},
		"another takes its place": {`update reminder_worker.google_accounts set made_calendar_id = null`, "to be made synced", true},
		"another has taken it":    {`update reminder_worker.google_accounts set made_calendar_id = 'another'`, "another synced", true},
		"known to be gone":        {`update reminder_worker.google_accounts set made_calendar_id = null, made_calendar_gone_at = now()`, "gone synced", false},
		"the user's own": {
			`update reminder_worker.google_accounts set made_calendar_id = null; update notification_settings set google_calendar = 'family'`, "to be made synced", false,
		},
		"the user chose another": {
			`update reminder_worker.google_accounts set made_calendar_id = null; update notification_settings set google_calendar = 'school'`, "to be made synced", true,
		},
		"the primary one": {
			`update reminder_worker.google_accounts set made_calendar_id = null, calendar_id = 'family'; update notification_settings set google_calendar_name = null`,
			"to be made synced", false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBase(t)
			user := b.parent()
			b.exec(`insert into notification_settings (user_id, google_calendar_name) values ($1, 'Family')`, user)
			b.exec(`update reminder_worker.google_accounts set made_calendar_id = 'family', made_calendar_consent = connected_at`)
			event := b.event(user, day)
			b.record(synced("synced", b.copied()))
			b.exec(`update reminder_worker.calendar_copies set calendar_id = 'family'`)
			b.exec(tt.before)
			b.exec(`update events set status = 'synced' where id = $1`, event) // as before the choice
			p := store.LoseCalendarsParams{UserIds: []uuid.UUID{user, user}, CalendarIds: []string{"family", "family"}}
			if again := len(must[[]store.LoseCalendarsRow](t)(b.q.LoseCalendars(t.Context(), p))) == 1; again != tt.again {
				t.Errorf("to be tried again: %v", again)
			}
			b.same("account and event", tt.want, ask[string](b, `select coalesce(a.made_calendar_id, case when a.made_calendar_gone_at is null then 'to be made' else 'gone' end)
				|| ' ' || e.status from reminder_worker.google_accounts a join events e on e.user_id = a.user_id`))
		})
	}
}

// While somebody is at the account nothing is concluded, and the event is not given up.
func TestLoseCalendarsOfAHeldAccount(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.parent()
	b.exec(`insert into notification_settings (user_id, google_calendar_name) values ($1, 'Family')`, user)
	b.exec(`update reminder_worker.google_accounts set made_calendar_id = 'family', made_calendar_consent = connected_at`)
	in(t, b.begin(), `select from reminder_worker.google_accounts for update`)
	rows := must[[]store.LoseCalendarsRow](t)(b.q.LoseCalendars(t.Context(), store.LoseCalendarsParams{UserIds: []uuid.UUID{user}, CalendarIds: []string{"family"}}))
	b.same("to be tried again", []store.LoseCalendarsRow{{UserID: user, CalendarID: "family"}}, rows)
	b.same("made", "family", ask[string](b, `select made_calendar_id from reminder_worker.google_accounts`))
}
