package expo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/notify/expo/expofake"
)

// start runs a stand-in and a client for it.
func start(t *testing.T, change ...func(*expofake.Config, *expo.Config)) (*expofake.Server, *expo.Client) {
	t.Helper()
	fakeConfig, config := expofake.DefaultConfig(), expo.DefaultConfig()
	for _, f := range change {
		f(&fakeConfig, &config)
	}
	server, err := expofake.Start(fakeConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	config.URL = server.URL()
	client, err := expo.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return server, client
}

func token(n int) string { return fmt.Sprintf("ExponentPushToken[device-%04d]", n) }

func messages(n int) []expo.Message {
	list := make([]expo.Message, n)
	for i := range list {
		id := fmt.Sprintf("reminder-%d", i)
		list[i] = expo.Message{
			To: token(i), Title: "Soccer in 30 minutes", Body: "Today 16:00 · Field 3",
			Sound: expo.DefaultSound, Priority: expo.PriorityHigh, CollapseID: id, Tag: id,
			Data: json.RawMessage(`{"event":"e1"}`),
		}
	}
	return list
}

// failure returns err as what every error of the package is.
func failure(t *testing.T, err error) *expo.Error {
	t.Helper()
	var e *expo.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v (%T), want an *expo.Error", err, err)
	}
	return e
}

func TestSend(t *testing.T) {
	t.Parallel()
	server, client := start(t)
	tickets, err := client.Send(t.Context(), messages(expo.MaxMessages))
	if err != nil {
		t.Fatal(err)
	}
	pushes := server.Pushes()
	if len(tickets) != expo.MaxMessages || len(pushes) != expo.MaxMessages {
		t.Fatalf("%d tickets and %d pushes, want %d", len(tickets), len(pushes), expo.MaxMessages)
	}
	for i, ticket := range tickets {
		if ticket.Err != nil || ticket.ID != pushes[i].TicketID || pushes[i].Token != token(i) {
			t.Fatalf("ticket %d is %+v, its push is %+v", i, ticket, pushes[i])
		}
	}
	first := pushes[0]
	first.FirstByte, first.TicketID = time.Time{}, ""
	want := expofake.Push{
		Request: 1, Token: token(0), Title: "Soccer in 30 minutes", Body: "Today 16:00 · Field 3",
		Data: json.RawMessage(`{"event":"e1"}`), CollapseID: "reminder-0", Tag: "reminder-0", Priority: "high",
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("push (-want +got):\n%s", diff)
	}
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	server, client := start(t)
	server.Uninstall(token(1))
	tickets, err := client.Send(t.Context(), messages(2))
	if err != nil {
		t.Fatal(err)
	}
	receipts, err := client.Receipts(t.Context(), []string{tickets[0].ID, tickets[1].ID, "unknown"})
	if err != nil {
		t.Fatal(err)
	}
	if len(receipts) != 2 || receipts[tickets[0].ID].Err != nil {
		t.Fatalf("receipts = %v", receipts)
	}
	gone := receipts[tickets[1].ID].Err
	if gone == nil || gone.Kind != expo.DeviceGone {
		t.Fatalf("receipt of an uninstalled app = %v, want device gone", gone)
	}
	if strings.Contains(gone.Error(), "device-0001") {
		t.Errorf("error shows the token: %v", gone)
	}
}

func TestSendRequestFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  *expofake.Fault
		kind   expo.Kind
		unsure bool
		sent   int
	}{
		{"gateway", expofake.Gateway(), expo.Retry, true, 0},
		{"gateway after", expofake.GatewayAfter(), expo.Retry, true, 2},
		{"drop", expofake.Drop(), expo.Retry, true, 0},
		{"drop after", expofake.DropAfter(), expo.Retry, true, 2},
		{"one ticket less", expofake.WrongCount(-1), expo.Retry, true, 2},
		{"one ticket more", expofake.WrongCount(1), expo.Retry, true, 2},
		{"throttle", expofake.Throttle(3 * time.Second), expo.Throttled, false, 0},
		{"errors with 200", expofake.ErrorsWith200("API_ERROR"), expo.Retry, true, 0},
		{"unauthorized with 200", expofake.ErrorsWith200("UNAUTHORIZED"), expo.Project, false, 0},
		{"validation", expofake.Refuse(http.StatusBadRequest, "VALIDATION_ERROR"), expo.Split, false, 0},
		{"too large", expofake.Status(http.StatusRequestEntityTooLarge, "too large"), expo.Split, false, 0},
		{"redirect", &expofake.Fault{Status: http.StatusFound, Header: http.Header{"Location": {"/elsewhere"}}}, expo.Project, false, 0},
		{"not json", expofake.Status(http.StatusOK, "<html>welcome</html>"), expo.Retry, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, client := start(t)
			server.Fail(func(expofake.Request) *expofake.Fault { return tt.fault })
			_, err := client.Send(t.Context(), messages(2))
			e := failure(t, err)
			if e.Kind != tt.kind || e.Unsure != tt.unsure {
				t.Errorf("kind %v, unsure %v, want %v, %v: %v", e.Kind, e.Unsure, tt.kind, tt.unsure, e)
			}
			if got := len(server.Pushes()); got != tt.sent {
				t.Errorf("%d pushes arrived, want %d", got, tt.sent)
			}
			if tt.name == "throttle" && e.RetryAfter != 3*time.Second {
				t.Errorf("retry after %v, want 3s", e.RetryAfter)
			}
		})
	}
}

// BenchmarkSend sends full batches, six at a time; the server's work is included.
func BenchmarkSend(b *testing.B) {
	fake := expofake.DefaultConfig()
	fake.Rate, fake.Keep = 0, 1000
	server, err := expofake.Start(fake)
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	config := expo.DefaultConfig()
	config.URL = server.URL()
	client, err := expo.New(config)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	list := messages(expo.MaxMessages)
	b.SetParallelism(3)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := client.Send(context.Background(), list); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)*expo.MaxMessages/b.Elapsed().Seconds(), "pushes/s")
}

// TestErrorsRepeatNothing: a server that says in its errors what it was told, all of it, has no error show a secret, a token or a text.
func TestErrorsRepeatNothing(t *testing.T) {
	t.Parallel()
	server, client := start(t, func(_ *expofake.Config, c *expo.Config) { c.AccessToken = "hush-hush" })
	m := messages(2)
	m[0].Title, m[0].Body, m[0].Data = "Soccer in 30 minutes, with Leo", "Today 16:00 · Field 3, behind the school", json.RawMessage(`{"event":"e1-of-another","note":"tea"}`)
	m[1].Title, m[1].Body, m[1].Data = "Soccer in 30 days", "------------ Anabel", json.RawMessage(`{"event":"e1-of-hers"}`)
	m[1].Subtitle = "at the field by the river"
	part := m[1].Subtitle[:len("at the field by")]
	echo := "In part: " + part + "... and -" + m[1].Body + " Bearer hush-hush " + m[1].To + " said " + m[1].Title + " and " + m[1].Body + " with " + string(m[1].Data)
	quoted, err := json.Marshal(echo)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range []*expofake.Fault{
		expofake.Status(http.StatusUnauthorized, `{"errors":[{"code":"UNAUTHORIZED","message":`+string(quoted)+`}]}`),
		expofake.Status(http.StatusUnauthorized, `{"error":"invalid_token","error_description":`+string(quoted)+`}`),
		expofake.Status(http.StatusOK, `{"data":[{"status":"ok","id":"t-0"},{"status":"error","message":`+string(quoted)+`}]}`),
	} {
		server.Fail(func(expofake.Request) *expofake.Fault { return fault })
		tickets, err := client.Send(t.Context(), m)
		if err == nil {
			err = tickets[1].Err
		}
		said := failure(t, err).Error()
		for _, hidden := range []string{m[1].To, m[1].Title, m[1].Body, string(m[1].Data), part, "Anabel", "days", "hers", "Leo", "school", "another"} {
			if strings.Contains(said, hidden) {
				t.Errorf("shows %q: %s", hidden, said)
			}
		}
		if len(tickets) == 0 && strings.Contains(said, "hush-hush") {
			t.Errorf("shows the access token: %s", said)
		}
		if !strings.Contains(said, "said") {
			t.Errorf("does not show what is no secret: %s", said)
		}
	}
}
