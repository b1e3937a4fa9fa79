package expofake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
)

// message is one message of a request as far as the server looks at it.
type message struct {
	To         recipients      `json:"to"`
	Title      string          `json:"title"`
	Subtitle   string          `json:"subtitle"`
	Body       string          `json:"body"`
	Data       json.RawMessage `json:"data"`
	CollapseID string          `json:"collapseId"`
	Tag        string          `json:"tag"`
	Expiration int64           `json:"expiration"`
	TTL        *int64          `json:"ttl"`
	Priority   string          `json:"priority"`
	ChannelID  string          `json:"channelId"`
	Badge      *int            `json:"badge"`

	size int // bytes of payload: the whole message but for its recipients
}

// recipients is a token or a list of tokens.
type recipients []string

// UnmarshalJSON accepts both forms.
func (r *recipients) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		*r = make(recipients, 1)
		return json.Unmarshal(raw, &(*r)[0])
	}
	return json.Unmarshal(raw, (*[]string)(r))
}

var (
	errNoRecipient = errors.New(`"to" is missing`)
	errNotMessage  = errors.New("a message is not an object")
	errNotObject   = errors.New(`"data" is not an object`)
	errPriority    = errors.New(`"priority" is none of default, normal, high`)
)

// decodeMessages reads the body of a send request. Single reports that it was
// one message with one recipient, which is answered with an object.
func decodeMessages(body []byte) (messages []message, single bool, err error) {
	body = bytes.TrimSpace(body)
	raws := []json.RawMessage{body}
	bare := len(body) > 0 && body[0] == '{'
	if !bare {
		if err := json.Unmarshal(body, &raws); err != nil {
			return nil, false, fmt.Errorf("read messages: %w", err)
		}
	}
	messages = make([]message, len(raws))
	for i, raw := range raws {
		if messages[i], err = decodeMessage(raw); err != nil {
			return nil, false, fmt.Errorf("read message %d: %w", i, err)
		}
	}
	return messages, bare && len(messages[0].To) == 1, nil
}

func decodeMessage(raw json.RawMessage) (message, error) {
	var m message
	if len(raw) == 0 || raw[0] != '{' {
		return m, errNotMessage
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, err
	}
	m.size = len(raw)
	for i, token := range m.To {
		m.size -= len(token) + len(`"",`)
		if i == 0 {
			m.size -= len(`"to":`)
		}
	}
	return m, m.check()
}

func (m message) check() error {
	if len(m.To) == 0 {
		return errNoRecipient
	}
	if data := bytes.TrimSpace(m.Data); len(data) > 0 && data[0] != '{' && string(data) != "null" {
		return errNotObject
	}
	switch m.Priority {
	case "", "default", "normal", "high":
		return nil
	}
	return errPriority
}

// decodeIDs reads the body of a receipts request.
func decodeIDs(body []byte) ([]string, error) {
	var query struct {
		IDs *[]string `json:"ids"`
	}
	if err := json.Unmarshal(body, &query); err != nil {
		return nil, fmt.Errorf("read ids: %w", err)
	}
	if query.IDs == nil {
		return nil, errors.New(`"ids" is missing`)
	}
	return *query.IDs, nil
}

var tokenForm = regexp.MustCompile(`^(Expo(nent)?PushToken\[[^\[\]"\s]+\]|[0-9A-Za-z]{8}(-[0-9A-Za-z]{4}){3}-[0-9A-Za-z]{12})$`)

func validToken(s string) bool { return tokenForm.MatchString(s) }
