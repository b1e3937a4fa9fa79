package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/mattn/go-isatty"
)

// Escape sequences of a terminal.
const (
	plain  = "\x1b[0m"
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
)

// screen shows a demo as text, one line per happening.
type screen struct {
	mu      sync.Mutex
	out     io.Writer
	colours bool
}

// newFace returns what cfg asks for.
func newFace(cfg Config) face {
	if cfg.JSON {
		return &lines{out: cfg.Out}
	}
	return &screen{out: cfg.Out, colours: wantsColours(cfg.Out)}
}

// wantsColours follows https://no-color.org.
func wantsColours(w io.Writer) bool {
	f, ok := file(w)
	return ok && isatty.IsTerminal(f.Fd()) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func (s *screen) paint(colour, text string) string {
	if !s.colours || text == "" {
		return text
	}
	return colour + text + plain
}

// print writes whole lines at once.
func (s *screen) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(s.out, text) // the outlet ends the demo when nobody looks on
}

func (s *screen) say(text string) { s.print(text + "\n") }

var marks = map[kind]string{kindRefused: "✗", kindUnsent: "✗", kindFault: "✗", kindAnswer: "·", kindNoCopy: "·"}

func (s *screen) mark(k kind) string {
	switch m := marks[k]; m {
	case "":
		return s.paint(green, "✓")
	case "✗":
		return s.paint(red, m)
	default:
		return s.paint(yellow, m)
	}
}

func (s *screen) show(h happening) {
	if h.Kind == kindScene {
		s.print("\n" + s.paint(bold, h.Note) + "\n")
		return
	}
	took := ""
	if h.Timed {
		took = signed(h.Took)
	}
	line := s.paint(dim, h.At.Local().Format("15:04:05.000")) + " " + s.mark(h.Kind) + " " +
		pad(string(h.Kind), 19) + " " + pad(tidy(h.Who, 12), 5) + " " + pad(tidy(h.Event, 40), 18) + " " +
		s.paint(cyan, padLeft(took, 8)) + "  " + tidy(h.Note, 400)
	if h.Kind == kindPushed {
		line += "on " + tidy(h.Phone, 60) + s.phone(h)
	}
	s.print(strings.TrimRight(line, " ") + "\n")
}

// phone draws a push as the device shows it.
func (s *screen) phone(h happening) string {
	const indent = "\n               "
	bar := s.paint(dim, "┃ ")
	text := []string{s.paint(bold, tidy(h.Title, 100))}
	for line := range strings.Lines(h.Body) {
		text = append(text, tidy(line, 400))
	}
	return indent + bar + strings.Join(text, indent+bar)
}

func (s *screen) started(a addresses) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", s.paint(bold, "Running"))
	for _, l := range [][2]string{
		{"PostgreSQL " + a.Version, a.Postgres},
		{"Google stand-in", a.Google},
		{"Expo stand-in", a.Expo},
		{"reminder-worker", a.HTTP + "/ (the live page)"},
		{"", a.HTTP + "/readyz"},
		{"", a.HTTP + "/metrics"},
	} {
		fmt.Fprintf(&b, "  %s %s\n", pad(l[0], 18), l[1])
	}
	fmt.Fprintf(&b, "\n%s\n", s.paint(bold, "Join in, from another terminal"))
	if a.Psql != "" {
		fmt.Fprintf(&b, "  %s <<'SQL'\n%s\nSQL\n", a.Psql, a.Try)
	} else {
		fmt.Fprintf(&b, "  DATABASE_URL=%s\n%s\n", a.Postgres, a.Try)
	}
	fmt.Fprintf(&b, "\nWhat you insert is shown below like the rest. Stop with Ctrl-C.\n\n%s\n", s.paint(dim,
		pad("time", 14)+" "+pad("what", 19)+" "+pad("who", 5)+" "+pad("event", 18)+" "+padLeft("latency", 8)+"  since the commit of the row; of a push: since it was due"))
	s.print(b.String())
}

func (s *screen) conclude(sum summary) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", s.paint(bold, "Summary of "+short(sum.ran)))
	for _, l := range sum.table() {
		fmt.Fprintf(&b, "  %s %s %s\n", pad(l[0], 10), pad(l[1], 62), l[2])
	}
	v := sum.verdict
	fmt.Fprintf(&b, "  %s %d     doubled %d     late > 1 s %d     violations %d\n",
		pad("lost", 10), len(v.Lost), len(v.Doubled), len(v.Late), len(v.Violations))
	b.WriteString("\n")
	for _, group := range []struct {
		name     string
		findings []string
	}{{"lost", v.Lost}, {"doubled", v.Doubled}, {"late", v.Late}, {"violation", v.Violations}} {
		for _, text := range group.findings {
			fmt.Fprintf(&b, "  %s %s: %s\n", s.paint(red, "✗"), group.name, text)
		}
	}
	mark := s.paint(green, "✓")
	if !v.Good() {
		mark = s.paint(red, "✗")
	}
	fmt.Fprintf(&b, "%s %s\n", mark, s.paint(bold, sum.words()))
	s.print(trimLines(b.String()))
}

// table is the summary's text: what, how much, how fast.
func (s summary) table() [][3]string {
	var states []string
	for _, status := range []string{statusSent, statusSkipped, statusCancelled, statusPending, statusSending, statusFailed, statusExpired} {
		if n := s.reminders[status]; n > 0 {
			states = append(states, fmt.Sprintf("%d %s", n, status))
		}
	}
	if len(states) == 0 {
		states = []string{"none"}
	}
	return [][3]string{
		{"events", fmt.Sprintf("%s by the app, %d refused", plural(s.rows, "commit"), s.refused), ""},
		{"copies", fmt.Sprintf("%d written, %d updated, %d removed", s.written, s.updated, s.removed),
			fmt.Sprintf("pickup   p50 %s, max %s", short(s.pickupP50), short(s.pickupMax))},
		{"reminders", strings.Join(states, ", "), ""},
		{"pushes", fmt.Sprintf("%d to %s, %s", s.pushes, plural(s.phones, "device"), plural(s.receipts, "receipt")),
			fmt.Sprintf("lateness p50 %s, max %s", short(s.latenessP50), short(s.latenessMax))},
	}
}

func trimLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}
