package app

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/store"
)

// What is due and nobody takes shows, and nothing is told while the database cannot be asked.
func TestAgesShowWhatIsStuck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user()
	w.exec(`insert into events (user_id, title, start_ts) values ($1, 'Recital', now() + interval '1 day')`, user)
	w.exec(`update events set sync_due_at = now() - interval '1 hour'`)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) select id, user_id, now() - interval '2 hours', 'Pack the violin' from events`)
	reg := prometheus.NewRegistry()
	a := newAges(store.New(w.db), time.Hour, newPauses(store.New(w.db), nil, nil, zerolog.Nop(), reg), zerolog.Nop(), reg)
	if a.every != agesAtMost {
		t.Errorf("looks every %s", a.every)
	}
	shows := func(when string) {
		t.Helper()
		for kind, want := range map[string]float64{"event": 3600, "copy": 0, "removal": 0, "reminder": 7200, "receipt": 0} {
			if got := testutil.ToFloat64(a.due.WithLabelValues(kind)); got < want || got > want+1000 || want == 0 && got > 0 {
				t.Errorf("%s: %s due for %v s, want %v", when, kind, got, want)
			}
		}
	}
	a.look(t.Context())
	shows("due")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	a.look(gone)
	for _, kind := range kindsOfWork {
		if got := testutil.ToFloat64(a.due.WithLabelValues(kind)); !math.IsNaN(got) {
			t.Errorf("not asked: %s due for %v s", kind, got)
		}
	}
	a.look(t.Context())
	shows("asked again")
}
