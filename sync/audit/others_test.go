package audit

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// sharing makes a user whose Google account is another's.
func (w *world) sharing(with uuid.UUID) uuid.UUID {
	w.t.Helper()
	id := w.stranger()
	w.exec(`select reminder_worker.put_google_account($1, $2)`, id, w.google.Grant(with.String()))
	return id
}

// stranger makes a user without a calendar.
func (w *world) stranger() uuid.UUID {
	w.t.Helper()
	return one[uuid.UUID](w, `insert into auth.users (email) values ('ben@example.org') returning id`)
}

// entry makes one in a user's primary calendar that carries the private properties of an event, and returns its id.
func (w *world) entry(user, event uuid.UUID) string {
	w.t.Helper()
	at := time.Now().Add(50 * time.Hour)
	id, err := w.google.UserInsert(user.String(), map[string]any{
		"summary": "Practice again", "start": map[string]any{"dateTime": at.Format(time.RFC3339)}, "end": map[string]any{"dateTime": at.Add(time.Hour).Format(time.RFC3339)},
		"extendedProperties": map[string]any{"private": map[string]any{"reminder_worker_event": event.String(), "reminder_worker_hash": "v1:x"}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) stands(user uuid.UUID, id string) bool {
	return slices.ContainsFunc(w.live(user), func(e gcalfake.Event) bool { return e.ID == id })
}

// Both parents have connected one Google account, or chosen one calendar: what is the other's is in order.
func TestOneGoogleAccountOfTwoUsers(t *testing.T) {
	t.Parallel()
	for _, family := range []bool{false, true} {
		t.Run(map[bool]string{false: "the primary calendar", true: "one that each has chosen"}[family], func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			anna := w.user()
			ben := w.sharing(anna)
			if family {
				w.exec(`insert into notification_settings (user_id, google_calendar) select unnest($1::uuid[]), $2`, []uuid.UUID{anna, ben}, w.google.AddCalendar(anna.String(), "Family"))
			}
			for range 2 {
				w.event(anna)
				w.event(ben)
			}
			w.served()
			for range 2 {
				wantFound(t, "shared", w.audit(Scope{Google: true, Repair: true, Serve: w.serve}), map[Kind]int{})
			}
			w.exec(`update events set sync_due_at = now() + interval '1 hour', status = 'pending' where user_id = $1`, ben) // about to be written again
			wantFound(t, "while one is served", w.audit(Scope{Google: true, Repair: true}), map[Kind]int{})
			if n := len(w.live(anna)); n != 4 {
				t.Errorf("%d copies are left of 4", n)
			}
		})
	}
}

// A twin beside the other's copy is told once, of whom it is, and the copies stay.
func TestTwinInASharedCalendar(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	ben := w.sharing(anna)
	w.event(anna)
	event := w.event(ben)
	w.served()
	twin := w.entry(anna, event)
	wantFound(t, "of another", w.audit(Scope{Google: true, User: anna, Repair: true, Serve: w.serve}), map[Kind]int{})
	wantFound(t, "of all", w.audit(Scope{Google: true, Repair: true, Serve: w.serve}), map[Kind]int{CopyTwin: 1})
	if w.stands(anna, twin) || len(w.live(anna)) != 2 {
		t.Errorf("left is %+v", w.live(anna))
	}
}

// What may be somebody else's is told and stays, whatever a repair is asked for; what this database knows to be nobody's goes.
func TestEntriesOfOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		of   func(w *world, anna, ben uuid.UUID) uuid.UUID
		want Kind
	}{
		{"another database's", func(*world, uuid.UUID, uuid.UUID) uuid.UUID { return uuid.New() }, CopyUnclaimed},
		{"of another user, who has a copy", func(w *world, _, ben uuid.UUID) uuid.UUID { return w.event(ben) }, CopyUnclaimed},
		{"of another user, who has no calendar", func(w *world, _, _ uuid.UUID) uuid.UUID { return w.event(w.stranger()) }, CopyOrphaned},
		{"of another user's that is cancelled", func(w *world, _, ben uuid.UUID) uuid.UUID {
			id := w.event(ben)
			w.exec(`update events set status = 'cancelled' where id = $1`, id)
			return id
		}, CopyOrphaned},
		{"of one that is cancelled", func(w *world, anna, _ uuid.UUID) uuid.UUID {
			id := w.event(anna)
			w.exec(`update events set status = 'cancelled' where id = $1`, id)
			return id
		}, CopyOrphaned},
		{"of one that is gone, whose copy is to be removed when the user connects again", func(w *world, _, _ uuid.UUID) uuid.UUID {
			id := uuid.New()
			w.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, tombstoned_at) values ($1, $2, 'another', now())`, id, w.stranger())
			return id
		}, CopyOrphaned},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			anna, ben := w.user(), w.user()
			event := c.of(w, anna, ben)
			w.served()
			id := w.entry(anna, event)
			report := w.audit(Scope{Google: true, Repair: true, Serve: w.serve})
			wantFound(t, "found", report, map[Kind]int{c.want: 1})
			left := map[Kind]int{}
			if c.want == CopyUnclaimed {
				left = map[Kind]int{CopyUnclaimed: 1}
			}
			if report.Left() != len(left) || w.stands(anna, id) != (len(left) > 0) {
				t.Errorf("%d findings left, the entry stands: %v", report.Left(), w.stands(anna, id))
			}
			wantFound(t, "after a repair", w.audit(Scope{Google: true, Repair: true, Serve: w.serve}), left)
		})
	}
}

// What the other user has meanwhile come to call theirs is not removed, neither when it is looked at again nor by the statement.
func TestAnotherUsersCopyBetweenTheLooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna, ben := w.user(), w.stranger()
	event := w.event(ben)
	w.served()
	id := w.entry(anna, event)
	r := &run{Auditor: w.auditor(), scope: Scope{Google: true, Repair: true}}
	rows, err := r.accounts(t.Context(), uuid.Nil, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := r.readAccount(t.Context(), row); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.suspects) != 1 || r.suspects[0].Kind != CopyOrphaned {
		t.Fatalf("suspects %+v", r.suspects)
	}
	w.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id) values ($1, $2, $3)`, event, ben, id)
	found := []Finding{r.suspects[0].Finding}
	if err := r.confirm(t.Context()); err != nil || len(r.report.byKind) > 0 {
		t.Errorf("confirmed %+v: %v", r.report.byKind, err)
	}
	if err := r.removeEntries(t.Context(), found); err != nil || found[0].Repaired {
		t.Errorf("removed: %v, %v", found[0].Repaired, err)
	}
	if one[bool](w, `select exists (select from reminder_worker.calendar_copies where tombstoned_at is not null)`) {
		t.Error("it is to be removed")
	}
}

// A twin that is to be removed becomes the copy when the user chooses its calendar before that: then it stays.
func TestTwinThatBecomesTheCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	event := w.event(anna)
	family := w.google.AddCalendar(anna.String(), "Family")
	w.exec(`update reminder_worker.google_accounts set calendar_id = $1`, family)
	w.served()
	w.exec(`delete from reminder_worker.calendar_copies`)
	w.exec(`update reminder_worker.google_accounts set calendar_id = 'primary'`)
	w.exec(`update events set status = 'pending'`)
	w.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, calendar_id) values ($1, $2, 'left', $3)`, uuid.New(), anna, family) // so that it is read
	w.served()
	w.audit(Scope{Google: true, Repair: true})
	const twins = ` from reminder_worker.calendar_copies where entry_of is not null`
	if n := one[int](w, `select count(*)`+twins); n != 1 {
		t.Fatalf("%d twins are to be removed", n)
	}
	w.exec(`update reminder_worker.calendar_copies set due_at = now() + interval '1 hour' where tombstoned_at is not null`) // a pause of the account, for instance
	w.exec(`insert into notification_settings (user_id, google_calendar) values ($1, $2)`, anna, family)
	w.served()
	w.exec(`update reminder_worker.calendar_copies set due_at = now() where tombstoned_at is not null`)
	w.served()
	if n := one[int](w, `select count(*)`+twins); n != 0 {
		t.Errorf("%d twins are still to be removed", n)
	}
	if left := w.live(anna); len(left) != 1 || left[0].Calendar != family || left[0].ID != gcal.NewGoogleID(event, 0) {
		t.Errorf("left is %+v", left)
	}
	wantFound(t, "after that", w.audit(Scope{Google: true}), map[Kind]int{})
}

// A changed time of a copy that the user repeats is theirs.
func TestChangedTimeOfARepeatedCopyStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	id := gcal.NewGoogleID(w.event(anna), 0)
	w.served()
	if err := w.google.UserEdit(anna.String(), id, map[string]any{"recurrence": []any{"RRULE:FREQ=WEEKLY"}}); err != nil {
		t.Fatal(err)
	}
	changed, err := w.google.UserEditTime(anna.String(), id, time.Now().AddDate(0, 0, 9), map[string]any{"location": "the other field"})
	if err != nil {
		t.Fatal(err)
	}
	wantFound(t, "repeated", w.audit(Scope{Google: true, Repair: true, Serve: w.serve}), map[Kind]int{CopyEdited: 1})
	if !w.stands(anna, changed) || !w.stands(anna, id) {
		t.Errorf("left is %+v", w.live(anna))
	}
}

// A copy that the user deleted before they chose another calendar has no entry anywhere, and stays deleted.
func TestDeletedAndThenMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	event := w.event(anna)
	w.served()
	if err := w.google.UserDelete(anna.String(), gcal.NewGoogleID(event, 0)); err != nil {
		t.Fatal(err)
	}
	w.exec(`insert into notification_settings (user_id, google_calendar) values ($1, $2)`, anna, w.google.AddCalendar(anna.String(), "Family"))
	w.served()
	for range 2 {
		wantFound(t, "deleted", w.audit(Scope{Google: true, Repair: true, Serve: w.serve}), map[Kind]int{CopyDeleted: 1})
		if n := len(w.live(anna)); n != 0 {
			t.Fatalf("%d entries where the user wants none", n)
		}
	}
}

// The calendar that a copy is on its way to is read as well, and the copy that is about to be there is no twin.
func TestCalendarThatACopyIsOnItsWayTo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	event := w.event(anna)
	w.served()
	family := w.google.AddCalendar(anna.String(), "Family")
	w.exec(`insert into notification_settings (user_id, google_calendar) values ($1, $2)`, anna, family)
	w.served()
	// Recorded as it was before the move, whose end nobody has noted; and the user writes to the primary calendar again.
	w.exec(`update reminder_worker.calendar_copies set calendar_id = 'primary', target_calendar_id = $1`, family)
	w.exec(`alter table notification_settings disable trigger user`)
	w.exec(`delete from notification_settings`)
	w.exec(`alter table notification_settings enable trigger user`)
	twin := w.entry(anna, event)
	row, err := w.auditor().db.AccountToRead(t.Context(), anna)
	if err != nil || len(row) != 1 || !slices.Contains(calendarsOf(store.AccountsPageRow(row[0])), family) {
		t.Fatalf("the account is read as %+v: %v", row, err)
	}
	// Served to the end of the move, and moved back then; the entry in the primary calendar is seen beside it at last.
	for range 4 {
		w.audit(Scope{Google: true, Repair: true, Serve: w.serve})
	}
	wantFound(t, "in the end", w.audit(Scope{Google: true}), map[Kind]int{})
	if left := w.live(anna); len(left) != 1 || w.stands(anna, twin) && left[0].ID != twin {
		t.Errorf("left is %+v", left)
	}
}

// Of several entries that may be the copy, the one is that a move has made whose end nobody has noted.
func TestMoveThatHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anna := w.user()
	event := w.event(anna)
	w.served()
	w.entry(anna, event)
	family := w.google.AddCalendar(anna.String(), "Family")
	w.exec(`insert into notification_settings (user_id, google_calendar) values ($1, $2)`, anna, family)
	w.served()
	w.exec(`update reminder_worker.calendar_copies set calendar_id = 'primary', target_calendar_id = $1`, family)
	r := &run{Auditor: w.auditor(), scope: Scope{Google: true, Repair: true}}
	rows, err := r.accounts(t.Context(), uuid.Nil, 1)
	if err == nil {
		err = errors.Join(r.readAccount(t.Context(), rows[0]), r.confirm(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := r.report.byKind[CopyMisnamed]; got == nil || got.Examples[0].CalendarID != family || !got.Examples[0].Repaired {
		t.Errorf("found %+v", got)
	}
	if got := one[string](w, `select concat_ws(' ', calendar_id, google_event_id, target_calendar_id, target_event_id) from reminder_worker.calendar_copies`); got != family+" "+gcal.NewGoogleID(event, 0) {
		t.Errorf("recorded is %s", got)
	}
	w.served()
	wantFound(t, "named", w.audit(Scope{Google: true}), map[Kind]int{})
}
