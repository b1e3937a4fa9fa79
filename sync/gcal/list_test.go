package gcal_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// list reads the whole calendar, and how many pages that took.
func (f *fixture) list(since time.Time) (entries map[string]gcal.Entry, pages int) {
	f.Helper()
	entries = map[string]gcal.Entry{}
	err := f.client.List(f.Context(), f.account, since, func(page []gcal.Entry) error {
		pages++
		for _, e := range page {
			entries[e.GoogleID] = e
		}
		return nil
	})
	if err != nil {
		f.Fatalf("list: %v", err)
	}
	return entries, pages
}

func TestListTellsWhoseAnEntryIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Practice")
	c := f.upsert(e, gcal.Copy{})
	gone := f.upsert(newEvent("Match"), gcal.Copy{})
	if err := f.client.Delete(t.Context(), f.account, gone); err != nil {
		t.Fatal(err)
	}
	dentist, err := f.google.UserInsert(anna, map[string]any{"summary": "Dentist", "start": map[string]any{"date": "2027-05-01"}, "end": map[string]any{"date": "2027-05-02"}})
	if err != nil {
		t.Fatal(err)
	}
	entries, pages := f.list(e.Start)
	if len(entries) != 3 || pages != 1 {
		t.Fatalf("%d entries on %d pages", len(entries), pages)
	}
	if got := entries[c.GoogleID]; got.EventID != e.ID || got.Hash != e.Hash() || got.ETag != c.ETag || got.Deleted || got.CalendarID != "primary" {
		t.Errorf("the copy is listed as %+v", got)
	}
	if !entries[gone.GoogleID].Deleted {
		t.Error("a deleted copy is not told as such")
	}
	if got := entries[dentist]; got.EventID != uuid.Nil {
		t.Errorf("another entry is taken for the copy of %s", got.EventID)
	}
	if entries, _ := f.list(e.End.Add(24 * 365 * time.Hour)); len(entries) != 0 {
		t.Errorf("%d entries that are over", len(entries))
	}
}

func TestListGoesPageByPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{LogSize: -1})
	const n = 2300
	for i := range n {
		if _, err := f.google.UserInsert(anna, map[string]any{"summary": fmt.Sprint(i), "start": map[string]any{"date": "2027-05-01"}, "end": map[string]any{"date": "2027-05-02"}}); err != nil {
			t.Fatal(err)
		}
	}
	if entries, pages := f.list(time.Now()); len(entries) != n || pages != 3 {
		t.Errorf("%d entries on %d pages, want %d on 3", len(entries), pages, n)
	}
	enough := errors.New("enough")
	if err := f.client.List(t.Context(), f.account, time.Now(), func([]gcal.Entry) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("who has seen enough is answered %v", err)
	}
}

func TestListOfACalendarThatIsGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.account.CalendarID = "gone@group.calendar.google.com"
	err := f.client.List(t.Context(), f.account, time.Now(), func([]gcal.Entry) error { return nil })
	if e, ok := errors.AsType[*gcal.Error](err); !ok || e.Kind != gcal.CalendarGone || e.Op != gcal.OpList {
		t.Errorf("error %v", err)
	}
}

// What is compared are title, place and time, as people read them; the rest is the user's.
func TestEntryDiffers(t *testing.T) {
	t.Parallel()
	e := newEvent("Practice")
	for _, c := range []struct {
		name    string
		changes map[string]any
		want    []string
	}{
		{"nothing", map[string]any{}, nil},
		{"colour, description", map[string]any{"colorId": "3", "description": "bring cake"}, nil},
		{"the same time in another zone", map[string]any{"start": map[string]any{"dateTime": "2027-03-28T00:30:00Z", "timeZone": "UTC"}}, nil},
		{"title", map[string]any{"summary": "Match"}, []string{"title"}},
		{"no place", map[string]any{"location": nil}, []string{"place"}},
		{"time", map[string]any{"start": map[string]any{"dateTime": "2027-03-28T01:00:00Z"}}, []string{"start"}},
		{"a whole day", map[string]any{
			"start": map[string]any{"date": "2027-03-28", "dateTime": nil, "timeZone": nil}, "end": map[string]any{"date": "2027-03-29", "dateTime": nil, "timeZone": nil},
		}, []string{"start", "end"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, gcalfake.Config{})
			made := f.upsert(e, gcal.Copy{})
			if err := f.google.UserEdit(anna, made.GoogleID, c.changes); err != nil {
				t.Fatal(err)
			}
			found, there, err := f.client.Find(t.Context(), f.account, made.GoogleID)
			if err != nil || !there {
				t.Fatalf("found %v: %v", there, err)
			}
			if diff := cmp.Diff(c.want, found.Differs(e)); diff != "" {
				t.Errorf("differs (-want +got):\n%s", diff)
			}
			// Who has forgotten what was written reads the copy, and makes it right.
			f.upsert(e, gcal.Copy{GoogleID: made.GoogleID, ETag: made.ETag})
			if found, _, err = f.client.Find(t.Context(), f.account, made.GoogleID); err != nil || len(found.Differs(e)) > 0 {
				t.Errorf("written once more it differs in %v: %v", found.Differs(e), err)
			}
		})
	}
}

func TestFindOfNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	if _, there, err := f.client.Find(t.Context(), f.account, "nothing"); there || err != nil {
		t.Errorf("found %v: %v", there, err)
	}
}

// A user may repeat a copy, and change one of its times: that one is theirs, though it has the copy's properties.
func TestTimesOfARepeatedCopyAreTheUsers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Practice")
	c := f.upsert(e, gcal.Copy{})
	f.must(f.google.UserEdit(anna, c.GoogleID, map[string]any{"recurrence": []any{"RRULE:FREQ=WEEKLY"}}))
	one, err := f.google.UserEditTime(anna, c.GoogleID, e.Start.AddDate(0, 0, 7), map[string]any{"location": "the other field"})
	f.must(err)
	entries, _ := f.list(e.Start)
	if entries[c.GoogleID].EventID != e.ID {
		t.Errorf("the copy is listed as of %s", entries[c.GoogleID].EventID)
	}
	if found, there := entries[one]; !there || found.EventID != uuid.Nil {
		t.Errorf("one of its times: listed %v, as of %s", there, found.EventID)
	}
	if found, there, err := f.client.Find(t.Context(), f.account, one); err != nil || !there || found.EventID != uuid.Nil {
		t.Errorf("one of its times: found %v as of %s, %v", there, found.EventID, err)
	}
}
