package page

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Config holds the page's settings. Start from [DefaultConfig].
type Config struct {
	// Addr is where the server listens, host:port: whether that is the loopback decides who may read without a password.
	Addr string
	// Password opens the page, and makes it more than a page to read; empty: there is none.
	Password string
	// Zone is that of the times that people are shown.
	Zone *time.Location

	// Interval is how old what is shown may be before it is read again, and the time between two frames of a stream.
	// Positive.
	Interval time.Duration
	// ReadTimeout bounds the reading of one view. Positive.
	ReadTimeout time.Duration
	// ActTimeout bounds one change. Positive.
	ActTimeout time.Duration
	// MaxStreams is how many windows may be kept up to date at once, 1 or more.
	MaxStreams int
	// StreamTimeout is how long a window may take to accept one frame. Positive.
	StreamTimeout time.Duration
}

// DefaultConfig returns settings without a password for an address of the loopback.
func DefaultConfig() Config {
	return Config{
		Addr:          "127.0.0.1:8080",
		Zone:          time.UTC,
		Interval:      2 * time.Second,
		ReadTimeout:   5 * time.Second,
		ActTimeout:    25 * time.Second, // the server writes for 30 s at most
		MaxStreams:    20,
		StreamTimeout: 10 * time.Second,
	}
}

// Validate reports everything that is wrong with the settings at once.
func (c Config) Validate() error {
	var faults []error
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		faults = append(faults, fmt.Errorf("address must be host:port: %w", err))
	}
	for _, p := range []struct {
		name  string
		value time.Duration
	}{
		{"interval", c.Interval}, {"read timeout", c.ReadTimeout}, {"act timeout", c.ActTimeout}, {"stream timeout", c.StreamTimeout},
	} {
		if p.value <= 0 {
			faults = append(faults, fmt.Errorf("%s is %v, must be positive", p.name, p.value))
		}
	}
	if c.Zone == nil {
		faults = append(faults, errors.New("time zone is missing"))
	}
	if c.MaxStreams < 1 {
		faults = append(faults, fmt.Errorf("limit of streams is %d, must be 1 or more", c.MaxStreams))
	}
	return errors.Join(faults...)
}

// loopback reports whether only this machine can reach the server.
func (c Config) loopback() bool {
	host, _, err := net.SplitHostPort(c.Addr)
	return err == nil && isLocal(host)
}

// isLocal reports whether a host is an address of the loopback, or its name.
func isLocal(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
