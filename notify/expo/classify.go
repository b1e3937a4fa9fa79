package expo

import (
	"net/http"
	"strconv"
	"time"
)

// maxRetryAfter bounds what we believe of a Retry-After header.
const maxRetryAfter = time.Hour

// classifyRequest finds the kind of a failed request of n messages or ids. The
// code is asked first, because it comes from Expo itself, while a status may
// come from any gateway on the way.
func classifyRequest(status int, code string, n int) Kind {
	kind := requestKind(status, code)
	if kind == Split && n <= 1 {
		return Permanent
	}
	return kind
}

func requestKind(status int, code string) Kind {
	switch code {
	case CodeTooManyRequests:
		return Throttled
	case CodeTooManyExperiences, CodeTooManyMessages, CodeTooManyReceipts, CodePayloadTooLarge:
		return Split
	case CodeUnauthorized, CodeInvalidBearer, CodeInvalidCredentials, CodeMismatchSenderID, CodeDeveloperError:
		return Project
	}
	switch status {
	case http.StatusTooManyRequests:
		return Throttled
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return Retry
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden,
		http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone,
		http.StatusProxyAuthRequired, http.StatusMisdirectedRequest:
		return Project
	}
	switch {
	case status >= 500, status < 300 && code != CodeValidation:
		return Retry
	case status >= 300 && status < 400:
		return Project // the address has moved; the access token does not follow
	}
	return Split
}

// classifyMessage finds the kind of a failed ticket or receipt.
func classifyMessage(code string) Kind {
	switch code {
	case CodeDeviceNotRegistered:
		return DeviceGone
	case CodeMessageTooBig:
		return Permanent
	case CodeMessageRateExceeded, CodeTooManyRequests:
		return Throttled
	case CodeInvalidCredentials, CodeMismatchSenderID, CodeDeveloperError, CodeUnauthorized:
		return Project
	}
	return Retry
}

// unsure reports whether a failed request may have been accepted. Expo's own
// refusals are certain; a server error, above all a gateway's, is not.
func unsure(status int) bool {
	return status == http.StatusRequestTimeout || status >= 500 || status/100 == 2
}

// retryAfter reads both forms of the header: seconds, and an HTTP date.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := header.Get("Retry-After")
	var wait time.Duration
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
