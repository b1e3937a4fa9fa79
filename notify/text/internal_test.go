package text

import (
	"testing"
	"text/template"
	"time"
)

// TestLastResort: when the built-in texts fail too, by a panic even, English without a template is left.
func TestLastResort(t *testing.T) {
	t.Parallel()
	broken := template.Must(template.New("").Funcs(template.FuncMap{"fall": func() string { panic("fell") }}).Parse("{{fall}}"))
	good := Default().home.locale
	start := time.Date(2026, 11, 24, 16, 0, 0, 0, time.UTC)
	silent := template.Must(template.New("").Parse(" "))
	for name, l := range map[string]*locale{
		"title":       {words: good.words, title: broken, body: good.body, when: good.when},
		"body":        {words: good.words, title: good.title, body: broken, when: good.when},
		"when":        {words: good.words, title: good.title, body: good.body, when: broken},
		"no title":    {words: good.words, title: silent, body: good.body, when: good.when},
		"no template": {words: good.words, title: new(template.Template), body: good.body, when: good.when},
		"no words":    {words: nil, title: good.title, body: good.body, when: good.when},
	} {
		c := &Catalog{home: reader{locale: l}}
		for _, tt := range []struct {
			facts       Facts
			title, body string
		}{
			{Facts{Title: " Soccer", Start: start}, "Soccer", "Tue 24 Nov 2026 16:00"},
			{Facts{Start: start, AllDay: true}, "Reminder", "Tue 24 Nov 2026"},
		} {
			if title, body := c.Render(tt.facts); title != tt.title || body != tt.body {
				t.Errorf("%s: %q, %q, want %q, %q", name, title, body, tt.title, tt.body)
			}
		}
		if n, last := c.Failures(); n != 2 || last == nil {
			t.Errorf("%s: %d failures, the last %v", name, n, last)
		}
	}
	c := &Catalog{home: reader{locale: &locale{words: good.words, title: broken}}}
	if title, body := c.Render(Facts{Message: "Call"}); title != "Reminder" || body != "Call" {
		t.Errorf("%q, %q", title, body)
	}
}

func TestTagsAreForgotten(t *testing.T) {
	t.Parallel()
	c, err := New("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	for a := 'a'; a <= 'z'; a++ {
		for b := 'a'; b <= 'z'; b++ {
			for _, language := range []string{"de", "fr", "xx"} {
				c.reader(language + "-" + string(a) + string(b))
			}
		}
	}
	if n := len(c.readers); n > maxReaders || n == 0 {
		t.Errorf("%d tags are remembered", n)
	}
}

// FuzzRead takes files apart on their own, which is much faster than with the built-in one.
func FuzzRead(f *testing.F) {
	f.Add(`{{define "body"}}{{if eq .Day "1"}}{{template "title" $}}{{else with .Words}}{{.Bring}}{{end}}{{end}}{{define "title"}}{{template "body" .}}{{end}}`)
	f.Add("{{define \"de.words\"}}\nclock 12 = PM 4:00\nmonths = a, b\n{{end}} x {{/* {{define \"x\"}} */}} {{define \"when\"}}{{(upper (or .Child \"a\\x00\"))")
	f.Fuzz(func(t *testing.T, source string) {
		b := newBuilder(read("fuzz.tmpl", source))
		for _, tag := range b.tags() {
			b.chain(tag, kindWords)
		}
		for name, block := range b.blocks {
			if tmpl := b.templates.Lookup(name); tmpl != nil && b.err() == nil {
				s := scratch{}
				s.time(Default().home.locale.words, &Facts{}, false)
				if _, err := s.run(tmpl, " "); err == nil && len(s.line) > maxOutput*4 {
					t.Errorf("%s wrote %d bytes", block.name, len(s.line))
				}
			}
		}
	})
}
