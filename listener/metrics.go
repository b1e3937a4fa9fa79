package listener

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics is what the listener tells Prometheus. Every series exists from the
// start, so that an alert can tell zero from absent.
type Metrics struct {
	connected  prometheus.Gauge
	reconnects prometheus.Counter
	failures   prometheus.Counter
	heard      prometheus.Counter
	changes    *prometheus.CounterVec
	roundTrip  prometheus.Histogram
	lastChange prometheus.Gauge
	lastProof  prometheus.Gauge
	queueUsage prometheus.Gauge
	gaps       prometheus.Counter
	silences   prometheus.Counter
}

// NewMetrics registers the listener's metrics with reg. With a nil reg they are
// counted and shown nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	m := &Metrics{
		connected:  f.NewGauge(gaugeOpts("connected", "1 while the listener hears changes, proven by a round trip; else 0.")),
		reconnects: f.NewCounter(counterOpts("reconnects_total", "Times the listener began to hear again after it had stopped.")),
		failures:   f.NewCounter(counterOpts("failures_total", "Connections that were lost, and attempts that did not become one.")),
		heard:      f.NewCounter(counterOpts("heard_total", "Committed transactions heard, before folding.")),
		changes: f.NewCounterVec(counterOpts("changes_total", "Changes handed to the handler, by cause."),
			[]string{"cause"}),
		roundTrip: f.NewHistogram(prometheus.HistogramOpts{
			Namespace: "reminder_worker", Subsystem: "listener", Name: "round_trip_seconds",
			Help:    "Time from sending a proof of the path to seeing it arrive.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 11),
		}),
		lastChange: f.NewGauge(gaugeOpts("last_change_timestamp_seconds", "When a commit was last heard, 0 before the first.")),
		lastProof:  f.NewGauge(gaugeOpts("last_proof_timestamp_seconds", "When the path was last proven, 0 before the first.")),
		queueUsage: f.NewGauge(gaugeOpts("queue_usage_ratio", "How much of the server's queue of undelivered changes is in use, 0 to 1; when full, commits fail.")),
	}
	m.gaps = f.NewCounter(counterOpts("gaps_total", "Times commits may have gone unannounced while the listener believed to hear; each is followed by a backlog."))
	m.silences = f.NewCounter(counterOpts("silences_total", "Times so many commits were announced that the bell was silenced and the tables looked at instead."))
	for _, c := range causes {
		m.changes.WithLabelValues(c.String())
	}
	return m
}

func gaugeOpts(name, help string) prometheus.GaugeOpts {
	return prometheus.GaugeOpts{Namespace: "reminder_worker", Subsystem: "listener", Name: name, Help: help}
}

func counterOpts(name, help string) prometheus.CounterOpts {
	return prometheus.CounterOpts{Namespace: "reminder_worker", Subsystem: "listener", Name: name, Help: help}
}

// seconds is a time as Prometheus wants it.
func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
