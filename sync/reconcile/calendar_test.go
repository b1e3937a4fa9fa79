package reconcile

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// standing are the copies a user sees, each as calendar and title, the primary one as such.
func (w *world) standing(user uuid.UUID) []string {
	name := map[string]string{}
	for i, c := range w.google.Calendars(user.String()) {
		if name[c.ID] = c.Summary; i == 0 {
			name[c.ID] = "primary"
		}
	}
	var seen []string
	for _, e := range w.live(user) {
		seen = append(seen, name[e.Calendar]+": "+e.Summary)
	}
	slices.Sort(seen)
	return seen
}

// untilStanding waits until a user sees these copies and nothing is left to do.
func (w *world) untilStanding(user uuid.UUID, want ...string) {
	w.t.Helper()
	w.until(strings.Join(want, ", "), func() bool {
		return slices.Equal(w.standing(user), want) &&
			one[bool](w, `select not exists (select from events where sync_due_at is not null)
				and not exists (select from reminder_worker.calendar_copies where due_at is not null or target_calendar_id is not null)`)
	})
}

// choose is what a user chooses of one setting.
func (w *world) choose(user uuid.UUID, setting string, value any) {
	w.t.Helper()
	w.exec(`insert into notification_settings (user_id, `+setting+`) values ($1, $2) on conflict (user_id) do update set `+setting+` = excluded.`+setting, user, value)
}

// Copies move to the calendar that is chosen, with what the user has made of them, and on from there.
func TestAnotherCalendar(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	family := w.google.AddCalendar(user.String(), "Family")
	practice, swimming := w.event(user, "Practice"), w.event(user, "Swimming")
	w.untilStanding(user, "primary: Practice", "primary: Swimming")
	id := gcal.NewGoogleID(practice, 0)
	if err := w.google.UserEdit(user.String(), id, map[string]any{"description": "Ask Ben!", "colorId": "7"}); err != nil {
		t.Fatal(err)
	}

	w.google.ResetLog()
	w.choose(user, "google_calendar", family)
	w.untilStanding(user, "Family: Practice", "Family: Swimming")
	if got := w.asked(gcalfake.OpGet) + w.asked(gcalfake.OpInsert) + w.asked(gcalfake.OpDelete); got != 6 || len(w.google.Log()) != 6 {
		t.Errorf("Google was asked %v, want three requests for each copy", w.google.Log())
	}
	for _, e := range w.live(user) {
		if e.ID == id && (e.Description != "Ask Ben!" || e.Resource["colorId"] != "7") {
			t.Errorf("what the user has made of it is lost: %+v", e)
		}
	}

	w.exec(`update events set title = 'Final' where id = $1`, practice)
	w.untilStanding(user, "Family: Final", "Family: Swimming")
	w.exec(`delete from events where id = $1`, swimming)
	w.untilStanding(user, "Family: Final")
	w.choose(user, "google_calendar", nil)
	w.untilStanding(user, "primary: Final")
	w.choose(user, "google_calendar", user.String()) // which is the primary one
	w.untilStanding(user, "primary: Final")
	w.exec(`update events set status = 'cancelled'`)
	w.untilStanding(user)
}

// A calendar of their own is made for a user once, by two workers at work on many events, and used again when it is chosen again.
func TestCalendarIsMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	w.start()
	user := one[uuid.UUID](w, `insert into auth.users (email) values ('parent@example.org') returning id`)
	w.choose(user, "google_calendar_name", "The  Family")
	w.exec(`update notification_settings set time_zone = 'Europe/Berlin'`)
	w.events(user, 30)
	w.untilAll("scheduled")
	w.connect(user)
	w.untilAll("synced")
	w.wantCopies(user, 30)
	made := w.google.Calendars(user.String())
	if n := w.asked(gcalfake.OpCalendarInsert); n != 1 || len(made) != 2 || made[1].Summary != "The Family" || made[1].TimeZone != "Europe/Berlin" {
		t.Fatalf("made %d times: %+v", n, made)
	}
	for _, seen := range w.standing(user) {
		if !strings.HasPrefix(seen, "The Family: ") {
			t.Errorf("stands elsewhere: %s", seen)
		}
	}
	if id := one[string](w, `select calendar_id from reminder_worker.calendar_copies limit 1`); id != made[1].ID {
		t.Errorf("noted in %s", id)
	}
	w.choose(user, "google_calendar_name", nil)
	w.until("the primary calendar", func() bool { return strings.HasPrefix(strings.Join(w.standing(user), ""), "primary: ") })
	w.untilAll("synced")
	w.choose(user, "google_calendar_name", "Another name")
	w.until("the calendar of before", func() bool {
		seen := w.standing(user)
		return len(seen) == 30 && !slices.ContainsFunc(seen, func(s string) bool { return !strings.HasPrefix(s, "The Family: ") })
	})
	if n := w.asked(gcalfake.OpCalendarInsert); n != 1 {
		t.Errorf("made %d times", n)
	}
}

// A calendar may have been made although no answer came. It is found, if not at once, and used.
func TestCalendarIsMadeOnce(t *testing.T) {
	t.Parallel()
	for name, lists := range map[string]gcalfake.Rule{
		"found": nil, "looked for twice": gcalfake.Next(1, gcalfake.OpCalendarList, gcalfake.Status(503, "backendError")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cfg.CallTimeout, w.cfg.Lease = time.Second, time.Second
			user := w.user()
			w.choose(user, "google_calendar_name", "Family")
			w.google.Fail(gcalfake.Next(1, gcalfake.OpCalendarInsert, gcalfake.Fault{Lose: true}))
			if lists != nil {
				w.google.Fail(lists)
			}
			w.events(user, 3)
			w.start()
			w.untilStanding(user, "Family: Practice 1", "Family: Practice 2", "Family: Practice 3")
			if n := len(w.google.Calendars(user.String())); n != 2 {
				t.Errorf("%d calendars, want 2", n)
			}
		})
	}
}

// Where the consent does not cover the making of calendars the user is asked for another.
func TestCalendarMayNotBeMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.user()
	w.choose(user, "google_calendar_name", "Family")
	heal := w.google.Fail(gcalfake.Always(gcalfake.OpCalendarInsert, gcalfake.Status(403, "insufficientPermissions")))
	w.events(user, 3)
	w.start()
	w.untilAll("scheduled")
	if got := one[string](w, `select state || ' ' || reason from reminder_worker.google_accounts`); !strings.Contains(got, "needs_reconnect") || !strings.Contains(got, "insufficientPermissions") {
		t.Errorf("account: %s", got)
	}
	heal()
	w.connect(user)
	w.untilStanding(user, "Family: Practice 1", "Family: Practice 2", "Family: Practice 3")
	if n := w.asked(gcalfake.OpCalendarInsert); n != 2 {
		t.Errorf("asked %d times to make a calendar, want 2", n)
	}
}

// A calendar that was made and that the user has deleted is not made again by itself.
func TestMadeCalendarIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	w.choose(user, "google_calendar_name", "Family")
	practice := w.event(user, "Practice")
	w.untilStanding(user, "Family: Practice")
	if err := w.google.UserDropCalendar(user.String(), w.google.Calendars(user.String())[1].ID); err != nil {
		t.Fatal(err)
	}
	w.exec(`update events set title = 'Final' where id = $1`, practice)
	w.untilStatus(practice, "failed")
	w.google.ResetLog()
	w.events(user, 5)
	w.untilAll("failed")
	if n := len(w.google.Log()); n > 0 {
		t.Errorf("Google was asked %d times for a calendar that is gone", n)
	}
	if got := one[string](w, `select error_message from events where id <> $1 limit 1`, practice); !strings.Contains(got, "chooses a calendar again") {
		t.Errorf("says %s", got)
	}
	w.exec(`select set_config('request.jwt.claims', json_build_object('sub', $1::text)::text, false)`, user)
	if n := one[int](w, `select count(*)::int from reminders where status = 'pending'`); n != 18 {
		t.Errorf("%d reminders are pending, want 18", n)
	}

	w.choose(user, "google_calendar_name", "Family again")
	w.untilAll("synced")
	w.wantCopies(user, 6)
	if made := w.google.Calendars(user.String()); len(made) != 2 || made[1].Summary != "Family again" {
		t.Errorf("calendars %+v", made)
	}
}

// Whoever connects another Google account has the calendar made there, too, and all that is to come in it, even what was not written to the old one.
// It is theirs then: if they delete it, it is gone.
func TestMadeCalendarInAnotherGoogleAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	w.choose(user, "google_calendar_name", "Family")
	w.events(user, 3)
	w.untilStanding(user, "Family: Practice 1", "Family: Practice 2", "Family: Practice 3")

	const other = "other@example.org"
	w.exec(`select reminder_worker.put_google_account($1, $2)`, user, w.google.Grant(other))
	w.exec(`insert into events (user_id, title, start_ts) select $1, 'Swimming ' || n, now() + interval '2 days' from generate_series(1, 3) n`, user)
	w.until("all to stand there", func() bool {
		return len(w.google.Events(other)) == 6 && one[bool](w, `select not exists (select from events where status <> 'synced' or sync_due_at is not null)`)
	})
	calendars := w.google.Calendars(other)
	if len(calendars) != 2 || calendars[1].Summary != "Family" {
		t.Fatalf("calendars %+v", calendars)
	}
	for _, e := range w.google.Events(other) {
		if e.Calendar != calendars[1].ID {
			t.Errorf("%s stands in %s", e.Summary, e.Calendar)
		}
	}
	if n := w.asked(gcalfake.OpCalendarInsert); n != 2 {
		t.Errorf("made %d times", n)
	}

	if err := w.google.UserDropCalendar(other, calendars[1].ID); err != nil {
		t.Fatal(err)
	}
	w.exec(`update events set title = 'Final'`)
	w.untilAll("failed")
	w.untilTrue(`made_calendar_gone_at is not null and made_calendar_id is null from reminder_worker.google_accounts`)
}

// A new consent for the same Google account brings no calendar back that its user deletes, once something has been written to it. The next one
// does, and what had failed meanwhile is written.
func TestMadeCalendarIsGoneAfterReconnecting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	w.choose(user, "google_calendar_name", "Family")
	w.event(user, "Practice")
	w.untilStanding(user, "Family: Practice")
	w.connect(user)
	w.event(user, "Swimming")
	w.untilStanding(user, "Family: Practice", "Family: Swimming")
	if err := w.google.UserDropCalendar(user.String(), w.google.Calendars(user.String())[1].ID); err != nil {
		t.Fatal(err)
	}
	w.exec(`update events set title = title || '!'`)
	w.untilAll("failed")
	if n := w.asked(gcalfake.OpCalendarInsert); n != 1 {
		t.Errorf("made %d times", n)
	}
	w.connect(user)
	w.untilStanding(user, "Family: Practice!", "Family: Swimming!")
}

// A chosen calendar that is not there fails its events, and says so, and another choice takes them up.
func TestChosenCalendarIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	standing := w.event(user, "Practice")
	w.untilStanding(user, "primary: Practice")
	w.choose(user, "google_calendar", "gone@group.calendar.google.com")
	w.untilStatus(standing, "failed")
	w.events(user, 2)
	w.untilAll("failed")
	if got := one[string](w, `select error_message from events where id = $1`, standing); !strings.Contains(got, "Choose a calendar that exists") {
		t.Errorf("says %s", got)
	}
	w.wantCopies(user, 1) // it stays where it is
	w.choose(user, "google_calendar", w.google.AddCalendar(user.String(), "Family"))
	w.untilStanding(user, "Family: Practice", "Family: Practice 1", "Family: Practice 2")
}

// in makes a fault of one exchange with one calendar.
func in(calendar, op string, f gcalfake.Fault) gcalfake.Rule {
	return func(r gcalfake.Request) *gcalfake.Fault {
		if r.Op == op && r.Calendar == calendar {
			return &f
		}
		return nil
	}
}

// A chosen calendar that refuses us holds nobody up who thinks better of it.
func TestChosenCalendarRefuses(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"requiredAccessLevel", "insufficientPermissions"} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start()
			user := w.user()
			foreign := w.google.AddCalendar(user.String(), "Ben")
			w.google.Fail(in(foreign, gcalfake.OpInsert, gcalfake.Status(http.StatusForbidden, reason)))
			w.event(user, "Practice")
			w.untilStanding(user, "primary: Practice")
			w.choose(user, "google_calendar", foreign)
			if reason == "insufficientPermissions" { // of the consent, as Google says
				w.untilTrue(`state = 'needs_reconnect' from reminder_worker.google_accounts`)
			} else {
				w.untilAll("failed")
			}
			w.choose(user, "google_calendar", nil)
			w.connect(user)
			w.untilAll("synced")
			w.untilStanding(user, "primary: Practice")
			w.exec(`update events set title = 'Final'`)
			w.untilStanding(user, "primary: Final")
			if state := one[string](w, `select state from reminder_worker.google_accounts`); state != "connected" {
				t.Errorf("the account is %s", state)
			}
		})
	}
}

// The calendar that a copy is being moved from refuses to have it removed, and the event goes: it goes where it may.
func TestRemovedWhileMovingFromWhereItIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	family := w.google.AddCalendar(user.String(), "Family")
	w.event(user, "Practice")
	w.untilStanding(user, "primary: Practice")
	heal := w.google.Fail(in("primary", gcalfake.OpDelete, gcalfake.Status(503, "backendError")))
	w.choose(user, "google_calendar", family)
	w.until("both", func() bool { return len(w.live(user)) == 2 })
	w.google.Fail(in("primary", gcalfake.OpDelete, gcalfake.Status(http.StatusForbidden, "forbidden")))
	heal()
	w.exec(`delete from events`)
	w.until("the other is gone", func() bool { return slices.Equal(w.standing(user), []string{"primary: Practice"}) })
	w.untilTrue(`coalesce(error_message, '') like '%forbidden%' from reminder_worker.calendar_copies where tombstoned_at is not null`)
}

// An event is given to somebody who has consented with the same Google account: the old owner's copy and the new one's are one entry.
func TestGivenWithinOneGoogleAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	anna, ben := w.user(), one[uuid.UUID](w, `insert into auth.users default values returning id`)
	w.names[ben] = w.name(anna)
	w.connect(ben)
	w.event(anna, "Practice")
	w.untilStanding(anna, "primary: Practice")
	for _, owner := range []uuid.UUID{ben, anna, ben} {
		h := w.hold(gcalfake.OpDelete, anna)
		w.exec(`update events set user_id = $1`, owner)
		w.await("the removal", h.begun)
		w.untilTrue(`exists (select from reminder_worker.calendar_copies where user_id = $1 and tombstoned_at is null and etag <> '')`, owner)
		h.let()
		w.untilTrue(`not exists (select from reminder_worker.calendar_copies where tombstoned_at is not null)`)
		w.untilStanding(anna, "primary: Practice")
		w.untilAll("synced")
	}
}

// The same however the choice comes about: the whole row goes, or is there again. What is going on is written as well.
func TestFailedIsTakenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	w.choose(user, "google_calendar", "gone@group.calendar.google.com")
	w.exec(`insert into events (user_id, title, start_ts, end_ts) select $1, title, now() + start, now() + start + interval '1 hour'
		from (values ('Practice', interval '2 days'), ('Swimming', interval '-10 minutes')) as e (title, start)`, user)
	w.untilAll("failed")
	w.exec(`delete from notification_settings`)
	w.untilStanding(user, "primary: Practice", "primary: Swimming")
	w.exec(`update events set status = 'failed'`)
	w.choose(user, "google_calendar", w.google.AddCalendar(user.String(), "Family"))
	w.untilStanding(user, "Family: Practice", "Family: Swimming")
}

// Another calendar is chosen, or the event goes, while its copy is moving, and nobody knows how far it came.
func TestWhileMoving(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		then string
		want []string
	}{
		"chosen anew":      {`update notification_settings set google_calendar = 'SCHOOL'`, []string{"School: Practice"}},
		"chosen back":      {`update notification_settings set google_calendar = null`, []string{"primary: Practice"}},
		"turned off":       {`update notification_settings set calendar_enabled = false`, []string{"Family: Practice"}},
		"changed":          {`update events set title = 'Final'`, []string{"Family: Final"}},
		"cancelled":        {`update events set status = 'cancelled'`, nil},
		"deleted":          {`delete from events`, nil},
		"given to another": {`update events set user_id = 'OTHER'`, nil},
		"left":             {`update reminder_worker.google_accounts set state = 'leaving', leave_due_at = now(), leave_until = now() + interval '1 day', leave_copies = true where user_id = 'USER'`, nil},
	} {
		for _, op := range []string{gcalfake.OpInsert, gcalfake.OpDelete} {
			for _, lost := range []bool{true, false} {
				t.Run(name+", at "+op+", lost "+strconv.FormatBool(lost), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t)
					w.start()
					user, other := w.user(), one[uuid.UUID](w, `insert into auth.users default values returning id`)
					family, school := w.google.AddCalendar(user.String(), "Family"), w.google.AddCalendar(user.String(), "School")
					w.event(user, "Practice")
					w.untilStanding(user, "primary: Practice")
					then := strings.NewReplacer("SCHOOL", school, "OTHER", other.String(), "USER", user.String()).Replace(tt.then)
					h := w.hold(op, user)
					if lost {
						w.google.Fail(gcalfake.Next(1, op, gcalfake.Fault{Lose: true}))
					}
					w.choose(user, "google_calendar", family)
					w.await("the request", h.begun)
					w.exec(then)
					h.let()
					w.untilStanding(user, tt.want...)
				})
			}
		}
	}
}

// An event that was cancelled and is wanted again is written under the id and moved from the calendar of a copy that could not be removed meanwhile.
func TestRestoredElsewhere(t *testing.T) {
	t.Parallel()
	for name, foreign := range map[string]bool{"our id": false, "an older service's id": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start()
			user := w.user()
			family := w.google.AddCalendar(user.String(), "Family")
			event := w.event(user, "Practice")
			w.untilStanding(user, "primary: Practice")
			if foreign {
				id, err := w.google.UserInsert(user.String(), map[string]any{
					"summary": "Practice", "start": map[string]any{"dateTime": "2035-01-02T10:00:00Z"}, "end": map[string]any{"dateTime": "2035-01-02T11:00:00Z"},
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := w.google.UserDelete(user.String(), gcal.NewGoogleID(event, 0)); err != nil {
					t.Fatal(err)
				}
				w.exec(`update reminder_worker.calendar_copies set google_event_id = $1, etag = '', content_hash = ''`, id)
			}
			heal := w.google.Fail(gcalfake.Always(gcalfake.OpDelete, gcalfake.Status(503, "backendError")))
			w.exec(`update events set status = 'cancelled'`)
			w.untilTrue(`attempts > 0 and tombstoned_at is not null from reminder_worker.calendar_copies`)
			w.choose(user, "google_calendar", family)
			w.exec(`update events set status = 'pending'`)
			w.untilTrue(`tombstoned_at is null and target_calendar_id is not null from reminder_worker.calendar_copies`)
			heal()
			w.untilStanding(user, "Family: Practice")
		})
	}
}

// Google's own alerts are as the user chooses.
func TestGoogleAlerts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	w.event(user, "Practice")
	w.untilStanding(user, "primary: Practice")
	for _, on := range []bool{true, false} {
		w.choose(user, "google_alerts", on)
		w.until("alerts", func() bool {
			reminders, _ := w.live(user)[0].Resource["reminders"].(map[string]any)
			return reminders["useDefault"] == on
		})
	}
}

// A copy of whole days shows no time, and a description that is too long is cut.
func TestContentOfCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start()
	user := w.user()
	w.choose(user, "time_zone", "America/New_York")
	w.exec(`insert into events (user_id, title, start_ts, end_ts, prep_items) values ($1, 'School trip', timestamptz '2035-06-15 00:00-04', timestamptz '2035-06-17 00:00-04',
		array(select repeat('ü', 500) from generate_series(1, 40)))`, user)
	w.untilStanding(user, "primary: School trip")
	e := w.live(user)[0]
	start, _ := e.Resource["start"].(map[string]any)
	end, _ := e.Resource["end"].(map[string]any)
	if start["date"] != "2035-06-15" || end["date"] != "2035-06-17" {
		t.Errorf("from %v to %v", start, end)
	}
	if n := len([]rune(e.Description)); n != maxDescription || !strings.HasSuffix(e.Description, "…") {
		t.Errorf("the description has %d characters", n)
	}
}
