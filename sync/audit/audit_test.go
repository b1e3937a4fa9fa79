package audit

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

func TestKindsAreListedOnce(t *testing.T) {
	t.Parallel()
	seen := map[Kind]bool{}
	for _, k := range Kinds() {
		if seen[k] || k.Info() && k.Repair() != "" {
			t.Errorf("%s is listed twice, or is no fault and repaired all the same", k)
		}
		seen[k] = true
	}
	for _, k := range []migrations.FaultKind{migrations.TriggerMissing, migrations.TriggerDisabled, migrations.TriggerChanged, migrations.FunctionChanged} {
		if !seen[Kind(k)] {
			t.Errorf("%s is not listed", k)
		}
	}
}

func TestConfigReportsAllFaults(t *testing.T) {
	t.Parallel()
	err := Config{Grace: -1, Interval: -1}.Validate()
	for _, word := range []string{"page 0", "grace -1ns", "overdue 0s", "past 0s", "interval -1ns", "min pause 0s", "batch 0"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v lacks %q", err, word)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

// What the app and its users want otherwise than planned, and what was never served, is in order.
func TestWhatOthersHaveDoneIsInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.user(), one[uuid.UUID](w, `insert into auth.users (email) values ('ben@example.org') returning id`)
	snoozed, dismissed, withdrawn, custom, moved, late := w.event(anna), w.event(anna), w.event(anna), w.event(anna), w.event(anna), w.event(anna)
	w.event(ben) // has no calendar
	w.exec(`insert into notification_settings (user_id, quiet_from, quiet_until, reminder_minutes) values ($1, '21:00', '07:00', '{5,300}')`, anna)
	w.served()
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, snoozed_from) select event_id, user_id, now() + interval '1 hour', id from reminders where event_id = $1 limit 1`, snoozed)
	w.exec(`update reminders set status = 'skipped', error_message = 'put off by the user until later' where id in (select snoozed_from from reminders)`)
	w.exec(`update events set dismissed_for_ts = start_ts, dismissed_at = now() where id = $1`, dismissed)
	w.exec(`update reminders set status = 'skipped', error_message = 'dismissed by the user' where event_id = $1`, dismissed)
	w.exec(`update reminders set status = 'cancelled' where event_id = $1`, withdrawn)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) select id, user_id, start_ts - interval '42 minutes', 'mine' from events where id = $1`, custom)
	w.exec(`update events set start_ts = start_ts + interval '1 day' where id = $1`, moved)
	w.served()
	// One that was sent, and one that nobody could be told of.
	w.exec(`update reminders set status = 'sent', sent_at_ts = now() where event_id = $1 and lead_seconds = 300`, late)
	w.exec(`update reminders set status = 'failed', error_message = 'no device' where event_id = $1 and lead_seconds <> 300`, late)
	// What an older service has done, an import, a draft; and a state of the app's own.
	w.exec(`insert into events (user_id, title, start_ts, status, google_calendar_id) select $1, s, now() + interval '3 days', s, 'older'
		from unnest('{synced,failed,cancelled,draft}'::text[]) s`, anna)
	w.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, written_at) select id, user_id, 'older', now() from events where google_calendar_id = 'older'`)
	// A calendar that is turned off keeps what is there.
	w.exec(`update notification_settings set calendar_enabled = false where user_id = $1`, anna)
	w.served()
	wantFound(t, "in order", w.audit(Scope{Google: true}), map[Kind]int{})
}

func TestAccountsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.user(), w.user()
	w.event(anna)
	w.event(ben)
	w.served()
	w.google.Fail(gcalfake.ForUser(anna.String(), gcalfake.Always(gcalfake.OpList, gcalfake.Status(http.StatusServiceUnavailable, "backendError"))))
	w.exec(`update reminder_worker.calendar_copies set calendar_id = 'gone@group.calendar.google.com' where user_id = $1`, ben)
	w.exec(`update reminder_worker.google_accounts set calendar_id = 'gone@group.calendar.google.com' where user_id = $1`, ben)
	report := w.audit(Scope{Google: true, Repair: true})
	wantFound(t, "unread", report, map[Kind]int{AccountNotRead: 2})
	if report.Left() != 2 || one[int](w, `select count(*) from reminder_worker.google_accounts where state = 'connected' and audited_at is null`) != 2 {
		t.Errorf("%d findings left; want 2, and nobody marked for them", report.Left())
	}
	w.google.Heal()
	w.exec(`update reminder_worker.google_accounts set state = 'needs_reconnect' where user_id = $1`, anna)
	w.exec(`update reminder_worker.google_accounts set paused_until = now() + interval '1 hour' where user_id = $1`, ben)
	wantFound(t, "parked and paused", w.audit(Scope{Google: true}), map[Kind]int{})
}

// A delegated account is read for an address that its user has confirmed, and for no other.
func TestAddressThatIsTheUsersNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const domain = "example.org"
	w.exec(`alter table auth.users add column email_confirmed_at timestamptz default now()`)
	w.employ(domain)
	anna := one[uuid.UUID](w, `insert into auth.users (email) values ('Anna@example.org') returning id`)
	w.google.AddUser("anna@example.org")
	w.event(anna)
	w.served()
	read := func() int {
		before := w.google.Count(gcalfake.OpList, http.StatusOK)
		wantFound(t, "delegated", w.audit(Scope{Google: true}), map[Kind]int{})
		return w.google.Count(gcalfake.OpList, http.StatusOK) - before
	}
	if n := read(); n != 1 {
		t.Fatalf("%d calendars read, want 1", n)
	}
	for _, change := range []string{`update auth.users set email_confirmed_at = null`, `update auth.users set email_confirmed_at = now(), email = 'else@example.org'`} {
		if w.exec(change); read() != 0 {
			t.Errorf("read after %s", change)
		}
	}
}

// A quota that is used up for long is not waited for: the account is told, and neither it nor the next one is asked for any further.
func TestQuotaThatIsUsedUpForLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, _ := w.user(), w.user()
	w.event(anna)
	w.served()
	w.exec(`update reminder_worker.calendar_copies set target_calendar_id = $1`, w.google.AddCalendar(anna.String(), "Family"))
	w.google.Fail(gcalfake.Always(gcalfake.OpList, gcalfake.Status(http.StatusForbidden, "dailyLimitExceeded")))
	w.google.ResetLog()
	report := w.audit(Scope{Google: true})
	if got := sumOf(report, AccountNotRead); got.Found != 2 || !strings.Contains(got.Examples[0].Detail, "the rest of the account was not looked at") {
		t.Errorf("found %+v", got)
	}
	asked := slices.DeleteFunc(w.google.Log(), func(r gcalfake.Record) bool { return r.Op != gcalfake.OpList })
	if len(asked) != 1 {
		t.Errorf("Google was asked for %d calendars", len(asked))
	}
	// One that has room soon is waited for.
	w.google.Heal()
	w.exec(`update reminder_worker.calendar_copies set target_calendar_id = null`)
	soon := gcalfake.Status(http.StatusForbidden, "dailyLimitExceeded")
	soon.RetryAfter = time.Second
	w.google.Fail(gcalfake.Next(1, gcalfake.OpList, soon))
	wantFound(t, "soon", w.audit(Scope{Google: true}), map[Kind]int{})
}

// The fault of our own registration is nobody's finding.
func TestOurOwnFaultEndsTheAudit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.user()
	w.google.Fail(gcalfake.Always(gcalfake.OpList, gcalfake.Status(http.StatusForbidden, "accessNotConfigured")))
	report, err := w.auditor().Audit(t.Context(), Scope{Google: true})
	if err == nil || len(report.Sums) > 0 {
		t.Errorf("error %v, found %+v", err, report.Sums)
	}
}

func TestOneUserOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.user(), w.user()
	for _, user := range []uuid.UUID{anna, ben} {
		w.event(user)
		w.event(user)
	}
	w.served()
	w.exec(`delete from reminders where lead_seconds = 1800`)
	report := w.audit(Scope{User: ben, Google: true})
	wantFound(t, "one of two", report, map[Kind]int{ReminderMissing: 2})
	if l := report.Looked; l.Events != 2 || l.Copies != 2 || l.Accounts != 1 {
		t.Errorf("looked at %+v", l)
	}
}

// A calendar may have two names. What stands in it is no twin of itself.
func TestOneCalendarUnderTwoNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	w.event(anna)
	w.event(anna)
	w.served()
	w.exec(`update reminder_worker.google_accounts set calendar_id = $1`, anna.String())
	w.exec(`update reminder_worker.calendar_copies set calendar_id = $1 where event_id in (select event_id from reminder_worker.calendar_copies limit 1)`, anna.String())
	report := w.audit(Scope{Google: true, Repair: true, Serve: w.serve})
	wantFound(t, "under two names", report, map[Kind]int{CopyOutdated: 1}) // it is to stand there by the name that the account has now
	wantFound(t, "by one name", w.audit(Scope{Google: true}), map[Kind]int{})
	if n := len(w.live(anna)); n != 2 {
		t.Errorf("%d entries are left", n)
	}
}

// A twin in another calendar, with the very same id, goes, and the copy stays.
func TestTwinInAnotherCalendar(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	event, past := w.event(anna), w.event(anna)
	other := w.google.AddCalendar(anna.String(), "Family")
	w.exec(`update reminder_worker.google_accounts set calendar_id = $1`, other)
	w.served()
	// Written anew into the primary calendar, and forgotten in the other, where the copy of one stands that is over.
	w.exec(`delete from reminder_worker.calendar_copies where event_id = $1`, event)
	w.exec(`update reminder_worker.google_accounts set calendar_id = 'primary'`)
	w.exec(`alter table events disable trigger user`)
	w.exec(`update events set start_ts = now() - interval '1 day', end_ts = now() - interval '23 hours' where id = $1`, past)
	w.exec(`delete from reminders where event_id = $1`, past)
	w.exec(`alter table events enable trigger user`)
	w.exec(`update events set status = 'pending' where id = $1`, event)
	w.served()
	wantFound(t, "dry", w.audit(Scope{Google: true}), map[Kind]int{CopyTwin: 1})
	wantFound(t, "repair", w.audit(Scope{Google: true, Repair: true, Serve: w.serve}), map[Kind]int{CopyTwin: 1})
	wantFound(t, "repaired", w.audit(Scope{Google: true}), map[Kind]int{})
	left := slices.DeleteFunc(w.live(anna), func(e gcalfake.Event) bool { return e.ID == gcal.NewGoogleID(past, 0) })
	if len(left) != 1 || left[0].Calendar == other || left[0].ID != gcal.NewGoogleID(event, 0) {
		t.Errorf("left is %+v", left)
	}
}

// A copy that the user has deleted is remembered as such when Google has forgotten it.
func TestDeletedByTheUserForGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	event := w.event(anna)
	w.served()
	if err := w.google.UserDelete(anna.String(), gcal.NewGoogleID(event, 0)); err != nil {
		t.Fatal(err)
	}
	wantFound(t, "deleted", w.audit(Scope{Google: true, Repair: true, Serve: w.serve}), map[Kind]int{CopyDeleted: 1})
	if err := w.google.Purge(anna.String(), gcal.NewGoogleID(event, 0)); err != nil {
		t.Fatal(err)
	}
	wantFound(t, "forgotten", w.audit(Scope{Google: true, Repair: true, Serve: w.serve}), map[Kind]int{CopyUnaccounted: 1})
	if n := len(w.live(anna)); n != 0 {
		t.Errorf("%d entries where the user wants none", n)
	}
	w.exec(`update events set title = 'Match'`)
	w.served()
	wantFound(t, "changed since", w.audit(Scope{Google: true}), map[Kind]int{})
	if n := len(w.live(anna)); n != 1 {
		t.Errorf("%d entries after a change, want 1", n)
	}
}

// What changes between the two looks is none of the audit's.
func TestWhatChangesMeanwhileIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	w.event(anna)
	w.served()
	w.exec(`delete from reminders where lead_seconds = 1800`)
	r := &run{Auditor: w.auditor(), scope: Scope{Repair: true}}
	found, err := r.lookAtEvents(t.Context(), []uuid.UUID{one[uuid.UUID](w, `select id from events`)})
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v: %v", found, err)
	}
	w.exec(`update events set title = 'Match'`)
	if standing, err := twice(eventOf, 10, r.lookAtEvents)(t.Context(), found); err != nil || len(standing) > 0 {
		t.Errorf("pending: %v, %v", standing, err)
	}
	if err := r.conclude(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	if found[0].Repaired {
		t.Error("an event that has changed was repaired at the revision before")
	}
}
