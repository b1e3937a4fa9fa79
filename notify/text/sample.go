package text

import (
	"fmt"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"
)

// maxFixed is how many characters a title or a body may have when a family wrote nothing.
const maxFixed = 1000

// sample is a made-up reminder, and what it is called in a fault.
type sample struct {
	name   string
	facts  Facts
	twelve bool
}

// samples take a template along its paths: what is there and what is not, every month and weekday, every kind of time.
func samples() []sample {
	start := time.Date(2026, 1, 1, 16, 0, 0, 0, time.UTC)
	full := Facts{Title: "Soccer", Child: "Leo", Location: "Field 3", Bring: []string{"cleats", "water"}, Start: start, Now: start}
	long := full
	for _, s := range []*string{&long.Title, &long.Child, &long.Location} {
		*s = strings.Repeat("ä", 300)
	}
	long.Bring = []string{long.Title}
	all := []sample{
		{name: "everything is there", facts: full},
		{name: "all values are long", facts: long},
		{name: "there is only a time", facts: Facts{Start: start, Now: start}},
		{name: "there is only a title", facts: Facts{Title: "Soccer"}},
		{name: "there is nothing"},
	}
	for i := range monthCount {
		for j, ahead := range []int{0, 1, 5, 400} { // today, tomorrow, later, in another year
			f := full
			f.Start = start.AddDate(0, 0, 31*i)
			f.Now = f.Start.AddDate(0, 0, -ahead)
			f.AllDay = (i+j)%3 == 0
			name := fmt.Sprintf("the event is on %s, seen on %s", f.Start.Format(time.DateOnly), f.Now.Format(time.DateOnly))
			all = append(all, sample{name: name, facts: f, twelve: (i+j)%2 == 0})
		}
	}
	return all
}

// trial renders samples and notes each fault once, however many languages and samples it shows in.
type trial struct {
	*builder
	scratch
	seen map[string]bool
}

// try renders every sample in every language that is complete.
func (b *builder) try(c *Catalog) {
	t := &trial{builder: b, seen: map[string]bool{}}
	all := samples()
	for _, tag := range c.tags {
		l := c.locales[tag.String()]
		if w := l.words; len(w.weekdays) != weekdayCount || len(w.months) != monthCount {
			continue // noted already
		}
		for i := range all {
			t.render(l, &all[i])
		}
		if l.body != nil && !t.known(l.body, "speaks") {
			t.wrong(l.body, "the body is empty, whatever the event")
		}
	}
}

func (t *trial) render(l *locale, s *sample) {
	empty := s.facts.Title+s.facts.Child == ""
	t.values(&s.facts)
	t.time(l.words, &s.facts, s.twelve)
	if !s.facts.Start.IsZero() {
		t.view.When, _ = t.block(l.when, s, " ", empty)
	}
	if title, ok := t.block(l.title, s, " ", empty); ok && title == "" {
		t.wrong(l.title, "the title is empty when %s: begin with {{or .Title .Words.Reminder}}", s.name)
	}
	if body, ok := t.block(l.body, s, " · ", empty); l.body != nil && (!ok || body != "") {
		t.known(l.body, "speaks")
	}
}

// block renders one and judges what any of them must keep to.
func (t *trial) block(tmpl *template.Template, s *sample, between string, empty bool) (text string, ok bool) {
	if tmpl == nil {
		return "", false
	}
	text, err := t.run(tmpl, between)
	switch n := utf8.RuneCountInString(text); {
	case err != nil:
		if f := t.blocks[tmpl.Name()].file; !t.known(tmpl, "error") {
			f.fromTemplate(fmt.Errorf("%w (when %s)", err, s.name))
		}
		return "", false
	case t.out.full:
		t.wrong(tmpl, "it writes more than %d bytes when %s: no push has room for that", maxOutput, s.name)
		return "", false
	case empty && n > maxFixed:
		t.wrong(tmpl, "it has more than %d characters of its own: no device shows so many", maxFixed)
		return "", false
	}
	return text, true
}

// wrong notes the first fault of a kind that a block has.
func (t *trial) wrong(tmpl *template.Template, format string, args ...any) {
	if b := t.blocks[tmpl.Name()]; !t.known(tmpl, format) {
		b.file.fault(int(b.tree.Root.Position()), b.name+": "+format, args...)
	}
}

// known reports whether something was noted of a block before, and notes it.
func (t *trial) known(tmpl *template.Template, kind string) bool {
	key := tmpl.Name() + "\x00" + kind
	defer func() { t.seen[key] = true }()
	return t.seen[key]
}
