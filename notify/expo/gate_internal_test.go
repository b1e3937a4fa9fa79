package expo

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Trust has a client believe in a test's server.
func Trust(c *Client, server *httptest.Server) {
	c.http.Transport.(*http.Transport).TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
}

// stopped is a connection whose process is stopped after each write.
type stopped struct {
	net.Conn
	written int
	after   func()
}

func (s *stopped) Write(p []byte) (int, error) {
	s.written += len(p)
	s.after()
	return len(p), nil
}

// A request of which a part has gone when its time is over is not completed.
func TestGateClosesInTheMiddle(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	before := time.Now().Add(time.Minute)
	g := &gate{}
	s := &stopped{after: func() { g.limit.Store(&limit{before: time.Now(), cancel: cancel}) }}
	g.Conn = s
	g.limit.Store(&limit{before: before, cancel: cancel})
	if _, err := g.Write(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if n, err := g.Write(make([]byte, 10)); n != 0 || !errors.Is(err, errLate) || s.written != 10 {
		t.Errorf("%d more, %d in all: %v", n, s.written, err)
	}
	if !errors.Is(context.Cause(ctx), errLate) {
		t.Error("the request goes on")
	}
}

// Either clock ends a moment: of times that lack the one that stands still while the machine sleeps the other is asked.
func TestOver(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{-time.Nanosecond, true}, {0, true}, {time.Nanosecond, false}} {
		at := now.Add(tt.after)
		for _, t2 := range []time.Time{at, at.Round(0)} {
			if over(now, t2) != tt.want {
				t.Errorf("over %s before: %v", tt.after, !tt.want)
			}
		}
	}
}
