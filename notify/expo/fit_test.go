package expo

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestFit(t *testing.T) {
	t.Parallel()
	short := Message{To: "ExponentPushToken[abcdef]", Title: "Soccer", Body: "Field 3"}
	if got := short.Fit(); got.Title != short.Title || got.Body != short.Body {
		t.Errorf("a short message was changed: %q, %q", got.Title, got.Body)
	}
	tests := []struct {
		name          string
		title, body   string
		data          int
		titleIsIntact bool
	}{
		{"long body", "Soccer", strings.Repeat("cleats, water, ", 1000), 0, true},
		{"long title", strings.Repeat("S", 10_000), "Field 3", 0, false},
		{"both long", strings.Repeat("é", 10_000), strings.Repeat("日本", 10_000), 0, false},
		{"much to escape", "Soccer", strings.Repeat("\"\\\n\x01<", 5_000), 0, true},
		{"emoji", "Soccer", strings.Repeat("👩‍👩‍👧", 2_000), 0, true},
		{"not UTF-8", "Soc\xffcer", strings.Repeat("\xff", 9_000), 0, false},
		{"much data", "Soccer", strings.Repeat("x", 3_000), 3_000, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := Message{To: short.To, Title: tt.title, Body: tt.body}
			if tt.data > 0 {
				m.Data = json.RawMessage(`{"note":"` + strings.Repeat("d", tt.data) + `"}`)
			}
			got := m.Fit()
			if size := got.payload(); size > MaxPayload-wrapping {
				t.Errorf("payload of %d bytes", size)
			}
			if !utf8.ValidString(got.Title + got.Body) {
				t.Error("texts are not UTF-8")
			}
			if tt.titleIsIntact && got.Title != tt.title {
				t.Errorf("title became %q", got.Title)
			}
			if tt.titleIsIntact && got.Body == "" {
				t.Error("nothing is left of the body")
			}
		})
	}
}

func TestCutKeepsCharactersWhole(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text  string
		limit int
		want  string
	}{
		{"Soccer", 6, "Soccer"},
		{"Soccer at four", 9, "Soccer…"},
		{"aéb", 4, "aéb"},
		{"ae\u0301bcdef", 5, "a…"},     // e and its accent stay together
		{"ok👍🏽 fine", 11, "ok…"},       // the skin tone belongs to the thumb
		{"hi 👩‍👧 there", 13, "hi …"},   // so does what a joiner joins
		{"日本語", 8, "日…"},               // three bytes each, and three for the ellipsis
		{"Soccer", 2, ""},              // no room for the ellipsis
		{"\"\"\"\"\"\"", 9, "\"\"\"…"}, // two bytes each once escaped
	}
	for _, tt := range tests {
		if got := cut(tt.text, tt.limit); got != tt.want {
			t.Errorf("cut(%q, %d) = %q, want %q", tt.text, tt.limit, got, tt.want)
		}
	}
}

// TestFitAlwaysFits draws any texts: the payload fits, texts are cut only when they
// must be, and what is left is the beginning of what was there.
func TestFitAlwaysFits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.String().Draw(t, "text"), rapid.IntRange(0, 400).Draw(t, "times"))
		})
		m := Message{Title: text.Draw(t, "title"), Subtitle: text.Draw(t, "subtitle"), Body: text.Draw(t, "body")}
		got := m.Fit()
		if size := got.payload(); size > MaxPayload-wrapping {
			t.Fatalf("payload of %d bytes", size)
		}
		if m.payload() <= MaxPayload-wrapping && got.Body != validText(m.Body) {
			t.Fatal("a text was cut without need")
		}
		if !strings.HasPrefix(validText(m.Body), strings.TrimSuffix(got.Body, ellipsis)) {
			t.Fatal("the body is not the beginning of the body")
		}
		if again := got.Fit(); again.Body != got.Body || again.Title != got.Title {
			t.Fatal("fitting twice is not fitting once")
		}
	})
}

// TestRuneLen holds the arithmetic against the encoder that it foresees.
func TestRuneLen(t *testing.T) {
	t.Parallel()
	for r := range rune(0x3000) {
		raw, err := encode(string(r))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := runeLen(r), len(raw)-2; got != want {
			t.Errorf("%U takes %d bytes, foreseen were %d", r, want, got)
		}
	}
}
