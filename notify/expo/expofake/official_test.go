package expofake_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/cmd/nodetest"
	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/notify/expo/expofake"
)

const clientVersion = "7.2.0"

// client is Expo's official one; its sum changes with testdata/node/package.json.
var client = nodetest.Client{
	Name: "expo-server-sdk-" + clientVersion, Sum: "bc87803f7658763b09fdc55164a9b46853e928945c0b8a14515a57ef3d0850d8",
}

// official is a server with Expo's official client beside it.
type official struct {
	t      *testing.T
	server *expofake.Server
	client *nodetest.Process

	mu   sync.Mutex
	seen []http.Header // of the requests
}

// ticket is what the official client hands to its caller, as a ticket or as a receipt.
type ticket struct {
	Status, ID, Message string
	Details             map[string]any
}

// answer is what the official client made of a command.
type answer struct {
	Chunks   []int
	Tickets  []ticket
	Receipts map[string]ticket
	Valid    []bool
	Error    *clientError
}

type clientError struct {
	Message, Code, ErrorText string
	StatusCode               int
	Details                  map[string][]string
	ErrorData                map[string]string
}

// object is something to be written as JSON.
type object = map[string]any

// TestOfficialClient holds the server to Expo's official client: what that client
// does with the answers is what Expo's answers are made for.
func TestOfficialClient(t *testing.T) {
	t.Parallel()
	installed := client.Install(t)
	if installed == nil {
		return
	}
	for name, test := range map[string]func(*official){
		"many": (*official).many, "dead device": (*official).deadDevice, "projects": (*official).projects, "credentials": (*official).credentials,
		"throttled": (*official).throttled, "too many": (*official).tooMany, "recipients": (*official).recipients, "tokens": (*official).tokens,
		"wrong types": (*official).wrongTypes, "faults": (*official).faults,
	} {
		t.Run(name, func(t *testing.T) { test(startOfficial(t, installed)) })
	}
	t.Run("access token", func(t *testing.T) {
		startOfficial(t, installed, func(c *expofake.Config) { c.AccessToken = "key" }).accessToken()
	})
	t.Run("bad access token", func(t *testing.T) {
		startOfficial(t, installed, func(c *expofake.Config) { c.AccessToken, c.OAuth = "key", true }).badAccessToken()
	})
}

// startOfficial starts a server and the client beside it.
func startOfficial(t *testing.T, installed *nodetest.Installed, change ...func(*expofake.Config)) *official {
	t.Helper()
	o := &official{t: t, server: start(t, change...)}
	o.fail(nil)
	o.client = installed.Start(t, "EXPO_BASE_URL="+strings.TrimSuffix(o.server.URL(), "/--/api/v2/push"))
	return o
}

// fail has requests fail as f says, and keeps their headers.
func (o *official) fail(f func(expofake.Request) *expofake.Fault) {
	o.server.Fail(func(r expofake.Request) *expofake.Fault {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.seen = append(o.seen, r.Header)
		if f == nil {
			return nil
		}
		return f(r)
	})
}

// headers returns one header of all requests.
func (o *official) headers(name string) (values []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range o.seen {
		values = append(values, h.Get(name))
	}
	return values
}

// ask gives a command and waits for what came of it.
func (o *official) ask(command string, args object) (a answer) {
	o.t.Helper()
	o.client.Ask(command, args, &a)
	return a
}

// must is ask for what has to succeed.
func (o *official) must(command string, args object) answer {
	o.t.Helper()
	a := o.ask(command, args)
	if a.Error != nil {
		o.t.Fatalf("%s: %+v", command, a.Error)
	}
	return a
}

// refused is ask for what has to be refused with a status and a code.
func (o *official) refused(command string, args object, status int, code string) *clientError {
	o.t.Helper()
	e := o.ask(command, args).Error
	if e == nil || e.StatusCode != status || e.Code != code {
		o.t.Fatalf("%s: %+v, want %d %s", command, e, status, code)
	}
	return e
}

// to is a message for each of these devices.
func to(tokens ...string) object {
	var messages []object
	for i, token := range tokens {
		messages = append(messages, object{"to": token, "title": fmt.Sprintf("Soccer %d", i), "body": "Today 16:00 · Field 3"})
	}
	return object{"messages": messages}
}

func tokens(n int) (list []string) {
	for i := range n {
		list = append(list, token(i))
	}
	return list
}

// many sends in chunks, packed, and fetches all receipts.
func (o *official) many() {
	sent := o.must("send", to(tokens(250)...))
	if diff := cmp.Diff([]int{100, 100, 50}, sent.Chunks); diff != "" || o.server.Counts().Requests != 3 {
		o.t.Errorf("%d requests, chunks (-want +got):\n%s", o.server.Counts().Requests, diff)
	}
	var ids []string
	for i, ticket := range sent.Tickets {
		if ticket.Status != "ok" || ticket.ID == "" || ticket.ID != o.server.Pushes()[i].TicketID {
			o.t.Fatalf("ticket %d is %+v", i, ticket)
		}
		ids = append(ids, ticket.ID)
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 250 || o.server.Pushes()[249].Token != token(249) {
		o.t.Errorf("%d tickets, want 250 of different ids in the order of the messages", len(ids))
	}
	for i := range 100 {
		ids = append(ids, fmt.Sprintf("unknown-%d", i))
	}
	got := o.must("receipts", object{"ids": ids})
	if diff := cmp.Diff([]int{300, 50}, got.Chunks); diff != "" || len(got.Receipts) != 250 {
		o.t.Errorf("%d receipts, chunks (-want +got):\n%s", len(got.Receipts), diff)
	}
	for id, receipt := range got.Receipts {
		if receipt.Status != "ok" {
			o.t.Errorf("receipt %s is %+v", id, receipt)
		}
	}
	o.must("send", to(token(1)))
	if diff := cmp.Diff([]string{"gzip", "gzip", "gzip", "gzip", "", ""}, o.headers("Content-Encoding")); diff != "" {
		o.t.Errorf("packing above 1024 bytes (-want +got):\n%s", diff)
	}
	if got := o.headers("User-Agent")[0]; got != "expo-server-sdk-node/"+clientVersion {
		o.t.Errorf("the client calls itself %q", got)
	}
}

// deadDevice is told of in the receipt, or in the ticket.
func (o *official) deadDevice() {
	o.server.Uninstall(token(1))
	o.server.RefuseTicket(token(2), "DeviceNotRegistered")
	sent := o.must("send", to(tokens(3)...))
	if sent.Tickets[0].Status != "ok" || sent.Tickets[1].Status != "ok" {
		o.t.Fatalf("tickets %+v", sent.Tickets)
	}
	got := o.must("receipts", object{"ids": []string{sent.Tickets[0].ID, sent.Tickets[1].ID}})
	if len(got.Receipts) != 2 || got.Receipts[sent.Tickets[0].ID].Status != "ok" {
		o.t.Errorf("receipts %+v", got.Receipts)
	}
	for place, dead := range map[string]struct {
		ticket
		token string
	}{"ticket": {sent.Tickets[2], token(2)}, "receipt": {got.Receipts[sent.Tickets[1].ID], token(1)}} {
		if dead.Status != "error" || dead.ID != "" || dead.Message == "" ||
			dead.Details["error"] != "DeviceNotRegistered" || dead.Details["expoPushToken"] != dead.token {
			o.t.Errorf("%s of a dead device is %+v", place, dead.ticket)
		}
	}
}

// projects of one request are named with their tokens, so that it can be split.
func (o *official) projects() {
	o.server.Assign("@other/app", token(2))
	e := o.refused("send", to(tokens(4)...), http.StatusBadRequest, "PUSH_TOO_MANY_EXPERIENCE_IDS")
	want := map[string][]string{expofake.DefaultProject: {token(0), token(1), token(3)}, "@other/app": {token(2)}}
	if diff := cmp.Diff(want, e.Details); diff != "" {
		o.t.Fatalf("details (-want +got):\n%s", diff)
	}
	for _, tokens := range e.Details {
		o.must("send", to(tokens...))
	}
	if got := o.server.Report(); got.Accepted != 4 || got.Mixed != 1 || got.Projects["@other/app"].Accepted != 1 {
		o.t.Errorf("counted\n%s", got)
	}
}

// credentials that are wrong are refused with what a push service said.
func (o *official) credentials() {
	o.server.RefuseProject(expofake.DefaultProject, expofake.InTicket, "InvalidCredentials")
	refused := o.must("send", to(tokens(10)...)).Tickets
	o.server.RefuseProject(expofake.DefaultProject, expofake.InReceipt, "ProviderError")
	sent := o.must("send", to(tokens(10)...))
	var ids []string
	for _, ticket := range sent.Tickets {
		ids = append(ids, ticket.ID)
	}
	receipts := o.must("receipts", object{"ids": ids}).Receipts
	for i := range 10 {
		service := "fcm"
		if expofake.IsIPhone(token(i)) {
			service = "apns"
		}
		for want, got := range map[string]ticket{"InvalidCredentials": refused[i], "ProviderError": receipts[ids[i]]} {
			if _, quoted := got.Details[service].(object); !quoted || got.Status != "error" || got.Details["error"] != want {
				o.t.Errorf("%s of %s: %+v", want, service, got)
			}
		}
	}
	if n := o.server.Counts().Shown; n != 0 {
		o.t.Errorf("%d pushes were shown", n)
	}
}

// throttled requests are tried again by the client, twice.
func (o *official) throttled() {
	o.fail(expofake.Once(expofake.SendEndpoint, 2, expofake.Throttle(0)))
	if got := o.must("send", to(token(1))).Tickets; len(got) != 1 || got[0].Status != "ok" || o.server.Counts().Requests != 3 {
		o.t.Errorf("tickets %+v after %d requests", got, o.server.Counts().Requests)
	}
	o.server.Reset()
	o.fail(expofake.Once(expofake.SendEndpoint, 3, expofake.Throttle(0)))
	o.refused("send", to(token(1)), http.StatusTooManyRequests, "TOO_MANY_REQUESTS")
	if n := o.server.Counts().Requests; n != 3 {
		o.t.Errorf("%d requests, want 3", n)
	}
}

// tooMany messages are never sent by the client's own chunks, and refused without them.
func (o *official) tooMany() {
	o.refused("sendAtOnce", to(tokens(101)...), http.StatusBadRequest, "PUSH_TOO_MANY_NOTIFICATIONS")
	if got := o.must("sendAtOnce", to(tokens(100)...)).Tickets; len(got) != 100 {
		o.t.Errorf("%d tickets for 100 messages", len(got))
	}
	if status, body := post(o.t, o.server, "/send", `{"to":`+list(101)+`}`); status != http.StatusBadRequest || !strings.Contains(body, "PUSH_TOO_MANY_NOTIFICATIONS") {
		o.t.Errorf("101 without the client: %d %s", status, body)
	}
}

// recipients of one message count one by one.
func (o *official) recipients() {
	sent := o.must("send", object{"messages": []object{{"to": tokens(150), "body": "to all"}, {"to": token(150), "body": "to one"}}})
	if diff := cmp.Diff([]int{100, 51}, sent.Chunks); diff != "" || len(sent.Tickets) != 151 {
		o.t.Errorf("%d tickets, chunks (-want +got):\n%s", len(sent.Tickets), diff)
	}
	for i, p := range o.server.Pushes() {
		if p.TicketID != sent.Tickets[i].ID || p.Token != token(i) {
			o.t.Errorf("ticket %d is %+v, its push went to %s", i, sent.Tickets[i], p.Token)
		}
	}
}

// tokens are known by their form to the client, to the server, and to package
// expo. Only of what no phone was ever given the client takes more: it looks at
// the two ends alone.
func (o *official) tokens() {
	cases := []struct {
		token        string
		client, ours bool
	}{
		{"ExponentPushToken[xxxxxxxxxxxxxxxxxxxxxx]", true, true},
		{"ExpoPushToken[xxxxxxxxxxxxxxxxxxxxxx]", true, true},
		{"ExponentPushToken[a-B_9]", true, true},
		{"F5741A13-BCDA-434B-A316-5DC0E6FFA94F", true, true},
		{"f5741a13-bcda-434b-a316-5dc0e6ffa94f", true, true},
		{"zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz", true, true}, // letters of no number
		{"", false, false},
		{"ExponentPushToken", false, false},
		{"ExponentPushToken[x", false, false},
		{"ExponentPushTokenx]", false, false},
		{"exponentpushtoken[x]", false, false},
		{" ExponentPushToken[x]", false, false},
		{"ExponentPushToken[x] ", false, false},
		{"ExponentPushToken(x)", false, false},
		{"PushToken[x]", false, false},
		{"F5741A13-BCDA-434B-A316-5DC0E6FFA94", false, false},
		{"F5741A13BCDA434BA3165DC0E6FFA94F", false, false},
		{"{F5741A13-BCDA-434B-A316-5DC0E6FFA94F}", false, false},
		{"dOKpuo4qbsM:APA91bHkSmF84ROx7Y-2eMGxc0lmpQeN33ZwDMG763dkjd8yjKK-rhPtiR1OoIWNG5ZshlL8oyxsTnQ5XtahyBNS9mJAvfeE6aHzv_mOF_Ve4vL2po4clMIYYV2-Iea_sZVJF7xFLXih4Y0y88JNYULxFfz-Qw3rT", false, false}, // Google's
		{"740f4707bebcf74f9b7c25d48e3358945f6aa01da5ddb387462c7eaf61bb78ad", false, false},                                                                                                              // Apple's

		{"ExponentPushToken[]", true, false},
		{"ExponentPushToken[two words]", true, false},
		{"ExponentPushToken[x\ny]", true, false},
		{"ExponentPushToken[[x]]", true, false},
		{"ExponentPushToken[x]]", true, false},
		{"ExponentPushToken[x],ExponentPushToken[y]", true, false},
		{`ExponentPushToken["x"]`, true, false},
		{"ExponentPushToken[é]", true, false},
	}
	var asked []string
	for _, c := range cases {
		asked = append(asked, c.token)
	}
	valid := o.must("valid", object{"tokens": asked}).Valid
	tickets := o.must("send", to(asked...)).Tickets
	for i, c := range cases {
		if valid[i] != c.client {
			o.t.Errorf("%q is a token to the client: %v", c.token, valid[i])
		}
		if got := tickets[i].Status == "ok"; got != c.ours {
			o.t.Errorf("%q is a token to the server: %v", c.token, got)
		}
		if got := expo.ValidToken(c.token); got != c.ours {
			o.t.Errorf("%q is a token to package expo: %v", c.token, got)
		}
	}
}

// wrongTypes are refused with the request, while every field of the client's own
// types is taken.
func (o *official) wrongTypes() {
	o.refused("send", object{"messages": []object{{"to": token(1)}, {"to": token(2), "badge": "1"}}}, http.StatusBadRequest, "VALIDATION_ERROR")
	o.must("send", object{"messages": []object{{
		"to": token(1), "title": "t", "subtitle": "s", "body": "b", "data": object{"k": []int{1}}, "badge": 0,
		"sound": object{"critical": true, "name": nil, "volume": 0.5}, "ttl": 60, "expiration": 4_000_000_000, "priority": "high",
		"interruptionLevel": "time-sensitive", "channelId": "reminders", "icon": "bell", "richContent": object{"image": "x.png"},
		"categoryId": "reminder", "mutableContent": true, "collapseId": "c", "tag": "g", "threadId": "h", "targetContentId": "w",
		"relevanceScore": 0.5, "filterCriteria": "f", "contentAvailable": true, "_contentAvailable": true,
	}, {"to": token(2), "sound": nil}, {"to": token(3), "sound": "default"}}})
	got := o.server.Pushes()
	if len(got) != 3 || got[0].CategoryID != "reminder" || got[0].ThreadID != "h" || got[0].InterruptionLevel != "time-sensitive" {
		o.t.Errorf("pushes %+v", got)
	}
}

// faults reach the client's caller as what they are.
func (o *official) faults() {
	for name, c := range map[string]struct {
		fault  *expofake.Fault
		status int
		want   string // in the error's message
	}{
		"captive portal": {expofake.CaptivePortal(), 200, "status code 200: <html>"},
		"empty":          {expofake.Empty(), 200, "status code 200: "},
		"truncated":      {expofake.Truncated(), 200, `status code 200: {"data":[`},
		"wrong count":    {expofake.WrongCount(1), 0, "1 ticket but got 2"},
		"errors":         {expofake.ErrorsWith200("API_ERROR"), 200, "refused by a fault"},
		"too large":      {expofake.TooLarge(), 413, "status code 413: <html>"},
		"gateway":        {expofake.GatewayAfter(), 504, "status code 504: <html>"},
		"drop":           {expofake.DropAfter(), 0, "fetch failed"},
		"bad token":      {expofake.BadAccessToken(), 401, "invalid_token"},
	} {
		o.fail(func(expofake.Request) *expofake.Fault { return c.fault })
		e := o.ask("send", to(token(1))).Error
		if e == nil || e.StatusCode != c.status || !strings.Contains(e.Message, c.want) {
			o.t.Errorf("%s: %+v", name, e)
		}
	}
	if got := o.server.Counts(); got.Accepted != 4 || got.Unsure != 4 {
		o.t.Errorf("%d pushes were accepted, %d unsure, want 4", got.Accepted, got.Unsure)
	}
}

// accessToken is good for the devices of its project.
func (o *official) accessToken() {
	mine, foreign := to(token(1)), to(token(2))
	o.server.Assign("@other/app", token(2))
	for _, key := range []string{"", "wrong"} {
		mine["accessToken"] = key
		o.refused("send", mine, http.StatusUnauthorized, "UNAUTHORIZED")
	}
	mine["accessToken"], foreign["accessToken"] = "key", "key"
	id := o.must("send", mine).Tickets[0].ID
	o.must("receipts", object{"ids": []string{id}, "accessToken": "key"})
	o.refused("receipts", object{"ids": []string{id}}, http.StatusUnauthorized, "UNAUTHORIZED")
	o.refused("send", foreign, http.StatusUnauthorized, "UNAUTHORIZED")
	if diff := cmp.Diff([]string{"", "Bearer wrong", "Bearer key", "Bearer key", "", "Bearer key"}, o.headers("Authorization")); diff != "" {
		o.t.Errorf("authorization (-want +got):\n%s", diff)
	}
}

// badAccessToken has no code in the client's error, because it has none in Expo's.
func (o *official) badAccessToken() {
	messages := to(token(1))
	o.refused("send", messages, http.StatusUnauthorized, "UNAUTHORIZED")
	messages["accessToken"] = "wrong"
	e := o.refused("send", messages, http.StatusUnauthorized, "")
	if e.ErrorData["error"] != "invalid_token" || e.ErrorData["error_description"] != "The bearer token is invalid" {
		o.t.Errorf("error %+v", e)
	}
}
