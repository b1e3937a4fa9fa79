package demo

import (
	"fmt"
	"os/exec"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// clock names an instant as seen from ref, in the visitor's zone.
func clock(t, ref time.Time) string {
	if t.IsZero() {
		return "at no time"
	}
	t, ref = t.Local(), ref.Local()
	y, m, d := ref.Date()
	if ty, tm, td := t.Date(); ty == y && tm == m && td == d {
		return t.Format("15:04:05")
	}
	return t.Format("Mon 2 Jan 15:04:05")
}

// short writes a duration with three digits or so: "0.8 ms", "13 ms", "1.2 s".
func short(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch size := max(d, -d); {
	case size < 9950*time.Microsecond: // rounds to less than ten
		return fmt.Sprintf("%.1f ms", ms)
	case size < 999500*time.Microsecond:
		return fmt.Sprintf("%.0f ms", ms)
	case size < time.Minute:
		return fmt.Sprintf("%.1f s", ms/1000)
	}
	return d.Round(time.Second).String()
}

// signed is short with a sign: clocks are read on both sides, so a push may seem to be early by a hair.
func signed(d time.Duration) string {
	if d < 0 {
		return "-" + short(-d)
	}
	return "+" + short(d)
}

// pad fills s up to n characters.
func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}

func padLeft(s string, n int) string {
	return strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s))) + s
}

// tidy makes one line of what a visitor may have written: no control characters, which a terminal would obey, and no more than n characters.
func tidy(s string, n int) string {
	if len(s) > 4*n { // enough for n characters of any kind
		s = s[:4*n]
	}
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool { return unicode.IsControl(r) }), " ")
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// plural writes a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func onPath(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}
