package expofake

import (
	"testing"
	"time"
)

// FuzzDecode feeds the server's decoders with whatever a client might send.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"to":"ExponentPushToken[a]","title":"x"}`, `[{"to":["ExponentPushToken[a]","b"],"data":{"k":1}}]`,
		`[{"to":[]}]`, `[{"to":null}]`, `[null]`, `[[]]`, `{}`, `[]`, ``, `{"ids":["a","b"]}`, `{"ids":null}`,
		`[{"to":"a","priority":"high","badge":0,"ttl":0}]`, ` [ { "to" : "a" } ] `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		messages, single, err := decodeMessages(body)
		if err == nil && single && (len(messages) != 1 || len(messages[0].To) != 1) {
			t.Fatalf("single with %d messages", len(messages))
		}
		for _, m := range messages {
			if err == nil && (len(m.To) == 0 || m.size > len(body)) {
				t.Fatalf("a message to %d recipients of %d bytes", len(m.To), m.size)
			}
		}
		if ids, err := decodeIDs(body); err != nil && ids != nil {
			t.Fatal("both ids and an error")
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
