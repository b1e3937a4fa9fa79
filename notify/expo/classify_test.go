package expo

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestClassifyRequest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		code   string
		n      int
		want   Kind
	}{
		{408, "", 9, Retry},
		{425, "", 9, Retry},
		{429, "", 9, Throttled},
		{500, "", 9, Retry},
		{500, "INTERNAL", 9, Retry},
		{502, "", 9, Retry},
		{503, "", 9, Retry},
		{504, "", 9, Retry},
		{400, CodeTooManyRequests, 9, Throttled},
		{200, CodeTooManyRequests, 9, Throttled},
		{400, CodeTooManyExperiences, 9, Split},
		{400, CodeTooManyMessages, 9, Split},
		{400, CodeTooManyReceipts, 9, Split},
		{400, CodeValidation, 9, Split},
		{400, CodeAPI, 9, Split},
		{400, "", 9, Split},
		{422, "", 9, Split},
		{413, "", 9, Split},
		{413, CodePayloadTooLarge, 9, Split},
		{400, CodeValidation, 1, Permanent},
		{413, "", 1, Permanent},
		{200, CodeValidation, 9, Split},
		{200, CodeAPI, 9, Retry},
		{200, "", 9, Retry},
		{204, "", 9, Retry},
		{401, "", 9, Project},
		{403, "", 1, Project},
		{400, CodeUnauthorized, 9, Project},
		{200, CodeUnauthorized, 9, Project},
		{400, CodeInvalidCredentials, 1, Project},
		{301, "", 9, Project},
		{404, "", 9, Project},
		{405, "", 1, Project},
	}
	for _, tt := range tests {
		if got := classifyRequest(tt.status, tt.code, tt.n); got != tt.want {
			t.Errorf("status %d, code %q, %d messages: %v, want %v", tt.status, tt.code, tt.n, got, tt.want)
		}
	}
}

func TestClassifyMessage(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]Kind{
		CodeDeviceNotRegistered: DeviceGone,
		CodeMessageTooBig:       Permanent,
		CodeMessageRateExceeded: Throttled,
		CodeInvalidCredentials:  Project,
		CodeMismatchSenderID:    Project,
		CodeDeveloperError:      Project,
		CodeExpoError:           Retry,
		CodeProviderError:       Retry,
		"SomethingNew":          Retry,
		"":                      Retry,
	} {
		if got := classifyMessage(code); got != want {
			t.Errorf("code %q: %v, want %v", code, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"7":                             7 * time.Second,
		"-7":                            0,
		"86400":                         time.Hour,
		"99999999999999999999":          0,
		"soon":                          0,
		"Fri, 01 May 2026 12:00:30 GMT": 30 * time.Second,
		"Fri, 01 May 2026 11:00:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q: %v, want %v", value, got, want)
		}
	}
}

func TestDecodeTickets(t *testing.T) {
	t.Parallel()
	const data = `[
		{"status":"ok","id":"t-0"},
		{"status":"error","message":"\"ExponentPushToken[abcdef]\" is not\n registered","details":{"error":"DeviceNotRegistered","expoPushToken":"ExponentPushToken[abcdef]"}},
		{"status":"error","message":"no","details":{"error":"ProviderError","apns":{"reason":["a",1,null]}}},
		{"status":"error","message":"no","details":["odd"]},
		{"status":"error","message":"no","details":{"error":{"nested":true}}},
		{"status":"error","message":"no","details":{"error":"made up; code"}},
		{"status":"ok","id":17},
		{"status":"ok"},
		{"status":"perhaps"},
		null
	]`
	tickets, failure := decodeTickets(json.RawMessage(data), make([]said, 10))
	if failure != nil {
		t.Fatal(failure)
	}
	want := []struct {
		kind Kind
		code string
	}{
		{}, {DeviceGone, CodeDeviceNotRegistered}, {Retry, CodeProviderError}, {Retry, ""}, {Retry, ""},
		{Retry, ""}, {Retry, CodeMalformed}, {Retry, CodeMalformed}, {Retry, CodeMalformed}, {Retry, CodeMalformed},
	}
	if tickets[0].Err != nil || tickets[0].ID != "t-0" {
		t.Errorf("ticket 0 = %+v", tickets[0])
	}
	for i, w := range want[1:] {
		if got := tickets[i+1].Err; got == nil || got.Kind != w.kind || got.Code != w.code {
			t.Errorf("ticket %d = %#v, want %v %q", i+1, got, w.kind, w.code)
		}
	}
	if got := tickets[1].Err.Error(); strings.Contains(got, "abcdef") || strings.Contains(got, "\n") {
		t.Errorf("error shows the token or breaks the line: %q", got)
	}
}

// FuzzDecode feeds both decoders with whatever a server might send. They must
// not panic, and what they return must keep their promises.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`[{"status":"ok","id":"t-0"},{"status":"error","details":{"error":"DeviceNotRegistered"}}]`,
		`{"status":"ok","id":"t-0"}`, `{"t-0":{"status":"ok"},"t-1":{"status":"error","details":[]}}`,
		`[]`, `null`, `[null,null]`, `""`, `<html>`, `{`, `[[[[`, `{"t-0":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		messages := []said{{tokens: []string{"ExponentPushToken[a]"}}, {tokens: []string{"ExponentPushToken[b]"}, texts: []string{"Dentist"}}}
		tickets, failure := decodeTickets(data, messages)
		if failure == nil && len(tickets) != len(messages) {
			t.Fatalf("%d tickets for %d messages", len(tickets), len(messages))
		}
		for _, ticket := range tickets {
			if (ticket.Err == nil) == (ticket.ID == "") {
				t.Fatalf("ticket %+v is neither accepted nor refused", ticket)
			}
		}
		if receipts, failure := decodeReceipts(data); failure == nil && receipts == nil {
			t.Fatal("neither receipts nor a failure")
		}
	})
}
