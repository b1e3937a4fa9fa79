package reconcile

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
)

// Metrics is what reconciling tells Prometheus. Every series exists from the start.
type Metrics struct {
	events         *prometheus.CounterVec
	removals       *prometheus.CounterVec
	calls          *prometheus.CounterVec
	callSeconds    prometheus.Histogram
	pickup         prometheus.Histogram
	parked         prometheus.Counter
	sweepFound     prometheus.Counter
	unopened       prometheus.Counter
	databaseErrors prometheus.Counter
}

// NewMetrics registers the metrics with reg; with a nil reg they are counted and shown nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reminder_worker_events_total", Help: "Events served, by outcome.",
		}, []string{"outcome"}),
		removals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reminder_worker_copy_removals_total", Help: "Removals of copies from Google Calendar, by outcome.",
		}, []string{"outcome"}),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reminder_worker_calendar_writes_total", Help: "Writes of copies at Google, by operation and outcome.",
		}, []string{"op", "outcome"}),
		callSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "reminder_worker_calendar_write_duration_seconds", Help: "Time to write one copy, all its requests together.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
		pickup: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "reminder_worker_event_pickup_seconds", Help: "From the transaction that changed an event to the end of the claim that it is planned under.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 21),
		}),
		parked: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reminder_worker_accounts_parked_total", Help: "Accounts whose consent Google has ended: their users have to connect again.",
		}),
		sweepFound: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reminder_worker_sweep_found_total", Help: "Work that only the sweep found; none in a healthy system.",
			ConstLabels: prometheus.Labels{"kind": "event"},
		}),
		unopened: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reminder_worker_refresh_tokens_unreadable_total", Help: "Copies that wait because the key is not there which the refresh token is sealed with.",
		}),
		databaseErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reminder_worker_reconcile_database_errors_total", Help: "Statements of reconciling that failed and were repeated.",
		}),
	}
	for _, o := range []string{eventSynced, eventScheduled, eventFailed, eventCancelled, "retry", "released"} {
		m.events.WithLabelValues(o)
	}
	for _, o := range []string{"gone", "retry", "waiting", "released"} {
		m.removals.WithLabelValues(o)
	}
	for _, op := range []string{"upsert", "delete"} {
		m.calls.WithLabelValues(op, "ok")
		m.calls.WithLabelValues(op, "other")
		for k := gcal.Retry; k <= gcal.CalendarGone; k++ {
			m.calls.WithLabelValues(op, k.String())
		}
	}
	if reg != nil {
		reg.MustRegister(m.events, m.removals, m.calls, m.callSeconds, m.pickup, m.parked, m.sweepFound, m.unopened, m.databaseErrors)
	}
	return m
}

func (m *Metrics) observeCall(removal bool, err error, took time.Duration) {
	op, result := "upsert", "ok"
	if removal {
		op = "delete"
	}
	var ge *gcal.Error
	switch {
	case errors.As(err, &ge):
		result = ge.Kind.String()
	case err != nil:
		result = "other"
	}
	m.calls.WithLabelValues(op, result).Inc()
	m.callSeconds.Observe(took.Seconds())
}

// observePickup counts an event whose plan has been committed, unless it only was planned again: so each change counts once, however often its event was
// claimed and given back before.
func (m *Metrics) observePickup(row store.ClaimEventsRow) {
	if !row.Planned {
		m.pickup.Observe(row.WaitedMs / 1000)
	}
}

func (m *Metrics) observeOutcomes(batch []outcome) {
	for _, o := range batch {
		switch {
		case o.job.removal:
			m.removals.WithLabelValues(o.removalLabel()).Inc()
		case o.released:
			m.events.WithLabelValues("released").Inc()
		case o.status == eventPending:
			m.events.WithLabelValues("retry").Inc()
		default:
			m.events.WithLabelValues(o.status).Inc()
		}
	}
}

func (o outcome) removalLabel() string {
	switch {
	case o.gone:
		return "gone"
	case o.released:
		return "released"
	case o.retry < 0:
		return "waiting"
	default:
		return "retry"
	}
}
