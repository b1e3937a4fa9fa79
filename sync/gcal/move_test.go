package gcal_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// moves begin with a copy in the primary calendar, which is to stand in another one. What is known of it then is what a worker knows.
var moves = []struct {
	name     string
	before   func(f *fixture, e gcal.Event, known gcal.Copy) gcal.Copy
	requests string
	gone     bool // it stays deleted
}{
	{
		name:     "the same content",
		before:   func(_ *fixture, _ gcal.Event, known gcal.Copy) gcal.Copy { return known },
		requests: "get 200, insert 200, delete 204",
	}, {
		name: "other content",
		before: func(f *fixture, e gcal.Event, known gcal.Copy) gcal.Copy {
			return f.upsert(older(e), known)
		},
		requests: "get 200, insert 200, delete 204",
	}, {
		name: "never written, only meant to be",
		before: func(f *fixture, _ gcal.Event, known gcal.Copy) gcal.Copy {
			f.must(f.google.UserDelete(anna, known.GoogleID))
			f.must(f.google.Purge(anna, known.GoogleID))
			return gcal.Copy{GoogleID: known.GoogleID}
		},
		requests: "get 404, insert 200",
	}, {
		name: "written, and not to be found any more",
		before: func(f *fixture, _ gcal.Event, known gcal.Copy) gcal.Copy {
			f.must(f.google.UserDelete(anna, known.GoogleID))
			f.must(f.google.Purge(anna, known.GoogleID))
			known.Tries = 3
			return known
		},
		requests: "get 404, insert 200",
	}, {
		name: "written, and nobody knows",
		before: func(_ *fixture, _ gcal.Event, known gcal.Copy) gcal.Copy {
			return gcal.Copy{GoogleID: known.GoogleID}
		},
		requests: "get 200, insert 200, delete 204",
	}, {
		name: "an attempt broke off before the removal",
		before: func(f *fixture, e gcal.Event, known gcal.Copy) gcal.Copy {
			f.upsertIn(family(f), e)
			return known
		},
		requests: "get 200, insert 409, get 200, delete 204",
	}, {
		name: "an attempt broke off after the removal",
		before: func(f *fixture, e gcal.Event, known gcal.Copy) gcal.Copy {
			f.must(f.google.UserDelete(anna, known.GoogleID))
			f.upsertIn(family(f), e)
			return known
		},
		requests: "get 200, get 200",
	}, {
		name: "the user has deleted it", gone: true,
		before: func(f *fixture, _ gcal.Event, known gcal.Copy) gcal.Copy {
			f.must(f.google.UserDelete(anna, known.GoogleID))
			return known
		},
		requests: "get 200, get 404",
	}, {
		name: "the user has deleted it, and the app has changed it",
		before: func(f *fixture, e gcal.Event, known gcal.Copy) gcal.Copy {
			known = f.upsert(older(e), known)
			f.must(f.google.UserDelete(anna, known.GoogleID))
			return known
		},
		requests: "get 200, insert 200",
	}, {
		name: "a calendar that may not be read any more",
		before: func(f *fixture, _ gcal.Event, known gcal.Copy) gcal.Copy {
			f.must(f.google.UserDelete(anna, known.GoogleID))
			f.google.Fail(gcalfake.Next(1, gcalfake.OpGet, gcalfake.Status(http.StatusForbidden, "forbidden")))
			known.Tries = 3
			return known
		},
		requests: "get 403, insert 200",
	}, {
		name: "a calendar that may not be written any more",
		before: func(f *fixture, _ gcal.Event, known gcal.Copy) gcal.Copy {
			f.google.Fail(gcalfake.Next(1, gcalfake.OpDelete, gcalfake.Status(http.StatusForbidden, "forbidden")))
			f.Cleanup(func() { f.must(f.google.UserDelete(anna, known.GoogleID)) })
			known.Tries = 3
			return known
		},
		requests: "get 200, insert 200, delete 403",
	},
}

func TestMove(t *testing.T) {
	t.Parallel()
	for _, tt := range moves {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, gcalfake.Config{})
			e := newEvent("Football")
			known := f.upsert(e, gcal.Copy{})
			f.google.AddCalendar(anna, "Family")
			known = tt.before(f, e, known)
			f.google.ResetLog()

			f.account.CalendarID, known.Calendar = family(f), "primary"
			made := f.upsert(e, known)
			if got := f.requests(); got != tt.requests {
				t.Errorf("requests %s, want %s", got, tt.requests)
			}
			if made.Calendar != "" || made.GoogleID != known.GoogleID || made.Hash != e.Hash() || made.ETag == "" {
				t.Errorf("known is %+v", made)
			}
			if tt.gone {
				if live := f.live(); len(live) > 0 {
					t.Errorf("the user has deleted it, and sees %v", live)
				}
			} else {
				f.standsIn(family(f), e)
			}
			if again := f.upsert(e, made); again != made || f.requests() != "" {
				t.Errorf("once more: %+v", again)
			}
		})
	}
}

// family is Anna's second calendar.
func family(f *fixture) string { return f.google.Calendars(anna)[1].ID }

// upsertIn writes a copy as an attempt does that breaks off before it is recorded.
func (f *fixture) upsertIn(calendar string, e gcal.Event) {
	f.Helper()
	a := f.account
	a.CalendarID = calendar
	_, err := f.client.Upsert(f.Context(), a, e, gcal.Copy{})
	f.must(err)
}

// standsIn checks that a copy in the calendar says what e does.
func (f *fixture) standsIn(calendar string, e gcal.Event) {
	f.Helper()
	for _, got := range f.live() {
		if got.Calendar == calendar {
			if got.Summary != e.Title || !got.Start.Equal(e.Start) {
				f.Errorf("the calendar shows %+v, want %+v", got, e)
			}
			return
		}
	}
	f.Errorf("nothing stands in %s", calendar)
}

// TestMoveBrokenOff loses the answer of each request of a move in turn, or has the calendar that is left refuse it once, or not find the copy, and finds the one copy
// in its place after the next attempt.
func TestMoveBrokenOff(t *testing.T) {
	t.Parallel()
	for _, op := range []string{gcalfake.OpGet, gcalfake.OpInsert, gcalfake.OpDelete} {
		for name, fault := range map[string]gcalfake.Fault{
			"before": {Drop: true}, "after": {Lose: true},
			"refused": gcalfake.Status(http.StatusForbidden, "forbidden"), "not found": gcalfake.Status(http.StatusNotFound, "notFound"),
		} {
			if name == "refused" && op == gcalfake.OpInsert || name == "not found" && op != gcalfake.OpGet {
				continue // for good, and done
			}
			t.Run(op+", "+name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, gcalfake.Config{})
				e := newEvent("Football")
				known := f.upsert(e, gcal.Copy{})
				f.must(f.google.UserEdit(anna, known.GoogleID, map[string]any{"description": "Ask Ben!", "colorId": "7"}))
				family := f.google.AddCalendar(anna, "Family")
				f.account.CalendarID, known.Calendar = family, "primary"
				f.google.Fail(gcalfake.Next(1, op, fault))

				left, err := f.client.Upsert(t.Context(), f.account, e, known)
				switch {
				case err == nil && op == gcalfake.OpGet && fault.Status == 0: // the transport has asked again
				case left != known:
					t.Errorf("after an error %+v is known, want %+v", left, known)
				default:
					wantKind(t, err, gcal.Retry)
				}
				if err == nil {
					left.Calendar = ""
				}
				made := f.upsert(e, left)
				f.holdsOnly(e, made)
				if got := f.live()[0]; got.Calendar != family || got.Description != "Ask Ben!" || got.Resource["colorId"] != "7" {
					t.Errorf("the copy is %+v, want it in %s with what the user has made of it", got, family)
				}
			})
		}
	}
}

// TestMoveWithinOneCalendar has the account's calendar called by another name. The copy must not be taken for another one, and removed.
func TestMoveWithinOneCalendar(t *testing.T) {
	t.Parallel()
	for _, changed := range []bool{false, true} {
		f := newFixture(t, gcalfake.Config{})
		e := newEvent("Football")
		known := f.upsert(e, gcal.Copy{})
		if changed {
			known = f.upsert(older(e), known)
		}
		f.account.CalendarID, known.Calendar = anna, "primary"
		f.holdsOnly(e, f.upsert(e, known))
		if n := f.google.Count(gcalfake.OpDelete, -1); n > 0 {
			t.Errorf("%d removals", n)
		}
	}
}

// TestMoveThereAndBack changes a copy where it was moved to, and moves it back to where its first form is remembered as deleted.
func TestMoveThereAndBack(t *testing.T) {
	t.Parallel()
	for _, refuses := range []bool{false, true} {
		f := newFixture(t, gcalfake.Config{RefuseUndelete: refuses})
		e := newEvent("Football")
		known := f.upsert(e, gcal.Copy{})
		family := f.google.AddCalendar(anna, "Family")
		f.account.CalendarID, known.Calendar = family, "primary"
		known = f.upsert(e, known)
		f.must(f.google.UserEdit(anna, known.GoogleID, map[string]any{"description": "Ask Ben!", "colorId": "7"}))
		f.account.CalendarID, known.Calendar = "primary", family
		f.upsert(e, known)
		seen := f.live()
		if len(seen) != 1 || seen[0].Calendar == family || seen[0].Description != "Ask Ben!" || seen[0].Resource["colorId"] != "7" {
			t.Errorf("refuses %v: %+v, want it back with what the user has made of it", refuses, seen)
		}
	}
}

// TestMoveBackWithOtherContent has the app change an event whose copy is to go back to where it stood before.
func TestMoveBackWithOtherContent(t *testing.T) {
	t.Parallel()
	for _, refuses := range []bool{false, true} {
		f := newFixture(t, gcalfake.Config{RefuseUndelete: refuses})
		e := newEvent("Football")
		e.Description = "Bring: cleats"
		known := f.upsert(e, gcal.Copy{})
		family := f.google.AddCalendar(anna, "Family")
		f.account.CalendarID, known.Calendar = family, "primary"
		known = f.upsert(e, known)
		e.Title, e.Description = "Final", "Bring: ball"
		f.account.CalendarID, known.Calendar = "primary", family
		f.upsert(e, known)
		if seen := f.live(); len(seen) != 1 || seen[0].Summary != "Final" || seen[0].Description != "Bring: ball" {
			t.Errorf("refuses %v: %+v, want it back as it is now", refuses, seen)
		}
	}
}

// TestMoveOfASeries has a copy come along that its user repeats every week.
func TestMoveOfASeries(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football")
	known := f.upsert(e, gcal.Copy{})
	weekly := []any{"RRULE:FREQ=WEEKLY"}
	f.must(f.google.UserEdit(anna, known.GoogleID, map[string]any{"recurrence": weekly}))
	f.account.CalendarID, known.Calendar = f.google.AddCalendar(anna, "Family"), "primary"
	f.upsert(e, known)
	if diff := cmp.Diff(weekly, f.live()[0].Resource["recurrence"]); diff != "" {
		t.Errorf("recurrence (-want +got):\n%s", diff)
	}
}

// TestMoveOfADeletedCopy has a copy that its user has deleted stay so, however often it would move, until the app changes the event.
func TestMoveOfADeletedCopy(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football")
	known := f.upsert(e, gcal.Copy{})
	f.must(f.google.UserDelete(anna, known.GoogleID))
	here, there := "primary", f.google.AddCalendar(anna, "Family")
	for range 3 {
		here, there = there, here
		f.account.CalendarID, known.Calendar = here, there
		if known = f.upsert(e, known); len(f.live()) > 0 {
			t.Fatalf("it is back: %s", f.requests())
		}
	}
	e.Title = "Final"
	known.Calendar = ""
	f.upsert(e, known)
	f.standsIn(here, e)
}

// TestMoveToNowhere names a calendar that is not there.
func TestMoveToNowhere(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football")
	known := f.upsert(e, gcal.Copy{})
	f.account.CalendarID, known.Calendar = "nowhere@group.calendar.google.com", "primary"
	left, err := f.client.Upsert(t.Context(), f.account, e, known)
	wantKind(t, err, gcal.CalendarGone)
	if left != known || len(f.live()) != 1 {
		t.Errorf("known is %+v, the calendar shows %v", left, f.live())
	}
}

// TestMoveOfAForeignCopy has an older service's copy come along under an id of ours, to another calendar, and to the same by another name.
func TestMoveOfAForeignCopy(t *testing.T) {
	t.Parallel()
	for _, elsewhere := range []bool{true, false} {
		f := newFixture(t, gcalfake.Config{})
		e := newEvent("Football")
		id := f.stranger(map[string]any{"summary": "Football", "colorId": "7"})
		f.account.CalendarID = anna
		if elsewhere {
			f.account.CalendarID = f.google.AddCalendar(anna, "Family")
		}
		made := f.upsert(e, gcal.Copy{GoogleID: id, ETag: "old", Calendar: "primary"})
		if made.GoogleID != gcal.NewGoogleID(e.ID, 0) {
			t.Errorf("its id is %s", made.GoogleID)
		}
		f.holdsOnly(e, made)
	}
}

func TestAllDayCopy(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	berlin, err := time.LoadLocation("Europe/Berlin")
	f.must(err)
	e := gcal.Event{
		ID: uuid.New(), Title: "Class trip", Start: time.Date(2027, 3, 27, 0, 0, 0, 0, berlin), End: time.Date(2027, 3, 29, 0, 0, 0, 0, berlin),
		TimeZone: "Europe/Berlin", AllDay: true,
	}
	shows := func() []any { r := f.live()[0].Resource; return []any{r["start"], r["end"]} }
	days := []any{map[string]any{"date": "2027-03-27"}, map[string]any{"date": "2027-03-29"}}
	times := []any{
		map[string]any{"dateTime": "2027-03-27T00:00:00+01:00", "timeZone": "Europe/Berlin"},
		map[string]any{"dateTime": "2027-03-29T00:00:00+02:00", "timeZone": "Europe/Berlin"},
	}
	known := gcal.Copy{}
	for _, allDay := range []bool{true, false, true} {
		e.AllDay = allDay
		known = f.upsert(e, known)
		want := times
		if allDay {
			want = days
		}
		if diff := cmp.Diff(want, shows()); diff != "" {
			t.Errorf("whole days: %v (-want +got):\n%s", allDay, diff)
		}
	}
}

// TestAlerts turns Google's own alerts on and off, and leaves them alone once the user has chosen.
func TestAlerts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football")
	known := gcal.Copy{}
	on, off := map[string]any{"useDefault": true}, map[string]any{"useDefault": false}
	for i, alerts := range []bool{true, true, false, false, true} {
		e.Alerts = alerts
		known = f.upsert(e, known)
		want := off
		if alerts {
			want = on
		}
		if diff := cmp.Diff(want, f.live()[0].Resource["reminders"]); diff != "" {
			t.Errorf("%d (-want +got):\n%s", i, diff)
		}
	}
	own := map[string]any{"useDefault": false, "overrides": []any{map[string]any{"method": "popup", "minutes": 10}}}
	f.must(f.google.UserEdit(anna, known.GoogleID, map[string]any{"reminders": own}))
	chosen := f.live()[0].Resource["reminders"]
	for _, alerts := range []bool{false, true, false} {
		e.Alerts = alerts
		known = f.upsert(e, known)
		if diff := cmp.Diff(chosen, f.live()[0].Resource["reminders"]); diff != "" {
			t.Errorf("the user's own alerts (-want +got):\n%s", diff)
		}
	}
}

func TestMakeCalendar(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	family := gcal.NewCalendar{Name: "Family", TimeZone: "Europe/Berlin"}
	for _, tt := range []struct {
		name     string
		rule     gcalfake.Rule
		again    bool
		requests string
		fails    bool
	}{
		{"lost", gcalfake.Next(1, gcalfake.OpCalendarInsert, gcalfake.Fault{Lose: true}), false, "calendar-insert 0", true},
		{"found again", nil, true, "calendar-list 200", false},
		{"not to be found", gcalfake.Next(1, gcalfake.OpCalendarList, gcalfake.Status(403, "insufficientPermissions")), true, "calendar-list 403, calendar-insert 200", false},
		{"none may be made", gcalfake.Always(gcalfake.OpCalendarInsert, gcalfake.Status(403, "insufficientPermissions")), false, "calendar-insert 403", true},
	} {
		stop := func() {}
		if tt.rule != nil {
			stop = f.google.Fail(tt.rule)
		}
		f.google.ResetLog()
		id, err := f.client.MakeCalendar(t.Context(), f.account, family, tt.again)
		stop()
		if (err != nil) != tt.fails || (id == "") != tt.fails {
			t.Errorf("%s: id %q, error %v", tt.name, id, err)
		}
		if got := f.requests(); got != tt.requests {
			t.Errorf("%s: requests %s, want %s", tt.name, got, tt.requests)
		}
		if found := f.google.Calendars(anna); id != "" {
			if len(found) < 2 || found[1].Summary != "Family" || found[1].TimeZone != "Europe/Berlin" {
				t.Errorf("%s: calendars %+v", tt.name, found)
			}
		}
	}
}
