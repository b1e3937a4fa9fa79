package listener

import (
	"context"
	"fmt"
	"time"
)

// NotifySource hears what triggers NOTIFY. Make it with [NewNotifySource].
type NotifySource struct {
	connect Connect
	bell    Bell
	channel string
	timeout time.Duration
}

// NewNotifySource returns a source that LISTENs on a channel, 1 to 63 bytes, over
// connections that connect makes.
func NewNotifySource(connect Connect, bell Bell, channel string) (*NotifySource, error) {
	if n := len(channel); n == 0 || n > maxChannelBytes {
		return nil, fmt.Errorf("channel has %d bytes, must have 1 to %d", n, maxChannelBytes)
	}
	return &NotifySource{connect: connect, bell: bell, channel: channel, timeout: openTimeout}, nil
}

// openTimeout bounds connecting, and LISTEN with the settings before it, each by itself.
const openTimeout = 10 * time.Second

// Name implements [Source].
func (*NotifySource) Name() string { return "notify" }

// Bell implements [Source].
func (n *NotifySource) Bell() Bell { return n.bell }

// Open implements [Source]: LISTEN is committed when it returns.
func (n *NotifySource) Open(ctx context.Context) (Path, error) {
	limited, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	conn, err := n.connect(limited)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	s := newSession(conn, n.channel)
	if err := s.begin(ctx, n.timeout); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}
