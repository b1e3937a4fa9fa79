package gcalfake_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// generated is what the generator prints, run once however often the tests are.
var generated = sync.OnceValues(func() ([]byte, error) {
	var complaint bytes.Buffer
	gen := exec.Command("go", "run", "gen.go", "-out", "-")
	gen.Stderr = &complaint
	out, err := gen.Output()
	if err != nil {
		return nil, fmt.Errorf("run the generator: %w\n%s", err, &complaint)
	}
	return out, nil
})

// The excerpt must be what the generator makes of the document in the module that the build uses.
func TestExcerptIsCurrent(t *testing.T) {
	t.Parallel()
	want, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("discovery.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("discovery.json is not current, run go generate (-generated +committed):\n%s",
			cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")))
	}
}

// The package's documentation says where the excerpt comes from.
func TestDocNamesTheSource(t *testing.T) {
	t.Parallel()
	var source struct{ Module, Version, Revision string }
	raw, err := os.ReadFile("discovery.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &source); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{source.Module + " " + source.Version, "revision " + source.Revision} {
		if !strings.Contains(string(doc), want) {
			t.Errorf("doc.go does not name %s", want)
		}
	}
}

var badRequests = []struct {
	name, method, path string
	body               any
	status             int
	problem            string
}{
	{"unknown parameter", "GET", events + "?colour=7", nil, 400, `Unknown query parameter "colour".`},
	{"parameter of the path in the query", "GET", events + "?calendarId=a", nil, 400, `Unknown query parameter "calendarId".`},
	{"parameter of another method", "POST", events + "?showDeleted=true", football(nil), 400, `Unknown query parameter "showDeleted".`},
	{"number", "GET", events + "?maxResults=many", nil, 400, `Invalid value for query parameter "maxResults".`},
	{"number below the minimum", "GET", events + "?maxResults=0", nil, 400, `Invalid value for query parameter "maxResults".`},
	{"truth", "GET", events + "?showDeleted=yes", nil, 400, `Invalid value for query parameter "showDeleted".`},
	{"choice", "DELETE", events + "/football?sendUpdates=nobody", nil, 400, `Invalid value for query parameter "sendUpdates".`},
	{"instant", "GET", events + "?timeMin=2027-03-28", nil, 400, `Invalid value for query parameter "timeMin".`},
	{"given twice", "GET", events + "?q=a&q=b", nil, 400, `Query parameter "q" is given more than once.`},
	{"unknown property", "POST", events, football(object{"title": "Football"}), 400, `Unknown property "title".`},
	{"unknown inner property", "POST", events, football(object{"start": object{"time": "10:00"}}), 400, `Unknown property "start.time".`},
	{"text for a number", "POST", events, football(object{"sequence": "1"}), 400, `Property "sequence" has a value of the wrong type, integer is expected.`},
	{"broken number", "POST", events, football(object{"sequence": 1.5}), 400, `Property "sequence" has a value of the wrong type, integer is expected.`},
	{"number for a text", "POST", events, football(object{"summary": 7}), 400, `Property "summary" has a value of the wrong type, string is expected.`},
	{"text for truth", "POST", events, football(object{"locked": "true"}), 400, `Property "locked" has a value of the wrong type, boolean is expected.`},
	{"truth for an object", "POST", events, football(object{"reminders": true}), 400, `Property "reminders" has a value of the wrong type, object is expected.`},
	{"object for a list", "POST", events, football(object{"attendees": object{}}), 400, `Property "attendees" has a value of the wrong type, array is expected.`},
	{"list for an object", "POST", events, football(object{"start": []any{}}), 400, `Property "start" has a value of the wrong type, object is expected.`},
	{"wrong item", "POST", events, football(object{"attendees": []any{object{"email": 1}}}), 400, `Property "attendees[0].email" has a value of the wrong type, string is expected.`},
	{"wrong value of a map", "POST", events, football(object{"extendedProperties": object{"private": object{"a": 1}}}), 400, `Property "extendedProperties.private.a" has a value of the wrong type, string is expected.`},
	{"required on insert", "POST", events, football(object{"start": nil}), 400, `Required property "start" is missing.`},
	{"required on update", "PUT", events + "/football", football(object{"end": nil}), 400, `Required property "end" is missing.`},
	{"no body", "POST", events, nil, 400, "This method needs a body."},
	{"superfluous body", "DELETE", events + "/football", football(nil), 400, "This method takes no body."},
	{"not JSON", "POST", events, "summary=Football", 400, "The body is not a JSON object."},
	{"not an object", "POST", events, "[]", 400, "The body is not a JSON object."},
	{"null", "POST", events, "null", 400, "The body is not a JSON object."},
	{"two objects", "POST", events, "{} {}", 400, "The body is not a JSON object."},
	{"unknown method", "POST", events + "/football", football(nil), 404, "No method of the Calendar API answers POST there."},
	{"unknown path", "GET", "calendars/primary/meetings", nil, 404, "No method of the Calendar API answers GET there."},
	{"empty id", "GET", events + "/", nil, 404, "No method of the Calendar API answers GET there."},
}

func TestRequestsAreCheckedAgainstTheDescription(t *testing.T) {
	t.Parallel()
	for _, tt := range badRequests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, gcalfake.Config{})
			if r := f.call(tt.method, tt.path, tt.body); r.status != tt.status {
				t.Errorf("answered %d %s, want %d", r.status, r.raw, tt.status)
			}
			got := f.google.Violations()
			if len(got) != 1 || got[0].Problem != tt.problem {
				t.Errorf("violations %v, want %s", got, tt.problem)
			}
		})
	}
}

func TestCorrectRequestsViolateNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.insert(object{"description": nil, "colorId": nil})
	f.call("GET", events+"?maxResults=10&privateExtendedProperty=a%3D1&privateExtendedProperty=b%3D2&alt=json&prettyPrint=false", nil)
	f.call("PATCH", events+"/football?sendUpdates=none", object{"reminders": nil})
	if got := f.google.Violations(); len(got) != 0 {
		t.Errorf("violations %v, want none", got)
	}
	if n := f.google.Count("", http.StatusOK); n != 3 {
		t.Errorf("%d requests went well, want 3", n)
	}
}

// Whatever is sent, the answer is Google's: no panic, no 5xx, and an error in JSON.
func FuzzRequest(f *testing.F) {
	google, err := gcalfake.Start(gcalfake.Config{OpenGrants: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(google.Close)
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		f.Add(method, "calendars/primary/events?maxResults=3", `{"start":{"date":"2027-03-28"},"end":{"date":"2027-03-28"}}`)
		f.Add(method, "calendars/primary/events/football", `{"id":"football","start":{"dateTime":"2027-03-28T10:00:00Z"},"end":null}`)
		f.Add(method, "calendars", `{"summary":"Family","reminders":{"overrides":[null]}}`)
	}
	f.Add("GET", "calendars/primary/events?pageToken=cGFnZTo5OTk5&orderBy=updated&q=a", "")
	f.Fuzz(func(t *testing.T, method, path, body string) {
		fuzzOne(t, google, method, path, body)
	})
}
