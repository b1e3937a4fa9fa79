package audit

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is what audits tell Prometheus. Every series exists from the start.
type Metrics struct {
	findings, repaired *prometheus.CounterVec
	rounds             prometheus.Counter
	lastRound          prometheus.Gauge
	failed             prometheus.Counter
}

// NewMetrics registers the metrics with reg; with a nil reg they are counted and shown nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reminder_worker_audit_findings_total", Help: "What audits have found out of step, by kind; none in a healthy system, but for the user's own doing.",
		}, []string{"kind"}),
		repaired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reminder_worker_audit_repairs_total", Help: "Findings of audits whose repair was set going, by kind.",
		}, []string{"kind"}),
		rounds: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reminder_worker_audit_rounds_total", Help: "Rounds of the audit in the background that this worker has ended.",
		}),
		lastRound: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "reminder_worker_audit_last_round_timestamp_seconds", Help: "When this worker last ended a round of the audit in the background; 0: not yet.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reminder_worker_audit_errors_total", Help: "Steps of the audit in the background that failed and are made again.",
		}),
	}
	for _, k := range Kinds() {
		m.findings.WithLabelValues(string(k))
		m.repaired.WithLabelValues(string(k))
	}
	if reg != nil {
		reg.MustRegister(m.findings, m.repaired, m.rounds, m.lastRound, m.failed)
	}
	return m
}

func (m *Metrics) observe(findings []Finding) {
	for _, f := range findings {
		m.findings.WithLabelValues(string(f.Kind)).Inc()
		if f.Repaired {
			m.repaired.WithLabelValues(string(f.Kind)).Inc()
		}
	}
}
