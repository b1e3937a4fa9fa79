package text_test

import (
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/parentpal/reminder-worker/notify/text"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// TestDay names starts from many places and times.
func TestDay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ zone, start, now, want string }{
		{"Europe/Berlin", "2026-11-24T15:00:00Z", "2026-11-24T12:00:00Z", "Today 16:00"},
		{"Europe/Berlin", "2026-11-24T15:00:00Z", "2026-11-24T15:00:00Z", "Today 16:00"},
		{"Europe/Berlin", "2026-11-24T15:00:00Z", "2026-11-24T19:00:00Z", "Today 16:00"}, // has begun
		{"Europe/Berlin", "2026-11-24T15:00:00Z", "2026-11-23T15:00:00Z", "Tomorrow 16:00"},
		{"Europe/Berlin", "2026-11-24T15:00:00Z", "2026-11-22T15:00:00Z", "Tue 24 Nov 16:00"},
		{"Europe/Berlin", "2026-11-23T23:30:00Z", "2026-11-23T22:45:00Z", "Tomorrow 00:30"},
		{"UTC", "2026-11-23T23:30:00Z", "2026-11-23T22:45:00Z", "Today 23:30"},
		{"America/Los_Angeles", "2026-11-24T06:30:00Z", "2026-11-24T04:00:00Z", "Today 22:30"},
		{"Pacific/Auckland", "2026-11-23T11:30:00Z", "2026-11-23T10:00:00Z", "Tomorrow 00:30"},
		{"UTC", "2027-01-01T08:00:00Z", "2026-12-31T08:00:00Z", "Tomorrow 08:00"},
		{"UTC", "2027-01-02T08:00:00Z", "2026-12-31T08:00:00Z", "Sat 2 Jan 2027 08:00"},
		{"Europe/Berlin", "2027-03-28T10:00:00Z", "2027-03-27T22:30:00Z", "Tomorrow 12:00"},     // the night is an hour short
		{"Europe/Berlin", "2026-10-25T22:30:00Z", "2026-10-24T22:30:00Z", "Today 23:30"},        // a day of 25 hours
		{"America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-03T12:00:00Z", "Tomorrow 10:00"}, // a day that begins at one
		{"America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-03T03:30:00Z", "Tomorrow 10:00"}, // there is no half past midnight tomorrow
		{"UTC", "2026-11-23T08:00:00Z", "2026-11-24T08:00:00Z", "Mon 23 Nov 08:00"},
		{"UTC", "2026-11-24T08:00:00Z", "0001-01-01T00:00:00Z", "Tue 24 Nov 2026 08:00"},
	} {
		start, err1 := time.Parse(time.RFC3339, tt.start)
		now, err2 := time.Parse(time.RFC3339, tt.now)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		z := zone(t, tt.zone)
		if _, got := text.Default().Render(text.Facts{Start: start.In(z), Now: now.In(z)}); got != tt.want {
			t.Errorf("%s seen at %s in %s: %q, want %q", tt.start, tt.now, tt.zone, got, tt.want)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	one, all := noon.Add(time.Hour), []string{"cleats", "water"}
	for name, tt := range map[string]struct {
		facts       text.Facts
		title, body string
	}{
		"everything": {
			text.Facts{Title: "Soccer", Child: "Leo", Location: "Field 3", Bring: all, Start: one, Now: noon},
			"Soccer", "Today 13:00 · Leo · Field 3 · Bring: cleats, water",
		},
		"bare":                {text.Facts{Title: "Soccer", Start: one, Now: noon}, "Soccer", "Today 13:00"},
		"no time":             {text.Facts{Title: "Soccer", Child: "Leo", Now: noon}, "Soccer", "Leo"},
		"all day, today":      {text.Facts{AllDay: true, Start: noon, Now: noon}, "Reminder", "Today"},
		"all day, tomorrow":   {text.Facts{AllDay: true, Start: noon.AddDate(0, 0, 1), Now: noon}, "Reminder", "Tomorrow"},
		"the app's words":     {text.Facts{Title: "Soccer", Message: "Pack\n the bag ", Child: "Leo", Start: noon, Now: noon}, "Soccer", "Pack\n the bag "},
		"the app's, mute":     {text.Facts{Title: "Soccer", Start: noon, Now: noon}, "Soccer", "Today 12:00"},
		"no event":            {text.Facts{Message: "Call"}, "Reminder", "Call"},
		"nothing":             {text.Facts{}, "Reminder", ""},
		"white space":         {text.Facts{Title: " a \n\t b\u00a0", Child: "\r\n", Bring: []string{" ", "c\n d", ""}}, "a b", "Bring: c d"},
		"a template":          {text.Facts{Title: "{{.Child}}", Child: `{{template "body"}}`}, "{{.Child}}", `{{template "body"}}`},
		"control characters":  {text.Facts{Title: "\x00a\x1bb\x7f\u0085", Child: "\x00"}, "ab", ""},
		"broken UTF-8":        {text.Facts{Title: "a\xffb\xc3", Message: "c\xff\x00d"}, "ab", "cd"},
		"a real U+FFFD":       {text.Facts{Title: "a\ufffdb"}, "a\ufffdb", ""},
		"joined emoji":        {text.Facts{Title: "👨‍👩‍👧 שלום"}, "👨‍👩‍👧 שלום", ""},
		"a title of nothing":  {text.Facts{Title: "\x00 \n"}, "Reminder", ""},
		"a long title":        {text.Facts{Title: strings.Repeat("ä ", 3000)}, strings.TrimSpace(strings.Repeat("ä ", 1365)), ""},
		"a long untidy title": {text.Facts{Title: "\t" + strings.Repeat("ä  ", 3000)}, strings.TrimSpace(strings.Repeat("ä ", 1365)), ""},
	} {
		title, body := text.Default().Render(tt.facts)
		if title != tt.title || body != tt.body {
			t.Errorf("%s: %q, %q, want %q, %q", name, title, body, tt.title, tt.body)
		}
	}
	many := make([]string, 100_000)
	for i := range many {
		many[i] = "a long thing to bring"
	}
	if _, body := text.Default().Render(text.Facts{Bring: many}); len(body) > 5000 {
		t.Errorf("a body of %d bytes", len(body))
	}
}

// TestAsBefore: the English texts are those that were made before there were templates.
func TestAsBefore(t *testing.T) {
	t.Parallel()
	fold := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.RuneFrom([]rune("aä·{}. \t\n😀")), 0, 8, -1)
		f := text.Facts{
			Title: word.Draw(t, "title"), Child: word.Draw(t, "child"), Location: word.Draw(t, "location"),
			Bring: rapid.SliceOfN(word, 0, 4).Draw(t, "bring"), Now: noon.Add(time.Duration(rapid.Int64Range(0, 1<<55).Draw(t, "now"))),
		}
		f.Start = f.Now.Add(time.Duration(rapid.Int64Range(-int64(96*time.Hour), 1<<55).Draw(t, "ahead")))
		layout := "Mon 2 Jan 2006 15:04"
		switch {
		case f.Start.Format(time.DateOnly) == f.Now.Format(time.DateOnly):
			layout = "Today 15:04"
		case f.Start.Format(time.DateOnly) == f.Now.AddDate(0, 0, 1).Format(time.DateOnly):
			layout = "Tomorrow 15:04"
		case f.Start.Year() == f.Now.Year():
			layout = "Mon 2 Jan 15:04"
		}
		parts := []string{f.Start.Format(layout)}
		var bring []string
		for _, s := range f.Bring {
			if s = fold(s); s != "" {
				bring = append(bring, s)
			}
		}
		for _, s := range []string{fold(f.Child), fold(f.Location), fold(strings.Join(bring, ", "))} {
			if s != "" {
				parts = append(parts, s)
			}
		}
		if len(bring) > 0 {
			parts[len(parts)-1] = "Bring: " + parts[len(parts)-1]
		}
		wantTitle := fold(f.Title)
		if wantTitle == "" {
			wantTitle = "Reminder"
		}
		title, body := text.Default().Render(f)
		if want := strings.Join(parts, " · "); title != wantTitle || body != want {
			t.Fatalf("%q, %q, want %q, %q", title, body, wantTitle, want)
		}
	})
}

// TestManyReadersAtOnce renders while more tags come by than are remembered.
func TestManyReadersAtOnce(t *testing.T) {
	t.Parallel()
	c, err := text.New("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 1500 {
				tag := "de-" + string(rune('A'+j%26)) + string(rune('A'+j/26%26))
				if j%2 == i%2 {
					tag += "-1996"
				}
				title, body := c.Render(text.Facts{Child: tag, Start: noon, Now: noon, Locale: tag})
				if title != "Erinnerung" || body != "Heute um 12:00 · "+tag {
					t.Errorf("%q, %q for %s", title, body, tag)
					return
				}
			}
		})
	}
	wg.Wait()
}

func FuzzRender(f *testing.F) {
	f.Add("Soccer", "Leo", "Field 3", "cleats\nwater", "", int64(1_800_000_000), int64(1_799_900_000), false, "de-AT", "h12")
	f.Add("{{.Title}}", "\xff\x00", "\u202e", "", "Pack", int64(-1)<<40, int64(1)<<40, true, "en_US.UTF-8", "")
	catalogs := []*text.Catalog{text.Default()}
	if c, err := text.New("pt", picky, "picky.tmpl"); err == nil {
		catalogs = append(catalogs, c)
	}
	f.Fuzz(func(t *testing.T, title, child, location, bring, message string, start, now int64, allDay bool, locale, cycle string) {
		facts := text.Facts{
			Title: title, Child: child, Location: location, Bring: strings.Split(bring, "\n"), Message: message,
			Start: time.Unix(start, 0), Now: time.Unix(now, 0), AllDay: allDay, Locale: locale, HourCycle: cycle,
		}
		for _, c := range catalogs {
			gotTitle, gotBody := c.Render(facts)
			if gotTitle == "" || strings.ContainsAny(gotTitle, "\n\r\x00") || len(gotTitle) > 20<<10 {
				t.Errorf("title %q", gotTitle)
			}
			if message == "" && (strings.ContainsAny(gotBody, "\n\r\x00") || len(gotBody) > 20<<10) {
				t.Errorf("body %q", gotBody)
			}
			if !utf8.ValidString(gotTitle) || !utf8.ValidString(gotBody) {
				t.Errorf("no UTF-8: %q, %q", gotTitle, gotBody)
			}
		}
	})
}

// BenchmarkRender is what is spent on one push.
func BenchmarkRender(b *testing.B) {
	facts := text.Facts{
		Title: "Soccer", Child: "Leo", Location: "Field 3", Bring: []string{"cleats", "water"},
		Start: noon.Add(4 * time.Hour), Now: noon, Locale: "de-AT",
	}
	for name, ahead := range map[string]int{"today": 0, "date": 4} {
		f := facts
		f.Start = f.Start.AddDate(0, 0, ahead)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				text.Default().Render(f)
			}
		})
	}
}

// BenchmarkNew is what is spent on the start of the program.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := text.New("", picky, "picky.tmpl"); err != nil {
			b.Fatal(err)
		}
	}
}
