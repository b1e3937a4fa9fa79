package gcal

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Account is one user's consent: whose it is, the token it is proved by, and the calendar it writes to. Or the consent is their
// administrator's, for a service account to act for them (see Delegated).
//
// However it is printed or logged, the refresh token stays out.
type Account struct {
	UserID       uuid.UUID
	RefreshToken string
	// Subject is the user's address at Google, for whom the service account acts if there is no refresh token.
	Subject string
	// Consent is when the user gave it. It tells one consent from the next where the token itself is not to be seen.
	Consent time.Time
	// CalendarID is "primary", an e-mail address, or the id of a secondary calendar. Empty means "primary".
	CalendarID string
}

// Delegated reports whether a service account acts for the user, who has given no consent themselves.
func (a Account) Delegated() bool { return a.RefreshToken == "" && a.Subject != "" }

// Domain is that of the user's address.
func (a Account) Domain() string { return domainOf(a.Subject) }

func domainOf(address string) string {
	return strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
}

// proof is a hash of what an access token is got with.
func (a Account) proof() [sha256.Size]byte {
	if a.Delegated() {
		return sha256.Sum256([]byte("subject " + a.Subject))
	}
	return sha256.Sum256([]byte(a.RefreshToken))
}

// String names the account without its token.
func (a Account) String() string {
	return fmt.Sprintf("account of user %s, calendar %s", a.UserID, a.calendar())
}

// Format makes every verb, %#v and %+v included, print what String says.
func (a Account) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// LogValue makes structured logs show ids only.
func (a Account) LogValue() slog.Value {
	return slog.GroupValue(slog.String("user_id", a.UserID.String()), slog.String("calendar_id", a.calendar()))
}

// MarshalText serves encoders that know neither Format nor LogValue.
func (a Account) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (a Account) calendar() string {
	if a.CalendarID == "" {
		return "primary"
	}
	return a.CalendarID
}
