package gcalfake_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/cmd/nodetest"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// client is Google's official one for Node; its sum changes with testdata/node/package.json.
var client = nodetest.Client{Name: "googleapis-calendar-20.0.1", Sum: "ad17f3dc2b378af002f42f20751ed4039ce022746445142a74982427de864722"}

// official is a fake with Google's official client beside it, which acts for Anna.
type official struct {
	*testing.T
	google *gcalfake.Server
	client *nodetest.Process
	token  string // Anna's refresh token
}

// made is what the client made of an answer.
type made struct {
	Status int
	Data   any
	Error  *clientError
}

type clientError struct {
	Message string
	Code    any // a number if Google has answered
	Status  int
	Data    any
}

// refusal is an error of the Calendar API in Google's words. They stand on its page on errors, but for those about an invalid value,
// which are known from what others have been answered.
type refusal struct {
	status                  int
	domain, reason, message string
	location                string // of what is to blame, as "header If-Match"
}

var (
	notFound  = refusal{404, "global", "notFound", "Not Found", ""}
	duplicate = refusal{409, "global", "duplicate", "The requested identifier already exists.", ""}
	deleted   = refusal{410, "global", "deleted", "Resource has been deleted", ""}
	stale     = refusal{412, "global", "conditionNotMet", "Precondition Failed", "header If-Match"}
	noToken   = refusal{401, "global", "authError", "Invalid Credentials", "header Authorization"}
	badID     = refusal{400, "global", "invalid", "Invalid resource id value.", ""}
	noTime    = refusal{400, "calendar", "timeRangeEmpty", "The specified time range is empty.", ""}
	noPeriod  = refusal{400, "calendar", "timeRangeEmpty", "The specified time range is empty.", "parameter timeMax"}
)

// TestOfficialClient holds the server to Google's official client for Node: what that client does with the answers is what Google's
// answers are made for.
func TestOfficialClient(t *testing.T) {
	t.Parallel()
	installed := client.Install(t)
	if installed == nil {
		return
	}
	for name, test := range map[string]func(*official){
		"insert": (*official).insert, "get": (*official).get, "change": (*official).change, "days and times": (*official).days,
		"reminders": (*official).reminders, "list": (*official).list, "pages": (*official).pages, "delete": (*official).delete,
		"revoked": (*official).revoked, "wrong client": (*official).wrongClient, "limits": (*official).limits,
		"refresh": (*official).refresh, "expired": (*official).expired, "gateway": (*official).gateway,
		"service account": (*official).serviceAccount,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := startOfficial(t, installed)
			test(o)
			if v := o.google.Violations(); len(v) != 0 {
				t.Errorf("the official client violates %v", v)
			}
		})
	}
}

// startOfficial starts a server and the client beside it.
func startOfficial(t *testing.T, installed *nodetest.Installed) *official {
	t.Helper()
	google, err := gcalfake.Start(gcalfake.Config{ClientID: "client", ClientSecret: "secret", TokenLifetime: 50 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(google.Close)
	o := &official{T: t, google: google, client: installed.Start(t, "GOOGLE_URL="+google.URL()), token: google.Grant(anna)}
	o.connect(nil)
	return o
}

// connect has the client begin anew with Anna's consent, but for changes.
func (o *official) connect(changes object) {
	o.Helper()
	args := object{"clientId": "client", "clientSecret": "secret", "refreshToken": o.token}
	maps.Copy(args, changes)
	if e := o.ask("connect", args).Error; e != nil {
		o.Fatalf("connect: %+v", e)
	}
}

// ask gives a command and waits for what came of it.
func (o *official) ask(command string, args object) (m made) {
	o.Helper()
	o.client.Ask(command, args, &m)
	return m
}

// params are those of a call about an event of Anna's; what a call does not know is left out.
func params(id string, body object) object {
	p := object{"calendarId": "primary"}
	if id != "" {
		p["eventId"] = id
	}
	if body != nil {
		p["requestBody"] = body
	}
	return p
}

// events calls one of the client's methods for events.
func (o *official) events(method string, params object, headers ...string) made {
	o.Helper()
	given := object{}
	for i := 0; i < len(headers); i += 2 {
		given[headers[i]] = headers[i+1]
	}
	return o.ask("events", object{"method": method, "params": params, "headers": given})
}

// done is a call that has to succeed; it returns the answer.
func (o *official) done(method string, params object, headers ...string) object {
	o.Helper()
	m := o.events(method, params, headers...)
	answer, ok := m.Data.(object)
	if m.Error != nil || m.Status != http.StatusOK || !ok {
		o.Fatalf("%s answered %d %v: %+v", method, m.Status, m.Data, m.Error)
	}
	return answer
}

// refused is a call that has to fail, in Google's exact words.
func (o *official) refused(want refusal, method string, params object, headers ...string) {
	o.Helper()
	e := o.events(method, params, headers...).Error
	if e == nil {
		o.Fatalf("%s is not refused, want %v", method, want)
	}
	if diff := cmp.Diff(want.body(), withoutStatus(e.Data)); diff != "" {
		o.Errorf("%s: error (-want +got):\n%s", method, diff)
	}
	if e.Status != want.status || e.Code != float64(want.status) || e.Message != want.message {
		o.Errorf("%s: the client makes of it %d %v %q", method, e.Status, e.Code, e.Message)
	}
}

func (r refusal) body() object {
	problem := object{"domain": r.domain, "reason": r.reason, "message": r.message}
	if kind, name, ok := strings.Cut(r.location, " "); ok {
		problem["locationType"], problem["location"] = kind, name
	}
	return object{"error": object{"code": float64(r.status), "message": r.message, "errors": []any{problem}}}
}

// withoutStatus leaves out the word beside the number, which Google answers and its page does not show.
func withoutStatus(data any) any {
	body, _ := data.(object)
	e, ok := body["error"].(object)
	if !ok {
		return data
	}
	e = maps.Clone(e)
	delete(e, "status")
	return object{"error": e}
}

// insert takes an id once, and only a good one.
func (o *official) insert() {
	body := football(object{
		"location": "Field 3", "description": nil, "extendedProperties": object{"private": object{"event": "7"}},
		"start": object{"dateTime": "2027-03-28T10:00:00", "timeZone": "Europe/Berlin"},
		"end":   object{"dateTime": "2027-03-28T11:00:00+02:00", "timeZone": "Europe/Berlin"},
	})
	got := o.done("insert", params("", body))
	for _, stamp := range []string{"created", "updated"} {
		text, _ := got[stamp].(string)
		if _, err := time.Parse("2006-01-02T15:04:05.000Z", text); err != nil {
			o.Error(err)
		}
	}
	if etag, _ := got["etag"].(string); !strings.HasPrefix(etag, `"`) || !strings.HasSuffix(etag, `"`) {
		o.Errorf("etag %s is not quoted", etag)
	}
	self := object{"email": anna, "self": true}
	want := object{
		"kind": "calendar#event", "id": "football", "status": "confirmed", "summary": "Football", "location": "Field 3",
		"start": object{"dateTime": "2027-03-28T10:00:00+02:00", "timeZone": "Europe/Berlin"},
		"end":   object{"dateTime": "2027-03-28T11:00:00+02:00", "timeZone": "Europe/Berlin"}, "creator": self, "organizer": self,
		"iCalUID": "football@google.com", "sequence": 0.0, "eventType": "default", "reminders": object{"useDefault": true},
		"extendedProperties": body["extendedProperties"], "htmlLink": got["htmlLink"],
		"etag": got["etag"], "created": got["created"], "updated": got["updated"],
	}
	if diff := cmp.Diff(want, got); diff != "" {
		o.Errorf("event (-want +got):\n%s", diff)
	}
	o.refused(duplicate, "insert", params("", body))
	for _, id := range []string{"foot", "Football", "footballs-2", "footballw"} {
		o.refused(badID, "insert", params("", football(object{"id": id})))
	}
	o.refused(badID, "insert", params("", football(object{"id": "chess", "iCalUID": "chess@example.com"})))
	o.refused(noTime, "insert", params("", football(object{"id": "chess", "end": object{"dateTime": "2027-03-28T09:00:00Z"}})))
	if id, _ := o.done("insert", params("", football(object{"id": nil})))["id"].(string); len(id) < 5 {
		o.Errorf("an event without an id is called %q", id)
	}
}

// get finds what was inserted, and only that.
func (o *official) get() {
	inserted := o.done("insert", params("", football(nil)))
	if diff := cmp.Diff(inserted, o.done("get", params("football", nil))); diff != "" {
		o.Errorf("event (-inserted +got):\n%s", diff)
	}
	etag, _ := inserted["etag"].(string)
	if m := o.events("get", params("football", nil), "If-None-Match", etag); m.Status != http.StatusNotModified || m.Data != "" {
		o.Errorf("an unchanged event is answered %d %v", m.Status, m.Data)
	}
	o.refused(notFound, "get", params("nothing", nil))
	elsewhere := object{"calendarId": "nobody@example.com"}
	o.refused(notFound, "list", elsewhere)
	elsewhere["eventId"] = "football"
	o.refused(notFound, "get", elsewhere)
	o.refused(notFound, "delete", elsewhere)
	elsewhere["requestBody"] = football(nil)
	o.refused(notFound, "patch", elsewhere)
	o.refused(notFound, "update", elsewhere)
	delete(elsewhere, "eventId")
	o.refused(notFound, "insert", elsewhere)
}

// change merges by patch and replaces by update, unless somebody else was faster.
func (o *official) change() {
	first := o.done("insert", params("", football(object{"location": "Field 3", "extendedProperties": object{"private": object{"a": "1", "b": "2"}}})))
	patched := o.done("patch", params("football", object{"summary": "Chess", "extendedProperties": object{"private": object{"b": nil, "c": "3"}}}))
	want := maps.Clone(first)
	want["summary"], want["extendedProperties"] = "Chess", object{"private": object{"a": "1", "c": "3"}}
	want["etag"], want["updated"] = patched["etag"], patched["updated"]
	if diff := cmp.Diff(want, patched); diff != "" || patched["etag"] == first["etag"] {
		o.Errorf("patched under etag %v (-want +got):\n%s", patched["etag"], diff)
	}
	old, _ := first["etag"].(string)
	for _, method := range []string{"patch", "update", "delete"} {
		p := params("football", football(nil))
		if method == "delete" {
			p = params("football", nil)
		}
		o.refused(stale, method, p, "If-Match", old)
	}
	present, _ := patched["etag"].(string)
	updated := o.done("update", params("football", football(object{"summary": "Swimming"})), "If-Match", present)
	want = maps.Clone(first)
	delete(want, "location")
	delete(want, "extendedProperties")
	want["summary"], want["etag"], want["updated"] = "Swimming", updated["etag"], updated["updated"]
	if diff := cmp.Diff(want, updated); diff != "" || updated["etag"] == present {
		o.Errorf("updated under etag %v (-want +got):\n%s", updated["etag"], diff)
	}
	o.refused(notFound, "patch", params("nothing", object{"summary": "Chess"}))
	o.refused(notFound, "update", params("nothing", football(object{"id": nil})))
}

// days and times of day take each other's place: by patch when the other is taken away, by update in any case.
func (o *official) days() {
	o.done("insert", params("", football(nil)))
	day := func(d int) object { return object{"date": fmt.Sprintf("2027-03-%d", d)} }
	hour := func(h int) object {
		return object{"dateTime": fmt.Sprintf("2027-03-28T%d:00:00+02:00", h), "timeZone": "Europe/Berlin"}
	}
	with := func(when object, null ...string) object {
		when = maps.Clone(when)
		for _, name := range null {
			when[name] = nil
		}
		return when
	}
	for i, step := range []struct {
		method     string
		start, end object
		wantStart  object
	}{
		{"patch", with(day(28), "dateTime", "timeZone"), with(day(29), "dateTime", "timeZone"), day(28)},
		{"patch", with(hour(10), "date"), with(hour(11), "date"), hour(10)},
		{"update", with(day(28), "dateTime"), with(day(30), "dateTime"), day(28)},
		{"update", with(hour(12), "date"), hour(13), hour(12)},
		{"patch", day(28), day(29), nil},
	} {
		p := params("football", object{"start": step.start, "end": step.end})
		if step.wantStart == nil {
			o.refused(refusal{400, "global", "invalid", "Invalid start time.", ""}, step.method, p)
			continue
		}
		got := o.done(step.method, p)
		if diff := cmp.Diff(step.wantStart, got["start"]); diff != "" || got["sequence"] != float64(i+1) {
			o.Errorf("step %d, sequence %v: start (-want +got):\n%s", i, got["sequence"], diff)
		}
	}
}

// reminders that are switched off stay off, and are no change of the event.
func (o *official) reminders() {
	off := object{"useDefault": false, "overrides": []any{}}
	inserted := o.done("insert", params("", football(object{"reminders": off})))
	o.silent("insert", inserted)
	o.silent("get", o.done("get", params("football", nil)))
	o.silent("update", o.done("update", params("football", football(object{"reminders": off}))))
	o.silent("patch of another thing", o.done("patch", params("football", object{"summary": "Chess"})))
	before := o.done("patch", params("football", object{"reminders": object{"useDefault": true}}))
	if diff := cmp.Diff(object{"useDefault": true}, before["reminders"]); diff != "" {
		o.Errorf("reminders (-want +got):\n%s", diff)
	}
	after := o.done("patch", params("football", object{"reminders": off}))
	o.silent("patch", after)
	if after["updated"] != before["updated"] {
		o.Errorf("reminders have moved updated from %v to %v", before["updated"], after["updated"])
	}
	loud := object{"overrides": []any{object{"method": "popup", "minutes": 5.0}}}
	want := object{"useDefault": false, "overrides": loud["overrides"]}
	if diff := cmp.Diff(want, o.done("patch", params("football", object{"reminders": loud}))["reminders"]); diff != "" {
		o.Errorf("reminders (-want +got):\n%s", diff)
	}
}

// silent wants an event without reminders.
func (o *official) silent(what string, event object) {
	o.Helper()
	got, _ := event["reminders"].(object)
	if overrides, _ := got["overrides"].([]any); got["useDefault"] != false || len(overrides) > 0 {
		o.Errorf("%s: reminders %v", what, got)
	}
}

// listed are the ids on one page, and where the next one begins.
func (o *official) listed(query object) (ids []string, next string) {
	o.Helper()
	p := params("", nil)
	maps.Copy(p, query)
	page := o.done("list", p)
	items, ok := page["items"].([]any)
	if !ok || page["kind"] != "calendar#events" || page["summary"] != anna || page["accessRole"] != "owner" {
		o.Fatalf("list answered %v", page)
	}
	for _, item := range items {
		id, _ := item.(object)["id"].(string)
		ids = append(ids, id)
	}
	next, _ = page["nextPageToken"].(string)
	return ids, next
}

// five events, an hour each, of which the fourth is deleted.
func (o *official) five() {
	for i := range 5 {
		o.done("insert", params("", football(object{
			"id":                 fmt.Sprintf("event%d", i),
			"start":              object{"dateTime": fmt.Sprintf("2027-03-28T%d:00:00Z", 14-i)},
			"end":                object{"dateTime": fmt.Sprintf("2027-03-28T%d:00:00Z", 15-i)},
			"extendedProperties": object{"private": object{"odd": fmt.Sprint(i % 2), "number": fmt.Sprint(i)}},
		})))
	}
	if m := o.events("delete", params("event3", nil)); m.Status != http.StatusNoContent {
		o.Fatalf("delete answered %d: %+v", m.Status, m.Error)
	}
}

// list gives what was asked for.
func (o *official) list() {
	o.five()
	for name, c := range map[string]struct {
		query object
		want  []string
	}{
		"all":               {nil, []string{"event0", "event1", "event2", "event4"}},
		"deleted":           {object{"showDeleted": true}, []string{"event0", "event1", "event2", "event3", "event4"}},
		"not deleted":       {object{"showDeleted": false}, []string{"event0", "event1", "event2", "event4"}},
		"property":          {object{"privateExtendedProperty": "number=2"}, []string{"event2"}},
		"of all properties": {object{"privateExtendedProperty": []string{"odd=0", "number=4"}}, []string{"event4"}},
		"other value":       {object{"privateExtendedProperty": "number=22"}, nil},
		"deleted property":  {object{"privateExtendedProperty": "odd=1", "showDeleted": true}, []string{"event1", "event3"}},
		"by start":          {object{"orderBy": "startTime", "singleEvents": true}, []string{"event4", "event2", "event1", "event0"}},
		"between":           {object{"timeMin": "2027-03-28T12:00:00Z", "timeMax": "2027-03-28T14:00:00+00:00"}, []string{"event1", "event2"}},
		"since": {
			object{"updatedMin": "2020-01-01T00:00:00Z", "showDeleted": false}, []string{"event0", "event1", "event2", "event3", "event4"},
		},
	} {
		got, next := o.listed(c.query)
		if diff := cmp.Diff(c.want, got); diff != "" || next != "" {
			o.Errorf("%s, next page %q (-want +got):\n%s", name, next, diff)
		}
	}
	p := params("", nil)
	p["timeMin"], p["timeMax"] = "2027-03-28T12:00:00Z", "2027-03-28T12:00:00Z"
	o.refused(noPeriod, "list", p)
}

// pages are complete and do not overlap, and only the last has no next one.
func (o *official) pages() {
	o.five()
	for deleted, want := range map[bool][][]string{
		false: {{"event0", "event1"}, {"event2", "event4"}},
		true:  {{"event0", "event1"}, {"event2", "event3"}, {"event4"}},
	} {
		query := object{"maxResults": 2, "showDeleted": deleted}
		var got [][]string
		for next := "first"; next != "" && len(got) <= len(want); {
			var ids []string
			ids, next = o.listed(query)
			got = append(got, ids)
			query["pageToken"] = next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			o.Errorf("deleted ones %v (-want +got):\n%s", deleted, diff)
		}
	}
	before := o.done("list", params("", nil))
	if o.done("list", params("", nil))["etag"] != before["etag"] {
		o.Error("the calendar has another etag although nothing has changed")
	}
	patched := o.done("patch", params("event0", object{"summary": "Chess"}))
	if after := o.done("list", params("", nil)); after["etag"] == before["etag"] || after["updated"] != patched["updated"] {
		o.Errorf("after a change the calendar's etag %v, once %v, was updated %v", after["etag"], before["etag"], after["updated"])
	}
}

// delete marks an event, whose id stays taken, and which can be brought back.
func (o *official) delete() {
	o.done("insert", params("", football(nil)))
	p := params("football", nil)
	p["sendUpdates"] = "none"
	if m := o.events("delete", p); m.Status != http.StatusNoContent || m.Data != "" {
		o.Fatalf("delete answered %d %v: %+v", m.Status, m.Data, m.Error)
	}
	o.refused(deleted, "delete", p)
	if got := o.done("get", params("football", nil)); got["status"] != "cancelled" || got["summary"] != "Football" {
		o.Errorf("a deleted event is answered as %v", got)
	}
	o.refused(duplicate, "insert", params("", football(nil)))
	o.refused(notFound, "delete", params("nothing", nil))
	if got := o.done("update", params("football", football(object{"status": "confirmed"}))); got["status"] != "confirmed" {
		o.Errorf("brought back as %v", got)
	}
}

// denied is a command that the token endpoint has to refuse.
func (o *official) denied(status int, code, description, command string, args object) {
	o.Helper()
	e := o.ask(command, args).Error
	if e == nil {
		o.Fatalf("%s is not refused, want %s", command, code)
	}
	if diff := cmp.Diff(object{"error": code, "error_description": description}, e.Data); diff != "" {
		o.Errorf("%s: error (-want +got):\n%s", command, diff)
	}
	if e.Status != status || e.Code != float64(status) || e.Message != code {
		o.Errorf("%s: the client makes of it %d %v %q", command, e.Status, e.Code, e.Message)
	}
}

// A consent ends in the user's account, by its refresh token, or by the access token that the client holds.
func (o *official) revoked() {
	list := object{"method": "list", "params": params("", nil)}
	for name, revoke := range map[string]func(){
		"by the user": func() { o.google.RevokeUser(anna) },
		"by the refresh token": func() {
			if m := o.ask("revoke", object{"token": o.token}); m.Status != http.StatusOK {
				o.Errorf("revoke answered %d: %+v", m.Status, m.Error)
			}
		},
		"by the access token": func() {
			if m := o.ask("revoke", nil); m.Status != http.StatusOK {
				o.Errorf("revoke answered %d: %+v", m.Status, m.Error)
			}
		},
	} {
		o.token = o.google.Grant(anna)
		o.connect(nil)
		o.done("list", params("", nil))
		revoke()
		o.connect(nil)
		o.denied(400, "invalid_grant", "Token has been expired or revoked.", "refresh", nil)
		o.denied(400, "invalid_grant", "Token has been expired or revoked.", "events", list)
		if n := o.google.Count(gcalfake.OpList, 401); n != 0 {
			o.Errorf("%s: %d requests were made without a token", name, n)
		}
	}
	o.denied(400, "invalid_token", "Token expired or revoked", "revoke", object{"token": o.token})
}

// wrongClient is our fault, not the user's.
func (o *official) wrongClient() {
	o.connect(object{"clientSecret": "wrong"})
	o.denied(401, "invalid_client", "The provided client secret is invalid.", "refresh", nil)
	o.connect(object{"clientId": "unknown"})
	o.denied(401, "invalid_client", "The OAuth client was not found.", "refresh", nil)
	o.connect(nil)
	o.done("list", params("", nil))
}

// limits are told from other refusals by their domain.
func (o *official) limits() {
	limits := []refusal{
		{403, "usageLimits", "rateLimitExceeded", "Rate Limit Exceeded", ""},
		{403, "usageLimits", "userRateLimitExceeded", "User Rate Limit Exceeded", ""},
		{403, "usageLimits", "quotaExceeded", "Calendar usage limits exceeded.", ""},
		{429, "usageLimits", "rateLimitExceeded", "Rate Limit Exceeded", ""},
		{403, "calendar", "forbiddenForNonOrganizer", "Shared properties can only be changed by the organizer of the event.", ""},
		{500, "global", "backendError", "Backend Error", ""},
	}
	for i, want := range limits {
		o.google.Fail(gcalfake.Next(1, gcalfake.OpInsert, gcalfake.Status(want.status, want.reason)))
		o.refused(want, "insert", params("", football(nil)))
		if n := o.google.Count(gcalfake.OpInsert, -1); n != i+1 {
			o.Fatalf("%d requests, want %d", n, i+1)
		}
		o.google.Heal()
	}
	o.done("insert", params("", football(nil)))
	o.google.Fail(gcalfake.Quota(0))
	o.refused(limits[0], "list", params("", nil))
	if n := o.google.Count(gcalfake.OpToken, -1); n != 1 {
		o.Errorf("%d access tokens were asked for, want 1", n)
	}
}

// refresh gives an access token with its time, and no other refresh token.
func (o *official) refresh() {
	before := time.Now()
	m := o.ask("refresh", nil)
	got, _ := m.Data.(object)
	if m.Error != nil || m.Status != http.StatusOK || got == nil {
		o.Fatalf("refresh answered %d: %+v", m.Status, m.Error)
	}
	ms, _ := got["expiry_date"].(float64)
	expires := time.UnixMilli(int64(ms)).Add(-50 * time.Minute)
	if expires.Before(before.Truncate(time.Millisecond)) || expires.After(time.Now()) {
		o.Errorf("the access token begins at %v, asked for at %v", expires, before)
	}
	want := object{
		"access_token": got["access_token"], "expiry_date": got["expiry_date"], "refresh_token": o.token, "token_type": "Bearer",
		"scope": "https://www.googleapis.com/auth/calendar.events.owned",
	}
	if diff := cmp.Diff(want, got); diff != "" || got["access_token"] == "" {
		o.Errorf("credentials (-want +got):\n%s", diff)
	}
	o.done("list", params("", nil))
	if n := o.google.Count(gcalfake.OpToken, -1); n != 1 {
		o.Errorf("%d access tokens were asked for, want 1", n)
	}
}

// expired access tokens are renewed by the client, once for each call.
func (o *official) expired() {
	counts := func(tokens, fine, refused int) {
		o.Helper()
		want := []int{tokens, fine, refused}
		got := []int{o.google.Count(gcalfake.OpToken, 200), o.google.Count(gcalfake.OpList, 200), o.google.Count(gcalfake.OpList, 401)}
		if diff := cmp.Diff(want, got); diff != "" {
			o.Errorf("tokens, lists that went well, lists refused (-want +got):\n%s", diff)
		}
	}
	o.connect(object{"renew": true})
	o.done("list", params("", nil))
	counts(1, 1, 0)
	o.google.ExpireAccessTokens()
	o.done("list", params("", nil))
	counts(2, 2, 1)
	heal := o.google.Fail(gcalfake.Always(gcalfake.OpList, gcalfake.Status(http.StatusUnauthorized, "authError")))
	o.refused(noToken, "list", params("", nil))
	counts(3, 2, 3)
	heal()
	o.connect(nil) // this one believes in the time it was told
	o.done("list", params("", nil))
	counts(4, 3, 3)
	o.google.ExpireAccessTokens()
	o.refused(noToken, "list", params("", nil))
	counts(4, 3, 4)
}

// gateway pages are not JSON, and nothing was done.
func (o *official) gateway() {
	o.google.Fail(gcalfake.Next(1, gcalfake.OpInsert, gcalfake.Page(http.StatusBadGateway)))
	e := o.events("insert", params("", football(nil))).Error
	if e == nil {
		o.Fatal("a gateway's page is taken for an answer")
	}
	page, _ := e.Data.(string)
	if e.Status != http.StatusBadGateway || e.Code != float64(http.StatusBadGateway) || e.Message != page || !strings.HasPrefix(page, "<!DOCTYPE html>") {
		o.Errorf("a gateway's page is %+v", e)
	}
	if n := o.google.Count(gcalfake.OpInsert, -1); n != 1 {
		o.Errorf("%d requests, want 1", n)
	}
	o.done("insert", params("", football(nil)))
}

// serviceAccount acts for Anna, who has consented to nothing: an administrator has, for all of her domain.
func (o *official) serviceAccount() {
	o.google.AddServiceAccount(robot, &robotKey().PublicKey)
	o.google.Delegate(robot, "example.com", gcalfake.Scope)
	act := func(changes object) {
		o.Helper()
		args := object{"email": robot, "key": string(pemOf(o.T, robotKey())), "subject": anna, "scopes": []string{gcalfake.Scope}}
		maps.Copy(args, changes)
		if e := o.ask("delegate", args).Error; e != nil {
			o.Fatalf("delegate: %+v", e)
		}
	}
	act(nil)
	o.done("insert", params("", football(nil)))
	o.done("get", params("football", nil))
	if n := o.google.Count(gcalfake.OpToken, -1); n != 1 {
		o.Errorf("%d access tokens were asked for, want 1", n)
	}
	if live := o.google.Events(anna); len(live) != 1 || live[0].ID != "football" {
		o.Errorf("Anna's calendar holds %v", live)
	}
	for _, tt := range []struct {
		changes           object
		status            int
		code, description string
	}{
		{
			object{"subject": "anna@example.org"}, 401, "unauthorized_client",
			"Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.",
		},
		{object{"subject": "nobody@example.com"}, 400, "invalid_grant", "Invalid email or User ID"},
		{object{"scopes": []string{"https://www.googleapis.com/auth/calendar"}}, 403, "access_denied", "Requested client not authorized."},
		{object{"email": "another@family.iam.gserviceaccount.com"}, 400, "invalid_grant", "Invalid grant: account not found"},
	} {
		act(tt.changes)
		e := o.ask("authorize", nil).Error
		if e == nil {
			o.Errorf("%v is not refused", tt.changes)
			continue
		}
		if diff := cmp.Diff(object{"error": tt.code, "error_description": tt.description}, e.Data); diff != "" || e.Status != tt.status {
			o.Errorf("%v: status %d, error (-want +got):\n%s", tt.changes, e.Status, diff)
		}
		if e.Message != tt.code+": "+tt.description {
			o.Errorf("%v: the client makes of it %q", tt.changes, e.Message)
		}
	}
	act(object{"subject": ""})
	if m := o.ask("authorize", nil); m.Error != nil {
		o.Errorf("for itself: %+v", m.Error)
	}
}
