package cleanup

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is what cleanups tell Prometheus. Every series exists from the start.
type Metrics struct {
	removed *prometheus.CounterVec
	ended   prometheus.Gauge
	took    prometheus.Gauge
	failed  prometheus.Counter
}

// NewMetrics registers the metrics with reg; with a nil reg they are counted and shown nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reminder_worker_cleanup_rows_total",
			Help: "Old rows that this worker has removed, by kind; refused: those that the database would not part with.",
		}, []string{"kind"}),
		ended: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "reminder_worker_cleanup_last_success_timestamp_seconds",
			Help: "When a cleanup of this database last came to its end, whoever did it; 0: none has.",
		}),
		took: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "reminder_worker_cleanup_last_duration_seconds", Help: "How long that cleanup took, its pauses included.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reminder_worker_cleanup_errors_total", Help: "Attempts of this worker that the database has ended; another goes on from there.",
		}),
	}
	for _, kind := range Kinds() {
		m.removed.WithLabelValues(kind)
	}
	if reg != nil {
		reg.MustRegister(m.removed, m.ended, m.took, m.failed)
	}
	return m
}

func (m *Metrics) count(c Counts) {
	for _, kind := range Kinds() {
		m.removed.WithLabelValues(kind).Add(float64(c.Of(kind)))
	}
}

// last shows when a cleanup ended; before 1970 is never.
func (m *Metrics) last(ended time.Time, tookMs int64) {
	m.ended.Set(max(0, float64(ended.UnixMilli())/1000))
	m.took.Set(float64(tookMs) / 1000)
}
