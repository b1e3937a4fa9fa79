package expo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// batch is a Send in preparation: what can be sent, and the tickets of what cannot.
type batch struct {
	tickets []Ticket
	bodies  []json.RawMessage
	said    []said
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
		b.said = append(b.said, m.said())
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

// said is what a request says that no error may repeat, in case a server does.
type said struct {
	tokens []string // or ids: shortened
	texts  []string // left out
}

func (m *Message) said() said {
	return said{tokens: []string{m.To}, texts: []string{m.Title, m.Subtitle, m.Body, string(m.Data)}}
}

// leastHidden is the length in bytes of the shortest text that is left out: a shorter one is part of too many words.
const leastHidden = 4

// hide leaves the texts out, a longer one before what may be a part of it.
func (s said) hide(text string) string {
	for _, t := range slices.SortedFunc(slices.Values(s.texts), func(a, b string) int { return len(b) - len(a) }) {
		if len(t) >= leastHidden {
			text = strings.ReplaceAll(text, t, "[...]")
		}
	}
	return text
}

// together is what all of them say, and secret.
func together(all []said, secret string) (s said) {
	s.texts = []string{secret}
	for _, one := range all {
		s.tokens, s.texts = append(s.tokens, one.tokens...), append(s.texts, one.texts...)
	}
	return s
}
