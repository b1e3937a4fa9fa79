package pgtemp

import (
	"io"
	"os"
	"strings"
)

const (
	tailBytes = 16 << 10
	tailLines = 20
)

// tail returns the last lines of a file, or "" when it cannot be read.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		_, _ = f.Seek(-tailBytes, io.SeekEnd) // on failure the head is shown instead
	}
	text, _ := io.ReadAll(io.LimitReader(f, tailBytes)) // what could be read is shown
	return lastLines(string(text))
}

// lastLines cuts text down to its last lines.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}
