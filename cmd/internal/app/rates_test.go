package app

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/cmd/internal/page"
)

func TestRates(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	events := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "reminder_worker_events_total"}, []string{"outcome"})
	writes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "reminder_worker_calendar_writes_total"}, []string{"op", "outcome"})
	heard := prometheus.NewCounter(prometheus.CounterOpts{Name: "reminder_worker_listener_heard_total"})
	reg.MustRegister(events, writes, heard)
	r := newRates(reg, zerolog.Nop())
	began := time.Now()
	for i := range 3 * ratesSpan {
		events.WithLabelValues("synced").Add(2)
		events.WithLabelValues("retry").Add(100)
		writes.WithLabelValues("upsert", "ok").Inc()
		writes.WithLabelValues("delete", "ok").Inc()
		writes.WithLabelValues("upsert", "quota").Add(100)
		heard.Inc()
		if i == 0 && r.perMinute(page.StageQueue) != nil {
			t.Error("a rate after no look")
		}
		l := r.look()
		l.at = began.Add(time.Duration(i) * ratesEvery)
		r.note(l)
	}
	for stage, want := range map[string]float64{page.StageQueue: 12, page.StageGoogle: 12, page.StageChanges: 6, page.StagePush: 0} {
		if got := r.perMinute(stage); got == nil || *got < want-0.01 || *got > want+0.01 {
			t.Errorf("%s: %v a minute, want %v", stage, got, want)
		}
	}
	if len(r.looks) != ratesSpan+1 {
		t.Errorf("%d looks are kept", len(r.looks))
	}
}

// What the rates are read off is there.
func TestCountersOfRatesExist(t *testing.T) {
	t.Parallel()
	a, err := New(newWorld(t).cfg, ops.Build{}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	families, err := a.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, f := range families {
		there[f.GetName()] = true
	}
	for stage, c := range counters {
		if !there[c.metric] {
			t.Errorf("%s: there is no %s", stage, c.metric)
		}
	}
}
