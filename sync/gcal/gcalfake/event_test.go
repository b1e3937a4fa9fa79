package gcalfake_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

func TestInsert(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	r := f.insert(object{"description": "", "start": object{"dateTime": "2027-03-28T10:00:00Z", "timeZone": "Europe/Berlin"}})
	for path, want := range map[string]any{
		"id": "football", "status": "confirmed", "kind": "calendar#event", "iCalUID": "football@google.com", "sequence": 0.0,
		"start.dateTime": "2027-03-28T12:00:00+02:00", "creator.email": anna, "reminders.useDefault": true, "description": nil,
	} {
		if diff := cmp.Diff(want, r.at(strings.Split(path, ".")...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	f.wantReply(f.call("POST", events, football(nil)), http.StatusConflict, "duplicate")
	if id, _ := f.insert(object{"id": nil}).at("id").(string); len(id) < 5 {
		t.Errorf("an event without an id is called %q", id)
	}
}

func TestInsertIsRefused(t *testing.T) {
	t.Parallel()
	day := object{"date": "2027-03-28"}
	for _, tt := range []struct {
		name    string
		changes object
		reason  string
	}{
		{"id of upper case", object{"id": "FOOTBALL"}, "invalid"},
		{"id with a letter beyond v", object{"id": "footballw"}, "invalid"},
		{"id with hyphens", object{"id": "0b6a1f5e-93c2-4d10"}, "invalid"},
		{"id too short", object{"id": "foot"}, "invalid"},
		{"id too long", object{"id": strings.Repeat("a", 1025)}, "invalid"},
		{"both ids", object{"iCalUID": "football@example.com"}, "invalid"},
		{"no end", object{"end": nil}, "invalid"},
		{"empty end", object{"end": object{}}, "required"},
		{"end before start", object{"end": object{"dateTime": "2027-03-28T09:59:59Z"}}, "timeRangeEmpty"},
		{"no time", object{"start": object{"dateTime": "soon"}}, "invalid"},
		{"time without zone", object{"start": object{"dateTime": "2027-03-28T10:00:00"}}, "invalid"},
		{"year of five digits", object{"end": object{"dateTime": "12027-03-28T10:00:00Z"}}, "invalid"},
		{"unknown zone", object{"start": object{"dateTime": "2027-03-28T10:00:00Z", "timeZone": "Mars/Olympus"}}, "invalid"},
		{"day and time", object{"start": object{"date": "2027-03-28", "dateTime": "2027-03-28T10:00:00Z"}}, "invalid"},
		{"not a day", object{"start": object{"date": "2027-02-30"}, "end": day}, "invalid"},
		{"status", object{"status": "maybe"}, "invalid"},
		{"alert of an unknown method", object{"reminders": object{"overrides": []any{object{"method": "sms", "minutes": 5}}}}, "invalid"},
		{"alert too early", object{"reminders": object{"overrides": []any{object{"method": "popup", "minutes": 40321}}}}, "invalid"},
		{"alerts and defaults", object{"reminders": object{
			"useDefault": true, "overrides": []any{object{"method": "popup", "minutes": 5}},
		}}, "cannotUseDefaultRemindersAndSpecifyOverride"},
		{"property too long", object{"extendedProperties": object{"private": object{"a": strings.Repeat("x", 1025)}}}, "invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, gcalfake.Config{})
			f.wantReply(f.call("POST", events, football(tt.changes)), http.StatusBadRequest, tt.reason)
			if n := len(f.google.Events(anna)); n != 0 {
				t.Errorf("%d events were made", n)
			}
		})
	}
}

func TestInsertIsAccepted(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string]object{
		"all day":             {"start": object{"date": "2027-03-28"}, "end": object{"date": "2027-03-29"}},
		"no length":           {"end": object{"dateTime": "2027-03-28T10:00:00Z"}},
		"zone beside the day": {"start": object{"dateTime": "2027-03-28T10:00:00", "timeZone": "Asia/Tokyo"}},
		"longest id":          {"id": strings.Repeat("v", 1024)},
		"another's id":        {"id": nil, "iCalUID": "football@example.com"},
		"alerts": {"reminders": object{"useDefault": false, "overrides": []any{
			object{"method": "popup", "minutes": 0}, object{"method": "email", "minutes": 40320},
		}}},
		"what a client read": {"etag": `"1"`, "created": "2020-01-01T00:00:00Z", "htmlLink": "https://example.com", "sequence": 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, gcalfake.Config{})
			if r := f.insert(changes); r.at("etag") == `"1"` || r.at("sequence") != 0.0 {
				t.Errorf("a client has set what is the server's: %s", r.raw)
			}
		})
	}
}

func TestDeletedEventStays(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.insert(nil)
	const football = events + "/football"
	if r := f.call("DELETE", football+"?sendUpdates=none", nil); r.status != http.StatusNoContent || r.raw != "" {
		t.Errorf("delete answered %d %q", r.status, r.raw)
	}
	f.wantReply(f.call("DELETE", football, nil), http.StatusGone, "deleted")
	if r := f.call("GET", football, nil); r.at("status") != "cancelled" || r.at("summary") != "Football" {
		t.Errorf("a deleted event is answered as %s", r.raw)
	}
	f.wantReply(f.call("POST", events, map[string]any{
		"id": "football", "start": object{"date": "2027-03-28"}, "end": object{"date": "2027-03-28"},
	}), http.StatusConflict, "duplicate")
	f.wantReply(f.call("DELETE", events+"/nothing", nil), http.StatusNotFound, "notFound")
	f.wantReply(f.call("GET", "calendars/nobody/events/football", nil), http.StatusNotFound, "notFound")
}

func TestUndelete(t *testing.T) {
	t.Parallel()
	for _, refuse := range []bool{false, true} {
		for _, method := range []string{"PUT", "PATCH"} {
			f := newFixture(t, gcalfake.Config{RefuseUndelete: refuse})
			f.insert(nil)
			f.must(f.google.UserDelete(anna, "football"))
			r := f.call(method, events+"/football", football(object{"status": "confirmed"}))
			if refuse {
				f.wantReply(r, http.StatusForbidden, "forbidden")
			} else if f.wantReply(r, http.StatusOK, ""); r.at("status") != "confirmed" {
				t.Errorf("%s answered %s", method, r.raw)
			}
		}
	}
}

func TestUpdateReplacesAndPatchMerges(t *testing.T) {
	t.Parallel()
	whole := object{
		"description": "Bring cleats", "colorId": "7",
		"extendedProperties": object{"private": object{"a": "1", "b": "2"}},
		"attendees":          []any{object{"email": "ben@example.com"}, object{"email": "cleo@example.com"}},
		"attachments":        []any{object{"fileUrl": "https://example.com/plan.pdf"}},
	}
	for _, tt := range []struct {
		method, query string
		body          object
		want          object
	}{
		{"PUT", "", football(object{"summary": "Chess"}), object{
			"summary": "Chess", "description": nil, "colorId": nil, "extendedProperties": nil, "attendees": nil,
			"attachments": whole["attachments"],
		}},
		{"PUT", "?supportsAttachments=true", football(nil), object{"attachments": nil}},
		{
			"PATCH", "",
			object{
				"summary": "Chess", "description": nil, "extendedProperties": object{"private": object{"b": nil, "c": "3"}},
				"attendees": []any{object{"email": "dora@example.com"}},
			},
			object{
				"summary": "Chess", "description": nil, "colorId": "7", "attachments": whole["attachments"],
				"extendedProperties": object{"private": object{"a": "1", "c": "3"}}, "attendees": []any{object{"email": "dora@example.com"}},
			},
		},
		{
			"PATCH", "",
			object{
				"start": object{"date": "2027-03-28", "dateTime": nil}, "end": object{"date": "2027-03-29", "dateTime": nil},
			},
			object{"start": object{"date": "2027-03-28"}, "end": object{"date": "2027-03-29"}, "sequence": 1.0},
		},
	} {
		f := newFixture(t, gcalfake.Config{})
		before := f.call("POST", events+"?supportsAttachments=true", football(whole))
		f.wantReply(before, http.StatusOK, "")
		after := f.call(tt.method, events+"/football"+tt.query, tt.body)
		f.wantReply(after, http.StatusOK, "")
		for name, want := range tt.want {
			if diff := cmp.Diff(want, after.at(name)); diff != "" {
				t.Errorf("%s%s: %s (-want +got):\n%s", tt.method, tt.query, name, diff)
			}
		}
		if after.at("etag") == before.at("etag") || after.at("created") != before.at("created") || after.at("iCalUID") != before.at("iCalUID") {
			t.Errorf("%s turned %s into %s", tt.method, before.raw, after.raw)
		}
	}
}

// What is null in a whole event is as if it were left out.
func TestNullsAreNotAnswered(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	day := object{
		"start": object{"date": "2027-03-28", "dateTime": nil, "timeZone": nil}, "end": object{"date": "2027-03-29", "dateTime": nil},
		"extendedProperties": object{"private": object{"a": "", "b": nil}}, "description": nil,
		"attendees": []any{object{"email": "ben@example.com", "displayName": nil}},
	}
	hour := object{
		"start": object{"dateTime": "2027-03-28T10:00:00Z", "date": nil}, "end": object{"dateTime": "2027-03-28T11:00:00Z", "date": nil},
	}
	inserted := f.insert(day)
	updated := f.call("PUT", events+"/football", football(hour))
	f.wantReply(updated, http.StatusOK, "")
	for _, r := range []reply{inserted, updated} {
		if strings.Contains(r.raw, "null") {
			t.Errorf("answered %s", r.raw)
		}
	}
	if diff := cmp.Diff(object{"private": object{"a": ""}}, inserted.at("extendedProperties")); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
}

func TestReminders(t *testing.T) {
	t.Parallel()
	popup := []any{object{"method": "popup", "minutes": 5.0}}
	for _, tt := range []struct{ sent, want object }{
		{nil, object{"useDefault": true}},
		{object{}, object{"useDefault": false}},
		{object{"useDefault": true, "overrides": []any{}}, object{"useDefault": true}},
		{object{"useDefault": false, "overrides": []any{}}, object{"useDefault": false}},
		{object{"overrides": popup}, object{"useDefault": false, "overrides": popup}},
	} {
		f := newFixture(t, gcalfake.Config{})
		changes := object{"reminders": tt.sent}
		if tt.sent == nil {
			changes = nil
		}
		f.insert(changes)
		if diff := cmp.Diff(tt.want, f.call("GET", events+"/football", nil).at("reminders")); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.sent, diff)
		}
	}
}

// Reminders are a user's own: they make another version, and do not change the event.
func TestRemindersDoNotTouchUpdated(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	before := f.insert(nil)
	made := f.google.Events(anna)[0].Updated
	silent := f.call("PATCH", events+"/football", object{"reminders": object{"useDefault": false}})
	if silent.at("updated") != before.at("updated") || silent.at("etag") == before.at("etag") {
		t.Errorf("new reminders turn %s into %s", before.raw, silent.raw)
	}
	if got := f.google.Events(anna)[0].Updated; !got.Equal(made) {
		t.Errorf("updated at %v, want %v", got, made)
	}
	f.call("PATCH", events+"/football", object{"reminders": object{"useDefault": true}, "summary": "Chess"})
	if got := f.google.Events(anna)[0].Updated; !got.After(made) {
		t.Errorf("updated at %v, want after %v", got, made)
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	stale, _ := f.insert(nil).at("etag").(string)
	f.must(f.google.UserEdit(anna, "football", object{"summary": "Chess"}))
	conditional := func(method, etag string) reply {
		var body any
		if method != "DELETE" {
			body = football(nil)
		}
		req := f.request(method, events+"/football", body)
		req.Header.Set("If-Match", etag)
		return f.send(req)
	}
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		f.wantReply(conditional(method, stale), http.StatusPreconditionFailed, "conditionNotMet")
	}
	fresh, _ := f.call("GET", events+"/football", nil).at("etag").(string)
	f.wantReply(conditional("PUT", fresh), http.StatusOK, "")
	f.wantReply(conditional("PATCH", "*"), http.StatusOK, "")

	req := f.request("GET", events+"/football", nil)
	req.Header.Set("If-None-Match", f.google.Events(anna)[0].ETag)
	if r := f.send(req); r.status != http.StatusNotModified {
		t.Errorf("an unchanged event is answered with %d", r.status)
	}
}

func TestUpdateUnderAnotherID(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.insert(nil)
	f.wantReply(f.call("PUT", events+"/football", football(object{"id": "chess"})), http.StatusBadRequest, "invalid")
}

func TestCalendars(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	made := f.call("POST", "calendars", object{"summary": "Family"})
	id, _ := made.at("id").(string)
	f.wantReply(f.call("POST", "calendars/"+id+"/events", football(nil)), http.StatusOK, "")
	f.wantReply(f.call("GET", events+"/football", nil), http.StatusNotFound, "notFound")
	f.insert(nil)
	f.wantReply(f.call("GET", "calendars/anna%40example.com/events/football", nil), http.StatusOK, "")
	if r := f.call("GET", "calendars/"+id, nil); r.at("summary") != "Family" {
		t.Errorf("the calendar is answered as %s", r.raw)
	}
	f.wantReply(f.call("GET", "calendars/nobody", nil), http.StatusNotFound, "notFound")
	if n := len(f.google.Events(anna)); n != 2 {
		t.Errorf("Anna has %d events, want 2", n)
	}
}

// Users are apart: the same id in two calendars is two events.
func TestUsersAreApart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.insert(nil)
	f.access = f.exchange(f.google.Grant("ben@example.com"))
	f.wantReply(f.call("GET", events+"/football", nil), http.StatusNotFound, "notFound")
	f.wantReply(f.call("GET", "calendars/"+anna+"/events/football", nil), http.StatusNotFound, "notFound")
	f.insert(object{"summary": "Ben's"})
	if diff := cmp.Diff([]string{anna, "ben@example.com"}, f.google.Users()); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
}

func TestConcurrentWritesEachCount(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	const writers, each = 8, 25
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				id := fmt.Sprintf("event%02d%02d", w, i)
				if r := f.call("POST", events, football(object{"id": id})); r.status != http.StatusOK {
					t.Errorf("insert answered %d", r.status)
				}
				f.call("POST", events, football(object{"id": "shared"}))
				f.call("PATCH", events+"/"+id, object{"summary": id})
			}
		})
	}
	group.Wait()
	all := f.google.Events(anna)
	etags := make(map[string]bool)
	for _, e := range all {
		etags[e.ETag] = true
	}
	if want := writers*each + 1; len(all) != want || len(etags) != want {
		t.Errorf("%d events of %d versions, want %d", len(all), len(etags), want)
	}
	if n := f.google.Count(gcalfake.OpInsert, http.StatusConflict); n != writers*each-1 {
		t.Errorf("%d inserts were refused, want all but one", n)
	}
}
