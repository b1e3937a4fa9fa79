package reconcile

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// While Google fails for everybody all calendars rest, for longer each time, and hardly an attempt is used: of the requests by which it is found
// out. Afterwards all is written, once.
func TestGoogleIsAway(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]gcalfake.Fault{
		"503": gcalfake.Status(http.StatusServiceUnavailable, "backendError"), "no answer": {Drop: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cfg.RetryBase, w.cfg.RetryMax = 100*time.Millisecond, time.Second
			stop := w.google.Fail(gcalfake.Always("", fault))
			const users, each = 20, 5
			for range users {
				w.events(w.user(), each)
			}
			r, _ := w.start()
			r.Wake()
			// It comes back when it has been asked in vain a few times over.
			w.until("a long rest", func() bool {
				left, why := r.Paused()
				return left > 500*time.Millisecond && strings.HasPrefix(why, "Google fails for everybody: ")
			})
			if n := one[int](w, `select coalesce(sum(sync_attempts), 0)::int from events`); n > 3*users {
				t.Errorf("%d attempts were used for %d events", n, users*each)
			}
			stop()
			w.untilTrue(`not exists (select from events where status <> 'synced')`)
			if n := w.google.Count(gcalfake.OpInsert, http.StatusOK); n != users*each {
				t.Errorf("%d copies written, want %d", n, users*each)
			}
		})
	}
}

// What failed once is tried when its pause is over, not when its claim would have ended or with the next sweep.
func TestRetryIsOnTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.RetryBase, w.cfg.RetryMax, w.cfg.Lease, w.cfg.SweepInterval = 10*time.Millisecond, 10*time.Millisecond, time.Hour, time.Hour
	r, _ := w.start()
	for _, op := range []string{gcalfake.OpInsert, gcalfake.OpDelete} {
		w.google.Fail(gcalfake.Next(1, op, gcalfake.Status(http.StatusServiceUnavailable, "backendError")))
	}
	user := w.user()
	event := w.event(user, "Practice")
	r.Wake()
	w.untilStatus(event, "synced")
	w.exec(`delete from events`)
	r.Wake()
	w.until("the copy is gone", func() bool { return len(w.live(user)) == 0 })
}
