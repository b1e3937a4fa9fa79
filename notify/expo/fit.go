package expo

import (
	"bytes"
	"encoding/json"
	"unicode"
	"unicode/utf8"
)

// wrapping is what Expo and the push services add around a message: the
// experience and scope of the app, and the structure that APNs and FCM want.
// It is not documented; the value is generous rather than measured.
const wrapping = 512

// ellipsis ends a text that was cut.
const ellipsis = "…"

// Fit returns the message with its texts shortened, if need be, so that the
// payload stays within MaxPayload. The body gives way first, then the subtitle,
// then the title; each is cut between characters and ends in "…". Data is never
// touched: a message whose data alone is too big is returned without texts that
// could save it, and Expo will refuse it.
func (m Message) Fit() Message {
	m.Title = validText(m.Title)
	m.Subtitle = validText(m.Subtitle)
	m.Body = validText(m.Body)
	for _, text := range []*string{&m.Body, &m.Subtitle, &m.Title} {
		over := m.payload() - (MaxPayload - wrapping)
		if over <= 0 {
			return m
		}
		*text = cut(*text, encodedLen(*text)-over)
	}
	return m
}

// Payload is about how many bytes the message is to Apple and Google, which take
// MaxPayload: without the token, which does not travel to the device, and with
// what Expo adds.
func (m Message) Payload() int { return m.payload() + wrapping }

// payload is the size of the message as JSON, without the token.
func (m Message) payload() int {
	m.To = ""
	raw, err := encode(m)
	if err != nil {
		return 0
	}
	return len(raw)
}

// cut shortens text to at most limit bytes of JSON, ellipsis included.
func cut(text string, limit int) string {
	if encodedLen(text) <= limit {
		return text
	}
	limit -= len(ellipsis)
	size, end := 0, 0
	for i, r := range text {
		size += runeLen(r)
		if size > limit {
			break
		}
		end = i + utf8.RuneLen(r)
	}
	end = backToBase(text, end)
	if end == 0 {
		return ""
	}
	return text[:end] + ellipsis
}

// backToBase moves a cut in front of the character that it would have split:
// combining marks, variation selectors, skin tones and joined emoji belong to
// the rune before them. It gives up after a few runes, because a text of marks
// alone has no better place.
func backToBase(text string, end int) int {
	if end >= len(text) {
		return end
	}
	at := end
	for range 16 {
		next, _ := utf8.DecodeRuneInString(text[at:])
		last, size := utf8.DecodeLastRuneInString(text[:at])
		if size == 0 || !joins(next) && last != zeroWidthJoiner {
			return at
		}
		at -= size
	}
	return end
}

const zeroWidthJoiner = '\u200d'

// joins reports whether a rune is drawn as part of the one before it.
func joins(r rune) bool {
	return r == zeroWidthJoiner || unicode.In(r, unicode.Mn, unicode.Me, unicode.Mc) ||
		r >= 0x1f3fb && r <= 0x1f3ff
}

// encodedLen is the length of text inside a JSON string.
func encodedLen(text string) int {
	n := 0
	for _, r := range text {
		n += runeLen(r)
	}
	return n
}

// runeLen is the length of one rune inside a JSON string as encode writes it.
func runeLen(r rune) int {
	switch r {
	case '"', '\\', '\n', '\r', '\t', '\b', '\f':
		return 2
	case '\u2028', '\u2029':
		return 6
	}
	if r < ' ' {
		return 6
	}
	return utf8.RuneLen(r)
}

// validText replaces what is not UTF-8, which JSON cannot carry.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string(bytes.ToValidUTF8([]byte(s), []byte(string(utf8.RuneError))))
}

// encode writes JSON as browsers do: without escaping <, > and &, which would
// make six bytes of one.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
