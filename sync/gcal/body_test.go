package gcal_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// What a person has made of a copy in Google's own pages survives the app's next change.
func TestUpdateKeepsWhatTheUserAdded(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football")
	known := f.upsert(older(e), gcal.Copy{})
	added := map[string]any{
		"colorId":            "7",
		"status":             "tentative",
		"visibility":         "private",
		"reminders":          map[string]any{"useDefault": false, "overrides": []any{map[string]any{"method": "popup", "minutes": 10}}},
		"attendees":          []any{map[string]any{"email": "ben@example.com", "responseStatus": "accepted"}},
		"attachments":        []any{map[string]any{"fileUrl": "https://example.com/plan.pdf", "title": "Plan"}},
		"extendedProperties": map[string]any{"private": map[string]any{"other_program": "1"}, "shared": map[string]any{"team": "U9"}},
		"recurrence":         []any{"RRULE:FREQ=WEEKLY"},
	}
	f.must(f.google.UserEdit(anna, known.GoogleID, added))
	before := f.live()[0]

	f.holdsOnly(e, f.upsert(e, known))
	after := f.live()[0]
	for name := range added {
		if name == "extendedProperties" {
			continue
		}
		if diff := cmp.Diff(before.Resource[name], after.Resource[name]); diff != "" {
			t.Errorf("%s (-before +after):\n%s", name, diff)
		}
	}
	if after.Private["other_program"] != "1" {
		t.Errorf("private properties are %v, the other program's is gone", after.Private)
	}
	if diff := cmp.Diff(map[string]any{"team": "U9"}, after.Resource["extendedProperties"].(map[string]any)["shared"]); diff != "" {
		t.Errorf("shared properties (-want +got):\n%s", diff)
	}
}

func TestUpdateKeepsDefaultAlertsOff(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	e := newEvent("Football")
	made := f.upsert(older(e), gcal.Copy{})
	want := map[string]any{"useDefault": false, "overrides": []any{}}
	for _, step := range []string{"insert", "update"} {
		if diff := cmp.Diff(want["useDefault"], f.live()[0].Resource["reminders"].(map[string]any)["useDefault"]); diff != "" {
			t.Errorf("alerts after %s (-want +got):\n%s", step, diff)
		}
		made = f.upsert(e, made)
	}
}

func TestDescription(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		before, edited string // what we wrote, and what the user made of it
		now, want      string
	}{
		{"ours is replaced", "Bring: cleats", "Bring: cleats", "Bring: water", "Bring: water"},
		{"ours is taken away", "Bring: cleats", "Bring: cleats", "", ""},
		{"none becomes ours", "", "", "Bring: water", "Bring: water"},
		{"edited stays", "Bring: cleats", "Bring: cleats. Ask Ben!", "Bring: water", "Bring: cleats. Ask Ben!"},
		{"added stays", "", "Ask Ben!", "Bring: water", "Ask Ben!"},
		{"cleared stays cleared", "Bring: cleats", "", "Bring: water", ""},
		{"tidied is not edited", "Bring: cleats\r\nand water\n", "Bring: cleats\nand water", "Bring: water", "Bring: water"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, gcalfake.Config{})
			e := newEvent("Football")
			e.Description = tt.before
			known := f.upsert(e, gcal.Copy{})
			f.must(f.google.UserEdit(anna, known.GoogleID, map[string]any{"description": tt.edited}))
			e.Description = tt.now
			known = f.upsert(e, known)
			if got := f.live()[0].Description; got != tt.want {
				t.Errorf("description %q, want %q", got, tt.want)
			}
			e.Title = "Football, again"
			f.upsert(e, known)
			if got := f.live()[0].Description; got != tt.want {
				t.Errorf("description after a further change %q, want %q", got, tt.want)
			}
		})
	}
}

func TestForeignDescription(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ there, want string }{
		{"", "Bring: cleats, water"},
		{"Bring: cleats, water", "Bring: cleats, water"},
		{"Written by hand", "Written by hand"},
	} {
		f := newFixture(t, gcalfake.Config{})
		e := newEvent("Football")
		id := f.stranger(map[string]any{"description": tt.there})
		f.upsert(e, gcal.Copy{GoogleID: id})
		if got := f.live()[0].Description; got != tt.want {
			t.Errorf("%q became %q, want %q", tt.there, got, tt.want)
		}
	}
}

func TestTimesAreWrittenInTheirZone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ zone, start, wantZone string }{
		{"Europe/Berlin", "2027-03-28T01:30:00+01:00", "Europe/Berlin"}, // the end is in summer time
		{"America/New_York", "2027-03-27T20:30:00-04:00", "America/New_York"},
		{"Asia/Kathmandu", "2027-03-28T06:15:00+05:45", "Asia/Kathmandu"},
		{"", "2027-03-28T00:30:00Z", "UTC"},
		{"Local", "2027-03-28T00:30:00Z", "UTC"},
		{"Mars/Olympus_Mons", "2027-03-28T00:30:00Z", "UTC"},
		{"../../etc/passwd", "2027-03-28T00:30:00Z", "UTC"},
	} {
		f := newFixture(t, gcalfake.Config{})
		e := newEvent("Football")
		e.TimeZone = tt.zone
		f.upsert(e, gcal.Copy{})
		got := f.live()[0]
		want := map[string]any{"dateTime": tt.start, "timeZone": tt.wantZone}
		if diff := cmp.Diff(want, got.Resource["start"]); diff != "" {
			t.Errorf("start in %q (-want +got):\n%s", tt.zone, diff)
		}
		if !got.End.Equal(e.End) {
			t.Errorf("end in %q is %v, want %v", tt.zone, got.End, e.End)
		}
	}
}
