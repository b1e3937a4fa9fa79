package gcalfake_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const anna = "anna@example.com"

// fixture speaks plain HTTP to a fake of its own, as Anna.
type fixture struct {
	*testing.T
	google *gcalfake.Server
	http   *http.Client
	access string
}

func newFixture(t *testing.T, c gcalfake.Config) *fixture {
	t.Helper()
	google, err := gcalfake.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(func() {
		google.Close()
		transport.CloseIdleConnections()
	})
	f := &fixture{T: t, google: google, http: &http.Client{Transport: transport}}
	f.access = f.exchange(google.Grant(anna))
	google.ResetLog()
	return f
}

type object = map[string]any

// reply is an answer with its JSON decoded.
type reply struct {
	status int
	header http.Header
	raw    string
	body   object
}

// at follows names into the body.
func (r reply) at(names ...string) any {
	var v any = r.body
	for _, name := range names {
		m, _ := v.(object)
		v = m[name]
	}
	return v
}

// reason is the word for what is wrong, and empty for an answer that is no error.
func (r reply) reason() string {
	list, _ := r.at("error", "errors").([]any)
	if len(list) == 0 {
		return ""
	}
	reason, _ := list[0].(object)["reason"].(string)
	return reason
}

func (f *fixture) send(req *http.Request) reply {
	f.Helper()
	res, err := f.http.Do(req)
	if err != nil {
		f.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		f.Fatal(err)
	}
	r := reply{status: res.StatusCode, header: res.Header, raw: string(raw)}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(raw, &r.body); err != nil {
			f.Fatalf("answer is not JSON: %s", raw)
		}
	}
	return r
}

func (f *fixture) request(method, path string, body any) *http.Request {
	f.Helper()
	var r io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(body)
	default:
		raw, err := json.Marshal(body)
		if err != nil {
			f.Fatal(err)
		}
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(f.Context(), method, f.google.CalendarURL()+path, r)
	if err != nil {
		f.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+f.access)
	return req
}

func (f *fixture) call(method, path string, body any) reply {
	f.Helper()
	return f.send(f.request(method, path, body))
}

func (f *fixture) form(address string, values url.Values) reply {
	f.Helper()
	req, err := http.NewRequestWithContext(f.Context(), http.MethodPost, address, strings.NewReader(values.Encode()))
	if err != nil {
		f.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return f.send(req)
}

func (f *fixture) refresh(token string) reply {
	f.Helper()
	return f.form(f.google.TokenURL(), url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func (f *fixture) exchange(token string) string {
	f.Helper()
	r := f.refresh(token)
	access, ok := r.at("access_token").(string)
	if !ok {
		f.Fatalf("no access token for %s: %d %s", token, r.status, r.raw)
	}
	return access
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

const events = "calendars/primary/events"

// football is an event as a client might send it, with changes.
func football(changes object) object {
	e := object{
		"id": "football", "summary": "Football",
		"start": object{"dateTime": "2027-03-28T10:00:00Z"}, "end": object{"dateTime": "2027-03-28T11:00:00Z"},
	}
	for name, v := range changes {
		if e[name] = v; v == nil {
			delete(e, name)
		}
	}
	return e
}

func (f *fixture) insert(changes object) reply {
	f.Helper()
	r := f.call("POST", events, football(changes))
	if r.status != http.StatusOK {
		f.Fatalf("insert: %d %s", r.status, r.raw)
	}
	return r
}

func (f *fixture) wantReply(r reply, status int, reason string) {
	f.Helper()
	if r.status != status || r.reason() != reason {
		f.Errorf("answered %d %q, want %d %q: %s", r.status, r.reason(), status, reason, r.raw)
	}
}

func BenchmarkInsert(b *testing.B) {
	google, err := gcalfake.Start(gcalfake.Config{LogSize: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer google.Close()
	b.ReportAllocs()
	access := accessToken(b, google, google.Grant(anna))
	body, err := json.Marshal(football(object{"id": nil}))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		req := httptest.NewRequest(http.MethodPost, google.CalendarURL()+events, bytes.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+access)
		w := httptest.NewRecorder()
		if google.ServeHTTP(w, req); w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
