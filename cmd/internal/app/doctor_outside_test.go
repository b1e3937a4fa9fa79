package app

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// outside is a configuration whose services are stand-ins, without a database.
func outside(t *testing.T) (c Config, google *gcalfake.Server, push *expofake.Server) {
	t.Helper()
	google, err := gcalfake.Start(gcalfake.Config{ClientID: "client", ClientSecret: "client-secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(google.Close)
	ec := expofake.DefaultConfig()
	ec.AccessToken = "expo-access"
	if push, err = expofake.Start(ec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = push.Close() })
	c = validConfig(t)
	c.GoogleCalendarURL, c.GoogleTokenURL, c.GoogleRevokeURL = google.CalendarURL(), google.TokenURL(), google.RevokeURL()
	c.ExpoPushURL, c.ExpoAccessToken = push.URL(), "expo-access"
	return c, google, push
}

func judged(t *testing.T, f Finding, verdict Verdict, text string) {
	t.Helper()
	if f.Verdict != verdict || !strings.Contains(f.Text, text) || (f.Verdict == Pass) != (f.Fix == "") {
		t.Errorf("%+v, want %s: %s", f, verdict, text)
	}
}

func TestExamineGoogle(t *testing.T) {
	t.Parallel()
	c, google, _ := outside(t)
	ctx := t.Context()
	judged(t, examineGoogleToken(ctx, c), Pass, "accepted")
	judged(t, examineGoogleCalendar(ctx, c), Pass, "reachable")
	if n := len(google.Users()); n != 0 {
		t.Errorf("the examination made %d users", n)
	}

	wrong := c
	wrong.GoogleClientSecret = "other"
	judged(t, examineGoogleToken(ctx, wrong), Fail, "invalid_client")
	wrong.GoogleTokenURL, wrong.GoogleCalendarURL = google.URL()+"/elsewhere", google.URL()+"/elsewhere"
	judged(t, examineGoogleToken(ctx, wrong), Fail, "not one of a token endpoint")
	judged(t, examineGoogleCalendar(ctx, wrong), Fail, "not one of the Calendar API")
	wrong.GoogleTokenURL, wrong.GoogleCalendarURL = "nowhere", "nowhere"
	judged(t, examineGoogleToken(ctx, wrong), Skip, "no address")
	judged(t, examineGoogleCalendar(ctx, wrong), Skip, "no address")

	google.Fail(gcalfake.Always("", gcalfake.Status(http.StatusServiceUnavailable, "backendError")))
	judged(t, examineGoogleToken(ctx, c), Warn, "status 503")
	judged(t, examineGoogleCalendar(ctx, c), Warn, "status 503")
	google.Heal()
	google.Fail(gcalfake.Always("", gcalfake.Fault{Hang: true}))
	hurried, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	judged(t, examineGoogleToken(hurried, c), Fail, "no answer within")
	google.Close()
	judged(t, examineGoogleToken(ctx, c), Fail, "connection refused")
	judged(t, examineGoogleCalendar(ctx, c), Fail, "connection refused")
}

func TestExamineGoogleClient(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		id, secret string
		client     Verdict
		token      Verdict
	}{
		{"", "", Warn, Skip},
		{"client", "", Fail, Skip},
		{"", "client-secret", Fail, Skip},
		{" client", "client-secret", Fail, Fail},
		{"client", "client-secret", Pass, Pass},
	} {
		c, _, _ := outside(t)
		c.GoogleClientID, c.GoogleClientSecret = tc.id, tc.secret
		judged(t, examineGoogleClient(c), tc.client, "")
		judged(t, examineGoogleToken(t.Context(), c), tc.token, "")
	}
}

func TestJudgeToken(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status  int
		body    string
		verdict Verdict
		text    string
	}{
		{400, `{"error":"invalid_grant"}`, Pass, "accepted"},
		{400, `{"error":"invalid_request","error_description":"Missing"}`, Pass, "does not object to the client: invalid_request"},
		{401, `{"error":"invalid_client"}`, Fail, "invalid_client"},
		{401, `{"error":"deleted_client"}`, Fail, "deleted_client"},
		{401, `{"error":"unauthorized_client"}`, Fail, "unauthorized_client"},
		{429, `{"error":"rate_limit_exceeded"}`, Warn, "429"},
		{502, `<html>Bad Gateway</html>`, Warn, "502"},
		{200, `{"access_token":"a"}`, Warn, "stand-in"},
		{404, `<html>Not Found</html>`, Fail, "status 404"},
		{400, `{"error":{"code":400}}`, Fail, "status 400"},
		{400, `{"error":"` + marker + `"}`, Fail, "status 400"},
		{302, ``, Fail, "status 302"},
	} {
		f := judgeToken("google_token", probed{status: tc.status, body: []byte(tc.body)})
		judged(t, f, tc.verdict, tc.text)
		if strings.Contains(f.Text, marker) {
			t.Errorf("repeats what it was answered: %s", f.Text)
		}
	}
}

func TestExamineExpo(t *testing.T) {
	t.Parallel()
	c, _, push := outside(t)
	ctx := t.Context()
	judged(t, examineExpo(ctx, c), Pass, "the access token is accepted")
	wrong := c
	wrong.ExpoAccessToken = "other"
	judged(t, examineExpo(ctx, wrong), Fail, "does not accept EXPO_ACCESS_TOKEN")
	wrong.ExpoAccessToken = ""
	judged(t, examineExpo(ctx, wrong), Fail, "wants an access token")
	wrong.ExpoAccessToken = "two words"
	judged(t, examineExpo(ctx, wrong), Skip, "access token")
	wrong = c
	wrong.ExpoPushURL = push.URL() + "/elsewhere"
	judged(t, examineExpo(ctx, wrong), Fail, "status 404")
	for status, verdict := range map[int]Verdict{500: Warn, 429: Warn, 403: Fail} {
		push.Fail(func(expofake.Request) *expofake.Fault { return expofake.Status(status, "<html>") })
		judged(t, examineExpo(ctx, c), verdict, "")
	}
	if n := push.Counts().Accepted; n != 0 {
		t.Errorf("%d pushes accepted", n)
	}
	_ = push.Close()
	judged(t, examineExpo(ctx, c), Fail, "connection refused")
}

func TestRemarks(t *testing.T) {
	t.Parallel()
	c := validConfig(t)
	expect(t, byID(remarks(c)), map[string]Verdict{"token_sealing": Warn})
	c.SupabaseServiceRoleKey = marker
	got := byID(remarks(c))
	expect(t, got, map[string]Verdict{"token_sealing": Warn})
	for id, f := range got {
		if strings.Contains(f.Text+f.Fix, marker) {
			t.Errorf("%s shows a secret: %+v", id, f)
		}
	}
}

func byID(findings []Finding) map[string]Finding {
	m := map[string]Finding{}
	for _, f := range findings {
		m[f.ID] = f
	}
	return m
}
