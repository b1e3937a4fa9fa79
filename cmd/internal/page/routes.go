package page

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

//go:embed assets
var assets embed.FS

// routes are the pages for people, and under /api/v1 the same for programs.
func (p *Page) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.showOverview)
	mux.HandleFunc("GET /events", p.find)
	mux.HandleFunc("GET /events/{id}", p.showStory)
	mux.HandleFunc("GET /failures", p.showFailures)
	mux.HandleFunc("GET /connections", show(p, "connections", &p.connections, Connections.stale))
	mux.HandleFunc("GET /devices", show(p, "devices", &p.devices, Devices.stale))
	mux.HandleFunc("GET /system", show(p, "system", &p.system, System.stale))
	mux.HandleFunc("GET /live", p.live)
	mux.HandleFunc("GET /assets/{name}", p.asset)
	for _, what := range []string{"retry", "pause", "resume"} {
		mux.HandleFunc("POST /"+what, p.changing(p.formed(what)))
		mux.HandleFunc("POST /api/v1/"+what, p.changing(p.asked(what)))
	}
	mux.HandleFunc("GET /api/v1/overview", func(w http.ResponseWriter, r *http.Request) {
		o := p.look(r.Context())
		if !showsTexts(r) {
			o = o.withoutTexts()
		}
		p.writeJSON(w, http.StatusOK, o)
	})
	mux.HandleFunc("GET /api/v1/events/{id}", p.tellStory)
	mux.HandleFunc("GET /api/v1/failures", p.tellFailures)
	mux.HandleFunc("GET /api/v1/connections", tell(p, &p.connections, Connections.stale))
	mux.HandleFunc("GET /api/v1/devices", tell(p, &p.devices, Devices.stale))
	mux.HandleFunc("GET /api/v1/system", tell(p, &p.system, System.stale))
	return p.answered(mux)
}

// answered has what no route takes refused in words.
func (p *Page) answered(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		other := r.Clone(r.Context())
		other.Method = http.MethodGet
		allowed := ""
		if _, pattern := mux.Handler(other); pattern != "" {
			allowed = "GET, HEAD"
		}
		other.Method = http.MethodPost
		if _, pattern := mux.Handler(other); pattern != "" {
			allowed = "POST"
		}
		if allowed != "" {
			w.Header().Set("Allow", allowed)
			p.sorry(w, r, http.StatusMethodNotAllowed, "This address takes "+allowed+".")
			return
		}
		p.sorry(w, r, http.StatusNotFound, "There is nothing at this address.")
	})
}

// showsTexts reports whether people's words were asked for.
func showsTexts(r *http.Request) bool { return r.URL.Query().Get("show") == "texts" }

// isAPI tells a program from a person.
func isAPI(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/live"
}

// asset answers one of the files that come with the page. Another version may bring another one under its name, so it is
// asked for anew with each page.
func (p *Page) asset(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.PathValue("name"))
	content, err := fs.ReadFile(assets, "assets/"+name)
	if err != nil {
		p.sorry(w, r, http.StatusNotFound, "There is nothing at this address.")
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content) // a client that left needs no answer
}

// show returns a handler that renders a view.
func show[T any](p *Page, name string, c *cell[T], stale func(T, error) T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, old, err := c.get(r.Context())
		if err != nil {
			p.unread(w, r, err)
			return
		}
		p.render(w, r, name, stale(v, old))
	}
}

// tell returns a handler that answers a view as JSON.
func tell[T any](p *Page, c *cell[T], stale func(T, error) T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, old, err := c.get(r.Context())
		if err != nil {
			p.unread(w, r, err)
			return
		}
		p.writeJSON(w, http.StatusOK, stale(v, old))
	}
}

// look is the overview, which is shown whatever can be read of it.
func (p *Page) look(ctx context.Context) Overview {
	o, old, err := p.overview.get(ctx)
	o.Readiness = p.source.Readiness()
	if why := errors.Join(old, err); why != nil {
		o.Stale = why.Error()
	}
	return o
}

func (p *Page) showOverview(w http.ResponseWriter, r *http.Request) {
	o := p.look(r.Context())
	if !showsTexts(r) {
		o = o.withoutTexts()
	}
	p.render(w, r, "overview", o)
}

// find leads from the id in a form to its story.
func (p *Page) find(w http.ResponseWriter, r *http.Request) {
	id, err := uuid.Parse(strings.TrimSpace(r.URL.Query().Get("id")))
	if err != nil {
		p.sorry(w, r, http.StatusNotFound, "That is no id of an event or a reminder: one looks like 0b5f693a-d1e1-4b0c-9d3e-6e97c90ada80.")
		return
	}
	http.Redirect(w, r, "/events/"+id.String(), http.StatusSeeOther) //nolint:gosec // G710: a path of ours with a UUID
}

// story reads the one that the path names; without one the request has been answered.
func (p *Page) story(w http.ResponseWriter, r *http.Request) (Story, bool) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil {
		p.sorry(w, r, http.StatusNotFound, "That is no id of an event or a reminder: one looks like 0b5f693a-d1e1-4b0c-9d3e-6e97c90ada80.")
		return Story{}, false
	}
	ctx, cancel := context.WithTimeout(r.Context(), p.cfg.ReadTimeout)
	defer cancel()
	s, err := p.source.Story(ctx, id)
	switch {
	case errors.Is(err, ErrUnknown):
		p.sorry(w, r, http.StatusNotFound, "Nothing is known of "+id.String()+": neither an event nor a reminder has this id, or what had it was deleted and its copy is gone.")
		return Story{}, false
	case err != nil:
		p.unread(w, r, err)
		return Story{}, false
	}
	s.Moments = s.timeline()
	if !showsTexts(r) {
		s = s.withoutTexts()
	}
	return s, true
}

func (p *Page) showStory(w http.ResponseWriter, r *http.Request) {
	if s, ok := p.story(w, r); ok {
		p.render(w, r, "story", s)
	}
}

func (p *Page) tellStory(w http.ResponseWriter, r *http.Request) {
	if s, ok := p.story(w, r); ok {
		p.writeJSON(w, http.StatusOK, s)
	}
}

// failed reads what has; without it the request has been answered.
func (p *Page) failed(w http.ResponseWriter, r *http.Request) (Failures, bool) {
	f, old, err := p.failures.get(r.Context())
	if err != nil {
		p.unread(w, r, err)
		return Failures{}, false
	}
	if f = f.stale(old); !showsTexts(r) {
		f = f.withoutTexts()
	}
	return f, true
}

func (p *Page) showFailures(w http.ResponseWriter, r *http.Request) {
	if f, ok := p.failed(w, r); ok {
		p.render(w, r, "failures", f)
	}
}

func (p *Page) tellFailures(w http.ResponseWriter, r *http.Request) {
	if f, ok := p.failed(w, r); ok {
		p.writeJSON(w, http.StatusOK, f)
	}
}

// unread says why there is nothing to show.
func (p *Page) unread(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody waits for it
	}
	p.sorry(w, r, http.StatusServiceUnavailable, "This cannot be read at the moment: "+err.Error())
}

// fail answers with words.
func (p *Page) fail(w http.ResponseWriter, r *http.Request, code int, text string) {
	if isAPI(r) {
		p.writeJSON(w, code, map[string]string{"error": text})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text + "\n")) // a client that left needs no answer
}

func (p *Page) writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		p.log.Debug().Err(err).Msg("answer was not read to its end")
	}
}
