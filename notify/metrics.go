package notify

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/sql/store"
)

// Metrics is what sending tells Prometheus. Every series exists from the start.
type Metrics struct {
	reg            prometheus.Registerer
	reminders      *prometheus.CounterVec
	pushes         *prometheus.CounterVec
	requests       *prometheus.CounterVec
	receipts       *prometheus.CounterVec
	notices        *prometheus.CounterVec
	requestSeconds prometheus.Histogram
	lateness       prometheus.Histogram
	sweepFound     prometheus.Counter
	databaseErrors prometheus.Counter
	clockOffset    prometheus.Gauge
	projectFaults  *prometheus.CounterVec
}

// NewMetrics registers the metrics with reg; with a nil reg they are counted and shown nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "reminder_worker_" + name, Help: help}, []string{"outcome"})
		for _, l := range labels {
			v.WithLabelValues(l)
		}
		return v
	}
	kinds := []string{"ok"}
	for k := expo.Retry; k <= expo.Late; k++ {
		kinds = append(kinds, k.String())
	}
	m := &Metrics{
		reg: reg,
		reminders: counters("reminders_total", "Reminders by what became of them; sending counts claims.",
			reminderSending, reminderSent, reminderFailed, reminderSkipped, outcomeRetry, outcomeRest, "deferred", "expired", "cancelled"),
		pushes:   counters("push_messages_total", "Messages to single devices, by ticket.", kinds...),
		requests: counters("push_requests_total", "Requests to Expo, by outcome.", kinds...),
		notices:  counters("notices_total", "Users to be told that access to their calendar has ended, by what became of it.", "told", "failed", "deferred", "retry"),
		receipts: counters("push_receipts_total", "Receipts settled, by verdict.", "delivered", "failed", "unknown", "retry"),
		projectFaults: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "reminder_worker_push_project_faults_total", Help: "Answers, tickets and receipts that blame our account or credentials, by code.",
		}, []string{"code"}),
		requestSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "reminder_worker_push_request_duration_seconds", Help: "Time of one request to Expo.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
		}),
		lateness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "reminder_worker_reminder_lateness_seconds", Help: "First push of a reminder minus its notify_at_ts, or the end of the quiet hours it falls into.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 22),
		}),
		sweepFound: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reminder_worker_sweep_found_total", Help: "Work that only the sweep found; none in a healthy system.",
			ConstLabels: prometheus.Labels{"kind": "reminder"},
		}),
		databaseErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "reminder_worker_notify_database_errors_total", Help: "Statements of sending that failed and were repeated.",
		}),
		clockOffset: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "reminder_worker_database_clock_offset_seconds", Help: "The database's clock minus ours.",
		}),
	}
	for _, code := range append([]string{otherFault}, faultCodes...) {
		m.projectFaults.WithLabelValues(code)
	}
	if reg != nil {
		reg.MustRegister(m.reminders, m.pushes, m.requests, m.receipts, m.notices, m.requestSeconds, m.lateness, m.sweepFound, m.databaseErrors, m.clockOffset, m.projectFaults)
	}
	return m
}

// observe shows the sizes of what s holds in memory.
func (m *Metrics) observe(s *Sender) {
	if m.reg == nil {
		return
	}
	gauge := func(name, help string, read func() float64) {
		m.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "reminder_worker_" + name, Help: help}, read))
	}
	m.reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "reminder_worker_text_failures_total", Help: "Texts of an operator's that failed, in whose place those of the program were sent.",
	}, func() float64 { n, _ := s.cfg.Texts.Failures(); return float64(n) }))
	gauge("wheel_entries", "Reminders waiting in the wheel.", func() float64 { return float64(s.wheel.Len()) })
	gauge("reminders_queued", "Due reminders waiting for a connection.", func() float64 { return float64(s.queue.len()) })
	gauge("push_paused_seconds", "For how much longer nothing is sent.", func() float64 {
		left, _ := s.pace.left()
		return left.Seconds()
	})
}

func (m *Metrics) countPush(p *push) {
	label := "ok"
	if p.ticket.Err != nil {
		label = p.ticket.Err.Kind.String()
	}
	m.pushes.WithLabelValues(label).Inc()
}

// What becomes of a reminder that is pending again: the next attempt is to come, or it rests since claims have ended with no result.
const (
	outcomeRetry = "retry"
	outcomeRest  = "rest"
)

func (m *Metrics) countReminder(v verdict, row store.ClaimRemindersRow, awaited time.Time) {
	label := v.status
	switch {
	case v.deferred:
		label = "deferred"
	case v.status == reminderPending:
		label = outcomeRetry
	}
	m.reminders.WithLabelValues(label).Inc()
	if v.status == reminderSent && !row.SentBefore {
		m.lateness.Observe(v.sentAt.Sub(awaited).Seconds())
	}
}

// faultCodes are the words for a fault of ours that are counted by themselves; all others are otherFault, so that a server cannot invent labels.
var faultCodes = []string{
	expo.CodeUnauthorized, expo.CodeInvalidBearer, expo.CodeInvalidCredentials, expo.CodeMismatchSenderID, expo.CodeDeveloperError,
}

const otherFault = "other"

func faultCode(e *expo.Error) string {
	if slices.Contains(faultCodes, e.Code) {
		return e.Code
	}
	return otherFault
}
