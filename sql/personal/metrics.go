package personal

import "github.com/prometheus/client_golang/prometheus"

// Metrics is what forgetting users tells Prometheus. Every series exists from the start.
type Metrics struct{ forgotten, failed prometheus.Counter }

// NewMetrics registers the metrics with reg; with a nil reg they are counted and shown nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reminder_worker_users_forgotten_total", Help: "Users whose last rows this worker has removed, as was asked.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reminder_worker_user_deletion_errors_total", Help: "Steps of forgetting a user that the database has refused or ended; they are made again.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.forgotten, m.failed)
	}
	return m
}
