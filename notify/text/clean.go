package text

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxValue  = 4 << 10  // bytes of a value; a push carries no more altogether
	maxOutput = 16 << 10 // bytes that a template may write
)

var errFull = errors.New("the text is too long")

// clean makes a value one line of valid text without control characters, and cuts it.
func clean(s string) string {
	if tidy(s) {
		return cut(s)
	}
	var b strings.Builder
	gap := false
	for i, r := range s {
		switch {
		case b.Len() > maxValue:
			return cut(b.String())
		case unicode.IsSpace(r):
			gap = b.Len() > 0
		case isControl(r) || broken(s[i:], r):
		default:
			if gap {
				b.WriteByte(' ')
			}
			gap = false
			b.WriteRune(r)
		}
	}
	return cut(b.String())
}

// tidy reports whether a value needs no cleaning, as nearly all do not.
func tidy(s string) bool {
	gap := true // at the beginning
	for i, r := range s {
		if r == ' ' {
			if gap {
				return false
			}
			gap = true
			continue
		}
		gap = false
		if r > ' ' && r < 0x7f {
			continue
		}
		if isControl(r) || unicode.IsSpace(r) || broken(s[i:], r) {
			return false
		}
	}
	return s == "" || !gap
}

// cut shortens a value between two characters.
func cut(s string) string {
	if len(s) <= maxValue {
		return s
	}
	end := maxValue
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return strings.TrimRight(s[:end], " ")
}

func isControl(r rune) bool { return unicode.Is(unicode.Cc, r) }

// broken reports whether the rune that s begins with stands for a byte that is no UTF-8, rather than for itself.
func broken(s string, r rune) bool {
	return r == utf8.RuneError && !strings.HasPrefix(s, string(utf8.RuneError))
}

// readable drops what no device can show from a message that is otherwise shown as the app wrote it.
func readable(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}

// list puts cleaned items together: "cleats, water".
func list(items []string) string {
	if len(items) == 1 {
		return clean(items[0])
	}
	var b strings.Builder
	for _, item := range items {
		if b.Len() > maxValue {
			break
		}
		if item = clean(item); item != "" {
			if b.Len() > 0 {
				b.WriteString(", ")
			}
			b.WriteString(item)
		}
	}
	return cut(b.String())
}

// output is what a template writes to. It takes no more than maxOutput.
type output struct {
	text []byte
	full bool
}

func (o *output) reset() { o.text, o.full = o.text[:0], false }

// Write takes what there is room for.
func (o *output) Write(p []byte) (int, error) {
	if room := maxOutput - len(o.text); len(p) > room {
		o.text = append(o.text, p[:room]...)
		o.full = true
		return room, errFull
	}
	o.text = append(o.text, p...)
	return len(p), nil
}

// fold appends text to dst as one line: with one space where there is white space, and with between where there are line breaks.
func fold(dst, text []byte, between string) []byte {
	space, newline := false, false
	for _, b := range text {
		switch b {
		case '\n':
			newline = true
		case ' ', '\t', '\r':
			space = true
		default:
			if newline && len(dst) > 0 {
				dst = append(dst, between...)
			} else if space && len(dst) > 0 {
				dst = append(dst, ' ')
			}
			space, newline = false, false
			dst = append(dst, b)
		}
	}
	return dst
}
