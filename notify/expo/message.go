package expo

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Limits of Expo's interface and of the push services behind it.
const (
	// MaxMessages is the number of messages that one Send may carry.
	MaxMessages = 100
	// MaxReceipts is the number of ids that one Receipts may ask for.
	MaxReceipts = 1000
	// MaxPayload is the size in bytes of the payload that Apple and Google accept.
	MaxPayload = 4096
)

// Values of Message.Priority and Message.InterruptionLevel.
const (
	PriorityDefault = "default" // normal on Android, high on iOS
	PriorityNormal  = "normal"
	PriorityHigh    = "high"

	InterruptionActive        = "active"
	InterruptionCritical      = "critical"
	InterruptionPassive       = "passive"
	InterruptionTimeSensitive = "time-sensitive"
)

// Message is one push to one device. Fields left at their zero value are not
// sent, and the service's own default applies.
type Message struct {
	// To is the push token of the device. Exactly one, so that the ticket at
	// the same position is this message's.
	To string `json:"to"`

	Title    string `json:"title,omitempty"`
	Subtitle string `json:"subtitle,omitempty"` // iOS
	Body     string `json:"body,omitempty"`

	// Data is handed to the app: a JSON object.
	Data json.RawMessage `json:"data,omitempty"`

	Sound       Sound        `json:"sound,omitzero"`  // iOS
	Badge       *int         `json:"badge,omitempty"` // iOS; zero clears it
	Icon        string       `json:"icon,omitempty"`  // Android: name of a drawable
	RichContent *RichContent `json:"richContent,omitempty"`

	// TTL is how many seconds the push services may hold the push for a device
	// that is off; it wins over Expiration. Without either they hold it for
	// about a month.
	TTL *int `json:"ttl,omitempty"`
	// Expiration is the same as a point in time, in Unix seconds.
	Expiration int64 `json:"expiration,omitempty"`

	Priority          string `json:"priority,omitempty"`
	InterruptionLevel string `json:"interruptionLevel,omitempty"` // iOS
	// ChannelID names an Android channel; one that the device does not have
	// means that nothing is shown.
	ChannelID  string `json:"channelId,omitempty"`
	CategoryID string `json:"categoryId,omitempty"`

	// CollapseID lets a later push replace an earlier one: on iOS also when it
	// is already shown (64 bytes at most), on Android only on the way.
	CollapseID string `json:"collapseId,omitempty"`
	// Tag lets a later push replace a shown one on Android.
	Tag string `json:"tag,omitempty"`
	// ThreadID groups what iOS shows.
	ThreadID string `json:"threadId,omitempty"`

	MutableContent   bool     `json:"mutableContent,omitempty"`   // iOS
	ContentAvailable bool     `json:"contentAvailable,omitempty"` // iOS
	TargetContentID  string   `json:"targetContentId,omitempty"`  // iOS
	RelevanceScore   *float64 `json:"relevanceScore,omitempty"`   // iOS; 0 to 1
	FilterCriteria   string   `json:"filterCriteria,omitempty"`   // iOS
}

// RichContent is what a push shows beside its text.
type RichContent struct {
	// Image is the address of a picture. iOS needs a service extension for it.
	Image string `json:"image,omitempty"`
}

// Sound is what iOS plays. The zero value plays nothing.
type Sound struct {
	// Name is "default" or the name of a sound inside the app.
	Name string
	// Critical plays even in silent mode; Apple must have granted it to the app.
	Critical bool
	// Volume of a critical sound, 0 to 1. Zero leaves it to the device.
	Volume float64
}

// DefaultSound is the device's own sound.
var DefaultSound = Sound{Name: "default"}

// MarshalJSON writes the short form where it says everything.
func (s Sound) MarshalJSON() ([]byte, error) {
	switch {
	case s == Sound{}:
		return []byte("null"), nil
	case !s.Critical && s.Volume == 0:
		return json.Marshal(s.Name)
	}
	return json.Marshal(struct {
		Critical bool    `json:"critical,omitempty"`
		Name     string  `json:"name,omitempty"`
		Volume   float64 `json:"volume,omitempty"`
	}{s.Critical, s.Name, s.Volume})
}

// String describes the message without its text and with its token shortened,
// because both belong to a family and not to a log.
func (m Message) String() string {
	return fmt.Sprintf("push to %s (collapse id %q, %d bytes of text)",
		Mask(m.To), m.CollapseID, len(m.Title)+len(m.Subtitle)+len(m.Body))
}

// GoString keeps %#v from showing the token.
func (m Message) GoString() string { return "expo.Message{" + m.String() + "}" }

var errNotObject = errors.New("data is not a JSON object")

// check reports why Expo could never accept the message.
func (m Message) check() *Error {
	if !ValidToken(m.To) {
		return &Error{Kind: DeviceGone, Code: CodeInvalidToken, Message: "not an Expo push token"}
	}
	if len(m.Data) == 0 {
		return nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(m.Data, &object); err != nil || object == nil {
		return &Error{Kind: Permanent, Code: CodeInvalidMessage, Err: errNotObject}
	}
	return nil
}
