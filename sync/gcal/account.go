package gcal

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"
)

// Account is one user's consent: whose it is, the token it is proved by, and the calendar it writes to.
//
// However it is printed or logged, the refresh token stays out.
type Account struct {
	UserID       uuid.UUID
	RefreshToken string
	// Consent is when the user gave it. It tells one consent from the next where the token itself is not to be seen.
	Consent time.Time
	// CalendarID is "primary", an e-mail address, or the id of a secondary calendar. Empty means "primary".
	CalendarID string
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
