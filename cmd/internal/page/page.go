package page

import (
	"context"
	"html/template"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Page answers people and programs about the worker. Make it with [New]; it is an [http.Handler] from then on, and its
// streams are fed while [Page.Run] runs.
type Page struct {
	cfg     Config
	source  Source
	actions Actions // nil: nothing can be changed
	log     zerolog.Logger
	metrics metrics
	trials  trials
	handler http.Handler
	hub     hub
	pages   map[string]*template.Template

	overview    cell[Overview]
	failures    cell[Failures]
	connections cell[Connections]
	devices     cell[Devices]
	system      cell[System]
}

// New returns a page and registers its metrics with reg. Without actions, or without a password, it is for reading only.
func New(cfg Config, source Source, actions Actions, reg prometheus.Registerer, log zerolog.Logger) (*Page, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Page{cfg: cfg, source: source, actions: actions, log: log.With().Str("component", "page").Logger()}
	p.overview = newCell(cfg, p.readOverview)
	p.failures = newCell(cfg, source.Failures)
	p.connections = newCell(cfg, source.Connections)
	p.devices = newCell(cfg, source.Devices)
	p.system = newCell(cfg, source.System)
	p.hub.init(cfg.MaxStreams)
	p.pages = parsePages(cfg.Zone)
	p.metrics = newMetrics(reg, p.hub.count)
	p.handler = p.guarded(p.routes())
	return p, nil
}

// ServeHTTP implements [http.Handler].
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// Run feeds the streams until ctx ends, then ends them. Nothing is read while there are none.
func (p *Page) Run(ctx context.Context) {
	defer p.hub.close()
	t := time.NewTicker(p.cfg.Interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.hub.joined:
			t.Reset(p.cfg.Interval)
		case <-t.C:
		}
		if p.hub.count() == 0 {
			continue
		}
		p.hub.publish(p.frame(ctx))
	}
}

// mutable reports whether anything can be changed here.
func (p *Page) mutable() bool { return p.actions != nil && p.cfg.Password != "" }

// readOverview reads it with the readiness of the same moment.
func (p *Page) readOverview(ctx context.Context) (Overview, error) {
	o, err := p.source.Overview(ctx)
	o.Readiness = p.source.Readiness()
	return o, err
}

// metrics count who looks, and who was not let in.
type metrics struct{ refused *prometheus.CounterVec }

// The reasons of refusals, as labels.
const (
	refusedPassword = "password"
	refusedHost     = "host"
	refusedOrigin   = "origin"
	refusedAddress  = "address"
	refusedReadOnly = "read_only"
	refusedStreams  = "streams"
)

func newMetrics(reg prometheus.Registerer, streams func() int) metrics {
	m := metrics{refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "reminder_worker_page_refused_total", Help: "Requests of the live page that were refused, by reason.",
	}, []string{"reason"})}
	for _, reason := range []string{refusedPassword, refusedHost, refusedOrigin, refusedAddress, refusedReadOnly, refusedStreams} {
		m.refused.WithLabelValues(reason)
	}
	reg.MustRegister(m.refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "reminder_worker_page_streams", Help: "Windows that the live page keeps up to date.",
	}, func() float64 { return float64(streams()) }))
	return m
}
