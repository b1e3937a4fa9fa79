package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
)

// bar shows how far something has come: on a terminal in one line that is written again, elsewhere by a line now and then. It is for one goroutine.
type bar struct {
	out   io.Writer
	every time.Duration
	lives bool // on a terminal
	next  time.Time
	told  bool
}

const (
	// barWidth is how many characters the whole is drawn with.
	barWidth = 30
	// barTick is the time between two drawings.
	barTick = 100 * time.Millisecond
	// clearLine puts a terminal's cursor at the beginning of an empty line.
	clearLine = "\r\x1b[K"
)

func newBar(out io.Writer) *bar {
	f, ok := out.(*os.File)
	b := &bar{out: out, every: tick, next: time.Now().Add(tick)}
	if ok && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb" {
		b.every, b.lives, b.next = barTick, true, time.Time{}
	}
	return b
}

// show draws done of total, which may be 0, and says what else there is to say.
func (b *bar) show(done, total int64, text string) {
	now := time.Now()
	if now.Before(b.next) {
		return
	}
	b.next, b.told = now.Add(b.every), true
	share := 1.0
	if total > 0 {
		share = min(1, float64(done)/float64(total))
	}
	if !b.lives {
		fmt.Fprintf(b.out, "%3.0f %%  %s\n", 100*share, text)
		return
	}
	full := int(share * barWidth)
	fmt.Fprintf(b.out, "%s[%s%s] %3.0f %%  %s", clearLine, strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*share, text)
}

// end leaves the line for what is said next.
func (b *bar) end() {
	if b.told && b.lives {
		fmt.Fprint(b.out, clearLine)
	}
}
