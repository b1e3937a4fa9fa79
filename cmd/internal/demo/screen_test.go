package demo

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestScreen(t *testing.T) {
	t.Parallel()
	var out output
	s := newFace(Config{Out: &out})
	s.show(happening{At: noon, Kind: kindScene, Note: "Mira enters a practice."})
	s.show(happening{At: noon, Kind: kindRow, Who: "Mira", Event: "Soccer", Note: "inserted"})
	s.show(happening{At: noon, Kind: kindWritten, Who: "Mira", Event: "Soccer"}.timed(4200 * time.Microsecond))
	s.show(happening{At: noon, Kind: kindRefused, Who: "Mira", Event: "Überraschung", Note: "no title"}.timed(42 * time.Millisecond))
	s.show(happening{At: noon, Kind: kindPushed, Who: "Mira", Event: "Soccer", Phone: "a", Title: "Soccer", Body: "Today\nField 3"}.timed(-time.Millisecond))
	want := `
Mira enters a practice.
12:00:00.000 ✓ row committed       Mira  Soccer                       inserted
12:00:00.000 ✓ copy written        Mira  Soccer              +4.2 ms
12:00:00.000 ✗ row refused         Mira  Überraschung         +42 ms  no title
12:00:00.000 ✓ push sent           Mira  Soccer              -1.0 ms  on a
               ┃ Soccer
               ┃ Today
               ┃ Field 3
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("screen (-want +got):\n%s", diff)
	}
}

func TestScreenInColour(t *testing.T) {
	t.Parallel()
	var out output
	s := &screen{out: &out, colours: true}
	s.show(happening{At: noon, Kind: kindNoCopy, Note: "why"})
	if want := yellow + "·" + plain; !strings.Contains(out.String(), want) {
		t.Errorf("%q lacks %q", out.String(), want)
	}
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if wantsColours(file) {
		t.Error("colours in a file")
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	sum := summary{
		ran: 12 * time.Second, rows: 3, refused: 1, written: 2, pushes: 3, phones: 2, receipts: 3,
		reminders: map[string]int{statusSent: 2, statusSkipped: 1},
		pickupP50: 4 * time.Millisecond, pickupMax: 9 * time.Millisecond, latenessP50: 2 * time.Millisecond, latenessMax: 3 * time.Millisecond,
	}
	var out output
	newFace(Config{Out: &out}).conclude(sum)
	want := `
Summary of 12.0 s
  events     3 commits by the app, 1 refused
  copies     2 written, 0 updated, 0 removed                                pickup   p50 4.0 ms, max 9.0 ms
  reminders  2 sent, 1 skipped
  pushes     3 to 2 devices, 3 receipts                                     lateness p50 2.0 ms, max 3.0 ms
  lost       0     doubled 0     late > 1 s 0     violations 0

✓ Verdict: good. Every copy and every push that was due came, once, within a second.
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	sum.verdict.Lost = []string{"push of Soccer to a, due 12:00:00"}
	out.text.Reset()
	newFace(Config{Out: &out}).conclude(sum)
	if text := out.String(); !strings.Contains(text, "lost       1 ") || !strings.Contains(text, "✗ lost: push of Soccer to a") || !strings.Contains(text, "Verdict: bad") {
		t.Error(text)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0.0 ms", 840 * time.Microsecond: "0.8 ms", 9960 * time.Microsecond: "10 ms", 13400 * time.Microsecond: "13 ms",
		999600 * time.Microsecond: "1.0 s", 1240 * time.Millisecond: "1.2 s", 61 * time.Second: "1m1s",
	} {
		if got := short(d); got != want {
			t.Errorf("short(%v) = %q, want %q", d, got, want)
		}
	}
	for _, c := range []struct {
		t    time.Time
		want string
	}{{noon, "12:00:00"}, {noon.AddDate(0, 0, 1), "Tue 5 Mar 12:00:00"}, {time.Time{}, "at no time"}} {
		if got := clock(c.t, noon); got != c.want {
			t.Errorf("clock(%v) = %q, want %q", c.t, got, c.want)
		}
	}
	for s, want := range map[string]string{
		"": "", "Soccer": "Soccer", "Soccer practice": "Soccer pr…", "a\x1b[31mb\n": "a [31mb", "ÄÖÜäöüßÄÖÜäöüß": "ÄÖÜäöüßÄÖ…",
		strings.Repeat("ü", 100): "üüüüüüüüü…", "\xff": "",
	} {
		if got := tidy(s, 10); got != want {
			t.Errorf("tidy(%q) = %q, want %q", s, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 copies", 1: "1 copy", 2: "2 copies"} {
		if got := plural(n, "copy"); got != want {
			t.Errorf("plural(%d) = %q, want %q", n, got, want)
		}
	}
}
