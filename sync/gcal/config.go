package gcal

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Config says where Google is, who we are there, and how much of it we use at once.
type Config struct {
	// CalendarURL is the Calendar API's address with its path, as https://www.googleapis.com/calendar/v3/.
	CalendarURL string
	// TokenURL is where refresh tokens are exchanged for access tokens.
	TokenURL string
	// RevokeURL is where a consent is given back.
	RevokeURL string

	// ClientID and ClientSecret name the OAuth client that obtained the refresh tokens; no other client can use them. Empty: accounts with
	// refresh tokens are not served.
	ClientID     string
	ClientSecret string
	// ServiceEmail and ServiceKey are the service account that acts for users without a refresh token, where their administrator has
	// delegated Scope to it. Empty: they are not served. One of the two, OAuth client or service account, there must be.
	ServiceEmail string
	ServiceKey   ServiceKey
	// ServicePause is for how long nothing is asked that Google has refused to the service account itself, or for all of a domain. 1s to 1h.
	ServicePause time.Duration

	// Timeout bounds one HTTP exchange, from dialling to the last byte of the answer. One Upsert may need several. 1s to 5m.
	Timeout time.Duration
	// MaxConnsPerHost bounds the connections to each of Google's hosts. 1 or more.
	MaxConnsPerHost int
	// MaxAccounts bounds how many accounts' access tokens are remembered; the least recently used goes first and costs one
	// token request when it comes back. 1 or more.
	MaxAccounts int

	// Admit, if set, is asked before every request to the Calendar API (not before token requests), and may wait. An error with a method
	// RetryAfter() time.Duration says that a quota which all workers share is used up for so long: the call ends with Throttled, and
	// Error.Shared, unless a method Personal() bool says that it is this user's alone. It must be safe for concurrent use.
	Admit func(ctx context.Context, user uuid.UUID) error

	// OnRotate, if set, is told when Google has replaced an account's refresh token, so that the new one can be stored. It is
	// called before the call that noticed goes on, by that call's goroutine, and must be safe for concurrent use. If another
	// consent or token than a's is stored by now, the user has connected again, and that one stays.
	OnRotate func(a Account, is string)
}

// DefaultConfig is Google itself; OAuth client and service account are left for the caller.
func DefaultConfig() Config {
	return Config{
		CalendarURL:     "https://www.googleapis.com/calendar/v3/",
		TokenURL:        "https://oauth2.googleapis.com/token",
		RevokeURL:       "https://oauth2.googleapis.com/revoke",
		ServicePause:    10 * time.Minute,
		Timeout:         10 * time.Second,
		MaxConnsPerHost: 64,
		MaxAccounts:     10_000,
	}
}

// Validate reports all that is wrong with c at once.
func (c Config) Validate() error {
	service := c.ServiceEmail != "" || c.ServiceKey.Given()
	return errors.Join(
		validURL("calendar url", c.CalendarURL),
		validURL("token url", c.TokenURL),
		validURL("revoke url", c.RevokeURL),
		require(c.ClientID != "" || service && c.ClientSecret == "", "client id is empty"),
		require(c.ClientSecret != "" || service && c.ClientID == "", "client secret is empty"),
		require(c.ServiceEmail != "" || !c.ServiceKey.Given(), "service email is empty"),
		require(c.ServiceKey.Given() || c.ServiceEmail == "", "service key is missing"),
		require(c.ServicePause >= time.Second && c.ServicePause <= time.Hour, "service pause %v is outside 1s to 1h", c.ServicePause),
		require(c.Timeout >= time.Second && c.Timeout <= 5*time.Minute, "timeout %v is outside 1s to 5m", c.Timeout),
		require(c.MaxConnsPerHost >= 1, "max conns per host %d is below 1", c.MaxConnsPerHost),
		require(c.MaxAccounts >= 1, "max accounts %d is below 1", c.MaxAccounts),
	)
}

// Format makes every verb print the addresses and sizes and leave the secrets out.
func (c Config) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "google client %q, service account %q at %s, %s, %s, timeout %v, %d connections, %d accounts",
		c.ClientID, c.ServiceEmail, c.CalendarURL, c.TokenURL, c.RevokeURL, c.Timeout, c.MaxConnsPerHost, c.MaxAccounts)
}

// MarshalText serves encoders that do not know Format.
func (c Config) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%v", c), nil }

func require(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// validURL does not repeat the address: it may carry a password.
func validURL(name, raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return fmt.Errorf("%s cannot be parsed", name)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%s must begin with http:// or https://", name)
	case u.Host == "":
		return fmt.Errorf("%s has no host", name)
	case u.RawQuery != "" || strings.Contains(raw, "#"):
		return fmt.Errorf("%s must not have a query or fragment", name)
	case u.User != nil:
		return fmt.Errorf("%s must not carry a user or password", name)
	}
	return nil
}
