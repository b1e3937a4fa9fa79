package expofake

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// FuzzDecode feeds the server's decoders with whatever a client might send.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"to":"ExponentPushToken[a]","title":"x"}`, `[{"to":["ExponentPushToken[a]","b"],"data":{"k":1}}]`,
		`[{"to":[]}]`, `[{"to":null}]`, `[null]`, `[[]]`, `{}`, `[]`, ``, `{"ids":["a","b"]}`, `{"ids":null}`,
		`[{"to":"a","priority":"high","badge":0,"ttl":0}]`, ` [ { "to" : "a" } ] `,
		`[{"to":"a","sound":{"critical":true,"name":null,"volume":0.5},"interruptionLevel":"passive"}]`,
		`[{"to":"a","sound":3}]`, `[{"to":"a","richContent":{"image":"x"},"relevanceScore":0.5,"threadId":"t"}]`,
		"[{\"to\":\"\xff\xff\xff\xff\xff\xff\xff\xff\"}]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		messages, single, err := decodeMessages(body)
		if err == nil && single && (len(messages) != 1 || len(messages[0].To) != 1) {
			t.Fatalf("single with %d messages", len(messages))
		}
		for _, m := range messages {
			if err == nil && (len(m.To) == 0 || m.size > len(body) || m.size < 0) {
				t.Fatalf("a message to %d recipients of %d bytes", len(m.To), m.size)
			}
		}
		if ids, err := decodeIDs(body); err != nil && ids != nil {
			t.Fatal("both ids and an error")
		}
	})
}

// FuzzServe posts whatever a client might, as it stands and as gzip. Every answer
// is JSON with tickets, receipts or errors, and one ticket for each recipient.
func FuzzServe(f *testing.F) {
	s, err := Start(DefaultConfig())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	for _, seed := range []string{
		`{"to":"ExponentPushToken[a]"}`, `[{"to":["ExponentPushToken[a]","b"]}]`, `[{"to":"a","sound":1}]`, `[]`, ``, `{"ids":["a"]}`,
	} {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = io.WriteString(w, seed)
		_ = w.Close()
		for _, endpoint := range []string{"/send", "/getReceipts"} {
			f.Add(endpoint, []byte(seed), false)
			f.Add(endpoint, packed.Bytes(), true)
		}
	}
	f.Fuzz(func(t *testing.T, endpoint string, body []byte, packed bool) {
		if endpoint != "/send" {
			endpoint = "/getReceipts"
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, basePath+endpoint, bytes.NewReader(body))
		if packed {
			r.Header.Set("Content-Encoding", "gzip")
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		var answer struct {
			Data   json.RawMessage
			Errors []struct{ Code string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%v in %s", err, w.Body)
		}
		if (w.Code == http.StatusOK) != (answer.Data != nil) || (w.Code == http.StatusOK) == (len(answer.Errors) > 0) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		messages, single, err := decodeMessages(body)
		if endpoint != "/send" || packed || w.Code != http.StatusOK || single {
			return
		}
		recipients := 0
		for _, m := range messages {
			recipients += len(m.To)
		}
		var tickets []status
		if json.Unmarshal(answer.Data, &tickets) != nil || err != nil || len(tickets) != recipients {
			t.Fatalf("%d tickets for %d recipients: %s", len(tickets), recipients, w.Body)
		}
	})
}

// TestWindow slides over a second, to the nanosecond.
func TestWindow(t *testing.T) {
	t.Parallel()
	start := time.Now()
	var w window
	for i, step := range []struct {
		after time.Duration
		n     int
		want  bool
	}{
		{0, 60, true},
		{500 * time.Millisecond, 40, true},
		{999 * time.Millisecond, 1, false},
		{time.Second, 60, true},
		{time.Second, 1, false},
		{1499 * time.Millisecond, 1, false},
		{1500 * time.Millisecond, 40, true},
		{5 * time.Second, 101, false},
		{5 * time.Second, 100, true},
	} {
		if got := w.allow(start.Add(step.after), step.n, 100); got != step.want {
			t.Errorf("step %d: %d pushes allowed: %v", i, step.n, got)
		}
	}
}
