package expo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
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

// answer is the outer shape of everything that Expo sends.
type answer struct {
	Data   json.RawMessage `json:"data"`
	Errors []requestError  `json:"errors"`
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

// response is an HTTP answer that was read to its end.
type response struct {
	status int
	header http.Header
	body   []byte
}

// decodeTickets reads the answer to Send; tokens are those of the messages sent,
// in order.
func decodeTickets(body []byte, tokens []string) ([]Ticket, *Error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, malformed(err)
	}
	var list []status
	if err := json.Unmarshal(oneToMany(a.Data), &list); err != nil {
		return nil, malformed(err)
	}
	if len(list) != len(tokens) {
		return nil, malformed(fmt.Errorf("%d tickets for %d messages", len(list), len(tokens)))
	}
	tickets := make([]Ticket, len(list))
	for i, s := range list {
		tickets[i] = Ticket{ID: s.ID, Err: s.failure(tokens[i])}
		if tickets[i].Err == nil && s.ID == "" {
			tickets[i].Err = malformed(errNoID)
		}
	}
	return tickets, nil
}

var errNoID = fmt.Errorf("accepted without a ticket id")

// oneToMany turns the bare object that Expo sends for a single message into a list.
func oneToMany(data json.RawMessage) json.RawMessage {
	data = bytes.TrimSpace(data)
	if len(data) > 0 && data[0] == '{' {
		return append(append([]byte{'['}, data...), ']')
	}
	return data
}

// decodeReceipts reads the answer to Receipts.
func decodeReceipts(body []byte) (map[string]Receipt, *Error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, malformed(err)
	}
	var byID map[string]status
	if string(a.Data) != "[]" { // how some servers write an empty map
		if err := json.Unmarshal(a.Data, &byID); err != nil {
			return nil, malformed(err)
		}
	}
	receipts := make(map[string]Receipt, len(byID))
	for id, s := range byID {
		receipts[id] = Receipt{Err: s.failure("")}
	}
	return receipts, nil
}

// failure is nil for a ticket or receipt that says ok.
func (s status) failure(token string) *Error {
	if s.Status == "ok" {
		return nil
	}
	if s.Status != "error" {
		return malformed(fmt.Errorf("unknown status of %d bytes", len(s.Status)))
	}
	code := s.code()
	return &Error{
		Kind:    classifyMessage(code),
		Code:    code,
		Message: maskTokens(s.Message, token),
		Details: s.Details,
	}
}

// code finds details.error, whatever else details may be.
func (s status) code() string {
	var details struct {
		Error json.RawMessage `json:"error"`
	}
	var code string
	if json.Unmarshal(s.Details, &details) != nil || json.Unmarshal(details.Error, &code) != nil {
		return ""
	}
	return code
}

func malformed(err error) *Error {
	return &Error{Kind: Retry, Code: CodeMalformed, Unsure: true, Err: err}
}
