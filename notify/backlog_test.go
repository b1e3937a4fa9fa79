package notify

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
)

// TestTenMinutes: Expo is away for ten minutes, by a clock that takes no time. Few requests are made meanwhile, and the next one comes within
// a minute after it is back.
func TestTenMinutes(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]time.Duration{"ten minutes": 10 * time.Minute, "an hour": time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := pureSender(t)
			back, requests := time.Now().Add(outage), 0
			for time.Now().Before(back) {
				if n := s.pace.wait(t.Context()); time.Now().Before(back) {
					if requests++; requests > 1 && n != 1 {
						t.Fatalf("%s: request %d is for %d reminders", name, requests, n)
					}
					s.pace.failed("down", 0)
				}
			}
			s.pace.wait(t.Context())
			late := time.Since(back)
			if most := int(outage/time.Minute) + 7; requests > most || late > time.Minute {
				t.Errorf("%s: %d requests, want at most %d; the next %s after its end", name, requests, most, late)
			}
			s.pace.succeeded(time.Now())
			if !s.pace.takenSince(back) || s.pace.wait(t.Context()) != 2 {
				t.Errorf("%s: after a success the sender does not go on", name)
			}
		})
	}
}

// TestBacklogByNearestEvent: when Expo is back, what waited leaves in the order in which its events begin, whatever order it came in.
func TestBacklogByNearestEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.Connections, w.cfg.Batch = 1, 20
	const n = 400
	user, _ := w.user(1)
	w.exec(`with e as (
			insert into events (user_id, title, start_ts, status) select $1, 'Event', now() + interval '1 hour' + (n * 7919 % 1000) * interval '1 minute', 'synced'
			from generate_series(1, $2) n returning id, user_id, start_ts)
		insert into reminders (event_id, user_id, notify_at_ts, message, plan_revision, planned_for_ts) select id, user_id, clock_timestamp(), '', 1, start_ts from e`, user, n)
	var mu sync.Mutex
	down, tried := true, map[string]bool{}
	w.expo.Fail(func(r expofake.Request) *expofake.Fault {
		mu.Lock()
		defer mu.Unlock()
		if r.Endpoint == expofake.SendEndpoint && down {
			tried["some"] = true
			return expofake.Status(503, "no healthy upstream")
		}
		return nil
	})
	s, _ := w.start()
	w.until("a backlog in order", func() bool { return s.queue.len() > n-100 && len(s.queue.unranked(w.cfg.Batch, n)) == 0 })
	mu.Lock()
	down = false
	mu.Unlock()
	w.untilTrue(`not exists (select from reminders where status <> 'sent')`)
	w.once(n)
	w.same("attempts used", "0", `select max(retry_count)::text from reminders`)
	starts := map[string]time.Time{}
	for _, id := range list[uuid.UUID](w, `select id from reminders`) {
		starts[id.String()] = one[time.Time](w, `select planned_for_ts from reminders where id = $1`, id)
	}
	var order []time.Time
	for _, p := range w.expo.Pushes() {
		order = append(order, starts[p.CollapseID])
	}
	// Of those that were tried while Expo was away (the first batch, and then one at a time) some come a little later, when their rest is over.
	behind := 0
	for i := range order[1:] {
		if order[i+1].Before(order[i]) {
			behind++
		}
	}
	t.Logf("%d of %d out of order", behind, n)
	if first := slices.Index(slices.SortedFunc(slices.Values(order), time.Time.Compare), order[len(order)-1]); behind > w.cfg.Batch || first < n/2 {
		t.Errorf("%d of %d pushes came before one whose event begins earlier; the last to come is number %d", behind, n, first)
	}
}
