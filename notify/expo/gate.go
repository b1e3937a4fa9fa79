package expo

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// gate is a connection that lets nothing of a request out when the time for it is over. It is the last thing before the kernel: whatever
// held the request up on its way here, a dial, a lock, a process that was stopped or a machine that slept, it is seen. A request has its
// connection to itself, so the limit is that of the bytes. Some may have gone before it: then the rest does not follow, and the service,
// which was told their number, waits for it in vain.
type gate struct {
	net.Conn
	limit atomic.Pointer[limit] // nil: none
}

// limit is until when a request may be written, and learns when it was.
type limit struct {
	before time.Time               // zero: for ever
	cancel context.CancelCauseFunc // of the request, which is not to be tried on another connection
	wrote  atomic.Pointer[time.Time]
}

// over reports whether nothing may be written any more.
func (l *limit) over(now time.Time) bool { return !l.before.IsZero() && over(now, l.before) }

var errLate = errors.New("the time for it was over before it was sent")

// Write implements net.Conn.
func (g *gate) Write(p []byte) (int, error) {
	l := g.limit.Load()
	if l == nil {
		return g.Conn.Write(p)
	}
	if l.over(time.Now()) {
		l.cancel(errLate)
		return 0, errLate
	}
	n, err := g.Conn.Write(p)
	if now := time.Now(); n > 0 {
		l.wrote.Store(&now)
	}
	return n, err
}

// over reports whether t has come by any clock: the one that is set, and the one that stands still while the machine sleeps.
func over(now, t time.Time) bool { return !now.Before(t) || !now.Round(0).Before(t.Round(0)) }

// gated makes every connection that dial makes a gate.
func gated(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &gate{Conn: conn}, nil
	}
}

// limited has l watched over by the connection that a request with this context gets, instead of the limit of the request before.
func limited(ctx context.Context, l *limit, connected *atomic.Bool) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			connected.Store(true)
			if g := findGate(info.Conn); g != nil {
				g.limit.Store(l)
			}
		},
	})
}

// findGate looks below the encryption.
func findGate(conn net.Conn) *gate {
	for {
		switch c := conn.(type) {
		case *gate:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}
