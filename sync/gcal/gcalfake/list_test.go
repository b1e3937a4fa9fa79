package gcalfake_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/option"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// signed is a client of the official kind needs: one that adds the token.
type signed struct{ f *fixture }

func (s signed) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+s.f.access)
	return s.f.http.Transport.RoundTrip(req)
}

// goClient is the client that Google gives out for Go.
func (f *fixture) goClient() *calendar.Service {
	f.Helper()
	service, err := calendar.NewService(f.Context(),
		option.WithHTTPClient(&http.Client{Transport: signed{f}}), option.WithEndpoint(f.google.CalendarURL()))
	f.must(err)
	return service
}

func TestGoClient(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	c := f.goClient()
	e := &calendar.Event{
		Id: "football", Summary: "Football",
		Start:     &calendar.EventDateTime{DateTime: "2027-03-28T10:00:00+02:00", TimeZone: "Europe/Berlin"},
		End:       &calendar.EventDateTime{DateTime: "2027-03-28T11:00:00+02:00", TimeZone: "Europe/Berlin"},
		Reminders: &calendar.EventReminders{ForceSendFields: []string{"UseDefault", "Overrides"}},
	}
	made, err := c.Events.Insert("primary", e).SendUpdates("none").Do()
	f.must(err)
	if made.Reminders == nil || made.Reminders.UseDefault || made.Start.DateTime != e.Start.DateTime {
		t.Errorf("inserted as %+v", made)
	}
	found, err := c.Events.Get("primary", "football").Do()
	f.must(err)
	found.Summary = "Chess"
	update := c.Events.Update("primary", "football", found)
	update.Header().Set("If-Match", found.Etag)
	changed, err := update.Do()
	f.must(err)
	if changed.Summary != "Chess" || changed.Etag == found.Etag {
		t.Errorf("updated to %+v", changed)
	}
	patched, err := c.Events.Patch("primary", "football", &calendar.Event{
		Start: &calendar.EventDateTime{Date: "2027-03-28", NullFields: []string{"DateTime"}},
		End:   &calendar.EventDateTime{Date: "2027-03-29", NullFields: []string{"DateTime"}},
	}).Do()
	f.must(err)
	if patched.Start.Date != "2027-03-28" || patched.Start.DateTime != "" {
		t.Errorf("patched to %+v", patched.Start)
	}
	f.must(c.Events.Delete("primary", "football").Do())
	if v := f.google.Violations(); len(v) != 0 {
		t.Errorf("the Go client violates %v", v)
	}
}

// listed are the ids that a list call gives, over all its pages.
func listed(t *testing.T, call *calendar.EventsListCall) []string {
	t.Helper()
	ids := []string{}
	err := call.Pages(t.Context(), func(page *calendar.Events) error {
		for _, e := range page.Items {
			ids = append(ids, e.Id)
		}
		return context.Cause(t.Context())
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestList(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	for hour, id := range []string{"event0", "event1", "event2", "event3", "event4"} {
		f.insert(object{
			"id": id, "summary": "Event " + id[5:],
			"start":              object{"dateTime": fmt.Sprintf("2027-03-28T%02d:00:00Z", 14-hour)},
			"end":                object{"dateTime": fmt.Sprintf("2027-03-28T%02d:30:00Z", 14-hour)},
			"extendedProperties": object{"private": object{"parity": fmt.Sprint(hour % 2), "hour": fmt.Sprint(hour)}},
		})
	}
	f.must(f.google.UserDelete(anna, "event3"))
	f.must(f.google.UserEdit(anna, "event0", object{"description": "Bring cleats"}))
	c := f.goClient().Events
	for name, tt := range map[string]struct {
		call *calendar.EventsListCall
		want []string
	}{
		"all":            {c.List("primary"), []string{"event0", "event1", "event2", "event4"}},
		"in pages":       {c.List("primary").MaxResults(1).ShowDeleted(true), []string{"event0", "event1", "event2", "event3", "event4"}},
		"by start":       {c.List("primary").SingleEvents(true).OrderBy("startTime").MaxResults(3), []string{"event4", "event2", "event1", "event0"}},
		"by update":      {c.List("primary").OrderBy("updated").ShowDeleted(true), []string{"event1", "event2", "event4", "event3", "event0"}},
		"by property":    {c.List("primary").PrivateExtendedProperty("parity=0", "hour=2"), []string{"event2"}},
		"by other value": {c.List("primary").PrivateExtendedProperty("hour=7"), []string{}},
		"from":           {c.List("primary").TimeMin("2027-03-28T12:30:00Z"), []string{"event0", "event1"}},
		"until":          {c.List("primary").TimeMax("2027-03-28T12:00:00Z"), []string{"event4"}},
		"by word":        {c.List("primary").Q("CLEATS"), []string{"event0"}},
		"by iCalUID":     {c.List("primary").ICalUID("event4@google.com"), []string{"event4"}},
		"far future":     {c.List("primary").UpdatedMin("2100-01-01T00:00:00Z"), []string{}},
		"changed since":  {c.List("primary").UpdatedMin("2020-01-01T00:00:00Z").ShowDeleted(false), []string{"event0", "event1", "event2", "event3", "event4"}},
	} {
		if diff := cmp.Diff(tt.want, listed(t, tt.call)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	f.wantReply(f.call("GET", events+"?pageToken=nonsense", nil), http.StatusBadRequest, "invalid")
	f.wantReply(f.call("GET", events+"?orderBy=startTime", nil), http.StatusBadRequest, "badRequest")
	f.wantReply(f.call("GET", events+"?privateExtendedProperty=a", nil), http.StatusBadRequest, "invalid")
	empty := f.call("GET", events+"?timeMin=2027-03-28T12:00:00Z&timeMax=2027-03-28T12:00:00Z", nil)
	f.wantReply(empty, http.StatusBadRequest, "timeRangeEmpty")
	if problem := empty.at("error", "errors").([]any)[0].(object); problem["locationType"] != "parameter" || problem["location"] != "timeMax" {
		t.Errorf("an empty range is blamed on %v", problem)
	}
}

// A list says which state of the calendar it is of.
func TestListHasAVersion(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	list := func() reply { return f.call("GET", events, nil) }
	empty := list()
	inserted := f.insert(nil)
	filled := list()
	if filled.at("etag") == empty.at("etag") || filled.at("updated") != inserted.at("updated") {
		t.Errorf("after an event updated at %v: %s", inserted.at("updated"), filled.raw)
	}
	f.call("PATCH", events+"/football", object{"reminders": object{"useDefault": false}})
	if silent := list(); silent.at("etag") == filled.at("etag") || silent.at("updated") != filled.at("updated") {
		t.Errorf("new reminders turn %s into %s", filled.raw, silent.raw)
	}
	present := list().at("etag")
	f.must(f.google.UserDelete(anna, "football"))
	if gone := list(); gone.at("etag") == present {
		t.Errorf("a deletion leaves %s", gone.raw)
	}
	if again := list(); again.at("etag") != list().at("etag") {
		t.Errorf("without a change the list is of version %v, then another", again.at("etag"))
	}
}

func TestPeople(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	for i := range 4 {
		f.insert(object{"id": fmt.Sprintf("event%d", i)})
	}
	f.must(f.google.UserDelete(anna, "event1"))
	f.must(f.google.Purge(anna, "event1"))
	f.must(f.google.UserEdit(anna, "event3", object{"summary": "Chess"}))
	f.must(f.google.UserDelete(anna, "event3"))
	var got []string
	for _, e := range f.google.Events(anna) {
		got = append(got, e.ID+" "+e.Summary+" "+e.Status)
	}
	want := []string{"event0 Football confirmed", "event2 Football confirmed", "event3 Chess cancelled"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	f.insert(object{"id": "event1"})
	for name, err := range map[string]error{
		"edit of nothing":   f.google.UserEdit(anna, "nothing", nil),
		"delete of nothing": f.google.UserDelete("nobody", "event0"),
		"purge of nothing":  f.google.Purge(anna, "nothing"),
		"deleted twice":     f.google.UserDelete(anna, "event3"),
		"impossible edit":   f.google.UserEdit(anna, "event0", object{"end": object{"dateTime": "2020-01-01T00:00:00Z"}}),
		"not JSON":          f.google.UserEdit(anna, "event0", object{"summary": func() {}}),
	} {
		if err == nil {
			t.Errorf("%s goes well", name)
		}
	}
}

// A client is answered the fields that it asks for, and no others.
func TestFields(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.insert(object{"id": "football", "summary": "Football", "extendedProperties": object{"private": object{"mine": "1"}, "shared": object{"ours": "1"}}})
	for fields, want := range map[string]object{
		"items(id,extendedProperties/private)":            {"items": []any{object{"id": "football", "extendedProperties": object{"private": object{"mine": "1"}}}}},
		"nextPageToken,items/summary":                     {"items": []any{object{"summary": "Football"}}},
		"items/extendedProperties(private/mine),items/id": {"items": []any{object{"id": "football", "extendedProperties": object{"private": object{"mine": "1"}}}}},
	} {
		if diff := cmp.Diff(want, f.call("GET", events+"?fields="+fields, nil).body); diff != "" {
			t.Errorf("%s (-want +got):\n%s", fields, diff)
		}
	}
	for _, fields := range []string{"items(id", "items)", "a,,b", "/a", "()"} {
		f.wantReply(f.call("GET", events+"?fields="+fields, nil), http.StatusBadRequest, "invalid")
	}
}

// A changed time of a repeated event is listed beside it, under an id of its own and with its properties.
func TestTimeOfARepeatedEvent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	if _, err := f.google.UserEditTime(anna, "football", time.Now(), nil); !errors.Is(err, gcalfake.ErrNoEvent) {
		t.Errorf("a time of nothing: %v", err)
	}
	f.insert(object{"id": "football", "recurrence": []any{"RRULE:FREQ=WEEKLY"}, "extendedProperties": object{"private": object{"mine": "1"}}})
	at := time.Date(2027, 4, 4, 8, 0, 0, 0, time.UTC)
	id, err := f.google.UserEditTime(anna, "football", at, object{"summary": "Chess"})
	f.must(err)
	if id != "football_20270404T080000Z" {
		t.Errorf("its id is %s", id)
	}
	one := f.call("GET", events+"/"+id, nil)
	if one.at("recurringEventId") != "football" || one.at("summary") != "Chess" || one.at("recurrence") != nil || one.at("extendedProperties", "private", "mine") != "1" {
		t.Errorf("it is %s", one.raw)
	}
	if diff := cmp.Diff([]string{"football", id}, listed(t, f.goClient().Events.List("primary"))); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
}
