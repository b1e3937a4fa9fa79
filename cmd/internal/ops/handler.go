package ops

import (
	"encoding/json"
	"fmt"
	stdlog "log"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// reading are the methods that the routes of this package take.
const reading = "GET, HEAD"

// Handler returns all routes. A pattern with GET serves HEAD too. What is not here is the page's, if there is one.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", s.livez)
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.reg, promhttp.HandlerOpts{
		Registry:            s.reg,
		ErrorLog:            stdlog.New(errorLog{s.log}, "", 0),
		MaxRequestsInFlight: 4,
		Timeout:             s.cfg.WriteTimeout / 2,
	}))
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", reading)
			writeText(w, http.StatusMethodNotAllowed, "only "+reading+"\n")
		})
	}
	if s.cfg.Page != nil {
		mux.Handle("/", s.cfg.Page)
	}
	return guarded(mux)
}

// guarded sets what every answer has in common: nothing is kept, nothing is run.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
		next.ServeHTTP(w, r)
	})
}

// livez runs the probes as well, whatever they find: where a part holds its lock for ever there is no answer.
func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	Examine(s.checks)
	if s.cfg.Alive != nil {
		if err := s.cfg.Alive(); err != nil {
			writeText(w, http.StatusServiceUnavailable, fmt.Sprintf("failed\n%v\n", err))
			return
		}
	}
	writeText(w, http.StatusOK, "ok\n")
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	report := Examine(s.checks)
	code := http.StatusOK
	if report.Status == Failed {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Vary", "Accept")
	if wantsJSON(r) {
		s.writeJSON(w, code, report)
		return
	}
	writeText(w, code, report.text())
}

// wantsJSON tells a program from a person.
func wantsJSON(r *http.Request) bool {
	return r.URL.Query().Has("verbose") || strings.Contains(r.Header.Get("Accept"), "application/json")
}

func writeText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text)) // a client that left needs no answer
}

func (s *Server) writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		s.log.Debug().Err(err).Msg("readiness was not read to its end")
	}
}

// text is the report for a person: the verdict, then what is not ok.
func (r Report) text() string {
	var b strings.Builder
	fmt.Fprintln(&b, r.Status)
	for _, c := range r.Checks {
		if c.Status == OK {
			continue
		}
		fmt.Fprintf(&b, "%s: %s: %s\n", c.Name, c.Status, c.Reason)
		if c.Fix != "" {
			fmt.Fprintf(&b, "    fix: %s\n", c.Fix)
		}
	}
	return b.String()
}
