package expo

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// DefaultURL is the address of Expo's push service.
const DefaultURL = "https://exp.host/--/api/v2/push"

// Config says where Expo is and how to speak to it.
type Config struct {
	// URL is the absolute http or https address below which /send and
	// /getReceipts are found.
	URL string

	// AccessToken is the project's access token, needed once enhanced push
	// security is on. Empty sends no Authorization header.
	AccessToken string

	// Timeout bounds one request, from dialling to the last byte of the answer.
	// Above zero; a shorter deadline of the caller's context still wins.
	Timeout time.Duration
}

// DefaultConfig returns the settings for Expo's public service without an
// access token.
func DefaultConfig() Config {
	return Config{URL: DefaultURL, Timeout: 10 * time.Second}
}

// Validate reports every fault of the configuration at once.
func (c Config) Validate() error {
	var faults []error
	if err := validateURL(c.URL); err != nil {
		faults = append(faults, err)
	}
	if strings.ContainsFunc(c.AccessToken, func(r rune) bool { return r <= ' ' || r > '~' }) {
		faults = append(faults, errors.New("expo access token: contains a blank or a character that no HTTP header carries"))
	}
	if c.Timeout <= 0 {
		faults = append(faults, fmt.Errorf("expo timeout: %v is not above zero", c.Timeout))
	}
	return errors.Join(faults...)
}

// String shows the configuration without its secret.
func (c Config) String() string {
	token := "none"
	if c.AccessToken != "" {
		token = "redacted"
	}
	return fmt.Sprintf("{URL:%s AccessToken:%s Timeout:%v}", c.URL, token, c.Timeout)
}

// GoString keeps %#v from showing the secret.
func (c Config) GoString() string { return "expo.Config" + c.String() }

// validateURL never repeats the address, which might hold a password.
func validateURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("expo url: not an address")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("expo url: scheme is neither http nor https")
	case u.Host == "":
		return errors.New("expo url: host is missing")
	case u.User != nil:
		return errors.New("expo url: must not contain a user name or password")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("expo url: must not contain a query or fragment")
	}
	return nil
}
