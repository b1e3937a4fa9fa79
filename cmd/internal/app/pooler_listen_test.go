package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// Behind a pooler in transaction mode the worker serves by polling and says why; when the pooler turns to session mode under it, it listens,
// by itself, and when that ends it polls again.
func TestPoolerTurnsUnderTheWorker(t *testing.T) {
	t.Parallel()
	program := findPgBouncer(t)
	if program == "" {
		return
	}
	db := pgtest.New(t)
	p := startPooler(t, program, db.URL(), "transaction", 12)
	w := newWorldOn(t, db.Pool, p.address())
	w.cfg.SweepInterval = 30 * time.Second // so that it is not the usual sweep that finds things
	var log journal
	a, _ := w.startLogging(&log)
	user, _ := w.user()
	state := func(s listener.State) func() bool { return func() bool { return a.listener.Status().State == s } }

	w.until("the reason at /readyz", func() bool {
		status, body := get(t.Context(), a, "/readyz")
		return status == http.StatusOK && strings.Contains(body, "a pooler in transaction mode sits in between and delivers no changes; changes are found by a sweep every 1s")
	})
	w.until("polling", state(listener.Polling))
	w.until("the reason in the log", func() bool {
		return strings.Contains(log.String(), "a pooler in transaction mode accepts to listen and never delivers")
	})
	w.untilStatus(w.event(user, "Polled", 48*time.Hour), "synced")

	p.configure("session", 12)
	p.reload()
	w.until("listening", state(listener.Listening))
	changes := func() time.Time { return a.listener.Status().LastChange }
	before := changes()
	w.untilStatus(w.event(user, "Heard", 48*time.Hour), "synced")
	w.until("the change", func() bool { return changes().After(before) })

	p.stop()
	p.configure("transaction", 2)
	w.until("its start", p.start)
	w.until("polling again", state(listener.Polling))
	w.untilStatus(w.event(user, "Polled again", 48*time.Hour), "synced")
	if status, body := get(t.Context(), a, "/readyz"); status != http.StatusOK {
		t.Errorf("/readyz %d %s", status, body)
	}
	if text := log.String(); strings.Contains(text, "prepared statement") {
		t.Error("a statement was prepared on one connection and looked for on another")
	}
}
