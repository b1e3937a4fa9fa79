package wal

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics is what a source tells Prometheus.
type Metrics struct {
	lost    prometheus.Counter
	reports prometheus.Counter
	lag     prometheus.Gauge
}

// NewMetrics registers the metrics with reg. With a nil reg they are counted and
// shown nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	return &Metrics{
		lost: f.NewCounter(prometheus.CounterOpts{
			Namespace: "reminder_worker", Subsystem: "listener_wal", Name: "slots_lost_total",
			Help: "Permanent slots that the server had given up and that were made anew.",
		}),
		reports: f.NewCounter(prometheus.CounterOpts{
			Namespace: "reminder_worker", Subsystem: "listener_wal", Name: "status_updates_total",
			Help: "Times the server was told how far the log has been dealt with.",
		}),
		lag: f.NewGauge(prometheus.GaugeOpts{
			Namespace: "reminder_worker", Subsystem: "listener_wal", Name: "lag_bytes",
			Help: "How much log the server had read for this worker beyond what has been dealt with.",
		}),
	}
}
