package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/cmd/internal/page"
)

const (
	// ratesEvery is the time between two looks at the counters, and ratesSpan how many looks a rate goes over: five minutes.
	ratesEvery = 10 * time.Second
	ratesSpan  = 30
)

// counters are those that tell how much each stage of the page does: a metric, and the values of its labels that count; none: all do.
var counters = map[string]struct {
	metric string
	labels []string
}{
	page.StageChanges:   {"reminder_worker_listener_heard_total", nil},
	page.StageQueue:     {"reminder_worker_events_total", []string{"synced", "scheduled", "failed", "cancelled"}},
	page.StageGoogle:    {"reminder_worker_calendar_writes_total", []string{"ok"}},
	page.StageReminders: {"reminder_worker_reminders_total", []string{"sending"}},
	page.StagePush:      {"reminder_worker_push_messages_total", []string{"ok"}},
	page.StageReceipts:  {"reminder_worker_push_receipts_total", nil},
}

// rates tell how much of everything this worker has done lately. They are read off its own counters, so they cost the database nothing.
type rates struct {
	from prometheus.Gatherer
	log  zerolog.Logger

	mu    sync.Mutex // guards looks
	looks []look     // the latest last
}

// look is what the counters stood at.
type look struct {
	at    time.Time
	stood map[string]float64 // by stage
}

func newRates(from prometheus.Gatherer, log zerolog.Logger) *rates {
	return &rates{from: from, log: log}
}

// run looks at the counters until ctx ends.
func (r *rates) run(ctx context.Context) {
	t := time.NewTicker(ratesEvery)
	defer t.Stop()
	for {
		r.note(r.look())
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (r *rates) look() look {
	all, err := r.from.Gather()
	if err != nil {
		r.log.Debug().Err(err).Msg("some counters not read") // the others are
	}
	l := look{time.Now(), map[string]float64{}}
	for stage, c := range counters {
		for _, family := range all {
			if family.GetName() != c.metric {
				continue
			}
			for _, m := range family.GetMetric() {
				counts := len(c.labels) == 0
				for _, label := range m.GetLabel() {
					counts = counts || slices.Contains(c.labels, label.GetValue())
				}
				if counts {
					l.stood[stage] += m.GetCounter().GetValue()
				}
			}
		}
	}
	return l
}

func (r *rates) note(l look) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.looks = append(r.looks, l); len(r.looks) > ratesSpan+1 {
		r.looks = slices.Delete(r.looks, 0, len(r.looks)-ratesSpan-1)
	}
}

// perMinute is how much a stage has done in a minute since the first of the looks; nil: it is too early to tell.
func (r *rates) perMinute(stage string) *float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.looks) < 2 {
		return nil
	}
	first, last := r.looks[0], r.looks[len(r.looks)-1]
	rate := (last.stood[stage] - first.stood[stage]) / last.at.Sub(first.at).Minutes()
	return &rate
}
