package expofake_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
)

func start(t *testing.T, change ...func(*expofake.Config)) *expofake.Server {
	t.Helper()
	config := expofake.DefaultConfig()
	for _, f := range change {
		f(&config)
	}
	s, err := expofake.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func token(n int) string { return fmt.Sprintf("ExponentPushToken[device-%04d]", n) }

// list is count tokens as JSON.
func list(count int) string {
	var tokens []string
	for n := range count {
		tokens = append(tokens, token(n))
	}
	raw, _ := json.Marshal(tokens)
	return string(raw)
}

// post sends a body as it stands and returns the answer as it came.
func post(t *testing.T, s *expofake.Server, path, body string) (int, string) {
	t.Helper()
	resp, err := http.Post(s.URL()+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

// answerTo sends a request and returns the answer as it came.
func answerTo(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

func read(t *testing.T, resp *http.Response) (int, string) {
	t.Helper()
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

const firstTicket = "01960000-0000-7000-8000-000000000001"

// TestAnswers compares whole answers; each case has a server of its own.
func TestAnswers(t *testing.T) {
	t.Parallel()
	ok := func(n int) string { return fmt.Sprintf(`{"status":"ok","id":"01960000-0000-7000-8000-%012x"}`, n) }
	tests := []struct {
		name, path, body string
		status           int
		want             string // the whole answer, or a part if it ends in "..."
	}{
		{"one object", "/send", `{"to":"` + token(1) + `"}`, 200, `{"data":` + ok(1) + `}`},
		{"object with list of one", "/send", `{"to":["` + token(1) + `"]}`, 200, `{"data":` + ok(1) + `}`},
		{"list of one", "/send", `[{"to":"` + token(1) + `"}]`, 200, `{"data":[` + ok(1) + `]}`},
		{"object with two", "/send", `{"to":` + list(2) + `}`, 200, `{"data":[` + ok(1) + `,` + ok(2) + `]}`},
		{"flattened", "/send", `[{"to":` + list(2) + `},{"to":"` + token(3) + `"}]`, 200, `{"data":[` + ok(1) + `,` + ok(2) + `,` + ok(3) + `]}`},
		{"hundred", "/send", `{"to":` + list(100) + `}`, 200, `{"data":[...`},
		{"too many", "/send", `{"to":` + list(101) + `}`, 400, `{"errors":[{"code":"PUSH_TOO_MANY_NOTIFICATIONS",...`},
		{"no token", "/send", `[{"to":"x"}]`, 200, `{"data":[{"status":"error","message":"\"x\" was refused: DeviceNotRegistered",...`},
		{"no to", "/send", `[{"title":"a"}]`, 400, `{"errors":[{"code":"VALIDATION_ERROR",...`},
		{"empty list", "/send", `[]`, 400, `{"errors":[{"code":"VALIDATION_ERROR",...`},
		{"no json", "/send", `hello`, 400, `{"errors":[{"code":"VALIDATION_ERROR",...`},
		{"data no object", "/send", `[{"to":"` + token(1) + `","data":[1]}]`, 400, `{"errors":[{"code":"VALIDATION_ERROR",...`},
		{"odd priority", "/send", `[{"to":"` + token(1) + `","priority":"urgent"}]`, 400, `{"errors":[{"code":"VALIDATION_ERROR",...`},
		{"too long", "/send", `[{"body":"` + strings.Repeat("x", 5<<20) + `"}]`, 413, `{"errors":[{"code":"PAYLOAD_TOO_LARGE",...`},
		{"unknown receipt", "/getReceipts", `{"ids":["` + firstTicket + `"]}`, 200, `{"data":{}}`},
		{"receipts without ids", "/getReceipts", `{}`, 400, `{"errors":[{"code":"VALIDATION_ERROR",...`},
		{"too many receipts", "/getReceipts", `{"ids":["a"` + strings.Repeat(`,"a"`, 1000) + `]}`, 400, `{"errors":[{"code":"PUSH_TOO_MANY_RECEIPTS",...`},
		{"elsewhere", "/other", `{}`, 404, `{"errors":[{"code":"NOT_FOUND",...`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, got := post(t, start(t), tt.path, tt.body)
			if part, ok := strings.CutSuffix(tt.want, "..."); ok && len(got) > len(part) {
				tt.want, got = part, got[:len(part)]
			}
			if status != tt.status || got != tt.want {
				t.Errorf("answer %d %s\nwant   %d %s", status, got, tt.status, tt.want)
			}
		})
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	s := start(t)
	for range 6 {
		if status, body := post(t, s, "/send", `{"to":`+list(100)+`}`); status != 200 {
			t.Fatal(status, body)
		}
	}
	s.Assign("@other/app", token(7))
	if status, body := post(t, s, "/send", `{"to":"`+token(7)+`"}`); status != 200 {
		t.Errorf("another project is refused: %d %s", status, body)
	}
	first, pushes := s.Pushes()[0].FirstByte, s.Pushes()
	status, body := post(t, s, "/send", `{"to":"`+token(1)+`"}`)
	tooFast := time.Since(first) < time.Second // else the second has passed before the request
	if tooFast && (status != 429 || !strings.Contains(body, "TOO_MANY_REQUESTS") || s.Counts().Throttled != 1) {
		t.Errorf("push %d within a second: %d %s", len(pushes), status, body)
	}
}

// TestReceiptsTakeTheirTime asks until the receipt is there.
func TestReceiptsTakeTheirTime(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *expofake.Config) { c.ReceiptDelay = 200 * time.Millisecond })
	post(t, s, "/send", `[{"to":"`+token(1)+`"}]`)
	sent := s.Pushes()[0].FirstByte
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		asked := time.Now()
		_, body := post(t, s, "/getReceipts", `{"ids":["`+firstTicket+`"]}`)
		answered := time.Now()
		if body == `{"data":{}}` {
			if asked.Sub(sent) > 200*time.Millisecond {
				t.Fatal("the receipt is overdue")
			}
			continue
		}
		if body != `{"data":{"`+firstTicket+`":{"status":"ok"}}}` || answered.Sub(sent) < 200*time.Millisecond {
			t.Fatalf("%s after %v", body, answered.Sub(sent))
		}
		return
	}
	t.Fatal("no receipt came")
}

func TestDevices(t *testing.T) {
	t.Parallel()
	receipt := func(s *expofake.Server) string {
		_, body := post(t, s, "/getReceipts", `{"ids":["`+firstTicket+`"]}`)
		return body
	}
	send := func(s *expofake.Server) string {
		_, body := post(t, s, "/send", `[{"to":"`+token(1)+`","body":"`+strings.Repeat("x", 4100)+`"}]`)
		return body
	}
	tests := []struct {
		name            string
		change          func(*expofake.Config)
		prepare         func(*expofake.Server)
		ticket, receipt string
		shown           int
	}{
		{"gone in receipt", nil, func(s *expofake.Server) { s.Uninstall(token(1)) }, firstTicket, "DeviceNotRegistered", 0},
		{"gone in ticket", func(c *expofake.Config) { c.GoneIn = expofake.InTicket }, func(s *expofake.Server) { s.Uninstall(token(1)) }, "DeviceNotRegistered", "{}", 0},
		{"too big in receipt", nil, nil, firstTicket, "MessageTooBig", 0},
		{"too big in ticket", func(c *expofake.Config) { c.TooBigIn = expofake.InTicket }, nil, "MessageTooBig", "{}", 0},
		{"refused ticket", nil, func(s *expofake.Server) { s.RefuseTicket(token(1), "MessageRateExceeded") }, "MessageRateExceeded", "{}", 0},
		{"refused receipt", nil, func(s *expofake.Server) { s.RefuseReceipt(token(1), "InvalidCredentials") }, firstTicket, "InvalidCredentials", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, append([]func(*expofake.Config){}, filter(tt.change)...)...)
			if tt.prepare != nil {
				tt.prepare(s)
			}
			if got := send(s); !strings.Contains(got, tt.ticket) {
				t.Errorf("ticket %s, want %s", got, tt.ticket)
			}
			if got := receipt(s); !strings.Contains(got, tt.receipt) {
				t.Errorf("receipt %s, want %s", got, tt.receipt)
			}
			if got := len(s.Shown(token(1))); got != tt.shown {
				t.Errorf("the phone shows %d", got)
			}
		})
	}
}

func filter(f func(*expofake.Config)) []func(*expofake.Config) {
	if f == nil {
		return nil
	}
	return []func(*expofake.Config){f}
}

// TestPhoneFolds shows what a family would see.
func TestPhoneFolds(t *testing.T) {
	t.Parallel()
	s := start(t)
	past := time.Now().Add(-time.Hour).Unix()
	for _, fields := range []string{
		`"title":"a","collapseId":"1","tag":"1"`,
		`"title":"b","collapseId":"2","tag":"2"`,
		`"title":"again","collapseId":"1","tag":"1"`,
		`"title":"android","tag":"2"`,
		`"title":"alone"`,
		`"title":"alone"`,
		fmt.Sprintf(`"title":"late","expiration":%d`, past),
		`"title":"now or never","ttl":0`,
	} {
		if status, body := post(t, s, "/send", `[{"to":"`+token(1)+`",`+fields+`}]`); status != 200 {
			t.Fatal(status, body)
		}
	}
	var titles []string
	for _, p := range s.Shown(token(1)) {
		titles = append(titles, p.Title)
	}
	if diff := cmp.Diff([]string{"again", "android", "alone", "alone"}, titles); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
	want := expofake.Counts{Requests: 8, Busiest: 1, Accepted: 8, Expired: 2, Shown: 6, Repeats: 2}
	if diff := cmp.Diff(want, s.Counts()); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	s.Uninstall(token(1))
	s.Register(token(1))
	if got := s.Shown(token(1)); len(got) != 0 {
		t.Errorf("a new installation shows %d old pushes", len(got))
	}
	s.Reset()
	if got := s.Counts(); got != (expofake.Counts{}) || len(s.Pushes()) != 0 {
		t.Errorf("after a reset: %+v", got)
	}
}

func TestGzipBothWays(t *testing.T) {
	t.Parallel()
	s := start(t)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = io.WriteString(w, `{"to":`+list(100)+`}`)
	w.Close()
	send := func(body io.Reader) *http.Response {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/send", body)
		req.Header.Set("Content-Encoding", "gzip")
		req.Header.Set("Accept-Encoding", "gzip")
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	resp := send(&packed)
	if got := resp.Header.Get("Content-Encoding"); got != "gzip" || resp.StatusCode != 200 {
		t.Fatalf("status %d, encoding %q", resp.StatusCode, got)
	}
	unpacked, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(unpacked)
	if err != nil || strings.Count(string(raw), `"ok"`) != 100 {
		t.Errorf("%d bytes, error %v", len(raw), err)
	}
	if resp := send(strings.NewReader("not gzip")); resp.StatusCode != 400 {
		t.Errorf("status %d for what is not gzip", resp.StatusCode)
	}
}

// TestConcurrentUse sends from many sides while everything is looked at; run it
// with -race.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *expofake.Config) { c.Rate, c.Keep = 0, 50 })
	var hooked sync.Map
	s.OnPush(func(p expofake.Push) { hooked.Store(p.TicketID, s.Counts().Accepted) })
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for range 10 {
				if status, body := post(t, s, "/send", `{"to":`+list(10)+`}`); status != 200 {
					t.Error(status, body)
				}
				s.Shown(token(worker))
				s.Fail(nil)
				s.Assign(expofake.DefaultProject, token(worker))
			}
		})
	}
	group.Wait()
	n := 0
	hooked.Range(func(any, any) bool { n++; return true })
	if n != 800 || s.Counts().Accepted != 800 || len(s.Pushes()) != 50 {
		t.Errorf("%d hooked, %d accepted, %d kept, want 800, 800, 50", n, s.Counts().Accepted, len(s.Pushes()))
	}
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	err := expofake.Config{Latency: -1, ReceiptDelay: -1, Rate: -1, Keep: -1}.Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 4 {
		t.Errorf("five faults are reported as: %v", err)
	}
	if _, err := expofake.Start(expofake.Config{}); err == nil {
		t.Error("Start accepts what Validate refuses")
	}
	if _, err := expofake.Start(expofake.Config{Addr: "256.0.0.1:1"}); err == nil {
		t.Error("Start accepts an address that is none")
	}
}

// BenchmarkSend is the server's share of a benchmark that runs against it.
func BenchmarkSend(b *testing.B) {
	config := expofake.DefaultConfig()
	config.Rate, config.Keep = 0, 1000
	s, err := expofake.Start(config)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var messages []string
	for n := range 100 {
		messages = append(messages, fmt.Sprintf(`{"to":%q,"title":"Soccer in 30 minutes","body":"Today 16:00 · Field 3","tag":"r-%d","collapseId":"r-%d"}`, token(n), n, n))
	}
	body := "[" + strings.Join(messages, ",") + "]"
	for b.Loop() {
		resp, err := http.Post(s.URL()+"/send", "application/json", strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "pushes/s")
}
