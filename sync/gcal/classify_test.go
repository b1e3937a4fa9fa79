package gcal

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
	"testing"
	"time"
	"unicode"

	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

// body is an error as the Calendar API writes it.
func body(status int, domain, reason string, details ...string) string {
	e := map[string]any{"code": status, "message": "Some words."}
	if reason != "" {
		e["errors"] = []any{map[string]any{"domain": domain, "reason": reason, "message": "Some words."}}
	}
	var list []any
	for _, d := range details {
		list = append(list, map[string]any{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": d})
	}
	e["details"] = list
	raw, _ := json.Marshal(map[string]any{"error": e})
	return string(raw)
}

// answered is the error that the generated client makes of an answer.
func answered(status int, header http.Header, body string) error {
	res := &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
	return fmt.Errorf("wrapped: %w", googleapi.CheckResponse(res))
}

const page = "<!DOCTYPE html><html><title>Error</title></html>"

var answers = []struct {
	op     string
	status int
	body   string
	kind   Kind
	reason string
	pause  time.Duration
}{
	{OpInsert, 400, body(400, "calendar", "timeRangeEmpty"), Permanent, "timeRangeEmpty", 0},
	{OpInsert, 400, body(400, "global", "invalid"), Permanent, "invalid", 0},
	{OpInsert, 400, body(400, "global", "required"), Permanent, "required", 0},
	{OpInsert, 400, body(400, "global", "badRequest"), Permanent, "badRequest", 0},
	{OpInsert, 400, page, Permanent, "", 0},
	{OpGet, 401, body(401, "global", "authError"), Retry, "authError", 0},
	{OpGet, 401, `{"error":{"code":401,"message":"No.","status":"UNAUTHENTICATED"}}`, Retry, "UNAUTHENTICATED", 0},
	{OpGet, 401, page, Retry, "", 0},
	{OpInsert, 403, body(403, "usageLimits", "rateLimitExceeded"), Throttled, "rateLimitExceeded", ratePause},
	{OpInsert, 403, body(403, "usageLimits", "userRateLimitExceeded"), Throttled, "userRateLimitExceeded", ratePause},
	{OpInsert, 403, body(403, "usageLimits", "quotaExceeded"), Throttled, "quotaExceeded", quotaPause},
	{OpInsert, 403, body(403, "usageLimits", "dailyLimitExceeded"), Throttled, "dailyLimitExceeded", 20 * time.Hour},
	{OpInsert, 403, body(403, "usageLimits", "someNewLimit"), Throttled, "someNewLimit", ratePause},
	{OpInsert, 403, body(403, "global", "", "RATE_LIMIT_EXCEEDED"), Throttled, "RATE_LIMIT_EXCEEDED", ratePause},
	{OpInsert, 403, body(403, "global", "insufficientPermissions"), Reconnect, "insufficientPermissions", 0},
	{OpInsert, 403, body(403, "global", "", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), Reconnect, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", 0},
	{OpInsert, 403, body(403, "global", "forbidden", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), Reconnect, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", 0},
	{OpInsert, 403, body(403, "usageLimits", "accessNotConfigured"), Project, "accessNotConfigured", 0},
	{OpInsert, 403, body(403, "global", "forbidden", "SERVICE_DISABLED"), Project, "SERVICE_DISABLED", 0},
	{OpInsert, 403, body(403, "global", "", "BILLING_DISABLED"), Project, "BILLING_DISABLED", 0},
	{OpUpdate, 403, body(403, "calendar", "forbiddenForNonOrganizer"), Permanent, "forbiddenForNonOrganizer", 0},
	{OpUpdate, 403, body(403, "calendar", "forbiddenForServiceAccounts"), Permanent, "forbiddenForServiceAccounts", 0},
	{OpUpdate, 403, body(403, "global", "forbidden"), Permanent, "forbidden", 0},
	{OpUpdate, 403, page, Retry, "", 0},
	{OpInsert, 404, body(404, "global", "notFound"), CalendarGone, "notFound", 0},
	{OpUpdate, 404, body(404, "global", "notFound"), Retry, "notFound", 0},
	{OpInsert, 404, page, Project, "", 0},
	{OpGet, 407, page, Project, "", 0},
	{OpGet, 408, page, Retry, "", 0},
	{OpInsert, 409, body(409, "global", "duplicate"), Retry, "duplicate", 0},
	{OpInsert, 409, body(409, "global", "conflict"), Retry, "conflict", 0},
	{OpUpdate, 410, body(410, "global", "deleted"), Retry, "deleted", 0},
	{OpUpdate, 412, body(412, "global", "conditionNotMet"), Retry, "conditionNotMet", 0},
	{OpInsert, 413, page, Permanent, "", 0},
	{OpInsert, 429, body(429, "usageLimits", "rateLimitExceeded"), Throttled, "rateLimitExceeded", ratePause},
	{OpInsert, 429, page, Throttled, "", ratePause},
	{OpInsert, 500, body(500, "global", "backendError"), Retry, "backendError", 0},
	{OpInsert, 502, page, Retry, "", 0},
	{OpInsert, 503, body(503, "global", "backendError"), Retry, "backendError", 0},
	{OpInsert, 504, "", Retry, "", 0},
	{OpInsert, 302, "", Retry, "", 0},
}

func TestClassifyAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range answers {
		t.Run(fmt.Sprint(tt.op, " ", tt.status, " ", tt.reason), func(t *testing.T) {
			t.Parallel()
			got := classify(tt.op, answered(tt.status, nil, tt.body), noon)
			if got.Kind != tt.kind || got.Reason != tt.reason || got.RetryAfter != tt.pause || got.Status != tt.status || got.Op != tt.op {
				t.Errorf("classified as %v %q, pause %v, want %v %q, pause %v", got.Kind, got.Reason, got.RetryAfter, tt.kind, tt.reason, tt.pause)
			}
			if strings.Contains(got.Error(), "html") {
				t.Errorf("the error repeats a page: %v", got)
			}
		})
	}
}

func TestClassifyTokenAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		code   string
		kind   Kind
	}{
		{400, "invalid_grant", Reconnect},
		{400, "admin_policy_enforced", Reconnect},
		{403, "access_denied", Reconnect},
		{401, "invalid_client", Project},
		{401, "unauthorized_client", Project},
		{401, "deleted_client", Project},
		{400, "invalid_request", Project},
		{400, "something_new", Project},
		{400, "", Retry},
		{404, "", Retry},
		{429, "rate_limit_exceeded", Retry},
		{429, "", Retry},
		{500, "internal_failure", Retry},
		{503, "", Retry},
		{503, "invalid_grant", Retry},
	} {
		t.Run(fmt.Sprint(tt.status, " ", tt.code), func(t *testing.T) {
			t.Parallel()
			err := &url.Error{Op: "Post", URL: "https://example.com", Err: &oauth2.RetrieveError{
				Response: &http.Response{StatusCode: tt.status, Status: "words", Header: http.Header{"Retry-After": {"7"}}},
				Body:     []byte("refresh_token=harmless-example"), ErrorCode: tt.code, ErrorDescription: "harmless-example",
			}}
			got := classify(OpToken, err, noon)
			if got.Kind != tt.kind || got.Reason != tt.code || got.Status != tt.status || got.RetryAfter != 7*time.Second {
				t.Errorf("classified as %+v, want %v", got, tt.kind)
			}
			if strings.Contains(got.Error(), "harmless") || got.Unwrap() != nil {
				t.Errorf("the error repeats the token endpoint: %v", got)
			}
		})
	}
}

func TestClassifyWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for _, tt := range []struct {
		op   string
		err  error
		want string
	}{
		{OpInsert, &url.Error{Op: "Post", URL: "https://user:hunter2@example.com", Err: refused}, "google insert: dial tcp: connection refused"},
		{OpToken, &url.Error{Op: "Post", URL: "https://example.com", Err: refused}, "google token: dial tcp: connection refused"},
		{OpToken, errors.New("oauth2: cannot parse json: harmless-example"), "google token: answer is not a token"},
		{OpToken, context.DeadlineExceeded, "google token: context deadline exceeded"},
		{OpGet, io.ErrUnexpectedEOF, "google get: unexpected EOF"},
	} {
		got := classify(tt.op, tt.err, noon)
		if got.Kind != Retry || got.Error() != tt.want {
			t.Errorf("classified as %v %q, want %q", got.Kind, got, tt.want)
		}
	}
	if once := classify(OpGet, io.EOF, noon); classify(OpInsert, fmt.Errorf("again: %w", once), noon) != once {
		t.Error("an error is classified twice")
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "-5": 0, "30": 30 * time.Second, "999999999": maxPause, "99999999999999999999": 0, "soon": 0,
		noon.Add(time.Minute).Format(http.TimeFormat):  time.Minute,
		noon.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, noon); got != want {
			t.Errorf("%q is %v, want %v", value, got, want)
		}
	}
	got := classify(OpInsert, answered(403, http.Header{"Retry-After": {"90"}}, body(403, "usageLimits", "quotaExceeded")), noon)
	if got.RetryAfter != 90*time.Second {
		t.Errorf("pause %v, want what the header says", got.RetryAfter)
	}
}

func TestUntilNextDay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ hour, want int }{{7, 1}, {8, 24}, {23, 9}} {
		now := time.Date(2026, 12, 31, tt.hour, 0, 0, 0, time.UTC)
		if got := untilNextDay(now); got != time.Duration(tt.want)*time.Hour {
			t.Errorf("from %v it is %v, want %dh", now, got, tt.want)
		}
	}
}

func TestShared(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]bool{"dailyLimitExceeded": true, "accessNotConfigured": true, "quotaExceeded": false} {
		if got := classify(OpInsert, answered(403, nil, body(403, "usageLimits", reason)), noon).Shared(); got != want {
			t.Errorf("%s is shared: %v, want %v", reason, got, want)
		}
	}
}

func TestKindsHaveNamesAndAdvice(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for k := Retry; k <= CalendarGone; k++ {
		advice := (&Error{Kind: k}).Advice()
		if seen[k.String()] || seen[advice] || !strings.HasSuffix(advice, ".") {
			t.Errorf("kind %v: advice %q", k, advice)
		}
		seen[k.String()], seen[advice] = true, true
	}
	if got := Kind(42).String(); got != "kind(42)" {
		t.Errorf("a kind that does not exist is called %q", got)
	}
}

// Whatever a server sends, an error is one short line with a known kind, and a pause is within bounds.
func FuzzClassify(f *testing.F) {
	f.Add(403, body(403, "usageLimits", "quotaExceeded"), "30")
	f.Add(403, body(403, "global", "forbidden", "SERVICE_DISABLED"), "soon")
	f.Add(502, page, "")
	f.Add(404, `[{"error":{"code":404,"errors":[{"reason":"notFound"}]}}]`, "Wed, 01 Jul 2026 12:01:00 GMT")
	f.Add(403, `{"error":{"details":[7,null,{"reason":{}}],"errors":[null]}}`, "-1")
	f.Add(401, "{\"error\":{\"message\":\"two\\nlines \\u0000\",\"errors\":[{\"reason\":\"ya29.a b\"}]}}", "9e9")
	f.Fuzz(func(t *testing.T, status int, body, after string) {
		status = 300 + (status%300+300)%300
		e := classify(OpInsert, answered(status, http.Header{"Retry-After": {after}}, body), noon)
		if e.Kind < Retry || e.Kind > CalendarGone || e.RetryAfter < 0 || e.RetryAfter > maxPause {
			t.Errorf("classified as %+v", e)
		}
		if e.Kind == Throttled && e.RetryAfter == 0 {
			t.Errorf("throttled without a pause: %+v", e)
		}
		if text := e.Error(); strings.ContainsFunc(text, unicode.IsControl) || len(text) > 1200 {
			t.Errorf("not one short line: %q", text)
		}
	})
}

// What an error quotes of an answer that could not be read is left out.
func TestUnreadableAnswerIsNotQuoted(t *testing.T) {
	t.Parallel()
	for says, want := range map[string]string{
		`malformed HTTP response "Anabel's \"Football\""`:                       "malformed HTTP response [...]",
		`failed to parse Location header "x:Anabel": parse "x:Anabel": no port`: "failed to parse Location header [...]: no port",
		"lookup www.googleapis.com: no such host":                               "lookup www.googleapis.com: no such host",
	} {
		e := classify(OpInsert, &url.Error{Op: "Post", URL: "http://google.example", Err: errors.New(says)}, time.Now())
		if got := e.Error(); got != "google insert: "+want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}
