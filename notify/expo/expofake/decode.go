package expofake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
)

// message is one message of a request, in the fields that Expo's own client knows.
// A field of another type refuses the request. One that is not here is let pass:
// what Expo does with it is not documented.
type message struct {
	To                recipients      `json:"to"`
	Title             string          `json:"title"`
	Subtitle          string          `json:"subtitle"`
	Body              string          `json:"body"`
	Data              json.RawMessage `json:"data"`
	Sound             json.RawMessage `json:"sound"`
	CollapseID        string          `json:"collapseId"`
	Tag               string          `json:"tag"`
	Expiration        int64           `json:"expiration"`
	TTL               *int64          `json:"ttl"`
	Priority          string          `json:"priority"`
	InterruptionLevel string          `json:"interruptionLevel"`
	ChannelID         string          `json:"channelId"`
	CategoryID        string          `json:"categoryId"`
	ThreadID          string          `json:"threadId"`
	Badge             *int            `json:"badge"`

	// Of these only the type matters here.
	Icon             string   `json:"icon"`
	RichContent      *picture `json:"richContent"`
	MutableContent   bool     `json:"mutableContent"`
	ContentAvailable bool     `json:"contentAvailable"`
	TargetContentID  string   `json:"targetContentId"`
	RelevanceScore   float64  `json:"relevanceScore"`
	FilterCriteria   string   `json:"filterCriteria"`

	size int // bytes of payload: the whole message but for its recipients
}

type picture struct {
	Image string `json:"image"`
}

// sound is the form of a message's sound that is neither a name nor null.
type sound struct {
	Critical bool    `json:"critical"`
	Name     string  `json:"name"`
	Volume   float64 `json:"volume"`
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
	errNoMessages   = errors.New("no messages")
	errNoRecipient  = errors.New(`"to" is missing`)
	errNotMessage   = errors.New("a message is not an object")
	errNotObject    = errors.New(`"data" is not an object`)
	errSound        = errors.New(`"sound" is none of a name, null, an object of critical, name and volume`)
	errPriority     = errors.New(`"priority" is none of default, normal, high`)
	errInterruption = errors.New(`"interruptionLevel" is none of active, critical, passive, time-sensitive`)
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
	m.size = max(0, m.size) // a token that was no UTF-8 is longer now than it came
	return m, m.check()
}

// check finds what types do not tell. The words that are allowed are those of the
// official client's types.
//
// A collapse id is not measured. Apple refuses one above 64 bytes (BadCollapseId)
// and Google has no such limit; where Expo would report it is documented nowhere.
func (m message) check() error {
	if len(m.To) == 0 {
		return errNoRecipient
	}
	if data := bytes.TrimSpace(m.Data); len(data) > 0 && data[0] != '{' && string(data) != "null" {
		return errNotObject
	}
	if err := checkSound(m.Sound); err != nil {
		return err
	}
	switch m.Priority {
	case "", "default", "normal", "high":
	default:
		return errPriority
	}
	switch m.InterruptionLevel {
	case "", "active", "critical", "passive", "time-sensitive":
		return nil
	}
	return errInterruption
}

func checkSound(raw json.RawMessage) error {
	var named string
	if len(raw) == 0 || json.Unmarshal(raw, &named) == nil { // null fits as well
		return nil
	}
	var s sound
	if json.Unmarshal(raw, &s) != nil {
		return errSound
	}
	return nil
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

// tokenForm is stricter than the official client, which looks at the two ends of a
// token only. What Expo itself does with the difference is not documented.
var tokenForm = regexp.MustCompile(`^(Expo(nent)?PushToken\[[!#-Z\\^-~]+\]|[0-9A-Za-z]{8}(-[0-9A-Za-z]{4}){3}-[0-9A-Za-z]{12})$`)

func validToken(s string) bool { return tokenForm.MatchString(s) }
