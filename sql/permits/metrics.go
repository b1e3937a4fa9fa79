package permits

import "github.com/prometheus/client_golang/prometheus"

// Metrics is what taking permits tells Prometheus, by quota. One serves all limiters of a process.
type Metrics struct {
	granted   *prometheus.CounterVec
	forgotten *prometheus.CounterVec
	waited    *prometheus.CounterVec
	refused   *prometheus.CounterVec
}

// NewMetrics registers the metrics with reg; with a nil reg they are counted and shown nowhere. The series of a quota exist from the
// making of its limiter.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "reminder_worker_" + name, Help: help}, []string{"quota"})
	}
	m := &Metrics{
		granted:   counter("permits_granted_total", "Permits of a shared quota that this worker was granted."),
		forgotten: counter("permits_forgotten_total", "Granted permits that were not used in time."),
		waited:    counter("permits_wait_seconds_total", "Time spent waiting for permits, statements included."),
		refused:   counter("permits_refused_total", "Takes that could not be met in the time they had."),
	}
	if reg != nil {
		reg.MustRegister(m.granted, m.forgotten, m.waited, m.refused)
	}
	return m
}

// series are those of one quota.
type series struct{ granted, forgotten, waited, refused prometheus.Counter }

func (m *Metrics) of(quota string) series {
	return series{
		granted: m.granted.WithLabelValues(quota), forgotten: m.forgotten.WithLabelValues(quota),
		waited: m.waited.WithLabelValues(quota), refused: m.refused.WithLabelValues(quota),
	}
}
