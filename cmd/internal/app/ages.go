package app

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/store"
)

// ages tell of work that is due and that nobody takes: rates do not show what is stuck. They are of the tables, so all workers tell the same. What
// is paused is read with them.
type ages struct {
	db     *store.Queries
	every  time.Duration
	pauses *pauses
	log    zerolog.Logger
	due    *prometheus.GaugeVec
}

// The longest and the shortest time between two looks: what is shown should not be older, and the database is not asked more often for it.
const (
	agesAtMost  = 30 * time.Second
	agesAtLeast = time.Second
)

// kindsOfWork are the labels of the ages.
var kindsOfWork = []string{"event", "copy", "removal", "reminder", "receipt"}

func newAges(db *store.Queries, sweep time.Duration, p *pauses, log zerolog.Logger, reg prometheus.Registerer) *ages {
	a := &ages{db: db, every: min(max(sweep, agesAtLeast), agesAtMost), pauses: p, log: log, due: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "reminder_worker_oldest_due_seconds",
		Help: "For how long the first of each kind of work has been due: events to plan, copies to write, removals of copies, reminders, receipts.",
	}, []string{"kind"})}
	for _, kind := range kindsOfWork {
		a.due.WithLabelValues(kind)
	}
	reg.MustRegister(a.due)
	return a
}

// run looks until ctx ends. What cannot be read is not known (NaN): other workers may know, and that the database is away is told elsewhere.
func (a *ages) run(ctx context.Context) {
	t := time.NewTicker(a.every)
	defer t.Stop()
	for {
		a.look(ctx)
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *ages) look(ctx context.Context) {
	var row store.OldestDueRow
	err := a.pauses.learn(func() (stand []Pause, err error) {
		row, err = a.db.OldestDue(ctx)
		for i, part := range row.Paused {
			stand = append(stand, Pause{Part: part, Since: row.PausedSince[i], Reason: row.PauseReasons[i]})
		}
		return stand, err
	})
	if err != nil {
		a.log.Debug().Err(err).Msg("ages of work not read")
		for _, kind := range kindsOfWork {
			a.due.WithLabelValues(kind).Set(math.NaN())
		}
		return
	}
	for i, age := range []float64{row.Event, row.Copy, row.Removal, row.Reminder, row.Receipt} {
		a.due.WithLabelValues(kindsOfWork[i]).Set(age)
	}
}
