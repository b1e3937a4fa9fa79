package text

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"text/template"
	"time"
)

// Facts are what there is to say about a reminder, and to whom.
type Facts struct {
	Title, Child, Location string
	Bring                  []string

	// Message is that of a reminder that the app wrote. It is the body, as it is; when empty, the catalogue makes one.
	Message string

	// Start is when the event begins, and Now when the push is sent, both in the reader's zone. A zero Start is not known.
	Start, Now time.Time

	// AllDay events have a date and no clock.
	AllDay bool

	// Locale is the reader's: a tag such as "de-AT", or empty.
	Locale string

	// HourCycle is "h12", "h24", or empty for what is usual where the reader lives.
	HourCycle string
}

// view is what a template sees of Facts. All of it is text, empty when there is nothing to say. Package template looks for a method before
// each field, one by one, so it has none, and what is used most comes first.
type view struct {
	Soon, Weekday, Day, Month, Year, Clock string
	When, Title, Child, Location, Bring    string
	Words                                  *words
	AllDay                                 string
}

// scratch is what one rendering needs and the next can use again.
type scratch struct {
	view view
	out  output
	line []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

var errNoTitle = errors.New("the title is empty")

// Render makes the title and the body of a push. It never fails: when a template does, the text is a plainer one.
func (c *Catalog) Render(f Facts) (title, body string) {
	r := c.reader(f.Locale)
	twelve, chosen := hourCycle(f.HourCycle)
	if !chosen {
		twelve = r.twelve
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	message := readable(f.Message)
	s.values(&f)
	for l := r.locale; l != nil; l = l.spare {
		title, body, err := s.render(l, &f, twelve, message)
		if err == nil {
			return title, body
		}
		c.failures.Add(1)
		c.lastFail.Store(&err)
	}
	return s.plain(&f, message)
}

// CutOff is the title and the body of the push that tells a user, of this locale, to connect Google Calendar again.
func (c *Catalog) CutOff(locale string) (title, body string) {
	w := c.reader(locale).locale.words
	return w.cutOff, w.connect
}

// release forgets what a family wrote.
func (s *scratch) release() {
	s.view = view{}
	scratches.Put(s)
}

// render outlives a panic of a template, because one reminder must not end the program.
func (s *scratch) render(l *locale, f *Facts, twelve bool, message string) (title, body string, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("render text: %v", cause)
		}
	}()
	s.time(l.words, f, twelve)
	if !f.Start.IsZero() {
		if s.view.When, err = s.run(l.when, " "); err != nil {
			return "", "", err
		}
	}
	if title, err = s.run(l.title, " "); err != nil {
		return "", "", err
	}
	if title == "" {
		return "", "", errNoTitle
	}
	if message != "" {
		return title, message, nil
	}
	body, err = s.run(l.body, " · ")
	return title, body, err
}

// run renders one block. What is longer than a template may write is cut, and that is no failure: no push could carry the rest.
func (s *scratch) run(t *template.Template, between string) (string, error) {
	s.out.reset()
	if err := t.Execute(&s.out, &s.view); err != nil && !s.out.full {
		return "", err
	}
	text := s.out.text
	if s.out.full {
		text = bytes.ToValidUTF8(text, nil) // the last character may be half of one
	}
	s.line = fold(s.line[:0], text, between)
	return string(s.line), nil
}

// values fills in what a family wrote.
func (s *scratch) values(f *Facts) {
	v := &s.view
	v.Title, v.Child, v.Location, v.Bring = clean(f.Title), clean(f.Child), clean(f.Location), list(f.Bring)
}

// time fills in what depends on the language.
func (s *scratch) time(w *words, f *Facts, twelve bool) {
	v := &s.view
	*v = view{Title: v.Title, Child: v.Child, Location: v.Location, Bring: v.Bring, Words: w}
	if f.AllDay {
		v.AllDay = w.AllDay
	}
	if f.Start.IsZero() {
		return
	}
	year, month, day := f.Start.Date()
	v.Weekday, v.Day, v.Month = w.weekday(f.Start.Weekday()), strconv.Itoa(day), w.month(month)
	switch daysAhead(f.Start, f.Now) {
	case 0:
		v.Soon = w.Today
	case 1:
		v.Soon = w.Tomorrow
	}
	if year != f.Now.Year() {
		v.Year = strconv.Itoa(year)
	}
	if !f.AllDay {
		v.Clock = w.timeOfDay(f.Start, twelve)
	}
}

// daysAhead counts midnights from now to start as the calendar has them, where days may have 23 or 25 hours.
func daysAhead(start, now time.Time) int64 { return date(start) - date(now) }

func date(t time.Time) int64 {
	year, month, day := t.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60)
}

// plain is the last resort, in English and without a template.
func (s *scratch) plain(f *Facts, message string) (title, body string) {
	title = s.view.Title
	if title == "" {
		title = "Reminder"
	}
	if message != "" || f.Start.IsZero() {
		return title, message
	}
	if f.AllDay {
		return title, f.Start.Format("Mon 2 Jan 2006")
	}
	return title, f.Start.Format("Mon 2 Jan 2006 15:04")
}
