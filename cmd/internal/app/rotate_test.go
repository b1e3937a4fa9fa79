package app

import (
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// A refresh token that Google replaces is stored in place of the old one.
func TestRotatedToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	google, err := gcalfake.Start(gcalfake.Config{ClientID: "client", ClientSecret: "client-secret", RotateTokens: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(google.Close)
	w.google = google
	w.cfg.GoogleCalendarURL, w.cfg.GoogleTokenURL, w.cfg.GoogleRevokeURL = google.CalendarURL(), google.TokenURL(), google.RevokeURL()
	user, _ := w.user()
	given := one[string](w, `select refresh_token from reminder_worker.google_accounts where user_id = $1`, user)
	w.start()
	w.untilStatus(w.event(user, "Choir", 48*time.Hour), "synced")
	if stored := one[string](w, `select refresh_token from reminder_worker.google_accounts where user_id = $1`, user); stored == given {
		t.Error("the replaced token is still stored")
	}
}
