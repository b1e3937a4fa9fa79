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
	CategoryID string
	ThreadID   string
	// InterruptionLevel is iOS's word for how much the push may disturb.
	InterruptionLevel string
	// Badge is nil if there was none.
	Badge *int

	// Size is the message in bytes as it came, but for its recipients, which do
	// not travel to the device: what is compared with 4096. It is noted with
	// [Config.Weigh] only.
	Size int

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
		Priority: m.Priority, ChannelID: m.ChannelID, CategoryID: m.CategoryID, ThreadID: m.ThreadID,
		InterruptionLevel: m.InterruptionLevel, Badge: m.Badge, TicketID: ticket,
	}
}
