package page

import (
	"bufio"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	hostile  = `<script>alert("x")</script>&'`
	password = "correct horse"
)

var (
	anEvent    = uuid.MustParse("0b5f693a-d1e1-4b0c-9d3e-6e97c90ada80")
	aReminder  = uuid.MustParse("1c5f693a-d1e1-4b0c-9d3e-6e97c90ada81")
	someTime   = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	somePeriod = 1.5
)

// made is a source made by hand. Its words of people are hostile.
type made struct {
	mu     sync.Mutex // guards the fields below
	err    error
	reads  int
	status string
}

func (m *made) Readiness() Readiness {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.status == "" {
		return Readiness{Status: "ok", Checks: []Check{{Name: "database", Status: "ok", Required: true}}}
	}
	return Readiness{Status: m.status, Checks: []Check{{Name: "google", Status: m.status, Reason: hostile, Fix: "wait"}}}
}

func (m *made) read() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	return m.err
}

func (m *made) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reads
}

func (m *made) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

func (m *made) Overview(context.Context) (Overview, error) {
	o := Overview{
		At:   someTime,
		Hour: Series{From: someTime, Step: 60, Counts: []Count{{N: 3}, {}, {N: 1000, More: true}}},
		Day:  Series{From: someTime, Step: 3600, Counts: make([]Count, 24)},
		Next: []Due{{ReminderID: aReminder, EventID: anEvent, At: someTime, StartsAt: someTime, Status: "pending", Title: hostile}},
	}
	for _, name := range []string{StageChanges, StageQueue, StageGoogle, StageReminders, StagePush, StageReceipts} {
		o.Stages = append(o.Stages, Stage{Name: name, Waiting: &Count{N: 7}, OldestSeconds: 2, PerMinute: &somePeriod, Error: "mail of anna@example.org " + hostile})
	}
	o.Stages[2].Part, o.Stages[4].Part = "calendar", "push"
	o.Stages[4].Pause = &Pause{Since: someTime, Reason: hostile}
	return o, m.read()
}

func (m *made) Story(_ context.Context, id uuid.UUID) (Story, error) {
	if id != anEvent && id != aReminder {
		return Story{}, ErrUnknown
	}
	return Story{
		At: someTime, ID: anEvent, Asked: aReminder,
		Event: &Event{Title: hostile, Location: hostile, StartsAt: someTime.Add(time.Hour), CreatedAt: someTime.Add(-time.Hour), Status: "failed", Error: hostile, Revision: 2, ChangedAt: someTime.Add(-time.Minute), Planned: true},
		Copies: []Copy{{
			CalendarID: "anna@example.org", GoogleEventID: "0b5f", NotedAt: someTime.Add(-time.Hour), WrittenAt: someTime.Add(-time.Minute + 4*time.Millisecond), Error: hostile,
		}},
		Reminders: []Reminder{{
			ID: aReminder, DueAt: someTime.Add(-time.Second), LeadSeconds: 1800, Status: "sent", SentAt: someTime, Message: hostile, Error: hostile,
			Deliveries: []Delivery{{Token: "…ab12", State: "delivered", Ticket: "t1", SentAt: someTime, LatenessMs: 1, Attempts: 1, SettledAt: someTime.Add(time.Second), Error: hostile}},
		}},
	}, m.read()
}

func (m *made) Failures(context.Context) (Failures, error) {
	return Failures{At: someTime, Groups: []Group{
		{Kind: KindEvent, Reason: hostile, Count: Count{N: 3}, Oldest: someTime, Newest: someTime, Examples: []Example{{ID: anEvent, EventID: anEvent, Title: hostile}}},
		{Kind: KindReminder, Reason: "no device", Count: Count{N: 1000, More: true}, Examples: []Example{{ID: aReminder, EventID: anEvent}}},
	}}, m.read()
}

func (m *made) Connections(context.Context) (Connections, error) {
	return Connections{
		At: someTime, States: []AccountState{{State: "needs_reconnect", Reason: "calendar of anna@example.org " + hostile, Count: Count{N: 1}}},
		Reconnect: []Account{{UserID: anEvent, State: "needs_reconnect", Reason: hostile, Since: someTime}},
	}, m.read()
}

func (m *made) Devices(context.Context) (Devices, error) {
	return Devices{
		At: someTime, Platforms: []Platform{{Name: hostile, Count: Count{N: 1}}}, Reasons: []RetiredReason{{Reason: hostile}},
		Retired: []Device{{Token: "…ab12", Reason: hostile, RetiredAt: someTime}},
	}, m.read()
}

func (m *made) System(context.Context) (System, error) {
	return System{
		At: someTime, Version: "v1.2.3", Listener: Listener{State: "listening", Source: "notify", Error: hostile},
		Settings: []Setting{{Name: "LEASE", Value: hostile, Source: "default"}},
	}, m.read()
}

// done notes what it is asked to change.
type done struct {
	mu    sync.Mutex // guards the fields below
	acts  []any
	err   error
	notes strings.Builder
}

func (d *done) note(v any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.acts = append(d.acts, v)
	return d.err
}

func (d *done) Retry(_ context.Context, r RetryRequest) (RetryResult, error) {
	return RetryResult{Events: 2, TooLate: 1}, d.note(r)
}

func (d *done) Pause(_ context.Context, part, reason string) error {
	return d.note([]string{"pause", part, reason})
}
func (d *done) Resume(_ context.Context, part string) error { return d.note([]string{"resume", part}) }

// Write takes the log.
func (d *done) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.notes.Write(b)
}

func (d *done) logged() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.notes.String()
}

// site is a page behind a real server.
type site struct {
	*testing.T
	source *made
	done   *done
	page   *Page
	root   string
	client *http.Client
	header http.Header // of all requests
}

func serve(t *testing.T, change func(*Config)) *site {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Interval = time.Nanosecond // each answer is read anew
	if change != nil {
		change(&cfg)
	}
	s := &site{T: t, source: &made{}, done: &done{}, header: http.Header{}}
	p, err := New(cfg, s.source, s.done, prometheus.NewRegistry(), zerolog.New(s.done))
	if err != nil {
		t.Fatal(err)
	}
	s.page = p
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	s.root, s.client = server.URL, server.Client()
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return s
}

// locked is a site that has a password, and sends it.
func locked(t *testing.T) *site {
	s := serve(t, func(c *Config) { c.Password = password })
	s.header.Set("Authorization", "Bearer "+password)
	return s
}

func (s *site) ask(method, path, body string, header ...string) (*http.Response, string) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, s.root+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	r.Header = s.header.Clone()
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	resp, err := s.client.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		s.Fatal(err)
	}
	if csp := resp.Header.Get("Content-Security-Policy"); csp != policy {
		s.Errorf("%s %s: policy %q", method, path, csp)
	}
	return resp, string(text)
}

func (s *site) want(code int, method, path, body string, header ...string) string {
	s.Helper()
	resp, text := s.ask(method, path, body, header...)
	if resp.StatusCode != code {
		s.Errorf("%s %s: %d, want %d\n%s", method, path, resp.StatusCode, code, text)
	}
	return text
}

// lacks holds that none of the words is in a text, has that all are.
func (s *site) lacks(text string, words ...string) {
	s.Helper()
	for _, w := range words {
		if strings.Contains(text, w) {
			s.Errorf("has %q:\n%s", w, text)
		}
	}
}

func (s *site) has(text string, words ...string) {
	s.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			s.Errorf("lacks %q:\n%s", w, text)
		}
	}
}

var everyPage = []string{
	"/", "/?show=texts", "/failures", "/failures?show=texts", "/connections", "/devices", "/system", "/events/" + anEvent.String(),
	"/events/" + anEvent.String() + "?show=texts", "/events/" + aReminder.String(),
}

// balanced reports the first thing in a page that is not well-formed. The templates close what HTML would leave open, so
// that this can be told.
func balanced(page string) error {
	d := xml.NewDecoder(strings.NewReader(page))
	d.Entity = xml.HTMLEntity
	ids := map[string]bool{}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		for _, a := range start.Attr {
			switch {
			case a.Name.Local == "style", strings.HasPrefix(a.Name.Local, "on"):
				return errors.New("an attribute that the policy forbids: " + a.Name.Local)
			case a.Name.Local == "id" && ids[a.Value]:
				return errors.New("two elements have the id " + a.Value)
			case a.Name.Local == "id":
				ids[a.Value] = true
			}
		}
	}
}

func TestPagesAreWellFormed(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*site{"reading": serve(t, nil), "changing": locked(t)} {
		for _, path := range everyPage {
			text := s.want(200, "GET", path, "")
			if err := balanced(text); err != nil {
				t.Errorf("%s: %s: %v\n%s", name, path, err, text)
			}
			s.lacks(text, "<script>alert", "alert(\"x\")")
		}
		s.source.set(func() { s.source.status = "degraded" })
		s.has(s.want(200, "GET", "/", ""), "google: degraded", "&lt;script&gt;", "wait")
	}
}

func TestWordsOfPeopleAreHidden(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, path := range []string{"/", "/failures", "/events/" + anEvent.String()} {
		asked := s.want(200, "GET", path+"?show=texts", "")
		s.has(asked, "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;&amp;&#39;")
		if path != "/failures" {
			s.has(asked, "anna@example.org")
		}
		s.lacks(s.want(200, "GET", path, ""), "anna@example.org")
	}
	for _, path := range []string{"/connections", "/connections?show=texts", "/api/v1/connections"} {
		s.lacks(s.want(200, "GET", path, ""), "anna@example.org")
	}
	// What may be hostile beside titles, places and texts is the worker's own or Google's.
	var o Overview
	var story Story
	s.json("/api/v1/overview", &o)
	s.json("/api/v1/events/"+anEvent.String(), &story)
	if o.Next[0].Title != "" || story.Event.Title != "" || story.Event.Location != "" || story.Reminders[0].Message != "" {
		t.Errorf("told without being asked: %+v, %+v", o.Next, story)
	}
	s.json("/api/v1/overview?show=texts", &o)
	s.json("/api/v1/events/"+anEvent.String()+"?show=texts", &story)
	if o.Next[0].Title != hostile || story.Event.Title != hostile || story.Event.Location != hostile || story.Reminders[0].Message != hostile {
		t.Errorf("not told: %+v, %+v", o.Next, story)
	}
}

func (s *site) json(path string, into any) {
	s.Helper()
	resp, text := s.ask("GET", path, "")
	if got := resp.Header.Get("Content-Type"); got != "application/json" {
		s.Errorf("%s: %s", path, got)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		s.Errorf("%s: %v in %s", path, err, text)
	}
}

func TestJSONIsAsThePages(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for path, want := range map[string][]string{
		"overview":                     {`"readiness"`, `"status": "ok"`, `"step_seconds": 60`, `"more": true`, `"oldest_seconds"`, `"per_minute": 1.5`},
		"events/" + anEvent.String():   {`"event_id"`, `"timeline"`, `"lateness_ms": 1`, `"revision": 2`},
		"events/" + aReminder.String(): {`"reminder_id": "` + aReminder.String()},
		"failures":                     {`"kind": "event"`, `"examples"`},
		"connections":                  {`"needs_reconnect"`, `"user_id"`},
		"devices":                      {`"platforms"`, `"retired_reasons"`},
		"system":                       {`"version": "v1.2.3"`, `"listener"`, `"source": "default"`},
	} {
		s.has(s.want(200, "GET", "/api/v1/"+path, ""), want...)
	}
	for _, path := range []string{"/api/v1/nothing", "/api/v1/events/x", "/api/v1/events/" + uuid.Nil.String()} {
		s.has(s.want(404, "GET", path, ""), `{`, `"error":`)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.has(s.want(404, "GET", "/events/x", ""), "no id of an event")
	s.has(s.want(404, "GET", "/events/"+uuid.Nil.String(), ""), "Nothing is known of")
	s.has(s.want(404, "GET", "/events?id=x", ""), "no id of an event")
	s.has(s.want(404, "GET", "/nowhere", ""), "nothing at this address")
	s.want(404, "GET", "/assets/page.go", "")
	s.want(404, "GET", "/assets/..%2fpage.go", "")
	resp, _ := s.ask("GET", "/events?id=+"+strings.ToUpper(aReminder.String())+"%20", "")
	if resp.StatusCode != 303 || resp.Header.Get("Location") != "/events/"+aReminder.String() {
		t.Errorf("found %d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		s.want(405, method, "/", "")
	}
	resp, _ = s.ask("GET", "/retry", "")
	if resp.StatusCode != 405 || resp.Header.Get("Allow") != "POST" {
		t.Errorf("GET /retry: %d, allow %q", resp.StatusCode, resp.Header.Get("Allow"))
	}
	for name, kind := range map[string]string{"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"} {
		resp, text := s.ask("GET", "/assets/"+name, "")
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != kind || text == "" {
			t.Errorf("%s: %d %s", name, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
	}
}

func TestWhoMay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		addr, password string
		header         []string
		read, change   int
	}{
		"loopback":                  {"127.0.0.1:8080", "", nil, 200, 403},
		"loopback by its name":      {"localhost:8080", "", []string{"Host", "LOCALHOST:8080"}, 200, 403},
		"loopback, IPv6":            {"[::1]:8080", "", []string{"Host", "[::1]:8080"}, 200, 403},
		"a name that leads here":    {"127.0.0.1:8080", "", []string{"Host", "evil.example.org"}, 403, 403},
		"elsewhere":                 {":8080", "", nil, 403, 403},
		"elsewhere, by address":     {"192.0.2.7:8080", "", nil, 403, 403},
		"no password given":         {":8080", password, nil, 401, 401},
		"another password":          {":8080", password, []string{"Authorization", "Bearer no"}, 401, 429},
		"bearer":                    {":8080", password, []string{"Authorization", "bearer " + password, "Host", "worker.example.org"}, 200, 200},
		"basic, whoever":            {":8080", password, []string{"Authorization", basic("whoever", password)}, 200, 200},
		"basic, nobody":             {"127.0.0.1:8080", password, []string{"Authorization", basic("", password)}, 200, 200},
		"another scheme":            {":8080", password, []string{"Authorization", "Digest " + password}, 401, 401},
		"loopback asks for it, too": {"127.0.0.1:8080", password, nil, 401, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(cfg *Config) { cfg.Addr, cfg.Password = c.addr, c.password })
			text := s.want(c.read, "GET", "/", "", c.header...)
			s.want(c.change, "POST", "/api/v1/resume", `{"part":"push"}`, c.header...)
			if c.read == 403 && strings.Contains(c.addr, "127") != strings.Contains(text, "address of this machine") {
				t.Error(text)
			}
			if got := len(s.done.acts); (got == 1) != (c.change == 200) {
				t.Errorf("changed %d times", got)
			}
			s.lacks(s.done.logged(), password)
		})
	}
}

func basic(user, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

func TestWithoutAPasswordNothingIsOffered(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, path := range everyPage {
		s.lacks(s.want(200, "GET", path, ""), `method="post"`)
	}
	for _, path := range []string{"/retry", "/pause", "/resume", "/api/v1/retry", "/api/v1/pause", "/api/v1/resume"} {
		s.has(s.want(403, "POST", path, ""), "PAGE_PASSWORD")
	}
}

func TestChanges(t *testing.T) {
	t.Parallel()
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	for name, c := range map[string]struct {
		path, body string
		want       any
		leads      string
	}{
		"a group":      {"/retry", url.Values{"reason": {hostile}}.Encode(), RetryRequest{Reason: hostile}, "/failures?done=retry&events=2&late=1"},
		"an event":     {"/retry", "event=" + anEvent.String() + "&back=" + anEvent.String(), RetryRequest{Events: []uuid.UUID{anEvent}}, "/events/" + anEvent.String() + "?done=retry&events=2&late=1"},
		"a reminder":   {"/retry", "reminder=" + aReminder.String() + "&back=//evil.example.org", RetryRequest{Reminders: []uuid.UUID{aReminder}}, "/failures?done=retry&events=2&late=1"},
		"pause":        {"/pause", "part=push&reason=a+campaign", []string{"pause", "push", "a campaign"}, "/?done=pause-push#pipeline"},
		"resume":       {"/resume", "part=calendar", []string{"resume", "calendar"}, "/?done=resume-calendar#pipeline"},
		"all, as JSON": {"/api/v1/retry", `{"all":true}`, RetryRequest{All: true}, ""},
		"ids, as JSON": {"/api/v1/retry", `{"events":["` + anEvent.String() + `"]}`, RetryRequest{Events: []uuid.UUID{anEvent}}, ""},
		"pause, JSON":  {"/api/v1/pause", `{"part":"calendar","reason":"x"}`, []string{"pause", "calendar", "x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := locked(t)
			resp, text := s.ask("POST", c.path, c.body, form...)
			if want := map[bool]int{true: 303, false: 200}[c.leads != ""]; resp.StatusCode != want || resp.Header.Get("Location") != c.leads {
				t.Errorf("%d %q, want %d %q\n%s", resp.StatusCode, resp.Header.Get("Location"), want, c.leads, text)
			}
			if diff := cmp.Diff([]any{c.want}, s.done.acts); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			s.has(s.done.logged(), `"level":"info"`, `"from":"127.0.0.1:`, "on the live page")
			s.lacks(s.done.logged(), password)
			if c.leads != "" {
				s.has(s.want(200, "GET", strings.TrimSuffix(c.leads, "#pipeline"), ""), `role="status"`)
			}
		})
	}
}

// What could not be finished in time is told as what was done.
func TestRetryThatIsNotFinished(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Password, c.ActTimeout = password, time.Nanosecond })
	s.header.Set("Authorization", "Bearer "+password)
	s.done.err = context.DeadlineExceeded
	s.has(s.want(200, "POST", "/api/v1/retry", `{"all":true}`), `"events": 2`, `"more": true`)
	s.has(s.want(503, "POST", "/api/v1/pause", `{"part":"push"}`), "deadline")
	s.has(s.want(200, "GET", "/failures?done=retry&events=1500&more=1", ""), "1,500 events due again; there are more")
}

func TestWhatIsNotKnownIsNotShownAsNothing(t *testing.T) {
	t.Parallel()
	c := draw("hour", "The next hour", "minute", Series{}, 10)
	if c.None != "Not known" || len(c.Bars) != 0 {
		t.Errorf("%+v", c)
	}
	c = draw("hour", "The next hour", "minute", Series{Step: 60, Counts: make([]Count, 60)}, 10)
	if c.None != "None is due" || c.Summary != "None is due." || len(c.Ticks) != 6 {
		t.Errorf("%+v", c)
	}
	c = draw("hour", "The next hour", "minute", Series{Step: 60, Counts: []Count{{N: 3}, {}, {N: 1000, More: true}}}, 1)
	if len(c.Bars) != 2 || c.Bars[1].Height != chartBase-chartTop || c.Summary != "1,003+ reminders; 1,000+ in one minute." || c.Lines[0].Label != "1,000" {
		t.Errorf("%+v", c)
	}
}

func TestPeriods(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0 ms", 800 * time.Microsecond: "0.8 ms", 42 * time.Millisecond: "42 ms", 3240 * time.Millisecond: "3.2 s", 119 * time.Second: "119 s",
		119 * time.Minute: "119 min", 30 * time.Hour: "30 h", 72 * time.Hour: "3 d", -time.Minute: "-60 s",
	} {
		if got := period(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	t.Parallel()
	s := locked(t)
	many := strings.Repeat(`"`+anEvent.String()+`",`, maxRetried) + `"` + anEvent.String() + `"`
	for name, c := range map[string]struct {
		path, body string
		header     []string
		code       int
	}{
		"another site, says the browser": {"/api/v1/resume", `{"part":"push"}`, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another site, by its origin":    {"/api/v1/resume", `{"part":"push"}`, []string{"Origin", "https://evil.example.org"}, 403},
		"a sister site":                  {"/resume", `part=push`, []string{"Sec-Fetch-Site", "same-site"}, 403},
		"nothing to try":                 {"/api/v1/retry", `{}`, nil, 400},
		"two ways":                       {"/api/v1/retry", `{"all":true,"reason":"x"}`, nil, 400},
		"too many":                       {"/api/v1/retry", `{"events":[` + many + `]}`, nil, 400},
		"no id":                          {"/api/v1/retry", `{"events":["x"]}`, nil, 400},
		"an unknown field":               {"/api/v1/retry", `{"everything":true}`, nil, 400},
		"no JSON":                        {"/api/v1/retry", `reason`, nil, 400},
		"two of them":                    {"/api/v1/retry", `{"all":true}{}`, nil, 400},
		"a large one":                    {"/api/v1/retry", `{"reason":"` + strings.Repeat("x", maxBody) + `"}`, nil, 400},
		"no part":                        {"/api/v1/pause", `{"part":"all"}`, nil, 400},
		"a long reason":                  {"/api/v1/pause", `{"part":"push","reason":"` + strings.Repeat("ä", maxReason+1) + `"}`, nil, 400},
		"a form with no id":              {"/retry", `event=x`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 400},
		"a form with no part":            {"/pause", ``, nil, 400},
	} {
		s.has(s.want(c.code, "POST", c.path, c.body, c.header...), "")
		if len(s.done.acts) != 0 {
			t.Fatalf("%s: done: %v", name, s.done.acts)
		}
	}
	s.done.err = errors.New("the database does not answer")
	s.has(s.want(503, "POST", "/api/v1/resume", `{"part":"push"}`), "the database does not answer")
}

func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.source.set(func() { s.source.err = errors.New("the database does not answer") })
	for _, path := range []string{"/failures", "/connections", "/devices", "/system", "/events/" + anEvent.String(), "/api/v1/failures", "/api/v1/system"} {
		s.has(s.want(503, "GET", path, ""), "the database does not answer")
	}
	s.has(s.want(200, "GET", "/", ""), "the database does not answer")
	s.source.set(func() { s.source.err = nil })
	for _, path := range everyPage {
		s.lacks(s.want(200, "GET", path, ""), "does not answer")
	}
	s.source.set(func() { s.source.err = errors.New("the database does not answer") })
	for _, path := range []string{"/", "/failures", "/connections", "/devices", "/system", "/api/v1/overview", "/api/v1/failures"} {
		s.has(s.want(200, "GET", path, ""), "the database does not answer")
	}
}

func TestOneReadForAll(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Interval = time.Hour })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { s.want(200, "GET", "/", ""); s.want(200, "GET", "/api/v1/overview", "") })
	}
	all.Wait()
	if n := s.source.count(); n != 1 {
		t.Errorf("read %d times", n)
	}
}

// frames reads a stream until what is looked for has come.
func frames(t *testing.T, in *bufio.Scanner, word string) string {
	t.Helper()
	for in.Scan() {
		if strings.Contains(in.Text(), word) {
			return in.Text()
		}
	}
	t.Fatalf("the stream ended before %q: %v", word, in.Err())
	return ""
}

func (s *site) stream(path string) (*http.Response, *bufio.Scanner) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), "GET", s.root+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = resp.Body.Close() })
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, 1<<20)
	return resp, in
}

func TestStreams(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Interval, c.MaxStreams = 10*time.Millisecond, 2 })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); s.page.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	_, plain := s.stream("/live")
	_, texts := s.stream("/live?show=texts")
	first, second := frames(t, plain, `"next"`), frames(t, texts, `"next"`)
	if strings.Contains(first, "anna@example.org") || !strings.Contains(second, "anna@example.org") {
		t.Errorf("without texts: %s\nwith: %s", first, second)
	}
	resp, _ := s.stream("/live")
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a third one: %d", resp.StatusCode)
	}
	s.source.set(func() { s.source.status = "failed" })
	frames(t, plain, `data-status=\"failed\"`)
	cancel()
	frames(t, plain, "event: end")
	for plain.Scan() { // to its end
		continue
	}
	<-ended
	if resp, _ := s.stream("/live"); resp.StatusCode != 503 {
		t.Errorf("after the end: %d", resp.StatusCode)
	}
}

func TestNothingIsReadWhileNobodyLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &made{}
		p, err := New(DefaultConfig(), m, nil, prometheus.NewRegistry(), zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go p.Run(ctx)
		time.Sleep(time.Hour)
		if n := m.count(); n != 0 {
			t.Errorf("read %d times for nobody", n)
		}
		s := p.hub.join()
		time.Sleep(time.Minute)
		if n := m.count(); n < 29 || n > 31 {
			t.Errorf("read %d times in a minute for one who looks", n)
		}
		p.hub.leave(s)
		had := m.count()
		time.Sleep(time.Hour)
		if n := m.count(); n > had+1 {
			t.Errorf("read %d times more after they have left", n-had)
		}
	})
}

func TestTrials(t *testing.T) {
	t.Parallel()
	var tr trials
	now, from := someTime, netip.MustParsePrefix("192.0.2.7/32")
	told := 0
	for range 50 {
		told += tr.wrong(from, now)
		wait := tr.wait(from, now)
		if wait <= 0 || wait > lastDelay {
			t.Fatalf("waits %s", wait)
		}
		now = now.Add(wait)
	}
	if took := now.Sub(someTime); took < 400*time.Second {
		t.Errorf("50 passwords in %s", took)
	}
	if told == 0 || told > 50 {
		t.Errorf("told of %d", told)
	}
	if other := netip.MustParsePrefix("192.0.2.8/32"); tr.wait(other, now) > 0 {
		t.Error("another address waits as well")
	}
	tr.wrong(from, now)
	tr.right(from)
	if tr.wait(from, now) > 0 {
		t.Error("waits after the right one")
	}
	for i := range 3 * maxSuspects {
		tr.wrong(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32), now)
	}
	if len(tr.suspects) > maxSuspects+1 {
		t.Errorf("%d addresses are remembered", len(tr.suspects))
	}
	if tr.wait(netip.MustParsePrefix("198.51.100.1/32"), now) <= 0 {
		t.Error("those beyond are not taken for one")
	}
	if now = now.Add(2 * forgiven); tr.wait(from, now) > 0 || tr.wrong(from, now) == 0 || len(tr.suspects) > 2 {
		t.Errorf("%d addresses are remembered for ever", len(tr.suspects))
	}
}

func TestValidateReportsAllFaults(t *testing.T) {
	t.Parallel()
	err := Config{Addr: "8080"}.Validate()
	for _, want := range []string{"address", "interval", "read timeout", "act timeout", "stream timeout", "zone", "streams"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention the %s", err, want)
		}
	}
}
