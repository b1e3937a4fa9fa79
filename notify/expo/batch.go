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

// maxSaid is how much of a server's text is looked at, in bytes.
const maxSaid = 16 << 10

// hide leaves the texts out: whole ones, a longer one before what may be a part of it, and then what begins like one, for as long as it goes on like any.
func (s said) hide(text string) string {
	hidden := slices.DeleteFunc(slices.Clone(s.texts), func(h string) bool { return len(h) < leastHidden })
	slices.SortFunc(hidden, func(a, b string) int { return len(b) - len(a) })
	text = text[:min(len(text), maxSaid)]
	for _, h := range hidden {
		text = strings.ReplaceAll(text, h, "[...]")
	}
	var left strings.Builder
	for i := 0; i < len(text); {
		most := 0
		for _, h := range hidden {
			n := 0
			for n < len(h) && i+n < len(text) && text[i+n] == h[n] {
				n++
			}
			if n >= leastPart {
				most = max(most, n)
			}
		}
		if most = len(strings.TrimRight(text[i:i+most], " ")); most == 0 {
			left.WriteByte(text[i])
			i++
			continue
		}
		left.WriteString("[...]")
		i += most
	}
	return strings.ToValidUTF8(left.String(), "")
}

// together is what all of them say, and secret.
func together(all []said, secret string) (s said) {
	s.texts = []string{secret}
	for _, one := range all {
		s.tokens, s.texts = append(s.tokens, one.tokens...), append(s.texts, one.texts...)
	}
	return s
}
