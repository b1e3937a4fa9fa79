package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// A grant that is withdrawn costs one token request, whatever waits for it; nobody else is held up; the user is told once; and when they connect
// again all that waited is written, once.
func TestRevokedGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Lease = time.Minute // for as long a refusal is remembered, and a busy machine serves what was claimed before it
	const hers, others, each = 500, 100, 50
	her, phone := w.user()
	users := w.crowd(others)
	w.google.RevokeUser(her.String())
	w.google.ResetLog()
	w.exec(`insert into events (user_id, title, start_ts) select $1, 'Hers ' || n, now() + n * interval '1 hour' from generate_series(1, $2) n`, her, hers)
	w.exec(`insert into events (user_id, title, start_ts) select u, 'Theirs ' || n, now() + n * interval '1 hour' from unnest($1::uuid[]) u, generate_series(1, $2) n`, users, each)
	var workers []*App
	for range 2 {
		a, _ := w.start()
		workers = append(workers, a)
	}
	w.until("all at rest", func() bool { return one[int](w, `select count(*)::int from events where status = 'pending'`) == 0 })
	counts := func(user string, status string) int {
		return one[int](w, `select count(*)::int from events where (user_id = $1) = $2 and status = $3`, her, user == "hers", status)
	}
	if waits, done := counts("hers", "scheduled"), counts("others", "synced"); waits != hers || done != others*each {
		t.Errorf("%d of hers wait, want %d; %d of others' are written, want %d", waits, hers, done, others*each)
	}
	if n := one[int](w, `select max(sync_attempts) from events where user_id = $1`, her); n != 0 {
		t.Errorf("%d attempts were used", n)
	}
	if n := w.google.Count(gcalfake.OpToken, http.StatusBadRequest); n < 1 || n > 2 {
		t.Errorf("%d token requests of hers, want one for each of two workers at most", n)
	}
	if n := total(t, workers, "reminder_worker_accounts_parked_total"); n != 1 {
		t.Errorf("%v accounts were counted as parked", n)
	}
	if n := total(t, workers, "reminder_worker_event_pickup_seconds"); n != hers+others*each {
		t.Errorf("%v events were counted as picked up, want %d", n, hers+others*each)
	}
	told := func() (n int) {
		for _, p := range w.expo.Pushes() {
			if p.Token == phone && strings.HasPrefix(p.CollapseID, "reconnect-") {
				n++
			}
		}
		return n
	}
	w.until("word to her", func() bool { return told() > 0 })

	w.google.ResetLog()
	w.exec(`select reminder_worker.put_google_account($1, $2)`, her, w.google.Grant(her.String()))
	w.until("hers written", func() bool { return counts("hers", "synced") == hers })
	if live := w.live(her); len(live) != hers {
		t.Errorf("%d copies in her calendar, want %d", len(live), hers)
	}
	seen := map[string]bool{}
	for _, e := range w.live(her) {
		if seen[e.Summary] {
			t.Errorf("%s is there twice", e.Summary)
		}
		seen[e.Summary] = true
	}
	if n := w.google.Count(gcalfake.OpInsert, http.StatusOK); n != hers {
		t.Errorf("%d inserts, want %d", n, hers)
	}
	if told() != 1 {
		t.Errorf("she was told %d times", told())
	}
}

// total is a counter, or how much a histogram has counted, of all workers together.
func total(t *testing.T, workers []*App, name string) (sum float64) {
	t.Helper()
	for _, a := range workers {
		families, err := a.reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name {
				for _, m := range f.GetMetric() {
					sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	return sum
}
