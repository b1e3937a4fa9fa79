package gcal_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

func TestUpsertSeesEditsMadeMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football")
	known := f.upsert(older(e), gcal.Copy{})
	f.google.ResetLog()
	edit := gcalfake.Next(2, gcalfake.OpUpdate, gcalfake.Fault{})
	f.google.Fail(func(r gcalfake.Request) *gcalfake.Fault {
		if edit(r) != nil {
			if err := f.google.UserEdit(anna, r.ID, map[string]any{"colorId": "7"}); err != nil {
				t.Error(err)
			}
		}
		return nil
	})

	made := f.upsert(e, known)
	if got, want := f.requests(), "get 200, update 412, get 200, update 412, get 200, update 200"; got != want {
		t.Errorf("requests %s, want %s", got, want)
	}
	f.holdsOnly(e, made)
	if got := f.live()[0].Resource["colorId"]; got != "7" {
		t.Errorf("colour %v, want the user's 7", got)
	}
}

func TestUpsertGivesUpOnACopyThatKeepsChanging(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football")
	known := f.upsert(older(e), gcal.Copy{})
	f.google.ResetLog()
	f.google.Fail(gcalfake.Always(gcalfake.OpUpdate, gcalfake.Status(http.StatusPreconditionFailed, "conditionNotMet")))

	got, err := f.client.Upsert(f.Context(), f.account, e, known)
	wantKind(t, err, gcal.Retry)
	if got != known {
		t.Errorf("after an error %+v is known, want %+v", got, known)
	}
	if n := f.google.Count(gcalfake.OpUpdate, -1); n != 4 {
		t.Errorf("%d updates, want 4", n)
	}
}

func TestUpsertDeletedBetweenReadingAndWriting(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football")
	known := f.upsert(older(e), gcal.Copy{})
	f.google.ResetLog()
	remove := gcalfake.Next(1, gcalfake.OpUpdate, gcalfake.Fault{})
	f.google.Fail(func(r gcalfake.Request) *gcalfake.Fault {
		if remove(r) != nil {
			if err := errors.Join(f.google.UserDelete(anna, r.ID), f.google.Purge(anna, r.ID)); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	made := f.upsert(e, known)
	if got, want := f.requests(), "get 200, update 404, get 404, insert 200"; got != want {
		t.Errorf("requests %s, want %s", got, want)
	}
	f.holdsOnly(e, made)
}

// An insert may arrive although its answer does not. Whatever is done then, there must be one event.
func TestUpsertAmbiguousInsertMakesNoTwin(t *testing.T) {
	t.Parallel()
	for _, fault := range []gcalfake.Fault{{Lose: true}, {Drop: true}, gcalfake.Page(http.StatusBadGateway)} {
		f := newFixture(t, gcalfake.Config{})
		e := newEvent("Football")
		f.google.Fail(gcalfake.Next(3, gcalfake.OpInsert, fault))
		var known gcal.Copy
		for range 3 {
			var err error
			if known, err = f.client.Upsert(f.Context(), f.account, e, known); err != nil {
				wantKind(t, err, gcal.Retry)
			}
		}
		f.holdsOnly(e, f.upsert(e, known))
	}
}

func TestUpsertConcurrentlyMakesNoTwin(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football")
	const workers = 8
	made := make(chan gcal.Copy, workers)
	for range workers {
		go func() {
			c, err := f.client.Upsert(f.Context(), f.account, e, gcal.Copy{})
			if err != nil {
				t.Error(err)
			}
			made <- c
		}()
	}
	first := <-made
	for range workers - 1 {
		if c := <-made; c != first {
			t.Errorf("one worker knows %+v, another %+v", first, c)
		}
	}
	f.holdsOnly(e, first)
}

func TestUpsertWithoutTimes(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football")
	e.End = time.Time{}
	_, err := f.client.Upsert(f.Context(), f.account, e, gcal.Copy{})
	wantKind(t, err, gcal.Permanent)
	if asked := f.requests(); asked != "" {
		t.Errorf("asked %s, want nothing", asked)
	}
}

func TestUpsertRefusedByGoogle(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football")
	e.End = e.Start.Add(-time.Hour)
	_, err := f.client.Upsert(f.Context(), f.account, e, gcal.Copy{})
	got := ofKind(t, err, gcal.Permanent)
	const plain = "google insert: status 400: timeRangeEmpty"
	if got.Error() != plain {
		t.Errorf("error %q, want %q", got, plain)
	}
	if want := plain + ": The specified time range is empty."; got.Told() != want {
		t.Errorf("told %q, want %q", got.Told(), want)
	}
}

// What Google repeats of an event is left out of what it says, also where it cuts it; the rest is told in the event's row, and none of it elsewhere.
func TestUpsertRefusedInItsOwnWords(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football  with\tAnabel")
	e.Location, e.Description = "The field by the river", "Bring:\ncleats and water\ntea"
	for says, want := range map[string]string{
		"Invalid value.": "Invalid value.",
		`"Football with Anabel" at "The field by the river" is refused`:             `"[...]" at "[...]" is refused`,
		"no: Football with An... (of 20), The field by the ri… cleats and":          "no: [...]... (of 20), [...]… cleats and",
		"Football with Anabel, The field by the river, tea":                         "[...], [...], tea",
		"the field, a foot and\x00 water":                                           "the field, a foot and water",
		strings.Repeat("é", 150) + "Football with Anabel" + strings.Repeat("è", 90): strings.Repeat("é", 150) + "[...]" + strings.Repeat("è", 45) + "…",
	} {
		stop := f.google.Fail(gcalfake.Always(gcalfake.OpInsert, gcalfake.Fault{Status: 400, Reason: "invalid", Message: says}))
		_, err := f.client.Upsert(t.Context(), f.account, e, gcal.Copy{})
		stop()
		got := ofKind(t, err, gcal.Permanent)
		if got.Error() != "google insert: status 400: invalid" || got.Told() != got.Error()+": "+want {
			t.Errorf("said %q:\nerror %q\ntold  %q\nwant  %q", says, got, got.Told(), want)
		}
	}
	e.Title, e.Location = "Dr. Miller, Anna's check-up", "Dr. Miller, 5 Elm Street"
	stop := f.google.Fail(gcalfake.Always(gcalfake.OpInsert, gcalfake.Fault{
		Status: 400, Reason: "invalid", Message: "Not both: Dr. Miller, Anna's check-up, Dr. Miller, 5 Elm Street, Dr. Miller, 5 E...",
	}))
	_, refused := f.client.Upsert(f.Context(), f.account, e, gcal.Copy{})
	stop()
	if got := ofKind(t, refused, gcal.Permanent); got.Message != "Not both: [...], [...], [...]..." {
		t.Errorf("told %q", got.Told())
	}
	// What the user has made of the copy is sent again, and left out as well.
	known := f.upsert(e, gcal.Copy{})
	f.must(f.google.UserEdit(anna, known.GoogleID, map[string]any{"attendees": []map[string]any{{"email": "leos-mother@example.org"}}}))
	e.Title = "Dr. Miller"
	stop = f.google.Fail(gcalfake.Always(gcalfake.OpUpdate, gcalfake.Fault{Status: 400, Reason: "invalid", Message: "No such guest: leos-mother@example.org"}))
	_, refused = f.client.Upsert(f.Context(), f.account, e, known)
	stop()
	if got := ofKind(t, refused, gcal.Permanent); got.Message != "No such guest: [...]" {
		t.Errorf("told %q", got.Told())
	}
	stop = f.google.Fail(gcalfake.Always(gcalfake.OpCalendarInsert, gcalfake.Fault{Status: 400, Reason: "invalid", Message: "The name Anabel's days is taken."}))
	defer stop()
	_, err := f.client.MakeCalendar(t.Context(), f.account, gcal.NewCalendar{Name: "Anabel's days"}, false)
	if got := ofKind(t, err, gcal.Permanent); got.Message != "The name [...] is taken." {
		t.Errorf("told %q", got.Told())
	}
}

func TestUpsertIntoACalendarThatIsNotThere(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football")
	known := f.upsert(older(e), gcal.Copy{})
	f.account.CalendarID = "gone@group.calendar.google.com"
	for _, c := range []gcal.Copy{{}, known} {
		_, err := f.client.Upsert(f.Context(), f.account, e, c)
		wantKind(t, err, gcal.CalendarGone)
	}
}

func TestUpsertIntoASecondaryCalendar(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.account.CalendarID = f.google.AddCalendar(anna, "Family")
	e := newEvent("Football")
	made := f.upsert(e, gcal.Copy{})
	f.holdsOnly(e, made)
	if got := f.live()[0].Calendar; got != f.account.CalendarID {
		t.Errorf("written to calendar %s, want %s", got, f.account.CalendarID)
	}
}

// An address that is not the Calendar API's answers "not found" too; that must not be taken for Google's word.
func TestNotFoundOfAGatewayProvesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football")
	known := f.upsert(e, gcal.Copy{})
	f.google.Fail(gcalfake.Always("", gcalfake.Page(http.StatusNotFound)))
	_, err := f.client.Upsert(f.Context(), f.account, older(e), known)
	wantKind(t, err, gcal.Project)
	_, err = f.client.Upsert(f.Context(), f.account, e, gcal.Copy{})
	wantKind(t, err, gcal.Project)
	wantKind(t, f.client.Delete(f.Context(), f.account, known), gcal.Project)
}

func TestUpsertEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	arrived := make(chan struct{})
	var once atomic.Bool
	f.google.Fail(func(r gcalfake.Request) *gcalfake.Fault {
		if r.Op != gcalfake.OpInsert {
			return nil
		}
		if once.CompareAndSwap(false, true) {
			close(arrived)
		}
		return &gcalfake.Fault{Hang: true}
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := f.client.Upsert(ctx, f.account, newEvent("Football"), gcal.Copy{})
	wantKind(t, err, gcal.Retry)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v does not say that it was cancelled", err)
	}
}
