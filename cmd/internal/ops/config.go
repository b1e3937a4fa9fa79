package ops

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Config holds the server's settings. Start from [DefaultConfig].
type Config struct {
	// Addr is host:port to listen on; port 0 takes a free one.
	Addr string
	// Build is what build_info says about the program.
	Build Build
	// Alive returns an error when one of the process's own loops has stopped. It
	// must not ask a dependency. nil counts as alive while requests are answered.
	Alive func() error
	// Page answers whatever is neither health nor metrics, and sets its own headers; nil: nothing does.
	Page http.Handler

	// HeaderTimeout bounds reading a request's header. Positive.
	HeaderTimeout time.Duration
	// WriteTimeout bounds a whole request and its answer. At least HeaderTimeout.
	WriteTimeout time.Duration
	// IdleTimeout is how long a kept connection may wait for its next request.
	// Positive.
	IdleTimeout time.Duration
	// MaxHeaderBytes bounds a request's header, 1 KiB or more.
	MaxHeaderBytes int
	// ShutdownGrace is how long requests under way may take when the program
	// ends. Not negative.
	ShutdownGrace time.Duration
}

// Build says which program this is.
type Build struct {
	// Version is the release, such as v1.4.0.
	Version string
	// Revision is the commit it was built from.
	Revision string
}

// DefaultConfig returns settings for a loopback address.
func DefaultConfig() Config {
	return Config{
		Addr:           "127.0.0.1:8080",
		HeaderTimeout:  5 * time.Second,
		WriteTimeout:   30 * time.Second,
		IdleTimeout:    time.Minute,
		MaxHeaderBytes: 16 << 10,
		ShutdownGrace:  5 * time.Second,
	}
}

// Validate reports everything that is wrong with the settings at once.
func (c Config) Validate() error {
	var faults []error
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		faults = append(faults, fmt.Errorf("address must be host:port: %w", err))
	}
	if c.HeaderTimeout <= 0 {
		faults = append(faults, fmt.Errorf("header timeout is %v, must be positive", c.HeaderTimeout))
	}
	if c.WriteTimeout < c.HeaderTimeout {
		faults = append(faults, fmt.Errorf("write timeout is %v, must be at least the header timeout, %v", c.WriteTimeout, c.HeaderTimeout))
	}
	if c.IdleTimeout <= 0 {
		faults = append(faults, fmt.Errorf("idle timeout is %v, must be positive", c.IdleTimeout))
	}
	if c.MaxHeaderBytes < 1<<10 {
		faults = append(faults, fmt.Errorf("header limit is %d bytes, must be 1024 or more", c.MaxHeaderBytes))
	}
	if c.ShutdownGrace < 0 {
		faults = append(faults, fmt.Errorf("shutdown grace is %v, must not be negative", c.ShutdownGrace))
	}
	return errors.Join(faults...)
}
