package expo

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Kind is what the caller should do about an error.
type Kind uint8

// The kinds. What Expo says and this package does not know counts as Retry.
const (
	// Retry: send the same again later, a bounded number of times.
	Retry Kind = iota
	// Throttled: slow down. As the error of a request it means the whole
	// sender, since the limit is the project's; on a ticket or receipt it means
	// that one device.
	Throttled
	// DeviceGone: the token will not work again, unless it has been registered
	// anew since the send.
	DeviceGone
	// Permanent: this message will never be accepted.
	Permanent
	// Project: account, credentials or address are at fault. Stop, tell the
	// operator, and blame neither messages nor devices.
	Project
	// Split: Expo took nothing of the batch because of its composition or of
	// one message in it. Send smaller batches.
	Split
	// Late: the time for the request was over before it was written. Expo has
	// taken nothing, and nothing was learned about it.
	Late
)

var kindNames = [...]string{"retry", "throttled", "device_gone", "permanent", "project", "split", "late"}

// String names the kind as metrics and logs show it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Codes that Expo uses.
const (
	CodeTooManyRequests     = "TOO_MANY_REQUESTS"
	CodeTooManyExperiences  = "PUSH_TOO_MANY_EXPERIENCE_IDS"
	CodeTooManyMessages     = "PUSH_TOO_MANY_NOTIFICATIONS"
	CodeTooManyReceipts     = "PUSH_TOO_MANY_RECEIPTS"
	CodeUnauthorized        = "UNAUTHORIZED"
	CodeInvalidBearer       = "invalid_token" // of an access token, in OAuth's words
	CodeValidation          = "VALIDATION_ERROR"
	CodeAPI                 = "API_ERROR"
	CodePayloadTooLarge     = "PAYLOAD_TOO_LARGE"
	CodeDeviceNotRegistered = "DeviceNotRegistered"
	CodeMessageTooBig       = "MessageTooBig"
	CodeMessageRateExceeded = "MessageRateExceeded"
	CodeInvalidCredentials  = "InvalidCredentials"
	CodeMismatchSenderID    = "MismatchSenderId"
	CodeDeveloperError      = "DeveloperError"
	CodeExpoError           = "ExpoError"
	CodeProviderError       = "ProviderError"
)

// Codes that this package gives where Expo gives none.
const (
	// CodeInvalidToken: the token has no form that Expo knows; nothing was sent.
	CodeInvalidToken = "INVALID_TOKEN"
	// CodeInvalidMessage: the message cannot be written as JSON; nothing was sent.
	CodeInvalidMessage = "INVALID_MESSAGE"
	// CodeMalformed: the answer is not what the protocol says.
	CodeMalformed = "MALFORMED_ANSWER"
	// CodeMiscounted: Expo has answered with more or fewer tickets than there
	// were messages, so it has taken them, and nobody can say which.
	CodeMiscounted = "MISCOUNTED_TICKETS"
)

// Error is the failure of a request, or of one message in it.
type Error struct {
	// Kind is the next step.
	Kind Kind
	// Code is Expo's word for it, or one of this package's; may be empty.
	Code string
	// Message is Expo's text with all tokens shortened; may be empty.
	Message string
	// Status is the HTTP status of the answer, zero when there was none.
	Status int
	// RetryAfter is how long Expo asked to wait; zero when it did not ask, an
	// hour at most.
	RetryAfter time.Duration
	// Details is what Expo added, unread. It may contain tokens: do not log it.
	Details json.RawMessage
	// Unsure is true when Expo may have accepted the request all the same, so
	// that a repeat may be a second push.
	Unsure bool
	// Err is the cause on our side of the wire: network, context, JSON.
	Err error
}

// Error implements error. It contains no token and no key.
func (e *Error) Error() string {
	parts := make([]string, 0, 4)
	if e.Status != 0 {
		parts = append(parts, "status "+strconv.Itoa(e.Status))
	}
	if e.Code != "" {
		parts = append(parts, e.Code)
	}
	if e.Message != "" {
		parts = append(parts, e.Message)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	if len(parts) == 0 {
		return "expo: " + e.Kind.String()
	}
	return "expo: " + strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// GoString keeps %#v from showing Details.
func (e *Error) GoString() string { return "&expo.Error{" + e.Error() + "}" }

// Projects returns the tokens of a batch by Expo project, as the details of
// PUSH_TOO_MANY_EXPERIENCE_IDS list them, and nil for any other error.
func (e *Error) Projects() map[string][]string {
	if e.Code != CodeTooManyExperiences {
		return nil
	}
	var projects map[string][]string
	if json.Unmarshal(e.Details, &projects) != nil {
		return nil
	}
	return projects
}
