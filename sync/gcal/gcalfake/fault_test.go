package gcalfake_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

func TestStatusFault(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.google.Fail(gcalfake.Next(2, gcalfake.OpInsert, gcalfake.Fault{
		Status: http.StatusForbidden, Reason: "quotaExceeded", Message: "Calendar usage limits exceeded.", Detail: "QUOTA", RetryAfter: time.Minute,
	}))
	f.wantReply(f.call("GET", events, nil), http.StatusOK, "")
	for range 2 {
		r := f.call("POST", events, football(nil))
		f.wantReply(r, http.StatusForbidden, "quotaExceeded")
		want := object{
			"code": 403.0, "message": "Calendar usage limits exceeded.", "status": "PERMISSION_DENIED",
			"errors":  []any{object{"domain": "usageLimits", "reason": "quotaExceeded", "message": "Calendar usage limits exceeded."}},
			"details": []any{object{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "QUOTA", "domain": "googleapis.com"}},
		}
		if diff := cmp.Diff(want, r.at("error")); diff != "" {
			t.Errorf("error (-want +got):\n%s", diff)
		}
		if got := r.header.Get("Retry-After"); got != "60" {
			t.Errorf("Retry-After %q, want 60", got)
		}
	}
	f.insert(nil)
}

// A fault speaks as Google does: with the message, the domain and the place that belong to its reason.
func TestFaultsHaveGooglesWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status  int
		problem object
	}{
		{401, object{"domain": "global", "reason": "authError", "message": "Invalid Credentials", "locationType": "header", "location": "Authorization"}},
		{403, object{"domain": "usageLimits", "reason": "userRateLimitExceeded", "message": "User Rate Limit Exceeded"}},
		{403, object{"domain": "global", "reason": "forbidden", "message": "Forbidden"}},
		{410, object{
			"domain": "calendar", "reason": "fullSyncRequired", "message": "Sync token is no longer valid, a full sync is required.",
			"locationType": "parameter", "location": "syncToken",
		}},
		{412, object{"domain": "global", "reason": "conditionNotMet", "message": "Precondition Failed", "locationType": "header", "location": "If-Match"}},
		{429, object{"domain": "usageLimits", "reason": "rateLimitExceeded", "message": "Rate Limit Exceeded"}},
		{503, object{"domain": "global", "reason": "backendError", "message": "Backend Error"}},
	} {
		f := newFixture(t, gcalfake.Config{})
		reason := tt.problem["reason"].(string)
		f.google.Fail(gcalfake.Next(1, "", gcalfake.Status(tt.status, reason)))
		f.google.Fail(gcalfake.Next(1, "", gcalfake.Fault{Status: tt.status, Reason: reason}))
		for range 2 {
			r := f.call("GET", events, nil)
			f.wantReply(r, tt.status, reason)
			if diff := cmp.Diff([]any{tt.problem}, r.at("error", "errors")); diff != "" || r.at("error", "message") != tt.problem["message"] {
				t.Errorf("%s is answered %s (-want +got):\n%s", reason, r.raw, diff)
			}
		}
	}
}

func TestPageFault(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.google.Fail(gcalfake.Always("", gcalfake.Page(http.StatusBadGateway)))
	for _, r := range []reply{f.call("GET", events, nil), f.refresh("1//any")} {
		if r.status != http.StatusBadGateway || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
			t.Errorf("answered %d %s", r.status, r.raw)
		}
	}
	f.google.Heal()
	f.wantReply(f.call("GET", events, nil), http.StatusOK, "")
}

func TestGrantFault(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	token := f.google.Grant(anna)
	stop := f.google.Fail(gcalfake.ForUser(anna, gcalfake.Always(gcalfake.OpToken, gcalfake.InvalidGrant())))
	f.wantGrantError(f.refresh(token), http.StatusBadRequest, "invalid_grant")
	f.exchange(f.google.Grant("ben@example.com"))
	stop()
	f.exchange(token)
}

// A lost answer leaves the event there, a dropped request does not; the client can tell neither from the other.
func TestLostAndDropped(t *testing.T) {
	t.Parallel()
	for fault, want := range map[gcalfake.Fault]int{{Lose: true}: 1, {Drop: true}: 0} {
		f := newFixture(t, gcalfake.Config{})
		stop := f.google.Fail(gcalfake.Always(gcalfake.OpInsert, fault))
		res, err := f.http.Do(f.request("POST", events, football(nil)))
		if err == nil {
			res.Body.Close()
			t.Errorf("answered %d", res.StatusCode)
		}
		stop()
		if n := len(f.google.Events(anna)); n != want {
			t.Errorf("%+v leaves %d events, want %d", fault, n, want)
		}
		if n := f.google.Count(gcalfake.OpInsert, 0); n != 1 {
			t.Errorf("%d connections were dropped, want 1", n)
		}
	}
}

// An answer that breaks off, and an error that comes after the work: the event is there, and the client has not been told.
func TestDoneAndNotTold(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.google.Fail(gcalfake.Next(1, gcalfake.OpInsert, gcalfake.Fault{Break: true}))
	res, err := f.http.Do(f.request("POST", events, football(nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if part, err := io.ReadAll(res.Body); err == nil || len(part) == 0 || int64(len(part)) >= res.ContentLength {
		t.Errorf("%d of %d bytes were sent, and %v", len(part), res.ContentLength, err)
	}
	failing := gcalfake.Status(http.StatusServiceUnavailable, "backendError")
	failing.Done = true
	f.google.Fail(gcalfake.Next(1, gcalfake.OpInsert, failing))
	f.wantReply(f.call("POST", events, football(object{"id": "handball"})), http.StatusServiceUnavailable, "backendError")
	found := f.google.Events(anna)
	if len(found) != 2 {
		t.Fatalf("%d events are there, want 2", len(found))
	}
	f.google.Fail(gcalfake.Next(1, gcalfake.OpDelete, gcalfake.Fault{Break: true})) // an answer without a body
	if res, err := f.http.Do(f.request("DELETE", events+"/"+found[0].ID, nil)); err == nil {
		res.Body.Close()
		t.Errorf("answered %d", res.StatusCode)
	}
	if found = f.google.Events(anna); found[0].Status != "cancelled" {
		t.Errorf("the event is %s", found[0].Status)
	}
}

func TestHangEndsWithTheClientOrTheServer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	arrived := make(chan struct{}, 1)
	f.google.Fail(func(gcalfake.Request) *gcalfake.Fault {
		arrived <- struct{}{}
		return &gcalfake.Fault{Hang: true}
	})
	ended := make(chan error, 1)
	hang := func(ctx context.Context) {
		res, err := f.http.Do(f.request("POST", events, football(nil)).WithContext(ctx))
		if err == nil {
			res.Body.Close()
		}
		ended <- err
	}
	ctx, cancel := context.WithCancel(t.Context())
	go hang(ctx)
	<-arrived
	cancel()
	if err := <-ended; err == nil {
		t.Error("a hanging request was answered")
	}
	go hang(t.Context())
	<-arrived
	f.google.Close()
	if err := <-ended; err == nil {
		t.Error("a hanging request was answered")
	}
}

func TestDelayAndLatency(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{Latency: 20 * time.Millisecond})
	f.google.Fail(gcalfake.Always(gcalfake.OpInsert, gcalfake.Fault{Delay: 30 * time.Millisecond}))
	began := time.Now()
	f.insert(nil)
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("took %v, want at least the latency and the delay", took)
	}
}

func TestQuota(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	f.google.Fail(gcalfake.Quota(0))
	f.wantReply(f.call("GET", events, nil), http.StatusForbidden, "rateLimitExceeded")
	f.exchange(f.google.Grant(anna))
	f.google.Heal()
	f.google.Fail(gcalfake.Quota(1000))
	f.wantReply(f.call("GET", events, nil), http.StatusOK, "")
}

func TestFirstRuleDecides(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	stop := f.google.Fail(gcalfake.Always("", gcalfake.Status(http.StatusServiceUnavailable, "backendError")))
	f.google.Fail(gcalfake.Always("", gcalfake.Status(http.StatusForbidden, "forbidden")))
	f.wantReply(f.call("GET", events, nil), http.StatusServiceUnavailable, "backendError")
	stop()
	stop()
	f.wantReply(f.call("GET", events, nil), http.StatusForbidden, "forbidden")
}

func TestJournal(t *testing.T) {
	t.Parallel()
	var told atomic.Int64
	f := newFixture(t, gcalfake.Config{LogSize: 3, OnRequest: func(gcalfake.Record) { told.Add(1) }})
	before := time.Now()
	for _, id := range []string{"event1", "event2", "event3", "event4", "event5"} {
		f.insert(object{"id": id})
	}
	f.call("GET", events+"/nothing", nil)
	log := f.google.Log()
	for i, r := range log {
		if r.At.Before(before) {
			t.Errorf("request %d is older than the test", i)
		}
		log[i].At = time.Time{}
	}
	want := []gcalfake.Record{
		{Op: gcalfake.OpInsert, User: anna, Calendar: "primary", ID: "event4", Status: 200},
		{Op: gcalfake.OpInsert, User: anna, Calendar: "primary", ID: "event5", Status: 200},
		{Op: gcalfake.OpGet, User: anna, Calendar: "primary", ID: "nothing", Status: 404},
	}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	for _, tt := range []struct {
		op     string
		status int
		want   int
	}{{gcalfake.OpInsert, -1, 5}, {"", 404, 1}, {"", -1, 6}, {gcalfake.OpGet, 200, 0}} {
		if got := f.google.Count(tt.op, tt.status); got != tt.want {
			t.Errorf("count of %q %d is %d, want %d", tt.op, tt.status, got, tt.want)
		}
	}
	if n := told.Load(); n != 7 { // the fixture's token request too
		t.Errorf("the hook was told of %d requests, want 7", n)
	}
	f.google.ResetLog()
	if n := len(f.google.Log()) + f.google.Count("", -1); n != 0 {
		t.Errorf("after a reset %d requests are remembered", n)
	}
}

func TestCloseIsSafeAtAnyTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{Latency: time.Millisecond})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				res, err := f.http.Do(f.request("POST", events, football(object{"id": nil})))
				if err != nil {
					return
				}
				res.Body.Close()
			}
		})
	}
	for range 2 {
		group.Go(f.google.Close)
	}
	group.Wait()
}

// fuzzOne bypasses the network, whose client would refuse most of what a fuzzer thinks of.
func fuzzOne(t *testing.T, google *gcalfake.Server, method, path, body string) {
	t.Helper()
	address, err := url.Parse(google.CalendarURL() + path)
	if err != nil || !strings.HasPrefix(address.Path, "/calendar/v3/") {
		return
	}
	access := accessToken(t, google, "1//fuzz")
	req := &http.Request{Method: method, URL: address, Header: http.Header{"Authorization": {"Bearer " + access}}}
	req.Body = http.NoBody
	if body != "" {
		req.Body = readCloser{strings.NewReader(body)}
	}
	w := httptest.NewRecorder()
	google.ServeHTTP(w, req)
	if w.Code >= 500 || w.Code >= 400 && !strings.HasPrefix(w.Body.String(), `{"error":`) {
		t.Errorf("%s %s %s is answered with %d %s", method, path, body, w.Code, w.Body)
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func accessToken(t testing.TB, google *gcalfake.Server, refreshToken string) string {
	t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}}
	req := httptest.NewRequest(http.MethodPost, google.TokenURL(), strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	google.ServeHTTP(w, req)
	_, rest, _ := strings.Cut(w.Body.String(), `"access_token":"`)
	access, _, ok := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("no access token: %s", w.Body)
	}
	return access
}
