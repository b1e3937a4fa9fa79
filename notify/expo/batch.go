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

// leastHidden and leastPart are the lengths in bytes of the shortest text that is left out, for a shorter one is part of too many words, and of the
// shortest beginning of a longer one, for who repeats a text may cut it.
const (
	leastHidden = 4
	leastPart   = 12
)

// hide leaves the texts out, a longer one before what may be a part of it.
func (s said) hide(text string) string {
	for _, t := range slices.SortedFunc(slices.Values(s.texts), func(a, b string) int { return len(b) - len(a) }) {
		text = without(text, t)
	}
	return text
}

// without leaves what is hidden out of a text, and what begins like it for as long as it goes on so.
func without(text, hidden string) string {
	if len(hidden) < leastHidden {
		return text
	}
	head := hidden[:min(len(hidden), leastPart)]
	var left strings.Builder
	for {
		at := strings.Index(text, head)
		if at < 0 {
			return strings.ToValidUTF8(left.String()+text, "")
		}
		n := len(head)
		for n < len(hidden) && at+n < len(text) && text[at+n] == hidden[n] {
			n++
		}
		left.WriteString(text[:at] + "[...]")
		text = text[at+n:]
	}
}

// together is what all of them say, and secret.
func together(all []said, secret string) (s said) {
	s.texts = []string{secret}
	for _, one := range all {
		s.tokens, s.texts = append(s.tokens, one.tokens...), append(s.texts, one.texts...)
	}
	return s
}
