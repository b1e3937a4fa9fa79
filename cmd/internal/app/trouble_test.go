package app

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// A large import into slow calendars does not keep another user's reminders from being planned.
func TestPlanningDoesNotWaitForCalendars(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	users := w.crowd(60)
	w.google.Fail(gcalfake.Always(gcalfake.OpInsert, gcalfake.Fault{Delay: 300 * time.Millisecond}))
	w.start()
	const events = 3000 // at 32 calls at once they take Google half a minute
	w.exec(`insert into events (user_id, title, start_ts)
		select ($1::uuid[])[1 + n % 60], 'Import ' || n, now() + interval '3 days' from generate_series(1, $2) n`, users, events)
	w.until("import begun", func() bool { return w.google.Count(gcalfake.OpInsert, http.StatusOK) > 0 })
	other, _ := w.user()
	event := w.event(other, "Dentist", 2*time.Hour)
	w.until("its reminders", func() bool {
		return one[int](w, `select count(*)::int from reminders where event_id = $1`, event) == 3
	})
	if written := w.google.Count(gcalfake.OpInsert, http.StatusOK); written > events/2 {
		t.Errorf("%d of %d copies of the import were written first", written, events)
	}
}

// An event that was written in time while nobody served is reminded of late; only what was past when it was written is skipped.
func TestLateIsSentNotSkipped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user()
	event := w.event(user, "Recital", 30*time.Minute-time.Minute)
	w.exec(`update events set sync_changed_at = now() - interval '2 minutes' where id = $1`, event) // written before the reminder was due
	w.start()
	w.until("late push", func() bool { return len(w.expo.Pushes()) == 1 })
	w.until("sent", func() bool {
		return one[string](w, `select string_agg(lead_seconds || ' ' || status, ', ' order by lead_seconds) from reminders where event_id = $1`, event) ==
			"1800 sent, 10800 skipped, 86400 skipped"
	})
}

// A row that refuses every update, here by a constraint it has violated since before, is left alone; the others are served.
func TestRowThatCannotBeUpdated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user()
	bad := w.event(user, "Refuses", 48*time.Hour)
	w.exec(`alter table events add constraint titles check (title <> 'Refuses') not valid`)
	w.start()
	for _, title := range []string{"First", "Second"} {
		w.untilStatus(w.event(user, title, 48*time.Hour), "synced")
	}
	if got := one[string](w, `select status from events where id = $1`, bad); got != "pending" {
		t.Errorf("the row is %s", got)
	}
}

// An event of a user who is not there fails and says so.
func TestEventOfNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`alter table events drop constraint events_user_id_fkey`) // as an older app may have it
	w.start()
	event := w.event(uuid.New(), "Ghost", 48*time.Hour)
	w.untilStatus(event, "failed")
	if says := one[string](w, `select error_message from events where id = $1`, event); says != "user_id is no user of auth.users: give the event a user that is there" {
		t.Errorf("error_message %q", says)
	}
}

// The user connects again while Google refuses the old grant: the event does not stay behind.
func TestReconnectDuringCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user()
	w.google.RevokeUser(user.String())
	asked := make(chan struct{})
	var once sync.Once
	w.google.Fail(func(r gcalfake.Request) *gcalfake.Fault {
		if r.Op == gcalfake.OpToken {
			once.Do(func() { close(asked) })
			return &gcalfake.Fault{Delay: 300 * time.Millisecond}
		}
		return nil
	})
	w.start()
	event := w.event(user, "Choir", 48*time.Hour)
	<-asked
	w.exec(`select reminder_worker.put_google_account($1, $2)`, user, w.google.Grant(user.String()))
	w.untilStatus(event, "synced")
	if n := len(w.live(user)); n != 1 {
		t.Errorf("%d copies, want 1", n)
	}
}

// Users are deleted while their events are planned: the app's statement never fails for a deadlock, and nobody else waits.
func TestUsersDeletedWhilePlanning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	users := w.crowd(8)
	w.start()
	w.exec(`insert into events (user_id, title, start_ts)
		select ($1::uuid[])[1 + n % 8], 'Gone ' || n, now() + interval '3 days' from generate_series(1, 2000) n`, users)
	for _, u := range users {
		if _, err := w.db.Exec(context.Background(), `delete from auth.users where id = $1`, u); err != nil {
			t.Errorf("delete user: %v", err)
		}
	}
	other, _ := w.user()
	w.untilStatus(w.event(other, "Stays", 48*time.Hour), "synced")
}

// Events that were served while no worker wrote calendars are written once one does.
func TestGoogleConfiguredLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user()
	id, secret := w.cfg.GoogleClientID, w.cfg.GoogleClientSecret
	w.cfg.GoogleClientID, w.cfg.GoogleClientSecret = "", ""
	_, stop := w.start()
	event := w.event(user, "Choir", 48*time.Hour)
	w.untilStatus(event, "scheduled")
	stop()
	w.cfg.GoogleClientID, w.cfg.GoogleClientSecret = id, secret
	w.start()
	w.untilStatus(event, "synced")
}
