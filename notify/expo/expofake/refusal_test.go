package expofake_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
)

// device is the first device of a kind.
func device(t *testing.T, iPhone bool) string {
	t.Helper()
	for n := range 100 {
		if expofake.IsIPhone(token(n)) == iPhone {
			return token(n)
		}
	}
	t.Fatal("all devices are of one kind")
	return ""
}

// TestRefusalsQuoteAPushService compares whole details, the time left out.
func TestRefusalsQuoteAPushService(t *testing.T) {
	t.Parallel()
	android, iPhone := device(t, false), device(t, true)
	for _, c := range []struct{ token, code, want string }{
		{android, "ProviderError", `"error":"ProviderError","fault":"fcm","fcm":{"error":"Unavailable"}`},
		{iPhone, "ProviderError", `"apns":{"reason":"ServiceUnavailable","statusCode":503},"error":"ProviderError","fault":"apns"`},
		{iPhone, "InvalidCredentials", `"apns":{"reason":"InvalidProviderToken","statusCode":403},"error":"InvalidCredentials","fault":"developer"`},
		{iPhone, "MismatchSenderId", `"error":"MismatchSenderId","fault":"developer","fcm":{"error":"MismatchSenderId"}`},
		{android, "DeviceNotRegistered", `"error":"DeviceNotRegistered","expoPushToken":"` + android + `","fault":"developer","fcm":{"error":"NotRegistered"}`},
		{iPhone, "DeviceNotRegistered", `"apns":{"reason":"Unregistered","statusCode":410},"error":"DeviceNotRegistered","expoPushToken":"` + iPhone + `","fault":"developer"`},
		{iPhone, "MessageTooBig", `"apns":{"reason":"PayloadTooLarge","statusCode":413},"error":"MessageTooBig","fault":"developer"`},
		{iPhone, "MessageRateExceeded", `"apns":{"reason":"TooManyRequests","statusCode":429},"error":"MessageRateExceeded","fault":"developer"`},
		{android, "MessageRateExceeded", `"error":"MessageRateExceeded","fault":"developer","fcm":{"error":"DeviceMessageRateExceeded"}`},
		{iPhone, "DeveloperError", `"apns":{"reason":"BadDeviceToken","statusCode":400},"error":"DeveloperError","fault":"developer"`},
	} {
		want := `"details":{` + c.want + `}`
		sent := regexp.MustCompile(`,"sentAt":\d{10}\b`)
		s := start(t)
		s.RefuseReceipt(c.token, c.code)
		post(t, s, "/send", `[{"to":"`+c.token+`"}]`)
		if _, got := post(t, s, "/getReceipts", `{"ids":["`+firstTicket+`"]}`); !strings.Contains(sent.ReplaceAllString(got, ""), want) {
			t.Errorf("receipt %s\nwant   %s", got, want)
		}
		s.RefuseTicket(c.token, c.code)
		if _, got := post(t, s, "/send", `[{"to":"`+c.token+`"}]`); !sent.MatchString(got) || !strings.Contains(sent.ReplaceAllString(got, ""), want) {
			t.Errorf("ticket %s\nwant   %s", got, want)
		}
	}
}

// A ticket that refuses for bad credentials may have an id, for which there is no receipt.
func TestRefusingTicketWithID(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.RefuseTicket(token(1), "InvalidCredentials")
	if _, got := post(t, s, "/send", `[{"to":"`+token(1)+`"}]`); !strings.Contains(got, `{"status":"error","id":"`+firstTicket+`"`) {
		t.Errorf("ticket %s", got)
	}
	if _, got := post(t, s, "/getReceipts", `{"ids":["`+firstTicket+`"]}`); got != `{"data":{}}` {
		t.Errorf("receipt %s", got)
	}
}

func TestRefuseProject(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Assign("@other/app", token(3))
	s.RefuseTicket(token(2), "MessageRateExceeded")
	send := func(n int) string {
		t.Helper()
		_, body := post(t, s, "/send", `[{"to":"`+token(n)+`"}]`)
		return body
	}
	s.RefuseProject(expofake.DefaultProject, expofake.InTicket, "InvalidCredentials")
	s.Uninstall(token(4)) // which nobody learns without credentials
	for n, want := range map[int]string{1: "InvalidCredentials", 2: "MessageRateExceeded", 3: `"ok"`, 4: "InvalidCredentials"} {
		if got := send(n); !strings.Contains(got, want) {
			t.Errorf("device %d: %s, want %s", n, got, want)
		}
	}
	s.RefuseProject(expofake.DefaultProject, expofake.InReceipt, "MismatchSenderId")
	if got := send(1); !strings.Contains(got, `"ok"`) {
		t.Errorf("refused in the receipt, the ticket is %s", got)
	}
	last := s.Pushes()[1].TicketID
	if _, got := post(t, s, "/getReceipts", `{"ids":["`+last+`"]}`); !strings.Contains(got, "MismatchSenderId") || len(s.Shown(token(1))) != 0 {
		t.Errorf("receipt %s, and the phone shows %d", got, len(s.Shown(token(1))))
	}
	s.RefuseProject(expofake.DefaultProject, expofake.InTicket, "")
	if send(1); len(s.Shown(token(1))) != 1 {
		t.Error("an empty code does not end it")
	}
	s.RefuseProject(expofake.DefaultProject, expofake.InTicket, "InvalidCredentials")
	s.Reset()
	if got := send(1); !strings.Contains(got, `"ok"`) {
		t.Errorf("after a reset: %s", got)
	}
}

// TestForeignProject sends to another app's devices, with and without an access token.
func TestForeignProject(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]int{"": http.StatusOK, "key": http.StatusUnauthorized} {
		s := start(t, func(c *expofake.Config) { c.AccessToken = key })
		s.Assign("@other/app", token(1), token(2))
		send := func(tokens string) (int, string) {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/send", strings.NewReader(`{"to":`+tokens+`}`))
			req.Header.Set("Authorization", "Bearer "+key)
			return answerTo(t, req)
		}
		if status, body := send(`["` + token(1) + `","` + token(2) + `"]`); status != want || (want != 200) != strings.Contains(body, `"UNAUTHORIZED"`) {
			t.Errorf("with key %q: %d %s", key, status, body)
		}
		if status, body := send(list(3)); status != http.StatusBadRequest {
			t.Errorf("a mixture with key %q: %d %s", key, status, body)
		}
		if status, body := send(`"` + token(0) + `"`); status != http.StatusOK {
			t.Errorf("our own with key %q: %d %s", key, status, body)
		}
		got := s.Counts()
		if got.Mixed != 1 || (got.Unauthorized == 1) != (key != "") {
			t.Errorf("counts with key %q: %+v", key, got)
		}
	}
}

func TestBadAccessToken(t *testing.T) {
	t.Parallel()
	const oauth = `{"error":"invalid_token","error_description":"The bearer token is invalid"}`
	s := start(t, func(c *expofake.Config) { c.AccessToken, c.OAuth = "key", true })
	for header, want := range map[string]string{"": `{"errors":[{"code":"UNAUTHORIZED",`, "Bearer wrong": oauth} {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/send", strings.NewReader(`{"to":`+list(1)+`}`))
		if header != "" {
			req.Header.Set("Authorization", header)
		}
		if status, got := answerTo(t, req); status != http.StatusUnauthorized || !strings.HasPrefix(got, want) {
			t.Errorf("with %q: %d %s", header, status, got)
		}
	}
	if got := s.Counts(); got.Unauthorized != 2 || got.Rejected != 2 {
		t.Errorf("counts %+v", got)
	}
}

// TestTypes sends fields of the wrong type beside a good message, which suffers with them.
func TestTypes(t *testing.T) {
	t.Parallel()
	s := start(t)
	for fields, want := range map[string]int{
		`"title":1`: 400, `"body":{}`: 400, `"subtitle":[]`: 400, `"badge":"1"`: 400, `"badge":1.5`: 400, `"badge":0`: 200,
		`"sound":1`: 400, `"sound":[]`: 400, `"sound":{"volume":"loud"}`: 400, `"sound":{"critical":1}`: 400,
		`"sound":null`: 200, `"sound":"default"`: 200, `"sound":{"critical":true,"name":"default","volume":1}`: 200,
		`"ttl":"60"`: 400, `"ttl":60`: 200, `"expiration":"tomorrow"`: 400, `"expiration":4000000000`: 200,
		`"priority":"urgent"`: 400, `"interruptionLevel":"loud"`: 400, `"interruptionLevel":"time-sensitive"`: 200,
		`"categoryId":1`: 400, `"threadId":1`: 400, `"collapseId":1`: 400, `"tag":1`: 400, `"channelId":1`: 400,
		`"mutableContent":"yes"`: 400, `"richContent":"x.png"`: 400, `"relevanceScore":"1"`: 400, `"data":"x"`: 400, `"data":null`: 200,
		`"collapseId":"` + strings.Repeat("x", 65) + `"`: 200, `"unheard":["of"]`: 200,
	} {
		status, body := post(t, s, "/send", `[{"to":"`+token(1)+`"},{"to":"`+token(2)+`",`+fields+`}]`)
		if status != want || (want == 400) != strings.Contains(body, `"VALIDATION_ERROR"`) {
			t.Errorf("%s: %d %s, want %d", fields, status, body, want)
		}
	}
}

// TestPushKnowsItsFields reads what was sent from the record.
func TestPushKnowsItsFields(t *testing.T) {
	t.Parallel()
	const rest = `,"title":"Soccer","categoryId":"reminder","threadId":"family","interruptionLevel":"time-sensitive"`
	for weigh, size := range map[bool]int{false: 0, true: len(`{` + rest + `}`)} {
		s := start(t, func(c *expofake.Config) { c.Weigh = weigh })
		post(t, s, "/send", `[{"to":"`+token(1)+`"`+rest+`}]`)
		got := s.Pushes()[0]
		if got.CategoryID != "reminder" || got.ThreadID != "family" || got.InterruptionLevel != "time-sensitive" {
			t.Errorf("push %+v", got)
		}
		if diff := got.Size - size; diff < -1 || diff > 1 { // a comma is no matter
			t.Errorf("the push weighs %d bytes, want %d", got.Size, size)
		}
	}
}

// TestReport counts a small herd with everything in it that goes wrong in a large one.
func TestReport(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.Assign("@other/app", token(0))
	s.Uninstall(token(1))
	s.RefuseTicket(token(2), "MessageRateExceeded")
	s.Fail(expofake.Every(expofake.SendEndpoint, 3, expofake.GatewayAfter()))
	past := time.Now().Add(-time.Hour).Unix()
	for i, c := range []struct {
		body   string
		status int
	}{
		{`[{"to":` + list(10) + `}]`, 400},                                                                    // of two projects
		{`[{"to":"` + token(0) + `"}]`, 200},                                                                  // the foreign one alone
		{`[{"to":["` + token(1) + `","` + token(2) + `","` + token(3) + `"],"tag":"a"}]`, 504},                // taken all the same
		{`[{"to":["` + token(1) + `","` + token(2) + `","` + token(3) + `"],"tag":"a"}]`, 200},                // and sent again
		{fmt.Sprintf(`[{"to":%q,"expiration":%d},{"to":"no token"}]`, token(4), past), 200},                   // late, and to nobody
		{`[{"to":"` + token(5) + `","body":"` + strings.Repeat("x", 5000) + `"}]`, http.StatusGatewayTimeout}, // too big
	} {
		if status, body := post(t, s, "/send", c.body); status != c.status {
			t.Fatalf("request %d: %d %s", i+1, status, body)
		}
	}
	var ids []string
	for _, p := range s.Pushes() {
		ids = append(ids, `"`+p.TicketID+`"`)
	}
	for range 2 {
		post(t, s, "/getReceipts", `{"ids":[`+strings.Join(append(ids, `"unknown"`), ",")+`]}`)
	}
	got := s.Report()
	for name, p := range got.Projects { // how full a second was is up to the machine
		if p.Peak < 1 || p.Peak > p.Accepted+p.Refused+1 {
			t.Errorf("%s: %d pushes in the fullest second", name, p.Peak)
		}
		p.Peak = 0
		got.Projects[name] = p
	}
	want := expofake.Report{
		Counts: expofake.Counts{
			Requests: 6, ReceiptRequests: 2, Busiest: 1, Accepted: 7, Refused: 3, Failed: 3, Expired: 1, Shown: 3, Repeats: 1, Unsure: 3,
			Rejected: 1, Mixed: 1, Faults: 2, Asked: 16, Given: 14, Again: 7,
		},
		Projects: map[string]expofake.ProjectCounts{
			expofake.DefaultProject: {Requests: 4, Accepted: 6, Refused: 2, Failed: 3, Shown: 2},
			"@other/app":            {Requests: 1, Accepted: 1, Shown: 1},
		},
		Codes:  map[string]int{"DeviceNotRegistered": 3, "MessageRateExceeded": 2, "MessageTooBig": 1},
		Phones: 10, Folded: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if s.Folded(token(3)) != 1 || s.Folded(token(0)) != 0 || s.Folded("unknown") != 0 {
		t.Errorf("folded on the phones: %d, %d, %d", s.Folded(token(3)), s.Folded(token(0)), s.Folded("unknown"))
	}
	text := got.String()
	for _, part := range []string{"6 (at most 1 at once), 2 faults", "7 accepted (3 unsure)", "DeviceNotRegistered 3\n", "@other/app: 1 requests"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

// TestSendersThatGoAreUnsure gives up on an answer whose request was taken, twice at once.
func TestSendersThatGoAreUnsure(t *testing.T) {
	t.Parallel()
	s := start(t)
	taken := make(chan bool, 2)
	s.OnPush(func(expofake.Push) { taken <- true })
	s.Fail(func(expofake.Request) *expofake.Fault { return expofake.Slow(time.Hour) })
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	gone := make(chan error, 2)
	for range 2 {
		go func() {
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"/send", strings.NewReader(`{"to":`+list(1)+`}`))
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			gone <- err
		}()
	}
	<-taken
	<-taken
	giveUp()
	for range 2 {
		if err := <-gone; err == nil {
			t.Error("the request was answered")
		}
	}
	if err := s.Close(); err != nil { // which waits for the handlers
		t.Error(err)
	}
	if got := s.Counts(); got.Accepted != 2 || got.Unsure != 2 || got.Busiest != 2 {
		t.Errorf("counts %+v", got)
	}
}

// TestOutsideFaults compares what comes over the wire.
func TestOutsideFaults(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, c := range map[string]struct {
		fault      *expofake.Fault
		status     int
		body, kind string
	}{
		"portal":    {expofake.CaptivePortal(), 200, "<html><head><title>Welcome", "text/html"},
		"too large": {expofake.TooLarge(), 413, "<html><head><title>413", "text/html"},
		"empty":     {expofake.Empty(), 200, "", "application/json; charset=utf-8"},
		"truncated": {expofake.Truncated(), 200, `{"data":[{"status":"ok","id":"0`, "application/json; charset=utf-8"},
		"oauth":     {expofake.BadAccessToken(), 401, `{"error":"invalid_token","error_description":`, "application/json; charset=utf-8"},
	} {
		s.Fail(expofake.Every(expofake.SendEndpoint, 1, c.fault))
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/send", strings.NewReader(`[{"to":`+list(1)+`}]`))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		kind := resp.Header.Get("Content-Type")
		status, body := read(t, resp)
		if status != c.status || kind != c.kind || !strings.HasPrefix(body, c.body) || c.body == "" && body != "" {
			t.Errorf("%s: %d %s %s", name, status, kind, body)
		}
	}
	if got := s.Counts(); got.Accepted != 1 || got.Unsure != 1 || got.Faults != 5 {
		t.Errorf("counts %+v", got)
	}
}
