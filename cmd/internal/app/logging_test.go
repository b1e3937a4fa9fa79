package app

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestLogFormats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format, level string
		json          bool
		lines         int
	}{
		{"json", "info", true, 1},
		{"json", "debug", true, 2},
		{"auto", "info", true, 1}, // a buffer is no terminal
		{"console", "info", false, 1},
		{"console", "error", false, 0},
		{"json", "nonsense", true, 1},
	} {
		var out bytes.Buffer
		log := NewLog(Config{LogFormat: c.format, LogLevel: c.level}, &out)
		log.Debug().Msg("detail")
		log.Info().Dur("took", 1500*time.Millisecond).Str("component", "listener").Msg("listening")
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if out.Len() == 0 {
			lines = nil
		}
		if len(lines) != c.lines {
			t.Errorf("%s at %s: %d lines, want %d: %q", c.format, c.level, len(lines), c.lines, lines)
			continue
		}
		if c.lines == 0 {
			continue
		}
		last := lines[len(lines)-1]
		if json.Valid([]byte(last)) != c.json {
			t.Errorf("%s: %s", c.format, last)
		}
		if strings.ContainsRune(last, '\x1b') {
			t.Errorf("%s: colours without a terminal: %q", c.format, last)
		}
	}
}

// What log pipelines rely on: a time to the nanosecond, level, message, durations in milliseconds.
func TestLogFields(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLog(Config{LogFormat: "json", LogLevel: "info"}, &out)
	log.Warn().Dur("took", 1500*time.Millisecond).Msg("slow")
	var line struct {
		Time    time.Time
		Level   string
		Message string
		Took    float64
	}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	if line.Level != "warn" || line.Message != "slow" || line.Took != 1500 || line.Time.IsZero() {
		t.Errorf("%s", out.String())
	}
}
