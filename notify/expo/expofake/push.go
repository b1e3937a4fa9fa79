package expofake

import (
	"encoding/json"
	"time"
)

// Push is one push that the server accepted.
type Push struct {
	// FirstByte is when the request's header had been read: the earliest moment
	// of a request that a server can name.
	FirstByte time.Time
	// Request numbers the requests from 1, so that pushes sent together show it.
	Request int

	Token      string
	Title      string
	Subtitle   string
	Body       string
	Data       json.RawMessage
	CollapseID string
	Tag        string
	// Expiration is in Unix seconds, zero if there was none; a ttl counts as one.
	Expiration int64
	Priority   string
	ChannelID  string
	// Badge is nil if there was none.
	Badge *int

	// TicketID is what the receipt is asked for with.
	TicketID string
	// Repeat is true when the phone replaced an earlier push by this one.
	Repeat bool
}

// pushOf describes the delivery of a message to one of its recipients.
func pushOf(r Request, m message, token, ticket string) Push {
	expiration := m.Expiration
	if m.TTL != nil {
		expiration = r.FirstByte.Unix() + *m.TTL
	}
	return Push{
		FirstByte: r.FirstByte, Request: r.Number,
		Token: token, Title: m.Title, Subtitle: m.Subtitle, Body: m.Body, Data: m.Data,
		CollapseID: m.CollapseID, Tag: m.Tag, Expiration: expiration,
		Priority: m.Priority, ChannelID: m.ChannelID, Badge: m.Badge, TicketID: ticket,
	}
}

// Counts is what has happened since the start or the last Reset.
type Counts struct {
	Requests        int // requests to /send, whatever their answer
	ReceiptRequests int // requests to /getReceipts, whatever their answer
	Accepted        int // pushes with an accepting ticket
	Refused         int // pushes with a refusing ticket
	Repeats         int // accepted pushes that replaced an earlier one on the phone
	Throttled       int // requests refused for their rate
	Rejected        int // requests refused for their content or their access token
	Faults          int // requests that a hook failed
}
