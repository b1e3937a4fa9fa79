package expofake

import (
	"fmt"
	"hash/fnv"
	"time"
)

// status is a ticket or a receipt on the wire.
type status struct {
	Status  string         `json:"status"`
	ID      string         `json:"id,omitempty"`
	Message string         `json:"message,omitempty"`
	Details map[string]any `json:"details,omitempty"`
}

// refused is Expo's own refusal, which quotes no push service.
func refused(code, token string) status {
	details := map[string]any{"error": code}
	if code == "DeviceNotRegistered" {
		details["expoPushToken"] = token
	}
	return status{Status: "error", Message: fmt.Sprintf("%q was refused: %s", token, code), Details: details}
}

// relayed is a refusal that Expo had from a push service. Beside the code it
// holds numbers and objects: who is at fault, when it was sent, and what the
// service said, in its own form. The forms are those of published answers, for
// instance {"error":"ProviderError","fault":"fcm","fcm":{"error":"MismatchSenderId"}}
// and {"apns":{"reason":"Unregistered","statusCode":410},"error":"DeviceNotRegistered","sentAt":1599453184};
// no document describes them.
func relayed(code, token string, at time.Time) status {
	s := refused(code, token)
	s.Details["sentAt"] = at.Unix()
	service, quote := "fcm", google(code)
	if IsIPhone(token) && code != "MismatchSenderId" { // which is Google's alone
		service, quote = "apns", apple(code)
	}
	s.Details["fault"], s.Details[service] = "developer", quote
	if code == "ProviderError" {
		s.Details["fault"] = service
	}
	return s
}

// google is what Google says when Expo says code.
func google(code string) map[string]any {
	switch code {
	case "InvalidCredentials":
		return map[string]any{"httpStatus": 401, "response": "<HTML>\n<HEAD>\n<TITLE>PROJECT_NOT_PERMITTED</TITLE>\n</HEAD>\n</HTML>\n"}
	case "DeviceNotRegistered":
		return map[string]any{"error": "NotRegistered"}
	case "MessageRateExceeded":
		return map[string]any{"error": "DeviceMessageRateExceeded"}
	case "ProviderError":
		return map[string]any{"error": "Unavailable"}
	}
	return map[string]any{"error": code}
}

// apple is what Apple says when Expo says code.
func apple(code string) map[string]any {
	reason, number := code, 400
	switch code {
	case "InvalidCredentials":
		reason, number = "InvalidProviderToken", 403
	case "DeviceNotRegistered":
		reason, number = "Unregistered", 410
	case "MessageTooBig":
		reason, number = "PayloadTooLarge", 413
	case "MessageRateExceeded":
		reason, number = "TooManyRequests", 429
	case "ProviderError":
		reason, number = "ServiceUnavailable", 503
	case "DeveloperError":
		reason = "BadDeviceToken"
	}
	return map[string]any{"reason": reason, "statusCode": number}
}

// numbered reports that a refusal of this code in a ticket has an id all the
// same, as published answers have for bad credentials. There is no receipt for it.
func numbered(code string) bool {
	return code == "InvalidCredentials" || code == "MismatchSenderId" || code == "ProviderError"
}

// IsIPhone reports whether the device has its pushes from Apple, which shows in
// the details of refusals and in nothing else. About every second device has, by
// its token, always the same ones.
func IsIPhone(token string) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(token)) // a hash takes everything
	return h.Sum32()&1 == 1
}
