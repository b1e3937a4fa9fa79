package app

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/parentpal/reminder-worker/sync/gcal"
)

// Delegates reports whether a service account acts for users without a consent of their own.
func (c Config) Delegates() bool { return c.GoogleClientEmail != "" && len(c.WorkspaceDomains()) > 0 }

// WorkspaceDomains are those whose users it acts for, in lower case.
func (c Config) WorkspaceDomains() (domains []string) {
	if strings.TrimSpace(c.GoogleWorkspaceDomain) == "" {
		return nil
	}
	for d := range strings.SplitSeq(c.GoogleWorkspaceDomain, ",") {
		domains = append(domains, strings.ToLower(strings.TrimSpace(d)))
	}
	return domains
}

// aDomain has at least two parts.
var aDomain = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$`)

// consumerDomains are those of Google's own free accounts, which have no administrator.
var consumerDomains = []string{"gmail.com", "googlemail.com"}

// validateServiceAccount checks that the parts of a service account belong together, that its key can be read, and whom it is to act for.
func (c Config) validateServiceAccount() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	domains := c.WorkspaceDomains()
	switch {
	case c.GooglePrivateKey == "" && c.GoogleClientEmail != "":
		fault("GOOGLE_PRIVATE_KEY: missing; GOOGLE_CLIENT_EMAIL is of no use without it")
	case c.GooglePrivateKey != "" && c.GoogleClientEmail == "":
		fault("GOOGLE_CLIENT_EMAIL: missing; GOOGLE_PRIVATE_KEY is of no use without it")
	case len(domains) > 0 && c.GoogleClientEmail == "":
		fault("GOOGLE_CLIENT_EMAIL: missing; GOOGLE_WORKSPACE_DOMAIN is of no use without a service account")
	}
	if c.GoogleClientEmail != "" && (!strings.Contains(c.GoogleClientEmail, "@") || strings.ContainsAny(c.GoogleClientEmail, " \t\n\"'")) {
		fault("GOOGLE_CLIENT_EMAIL: not an e-mail address; copy client_email of the service account's JSON")
	}
	if c.GooglePrivateKey != "" {
		if _, err := gcal.ParseServiceKey(c.GooglePrivateKey); err != nil {
			fault("GOOGLE_PRIVATE_KEY: %w", err)
		}
	}
	for i, d := range domains {
		switch {
		case !aDomain.MatchString(d):
			fault("GOOGLE_WORKSPACE_DOMAIN: %q is not a domain; one looks like example.com, several like example.com,example.org", d)
		case slices.Contains(consumerDomains, d):
			fault("GOOGLE_WORKSPACE_DOMAIN: %s has no administrator who could let a service account act for its users; they connect Google in the app", d)
		case slices.Contains(domains[:i], d):
			fault("GOOGLE_WORKSPACE_DOMAIN: %s is given twice", d)
		}
	}
	return errors.Join(faults...)
}
