package listener

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// How soon the kernel gives up a peer that has stopped to answer: after about ten
// seconds, whether the connection is idle (keepalive) or has sent something that
// nobody acknowledges (user timeout, Linux only). Go's own defaults need two and a
// half minutes for the first, and the kernel's a quarter of an hour for the second.
const (
	keepAliveIdle     = 5 * time.Second
	keepAliveInterval = 2 * time.Second
	keepAliveCount    = 3
	userTimeout       = 10 * time.Second
)

// DialFunc returns a dialer for pgconn's DialFunc field, whose sockets notice in
// about ten seconds that the other side has vanished.
func DialFunc() pgconn.DialFunc {
	d := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{
			Enable:   true,
			Idle:     keepAliveIdle,
			Interval: keepAliveInterval,
			Count:    keepAliveCount,
		},
		Control: setUserTimeout,
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		return d.DialContext(ctx, network, addr)
	}
}
