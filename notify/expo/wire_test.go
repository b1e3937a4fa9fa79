package expo_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/notify/expo/expofake"
)

// against makes a client for a server of the test's own.
func against(t *testing.T, handler http.HandlerFunc) *expo.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client, err := expo.New(expo.Config{URL: server.URL + "/", AccessToken: "key", Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	type seen struct{ Path, Authorization, Type, Encoding, Body string }
	got := make(chan seen, 1)
	client := against(t, func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			unpacked, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			body = unpacked
		}
		raw, _ := io.ReadAll(body)
		h := r.Header
		got <- seen{r.URL.Path, h.Get("Authorization"), h.Get("Content-Type"), h.Get("Content-Encoding"), string(raw)}
		_, _ = io.WriteString(w, `{"data":{"status":"ok","id":"t-0"}}`)
	})
	small := expo.Message{To: token(1), Body: "<3 & more"}
	large := expo.Message{To: token(1), Body: strings.Repeat("x", 2000)}
	for _, tt := range []struct {
		message  expo.Message
		encoding string
	}{{small, ""}, {large, "gzip"}} {
		tickets, err := client.Send(t.Context(), []expo.Message{tt.message})
		if err != nil || tickets[0].ID != "t-0" {
			t.Fatalf("tickets %v, error %v", tickets, err)
		}
		want := seen{"/send", "Bearer key", "application/json", tt.encoding, `[{"to":"` + token(1) + `","body":"` + tt.message.Body + `"}]`}
		if diff := cmp.Diff(want, <-got); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
	}
}

// TestRedirectIsNotFollowed keeps the access token at the address it was given for.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
	t.Cleanup(elsewhere.Close)
	client := against(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	_, err := client.Send(t.Context(), messages(1))
	if e := failure(t, err); e.Kind != expo.Project || followed.Load() {
		t.Errorf("kind %v, followed %v: %v", e.Kind, followed.Load(), e)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	client, err := expo.New(expo.Config{URL: "http://" + address, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Send(t.Context(), messages(1))
	if e := failure(t, err); e.Kind != expo.Retry || e.Unsure {
		t.Errorf("kind %v, unsure %v: a refused connection took nothing", e.Kind, e.Unsure)
	}
	if failure(t, client.Warm(t.Context())).Kind != expo.Retry {
		t.Error("Warm is to fail as a request does")
	}
}

func TestTimeoutAndCancel(t *testing.T) {
	t.Parallel()
	server, client := start(t, func(_ *expofake.Config, c *expo.Config) { c.Timeout = 50 * time.Millisecond })
	server.Fail(func(expofake.Request) *expofake.Fault { return expofake.Slow(time.Hour) })
	_, err := client.Send(t.Context(), messages(1))
	if e := failure(t, err); !errors.Is(err, context.DeadlineExceeded) || e.Kind != expo.Retry || !e.Unsure {
		t.Errorf("after a timeout: kind %v, unsure %v, %v", e.Kind, e.Unsure, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Send(ctx, messages(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("after a cancel: %v", err)
	}
}

func TestAnswerTooLong(t *testing.T) {
	t.Parallel()
	client := against(t, func(w http.ResponseWriter, _ *http.Request) {
		block := strings.Repeat(" ", 1<<16)
		for range 100 {
			if _, err := io.WriteString(w, block); err != nil {
				return
			}
		}
	})
	_, err := client.Send(t.Context(), messages(1))
	if e := failure(t, err); e.Kind != expo.Retry || !e.Unsure {
		t.Errorf("kind %v, unsure %v: %v", e.Kind, e.Unsure, e)
	}
}

// TestConnectionsAreKept sends six at a time, often, over at most six connections.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"data":[{"status":"ok","id":"t-0"}]}`)
	}))
	var opened atomic.Int32
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	client, err := expo.New(expo.Config{URL: server.URL, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	for range 20 {
		var group sync.WaitGroup
		for range 6 {
			group.Go(func() {
				if _, err := client.Send(t.Context(), messages(1)); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
	}
	// A connection may still be on its way back to the pool when the next request
	// looks for one, hence the margin.
	if n := opened.Load(); n > 30 {
		t.Errorf("%d connections for 120 requests, 6 at a time", n)
	}
}

func TestLocalRefusals(t *testing.T) {
	t.Parallel()
	server, client := start(t)
	list := messages(4)
	list[0].To = "nonsense"
	list[1].Data = json.RawMessage(`[1]`)
	list[2].Data = json.RawMessage(`{`)
	tickets, err := client.Send(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []expo.Kind{expo.DeviceGone, expo.Permanent, expo.Permanent} {
		if got := tickets[i].Err; got == nil || got.Kind != want {
			t.Errorf("ticket %d: %v, want %v", i, got, want)
		}
	}
	if tickets[3].Err != nil || tickets[3].ID != server.Pushes()[0].TicketID || len(server.Pushes()) != 1 {
		t.Errorf("the good message got %+v", tickets[3])
	}
	if _, err := client.Send(t.Context(), list[:3]); err != nil || server.Counts().Requests != 1 {
		t.Errorf("a batch without a good message is not to be sent: %v", err)
	}
}

func TestTooMany(t *testing.T) {
	t.Parallel()
	server, client := start(t)
	_, err := client.Send(t.Context(), messages(expo.MaxMessages+1))
	if failure(t, err).Kind != expo.Split {
		t.Errorf("too many messages: %v", err)
	}
	_, err = client.Receipts(t.Context(), make([]string, expo.MaxReceipts+1))
	if failure(t, err).Kind != expo.Split {
		t.Errorf("too many ids: %v", err)
	}
	if got, err := client.Send(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("no messages: %v, %v", got, err)
	}
	if got, err := client.Receipts(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("no ids: %v, %v", got, err)
	}
	if n := server.Counts(); n.Requests+n.ReceiptRequests != 0 {
		t.Errorf("%+v were made, want none", n)
	}
}

// TestProjects finds the foreign token that sank a batch.
func TestProjects(t *testing.T) {
	t.Parallel()
	server, client := start(t)
	server.Assign("@other/app", token(2))
	_, err := client.Send(t.Context(), messages(3))
	e := failure(t, err)
	want := map[string][]string{expofake.DefaultProject: {token(0), token(1)}, "@other/app": {token(2)}}
	if diff := cmp.Diff(want, e.Projects()); diff != "" || e.Kind != expo.Split || e.Unsure {
		t.Errorf("kind %v, projects (-want +got):\n%s", e.Kind, diff)
	}
	if strings.Contains(e.Error(), "device") || (&expo.Error{}).Projects() != nil {
		t.Errorf("error shows a token: %v", e)
	}
}

func TestAccessToken(t *testing.T) {
	t.Parallel()
	for given, good := range map[string]bool{"key": true, "wrong": false, "": false} {
		_, client := start(t, func(f *expofake.Config, c *expo.Config) { f.AccessToken, c.AccessToken = "key", given })
		_, err := client.Send(t.Context(), messages(1))
		if good {
			if err != nil {
				t.Errorf("with the right key: %v", err)
			}
			continue
		}
		if e := failure(t, err); e.Kind != expo.Project || e.Code != expo.CodeUnauthorized {
			t.Errorf("with key %q: %v", given, e)
		}
		if err := client.Warm(t.Context()); err != nil {
			t.Errorf("Warm is content with any answer: %v", err)
		}
	}
}

// TestFittedIsNeverTooBig sends the longest texts to a server that weighs them.
func TestFittedIsNeverTooBig(t *testing.T) {
	t.Parallel()
	server, client := start(t, func(f *expofake.Config, _ *expo.Config) { f.TooBigIn = expofake.InTicket })
	m := messages(1)[0]
	m.Body = strings.Repeat("Bring \"cleats\" & 水, ", 2000)
	tickets, err := client.Send(t.Context(), []expo.Message{m, m.Fit()})
	if err != nil {
		t.Fatal(err)
	}
	if e := tickets[0].Err; e == nil || e.Kind != expo.Permanent || e.Code != expo.CodeMessageTooBig {
		t.Errorf("unfitted: %v", e)
	}
	if e := tickets[1].Err; e != nil {
		t.Errorf("fitted: %v", e)
	}
	if got := server.Shown(m.To); len(got) != 1 || len(got[0].Body) < 2000 {
		t.Errorf("the phone shows %d pushes", len(got))
	}
}
