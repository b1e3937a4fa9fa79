package gcalfake

import (
	"errors"
	"fmt"
	"time"
)

// Config is what a Server is like from its start. The zero Config is a fast, lenient Google on a free port of the loopback.
type Config struct {
	// Addr is the address to listen on. Empty means 127.0.0.1:0, a free port.
	Addr string
	// Latency is how long each Calendar answer takes. 0 is at once.
	Latency time.Duration
	// ClientID and ClientSecret, if set, are the only OAuth client the token endpoint accepts.
	ClientID, ClientSecret string
	// TokenLifetime is how long an access token is good for. 0 means an hour.
	TokenLifetime time.Duration
	// OpenGrants accepts refresh tokens that Grant never gave, each as a user of its own, and assertions of service accounts that
	// AddServiceAccount never named, unsigned if they like. It suits a stand-alone server, whose clients bring what their database holds.
	OpenGrants bool
	// RotateTokens replaces the refresh token at every exchange; the old one is dead then.
	RotateTokens bool
	// RefuseUndelete answers 403 to an update that would bring a deleted event back, as Google sometimes does.
	RefuseUndelete bool
	// LogSize is how many of the newest requests Log keeps. 0 means 1000, a negative number none.
	LogSize int
	// OnRequest, if set, is told of every request when its answer is decided and before it is sent, concurrently.
	OnRequest func(Record)
}

// Validate reports all that is wrong with c at once.
func (c Config) Validate() error {
	var errs []error
	if c.Latency < 0 {
		errs = append(errs, fmt.Errorf("latency %v is negative", c.Latency))
	}
	if c.TokenLifetime < 0 {
		errs = append(errs, fmt.Errorf("token lifetime %v is negative", c.TokenLifetime))
	}
	if c.ClientSecret != "" && c.ClientID == "" {
		errs = append(errs, errors.New("client secret is set without a client id"))
	}
	return errors.Join(errs...)
}

func (c Config) withDefaults() Config {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if c.TokenLifetime == 0 {
		c.TokenLifetime = time.Hour
	}
	if c.LogSize == 0 {
		c.LogSize = 1000
	}
	return c
}
