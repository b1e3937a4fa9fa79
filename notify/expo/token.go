package expo

import (
	"regexp"
	"strings"
)

// shownRunes is how much of a token's secret part Mask leaves readable: enough
// to tell a family's devices apart in a log, useless for sending.
const shownRunes = 3

var (
	bareToken    = regexp.MustCompile(`^[0-9A-Za-z]{8}(-[0-9A-Za-z]{4}){3}-[0-9A-Za-z]{12}$`)
	wrappedToken = regexp.MustCompile(`(Expo(?:nent)?PushToken)\[([^\]\s"]*)\]?`)
)

// ValidToken reports whether s has the form of an Expo push token:
// ExponentPushToken[…], ExpoPushToken[…], or a bare 8-4-4-4-12 id.
func ValidToken(s string) bool {
	for _, prefix := range []string{"ExponentPushToken[", "ExpoPushToken["} {
		if inner, ok := strings.CutPrefix(s, prefix); ok {
			inner, closed := strings.CutSuffix(inner, "]")
			return closed && inner != "" && !strings.ContainsFunc(inner, notInToken)
		}
	}
	return bareToken.MatchString(s)
}

// notInToken rejects what would break a log line or a header, and brackets.
func notInToken(r rune) bool {
	return r <= ' ' || r > '~' || r == '[' || r == ']' || r == '"'
}

// Mask shortens a token to what may be shown: "ExponentPushToken[abc…]".
func Mask(token string) string {
	if wrappedToken.MatchString(token) {
		return maskText(token)
	}
	return shorten(token)
}

// maskText shortens every wrapped token inside a text written by someone else.
func maskText(text string) string {
	return wrappedToken.ReplaceAllStringFunc(text, func(found string) string {
		parts := wrappedToken.FindStringSubmatch(found)
		return parts[1] + "[" + shorten(parts[2]) + "]"
	})
}

// maskTokens shortens the given tokens wherever they occur in text, which finds
// the bare ones too.
func maskTokens(text string, tokens ...string) string {
	for _, t := range tokens {
		if t != "" {
			text = strings.ReplaceAll(text, t, Mask(t))
		}
	}
	return maskText(text)
}

// shorten keeps the first runes of s, and of a very short s nothing at all.
func shorten(s string) string {
	runes := []rune(strings.TrimSuffix(s, "…"))
	switch {
	case len(runes) == 0:
		return ""
	case len(runes) < shownRunes || len(runes) == shownRunes && !strings.HasSuffix(s, "…"):
		return "…"
	}
	return string(runes[:shownRunes]) + "…"
}
