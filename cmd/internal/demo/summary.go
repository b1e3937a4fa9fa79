package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// summary is what a demo comes to.
type summary struct {
	ran                                            time.Duration
	rows, refused                                  int
	written, updated, removed                      int
	pushes, phones, due                            int
	reminders                                      map[string]int // rows by status
	receipts                                       int            // pushes that the receipt says were delivered
	pickupP50, pickupMax, latenessP50, latenessMax time.Duration
	verdict                                        Verdict
}

func (s *stage) summarise(ctx context.Context, f facts, ran time.Duration) (summary, error) {
	sum := summary{ran: ran, verdict: judge(f), due: f.due(), reminders: map[string]int{}}
	s.tracker.mu.Lock()
	counts, late := maps.Clone(s.tracker.counts), slices.Clone(s.tracker.latenesses)
	s.tracker.mu.Unlock()
	sum.rows, sum.refused = counts[kindRow], counts[kindRefused]
	sum.written, sum.updated, sum.removed = counts[kindWritten], counts[kindUpdated], counts[kindRemoved]
	phones := map[string]bool{}
	for _, p := range f.pushes {
		phones[p.token] = true
	}
	sum.pushes, sum.phones = len(f.pushes), len(phones)
	took := make([]time.Duration, len(f.pickups))
	for i, p := range f.pickups {
		took[i] = p.took
	}
	sum.pickupP50, sum.pickupMax = spread(took)
	sum.latenessP50, sum.latenessMax = spread(late)
	return sum, s.countRows(ctx, &sum)
}

// words are the verdict in a sentence. What was stopped before anything was due has proven little.
func (s summary) words() string {
	switch {
	case !s.verdict.Good():
		return "Verdict: bad. See the lines above."
	case s.due > 0 || s.pushes > 0:
		return "Verdict: good. Every copy and every push that was due came, once, within a second."
	case s.written+s.updated+s.removed > 0:
		return "Verdict: good so far. Every copy came, once, within a second; no push was due yet."
	}
	return "Verdict: good so far. Nothing was due yet."
}

func (s *stage) countRows(ctx context.Context, sum *summary) error {
	rows, err := s.db.Query(ctx, `select status, count(*)::int from public.reminders group by status
		union all select 'receipts', count(*)::int from reminder_worker.deliveries where state = 'delivered'`)
	if err != nil {
		return fmt.Errorf("count reminders: %w", err)
	}
	var status string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&status, &n}, func() error {
		sum.reminders[status] += n
		return nil
	})
	if err != nil {
		return fmt.Errorf("count reminders: %w", err)
	}
	sum.receipts = sum.reminders["receipts"]
	delete(sum.reminders, "receipts")
	return nil
}

// spread returns the median and the largest, both zero of none.
func spread(d []time.Duration) (p50, largest time.Duration) {
	if len(d) == 0 {
		return 0, 0
	}
	slices.Sort(d)
	return d[(len(d)-1)/2], d[len(d)-1]
}
