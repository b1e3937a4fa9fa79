package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo"
)

const (
	// nobodysConsent is a refresh token that nobody was ever given. An empty one would be refused before Google looks at the client.
	nobodysConsent = "reminder-worker-doctor"
	// nobodysTicket is a ticket that was never given out.
	nobodysTicket = "00000000-0000-0000-0000-000000000000"
	// maxProbe bounds what is read of an answer.
	maxProbe = 64 << 10
)

const noClient = "GOOGLE_CLIENT_ID is not set: no calendars are written, reminders work all the same"

func examineGoogleClient(c Config) Finding {
	const fix = "Set GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET to the OAuth client that the app signs users in with."
	switch {
	case c.GoogleClientID == "" && c.GoogleClientSecret == "" && c.Delegates():
		return pass("google_client", "GOOGLE_CLIENT_ID is not set: calendars are written by the service account only")
	case c.GoogleClientID == "" && c.GoogleClientSecret == "":
		return warn("google_client", noClient, fix)
	case c.GoogleClientID == "":
		return fail("google_client", "GOOGLE_CLIENT_SECRET is set and GOOGLE_CLIENT_ID is not", fix)
	case c.GoogleClientSecret == "":
		return fail("google_client", "GOOGLE_CLIENT_ID is set and GOOGLE_CLIENT_SECRET is not", fix)
	case strings.TrimSpace(c.GoogleClientID) != c.GoogleClientID:
		return fail("google_client", "GOOGLE_CLIENT_ID begins or ends with a blank", "Take the blank away.")
	}
	return pass("google_client", "id and secret are set")
}

// examineGoogleToken asks for an access token with a consent that does not exist. How that is refused tells whether the client is known.
func examineGoogleToken(ctx context.Context, c Config) Finding {
	const id = "google_token"
	if c.GoogleClientID == "" || c.GoogleClientSecret == "" {
		if c.Delegates() && c.GoogleClientID == c.GoogleClientSecret {
			return pass(id, "not asked: there is no OAuth client, and none is needed")
		}
		return skip(id, "there is no OAuth client to ask with", "Set GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET.")
	}
	if !reachable(c.GoogleTokenURL) {
		return skip(id, "GOOGLE_TOKEN_URL is no address", "Correct GOOGLE_TOKEN_URL.")
	}
	form := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {nobodysConsent},
		"client_id": {c.GoogleClientID}, "client_secret": {c.GoogleClientSecret},
	}
	a, err := probe(ctx, http.MethodPost, c.GoogleTokenURL, form)
	if err != nil {
		return fail(id, "the token endpoint cannot be reached: "+err.Error(), reachFix("GOOGLE_TOKEN_URL"))
	}
	return judgeToken(id, a)
}

func judgeToken(id string, a probed) Finding {
	code := a.oauthError()
	switch {
	case code == "invalid_client", code == "unauthorized_client", code == "deleted_client", code == "disabled_client":
		return fail(id, "the token endpoint does not accept the client: "+code,
			"Copy GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET again, of one and the same OAuth client; one that was deleted must be made anew, and its users must connect again.")
	case code == "invalid_grant":
		return pass(id, fmt.Sprintf("id and secret are accepted (%s)", a.took()))
	case a.busy():
		return warn(id, fmt.Sprintf("the token endpoint answers with status %d", a.status), "Try again later; the worker waits by itself.")
	case code != "":
		return pass(id, fmt.Sprintf("the token endpoint answers and does not object to the client: %s (%s)", code, a.took()))
	case a.status == http.StatusOK:
		return warn(id, "the token endpoint accepts a consent that nobody gave: this is a stand-in, not Google", "Correct GOOGLE_TOKEN_URL, unless this is a trial.")
	}
	return fail(id, fmt.Sprintf("the answer is not one of a token endpoint (status %d)", a.status), "Correct GOOGLE_TOKEN_URL; Google's is https://oauth2.googleapis.com/token.")
}

// examineGoogleCalendar reads a calendar without credentials, which must be refused as the Calendar API does.
func examineGoogleCalendar(ctx context.Context, c Config) Finding {
	const id = "google_calendar"
	if !c.WritesCalendars() {
		return skip(id, "no calendars are written", "Set GOOGLE_CLIENT_ID and GOOGLE_CLIENT_SECRET.")
	}
	if !reachable(c.GoogleCalendarURL) {
		return skip(id, "GOOGLE_CALENDAR_URL is no address", "Correct GOOGLE_CALENDAR_URL.")
	}
	address := strings.TrimRight(c.GoogleCalendarURL, "/") + "/calendars/primary/events?maxResults=1"
	a, err := probe(ctx, http.MethodGet, address, nil)
	switch {
	case err != nil:
		return fail(id, "the Calendar API cannot be reached: "+err.Error(), reachFix("GOOGLE_CALENDAR_URL"))
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		return pass(id, fmt.Sprintf("reachable (%s)", a.took()))
	case a.busy():
		return warn(id, fmt.Sprintf("the Calendar API answers with status %d", a.status), "Try again later; the worker waits by itself.")
	}
	return fail(id, fmt.Sprintf("the answer is not one of the Calendar API (status %d)", a.status),
		"Correct GOOGLE_CALENDAR_URL; Google's is https://www.googleapis.com/calendar/v3/.")
}

// examineExpo asks for the receipt of a push that never was: it sends nothing, and is refused if the access token is wrong.
func examineExpo(ctx context.Context, c Config) Finding {
	const id = "expo_push"
	cfg := c.expo()
	cfg.Timeout = checkLimit
	client, err := expo.New(cfg)
	if err != nil {
		return skip(id, oneLine(err), "Correct EXPO_PUSH_URL and EXPO_ACCESS_TOKEN.")
	}
	defer client.Close()
	began := time.Now()
	_, err = client.Receipts(ctx, []string{nobodysTicket})
	if refused, ok := errors.AsType[*expo.Error](err); ok {
		return judgeExpo(id, c, refused)
	}
	text := "reachable; the access token is accepted"
	if c.ExpoAccessToken == "" {
		text = "reachable; without an access token, which is right unless the project has enhanced push security"
	}
	return pass(id, fmt.Sprintf("%s (%s)", text, rounded(time.Since(began))))
}

func judgeExpo(id string, c Config, e *expo.Error) Finding {
	switch {
	case e.Status == 0:
		return fail(id, "the push service cannot be reached: "+whyNot(e), reachFix("EXPO_PUSH_URL"))
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden, e.Code == expo.CodeUnauthorized:
		if c.ExpoAccessToken == "" {
			return fail(id, "the push service wants an access token: the project has enhanced push security", "Set EXPO_ACCESS_TOKEN to an access token of the Expo account.")
		}
		return fail(id, "the push service does not accept EXPO_ACCESS_TOKEN", "Make a new access token in the Expo account and set EXPO_ACCESS_TOKEN.")
	case e.Kind == expo.Throttled, e.Status >= 500:
		return warn(id, fmt.Sprintf("the push service answers with status %d", e.Status), "Try again later; the worker waits by itself.")
	}
	return fail(id, fmt.Sprintf("the answer is not one of the push service (status %d)", e.Status), "Correct EXPO_PUSH_URL; Expo's is https://exp.host/--/api/v2/push.")
}

func reachFix(variable string) string {
	return "Check that this machine may open HTTPS connections to it, directly or by HTTPS_PROXY, and that " + variable + " is right."
}

// errBadProxy stands for an error that quotes the proxy's address, which may hold a password.
var errBadProxy = errors.New("the proxy that the environment names (HTTPS_PROXY, HTTP_PROXY) is no address")

// probed is an answer.
type probed struct {
	status  int
	body    []byte
	elapsed time.Duration
}

func (a probed) busy() bool   { return a.status == http.StatusTooManyRequests || a.status >= 500 }
func (a probed) took() string { return rounded(a.elapsed) }

// oauthError is the error code of an OAuth answer, empty if it is none. Only words such codes are made of are passed on.
func (a probed) oauthError() string {
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(a.body, &answer) != nil || len(answer.Error) > 64 || strings.Trim(answer.Error, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return answer.Error
}

// probe makes one request, on a connection of its own, and follows no redirect: a client secret goes where it was meant to.
func probe(ctx context.Context, method, address string, form url.Values) (probed, error) {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return probed{}, errors.New("no address")
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("User-Agent", "reminder-worker")
	client := http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if _, err := http.ProxyFromEnvironment(req); err != nil {
		return probed{}, errBadProxy
	}
	began := time.Now()
	res, err := client.Do(req)
	if err != nil {
		return probed{}, errors.New(whyNot(err))
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxProbe))
	if err != nil {
		return probed{}, errors.New(whyNot(err))
	}
	return probed{res.StatusCode, body, time.Since(began)}, nil
}

// whyNot puts a failed exchange into words without the address, which may hold a password.
func whyNot(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		err = e
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && !dns.IsTimeout {
		return "the host name " + dns.Name + " cannot be resolved"
	}
	if timedOut(err) {
		return "no answer within " + checkLimit.String()
	}
	return oneLine(err)
}

func rounded(d time.Duration) string {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}
