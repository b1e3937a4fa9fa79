package expo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Ticket is Expo's answer to one message: accepted, or refused. When Err is nil
// the ID is never empty.
type Ticket struct {
	// ID is what the receipt is asked for with.
	ID string
	// Err is why the message was refused, nil when it was accepted.
	Err *Error
}

// Receipt is the verdict on one accepted message. It says that the push service
// took the push, not that the phone showed it.
type Receipt struct {
	// Err is why the push failed, nil when the push service took it.
	Err *Error
}

// answer is the outer shape of everything that Expo sends. A bad access token is
// refused before Expo's own code, in the form of OAuth (RFC 6750, section 3.1):
// {"error":"invalid_token","error_description":"The bearer token is invalid"}.
type answer struct {
	Data        json.RawMessage   `json:"data"`
	Errors      []json.RawMessage `json:"errors"`
	Error       json.RawMessage   `json:"error"`
	Description json.RawMessage   `json:"error_description"`
}

// plain is the text of a JSON string, and empty for anything else.
func plain(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

type requestError struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Details json.RawMessage `json:"details"`
}

// status is a ticket or receipt. Details may hold anything that a push service
// says, so only the one word in it is looked for.
type status struct {
	Status  string          `json:"status"`
	ID      string          `json:"id"`
	Message string          `json:"message"`
	Details json.RawMessage `json:"details"`
}

// decodeTickets reads the data that answers Send; said is what the messages sent
// have said, in order.
func decodeTickets(data json.RawMessage, said []said) ([]Ticket, *Error) {
	var list []json.RawMessage
	if err := json.Unmarshal(oneToMany(data), &list); err != nil {
		return nil, malformed(fmt.Errorf("read tickets: %w", err))
	}
	if len(list) != len(said) {
		failure := malformed(fmt.Errorf("%d tickets for %d messages", len(list), len(said)))
		failure.Code = CodeMiscounted
		return nil, failure
	}
	tickets := make([]Ticket, len(list))
	for i, raw := range list {
		id, failure := readStatus(raw, said[i])
		if failure == nil && id == "" {
			failure = malformed(errNoID)
		}
		tickets[i] = Ticket{ID: id, Err: failure}
	}
	return tickets, nil
}

var errNoID = errors.New("accepted without a ticket id")

// oneToMany turns the bare object that Expo sends for a single message into a list.
func oneToMany(data json.RawMessage) json.RawMessage {
	data = bytes.TrimSpace(data)
	if len(data) > 0 && data[0] == '{' {
		return append(append([]byte{'['}, data...), ']')
	}
	return data
}

// decodeReceipts reads the data that answers Receipts.
func decodeReceipts(data json.RawMessage) (map[string]Receipt, *Error) {
	var byID map[string]json.RawMessage
	if string(data) != "[]" { // how some servers write an empty map
		if err := json.Unmarshal(data, &byID); err != nil {
			return nil, malformed(fmt.Errorf("read receipts: %w", err))
		}
	}
	receipts := make(map[string]Receipt, len(byID))
	for id, raw := range byID {
		_, failure := readStatus(raw, said{})
		receipts[id] = Receipt{Err: failure}
	}
	return receipts, nil
}

// readStatus reads one ticket or receipt. One that makes no sense is a failure
// of its own and leaves the others valid.
func readStatus(raw json.RawMessage, about said) (id string, failure *Error) {
	var s status
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", malformed(fmt.Errorf("read status: %w", err))
	}
	switch s.Status {
	case "ok":
		return s.ID, nil
	case "error":
		code := s.code()
		return "", &Error{
			Kind:    classifyMessage(code),
			Code:    code,
			Message: tidy(s.Message, about),
			Details: s.Details,
		}
	}
	return "", malformed(errNoStatus)
}

var errNoStatus = errors.New("status is neither ok nor error")

// code finds details.error, whatever else details may be. Of Google's own word for
// credentials that are not the app's Expo has been seen to make a ProviderError,
// with the word one level below.
func (s status) code() string {
	var details struct {
		Error json.RawMessage `json:"error"`
		FCM   json.RawMessage `json:"fcm"`
	}
	if json.Unmarshal(s.Details, &details) != nil {
		return ""
	}
	code := tidyCode(plain(details.Error))
	var google struct {
		Error json.RawMessage `json:"error"`
	}
	if code == CodeProviderError && json.Unmarshal(details.FCM, &google) == nil && plain(google.Error) == CodeMismatchSenderID {
		return CodeMismatchSenderID
	}
	return code
}

const (
	maxText = 300 // bytes of a server's text that an error repeats
	maxCode = 64  // bytes of the longest code that is believed
)

// tidy makes a text written by a server fit to be printed on one line, without
// what was said to it.
func tidy(text string, about said) string {
	text = maskTokens(about.hide(validText(text)), about.tokens...)
	return cut(strings.Join(strings.Fields(text), " "), maxText)
}

// tidyCode drops what cannot be one of Expo's words: codes become labels of
// metrics, and a server must not invent any number of those.
func tidyCode(code string) string {
	strange := func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if len(code) > maxCode || strings.ContainsFunc(code, strange) {
		return ""
	}
	return code
}

func malformed(err error) *Error {
	return &Error{Kind: Retry, Code: CodeMalformed, Unsure: true, Err: err}
}
