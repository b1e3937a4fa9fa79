package expofake

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Endpoint tells the two kinds of request apart.
type Endpoint int

const (
	// SendEndpoint is /send.
	SendEndpoint Endpoint = iota
	// ReceiptsEndpoint is /getReceipts.
	ReceiptsEndpoint
)

// Request is what a fault may depend on.
type Request struct {
	Endpoint Endpoint
	// Number counts the requests of this endpoint from 1.
	Number int
	// FirstByte is when the request's header had been read.
	FirstByte time.Time
	// Header is the request's own: what it calls itself, how it is packed.
	Header http.Header
	// Tokens are the recipients of a send, in order.
	Tokens []string
	// IDs are the ticket ids that receipts are asked for.
	IDs []string
}

// Fault replaces the answer to one request.
type Fault struct {
	// Accept lets the request take effect first: its pushes are delivered,
	// though the sender will not learn it.
	Accept bool
	// Delay is waited before the answer, or until the client gives up.
	Delay time.Duration
	// Drop closes the connection instead of answering.
	Drop bool
	// Status of the answer; zero leaves the answer as it would have been.
	Status int
	// Header is added to the answer.
	Header http.Header
	// Body of the answer when Status is set.
	Body string
	// Tickets is added to the number of tickets in an otherwise good answer.
	Tickets int
	// Truncate ends the answer in its middle.
	Truncate bool
}

// hides reports that the sender of what was accepted gets no ticket for it, or no
// list that it could believe.
func (f *Fault) hides() bool {
	return f != nil && (f.Drop || f.Status != 0 || f.Truncate || f.Tickets != 0)
}

// Status answers with a status and a body and takes nothing.
func Status(status int, body string) *Fault { return &Fault{Status: status, Body: body} }

// Refuse answers with a status and one of Expo's codes and takes nothing.
func Refuse(status int, code string) *Fault {
	return Status(status, errorBody(code, "refused by a fault", nil))
}

// Gateway answers with a gateway's HTML page, 504, and takes nothing.
func Gateway() *Fault {
	return &Fault{
		Status: http.StatusGatewayTimeout,
		Header: http.Header{"Content-Type": {"text/html"}},
		Body:   "<html><head><title>504 Gateway Time-out</title></head><body><h1>504 Gateway Time-out</h1></body></html>",
	}
}

// GatewayAfter answers like Gateway, after the request took effect.
func GatewayAfter() *Fault {
	f := Gateway()
	f.Accept = true
	return f
}

// Drop closes the connection without an answer and takes nothing.
func Drop() *Fault { return &Fault{Drop: true} }

// DropAfter closes the connection after the request took effect.
func DropAfter() *Fault { return &Fault{Drop: true, Accept: true} }

// Slow answers properly, after a while.
func Slow(d time.Duration) *Fault { return &Fault{Accept: true, Delay: d} }

// WrongCount accepts the request and answers with delta more tickets than
// messages, or less.
func WrongCount(delta int) *Fault { return &Fault{Accept: true, Tickets: delta} }

// ErrorsWith200 answers with one of Expo's codes under a status of 200.
func ErrorsWith200(code string) *Fault { return Refuse(http.StatusOK, code) }

// Throttle answers 429 and asks to wait.
func Throttle(after time.Duration) *Fault {
	f := Refuse(http.StatusTooManyRequests, "TOO_MANY_REQUESTS")
	f.Header = http.Header{"Retry-After": {strconv.Itoa(int(after / time.Second))}}
	return f
}

// Once gives a fault to the first n requests of an endpoint and none afterwards.
func Once(endpoint Endpoint, n int, fault *Fault) func(Request) *Fault {
	return func(r Request) *Fault {
		if r.Endpoint == endpoint && r.Number <= n {
			return fault
		}
		return nil
	}
}

// Every gives a fault to one request of an endpoint in n, the n-th first.
func Every(endpoint Endpoint, n int, fault *Fault) func(Request) *Fault {
	return func(r Request) *Fault {
		if r.Endpoint == endpoint && n > 0 && r.Number%n == 0 {
			return fault
		}
		return nil
	}
}

// errorBody is the body of a refused request.
func errorBody(code, message string, details any) string {
	type failure struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Details any    `json:"details,omitempty"`
	}
	raw, err := json.Marshal(map[string][]failure{"errors": {{code, message, details}}})
	if err != nil {
		return `{"errors":[]}` // details are maps of strings, which always encode
	}
	return string(raw)
}
