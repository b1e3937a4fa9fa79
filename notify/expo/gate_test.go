package expo_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo"
)

// counting is a server that counts the bytes that come to it. It answers each request, once it is complete, with one ticket.
type counting struct {
	net.Listener
	bytes    atomic.Int64
	requests atomic.Int64
	conns    atomic.Int64
	ended    chan struct{} // one for each connection whose client has closed it
}

func count(t *testing.T) (*counting, *expo.Client) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &counting{Listener: ln, ended: make(chan struct{}, 10)}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			c.conns.Add(1)
			go c.serve(conn)
		}
	}()
	client, err := expo.New(expo.Config{URL: "http://" + ln.Addr().String(), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return c, client
}

func (c *counting) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(io.TeeReader(conn, writerFunc(func(p []byte) { c.bytes.Add(int64(len(p))) })))
	for {
		r, err := http.ReadRequest(in)
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
		}
		if err != nil {
			c.ended <- struct{}{}
			return
		}
		c.requests.Add(1)
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 35\r\n\r\n"+`{"data":{"status":"ok","id":"t-0"}}`); err != nil {
			return
		}
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

// untilHeaders holds a request up until a moment after its headers are composed, when nothing but the write is left to be done.
func untilHeaders(ctx context.Context, moment time.Time) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { <-time.After(time.Until(moment)) },
	})
}

// A request whose time is over leaves not a byte, on a new connection and on a kept one, whenever it ends; and it is said that Expo has taken
// nothing.
func TestLateRequestIsNotWritten(t *testing.T) {
	t.Parallel()
	server, client := count(t)
	late := func(what string, ctx context.Context, before time.Time, begun bool) {
		t.Helper()
		was := server.bytes.Load()
		_, err := client.SendWith(ctx, messages(1), expo.Leave{Before: before})
		if e := failure(t, err); e.Kind != expo.Late || e.Unsure {
			t.Errorf("%s: kind %s, unsure %v: %v", what, e.Kind, e.Unsure, e)
		}
		if begun {
			<-server.ended // all that was written to it has been read
		}
		if n := server.bytes.Load() - was; n != 0 {
			t.Errorf("%s: %d bytes were written", what, n)
		}
	}
	soon := func() time.Time { return time.Now().Add(time.Second) } // connected by then

	late("over from the first", t.Context(), time.Now(), false)
	before := soon()
	late("over at the write", untilHeaders(t.Context(), before), before, true)
	if _, err := client.SendWith(t.Context(), messages(1), expo.Leave{Before: time.Now().Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	conns := server.conns.Load()
	late("over from the first, on a kept connection", t.Context(), time.Now(), false)
	before = soon()
	late("over at the write, on a kept connection", untilHeaders(t.Context(), before), before, true)
	if server.conns.Load() != conns {
		t.Error("it was tried on another connection")
	}
	if n := server.requests.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// A limit is its request's alone: the next on the same connection, the questions for receipts and the warming have their own or none.
func TestLimitEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	server, client := count(t)
	before := time.Now().Add(time.Minute)
	if _, err := client.SendWith(t.Context(), messages(1), expo.Leave{Before: before}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		before = time.Now().Add(100 * time.Millisecond)
		if _, err := client.SendWith(t.Context(), messages(1), expo.Leave{Before: before}); err != nil && failure(t, err).Kind != expo.Late {
			t.Fatal(err)
		}
		<-time.After(time.Until(before))
		if _, err := client.Send(t.Context(), messages(1)); err != nil {
			t.Fatal(err)
		}
	}
	if n := server.requests.Load(); n < 4 {
		t.Errorf("%d requests", n)
	}
}

// Encryption lies between the request and the gate.
func TestLateRequestIsNotEncrypted(t *testing.T) {
	t.Parallel()
	var met atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { met.Add(1) }))
	server.EnableHTTP2 = true // offered, and not taken
	server.StartTLS()
	t.Cleanup(server.Close)
	client, err := expo.New(expo.Config{URL: server.URL, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	expo.Trust(client, server)
	before := time.Now().Add(time.Second) // by then it is connected
	_, err = client.SendWith(untilHeaders(t.Context(), before), messages(1), expo.Leave{Before: before})
	if e := failure(t, err); e.Kind != expo.Late {
		t.Errorf("kind %s: %v", e.Kind, e)
	}
	if _, err := client.SendWith(t.Context(), messages(1), expo.Leave{Before: time.Now().Add(time.Minute)}); err == nil {
		t.Error("an empty answer is none")
	}
	if n := met.Load(); n != 1 {
		t.Errorf("%d requests came", n)
	}
}
