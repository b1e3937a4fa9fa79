package expo

import (
	"encoding/json"
	"fmt"
)

// batch is a Send in preparation: what can be sent, and the tickets of what cannot.
type batch struct {
	tickets []Ticket
	bodies  []json.RawMessage
	tokens  []string
	places  []int // places[i] is where the ticket of bodies[i] belongs
}

func newBatch(messages []Message) batch {
	b := batch{tickets: make([]Ticket, len(messages))}
	for i, m := range messages {
		if failure := m.check(); failure != nil {
			b.tickets[i].Err = failure
			continue
		}
		body, err := encode(m)
		if err != nil {
			b.tickets[i].Err = &Error{Kind: Permanent, Code: CodeInvalidMessage, Err: fmt.Errorf("encode message: %w", err)}
			continue
		}
		b.bodies = append(b.bodies, body)
		b.tokens = append(b.tokens, m.To)
		b.places = append(b.places, i)
	}
	return b
}

func (b batch) merge(sent []Ticket) []Ticket {
	for i, t := range sent {
		b.tickets[b.places[i]] = t
	}
	return b.tickets
}
