package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

//go:embed templates
var templates embed.FS

// parsePages returns the templates of all pages by name, each with the frame around it. Times are shown in a zone.
func parsePages(zone *time.Location) map[string]*template.Template {
	frame := template.Must(template.New("frame.html").Funcs(functions(zone)).ParseFS(templates, "templates/frame.html"))
	all := map[string]*template.Template{}
	for _, name := range []string{"overview", "story", "failures", "connections", "devices", "system", "message"} {
		all[name] = template.Must(template.Must(frame.Clone()).ParseFS(templates, "templates/"+name+".html"))
	}
	return all
}

func functions(zone *time.Location) template.FuncMap {
	return template.FuncMap{
		"ago":      func(at, now time.Time) moment { return moment{at.In(zone), now.In(zone), false} },
		"clock":    func(at, now time.Time) moment { return moment{at.In(zone), now.In(zone), true} },
		"exact":    exact,
		"hhmm":     func(at time.Time) string { return at.In(zone).Format("15:04") },
		"zone":     zone.String,
		"period":   func(seconds float64) string { return period(time.Duration(seconds * float64(time.Second))) },
		"ms":       func(ms int64) string { return period(time.Duration(ms) * time.Millisecond) },
		"lead":     func(seconds int) string { return period(time.Duration(seconds) * time.Second) },
		"rate":     rate,
		"short":    func(id uuid.UUID) string { return id.String()[:8] },
		"grouped":  grouped,
		"words":    func(name string) string { return strings.ReplaceAll(name, "_", " ") },
		"stage":    func(s Stage) stageWords { return wordsOf[s.Name] },
		"hourly":   func(s Series) chart { return draw("day", "The next 24 hours", "hour", s, 3) },
		"minutely": func(s Series) chart { return draw("hour", "The next hour", "minute", s, 10) },
	}
}

// rate is so many a minute.
func rate(perMinute float64) string {
	switch {
	case perMinute == 0:
		return "0"
	case perMinute < 1:
		return "< 1"
	case perMinute < 10:
		return fmt.Sprintf("%.1f", perMinute)
	}
	return grouped(int(perMinute + 0.5))
}

// stageWords are what a stage is called, and what its figures count.
type stageWords struct{ Title, What, Waiting, None, Done string }

var wordsOf = map[string]stageWords{
	StageChanges:   {"Changes", "commits of the app, as the database announces them", "", "", "heard"},
	StageQueue:     {"Queue", "events whose reminders are to be planned", "to plan", "nothing to plan", "served"},
	StageGoogle:    {"Google", "copies that are to be written or removed", "waiting for Google", "nothing waits", "written"},
	StageReminders: {"Reminders", "reminders that wait for their time", "in the next 24 hours", "none in 24 hours", "fired"},
	StagePush:      {"Push", "reminders that are due, and are to be sent to Expo", "due", "nothing is due", "pushed"},
	StageReceipts:  {"Receipts", "pushes of which Expo is still to be asked what became of them", "open", "none is open", "settled"},
}

// moment is a time as it is shown: in relation to now, or as a clock shows it; the exact one on hover.
type moment struct {
	At, Now time.Time
	Clock   bool
}

// Exact is for machines.
func (m moment) Exact() string { return exact(m.At) }

func exact(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

// Title is the exact time for people.
func (m moment) Title() string { return m.At.Format("Mon 2 Jan 2006, 15:04:05.000 MST") }

// Text is 3 min ago, in 2 h, or now; or the time of day, with the day where it is another.
func (m moment) Text() string {
	d := m.At.Sub(m.Now)
	if m.Clock {
		switch {
		case m.At.Format(time.DateOnly) == m.Now.Format(time.DateOnly):
			return m.At.Format("15:04:05")
		case d.Abs() < 300*24*time.Hour:
			return m.At.Format("2 Jan 15:04:05")
		}
		return m.At.Format("2 Jan 2006 15:04")
	}
	switch {
	case d.Abs() < time.Second:
		return "now"
	case d > 0:
		return "in " + whole(d)
	}
	return whole(-d) + " ago"
}

// whole is a period without fractions, which would only flicker.
func whole(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return period(d)
}

// view is what every page is rendered from.
type view struct {
	Name      string // of the page
	Texts     bool
	Mutable   bool
	Password  bool // there is one, so that what is read-only is so for another reason
	Now       time.Time
	Readiness Readiness
	Path      string // of this page, without people's words
	Done      string // what was done, after a change
	Data      any
}

// Toggle leads to the same page with people's words, or without.
func (v view) Toggle() string {
	if v.Texts {
		return v.Path
	}
	return v.Path + "?show=texts"
}

// Stream is where newer frames come from.
func (v view) Stream() string {
	if v.Texts {
		return "/live?show=texts"
	}
	return "/live"
}

func (p *Page) view(name string, texts bool, data any) view {
	return view{
		Name: name, Texts: texts, Mutable: p.mutable(), Password: p.cfg.Password != "", Now: time.Now(), Readiness: p.source.Readiness(), Data: data,
	}
}

func (p *Page) render(w http.ResponseWriter, r *http.Request, name string, data any) {
	p.renderWith(w, r, http.StatusOK, name, data)
}

func (p *Page) renderWith(w http.ResponseWriter, r *http.Request, code int, name string, data any) {
	v := p.view(name, showsTexts(r), data)
	v.Path, v.Done = r.URL.EscapedPath(), doneWords(r.URL.Query())
	var b bytes.Buffer
	if err := p.pages[name].ExecuteTemplate(&b, "frame.html", v); err != nil {
		p.log.Error().Err(err).Str("page", name).Msg("live page not rendered")
		http.Error(w, "this page cannot be rendered: look at the log of the worker", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes()) // a client that left needs no answer
}

// sorry says to people what is wrong, with the way back around it; to programs as JSON.
func (p *Page) sorry(w http.ResponseWriter, r *http.Request, code int, text string) {
	if isAPI(r) {
		p.fail(w, r, code, text)
		return
	}
	p.renderWith(w, r, code, "message", struct{ Title, Text string }{http.StatusText(code), text})
}

// doneWords are what a change has come to. It is told in numbers and fixed words, so that a link cannot put others here.
func doneWords(q url.Values) string {
	n := func(name string) int {
		var n int
		if _, err := fmt.Sscanf(q.Get(name), "%d", &n); err != nil {
			return 0
		}
		return min(max(n, 0), 1_000_000_000)
	}
	switch q.Get("done") {
	case "retry":
		parts := []string{dueAgain(n("events"), n("reminders"))}
		if late := n("late"); late > 0 {
			parts = append(parts, count(late, "reminder")+" came too late: the event has begun")
		}
		if same := n("same"); same > 0 {
			parts = append(parts, grouped(same)+" had not failed, or were being served")
		}
		if none := n("unknown"); none > 0 {
			parts = append(parts, grouped(none)+" are gone")
		}
		if n("more") > 0 {
			parts = append(parts, "there are more than could be done in this time: retry again")
		}
		return strings.Join(parts, "; ") + "."
	case "pause-calendar":
		return "No worker calls Google any more, until it is resumed."
	case "pause-push":
		return "No worker sends pushes any more, until it is resumed."
	case "resume-calendar":
		return "Copies are written again."
	case "resume-push":
		return "Pushes are sent again."
	}
	return ""
}

// dueAgain says how many rows are.
func dueAgain(events, reminders int) string {
	switch {
	case events+reminders == 0:
		return "Nothing was to be tried again"
	case reminders == 0:
		return count(events, "event") + " due again"
	case events == 0:
		return count(reminders, "reminder") + " due again"
	}
	return count(events, "event") + " and " + count(reminders, "reminder") + " due again"
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(n) + " " + what + "s"
}
