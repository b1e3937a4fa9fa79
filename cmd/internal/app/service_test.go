package app

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

const robot = "robot@family.iam.gserviceaccount.com"

// robotKey takes a moment to make.
var robotKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// employ gives the worker a service account that Google knows, for users of a domain who need not consent, and lets it act for none yet.
func (w *world) employ(domains string) {
	w.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(robotKey())
	if err != nil {
		w.t.Fatal(err)
	}
	w.cfg.GoogleClientEmail = robot
	w.cfg.GooglePrivateKey = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	w.cfg.GoogleWorkspaceDomain = domains
	w.google.AddServiceAccount(robot, &robotKey().PublicKey)
}

// members makes n users of a domain, whom Google knows, and who have done nothing but sign up.
func (w *world) members(domain string, n int) (ids []uuid.UUID, addresses []string) {
	w.t.Helper()
	for i := range n {
		address := fmt.Sprintf("parent%d@%s", i, domain)
		ids = append(ids, one[uuid.UUID](w, `insert into auth.users (email) values ($1) returning id`, address))
		addresses = append(addresses, address)
	}
	w.google.AddUser(addresses...)
	return ids, addresses
}

// liveOf are the titles in somebody's calendar.
func (w *world) liveOf(address string) (titles []string) {
	for _, e := range w.google.Events(address) {
		if e.Status != "cancelled" {
			titles = append(titles, e.Summary)
		}
	}
	return titles
}

// The life of an event of a user who has consented to nothing: written, moved, and removed; with nothing but a service account.
func TestServiceAccountServes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.employ("example.com")
	w.google.Delegate(robot, "example.com", gcal.Scope)
	w.cfg.GoogleClientID, w.cfg.GoogleClientSecret = "", ""
	own, _ := w.user() // with a consent that only the OAuth client could use
	members, addresses := w.members("example.com", 1)
	strangers, _ := w.members("example.org", 1)
	a, _ := w.start()
	event := w.event(members[0], "Choir", 48*time.Hour)
	w.untilStatus(event, "synced")
	w.exec(`update events set title = 'Choir, moved' where id = $1`, event)
	w.until("the change", func() bool { return strings.Join(w.liveOf(addresses[0]), " ") == "Choir, moved" })
	for _, other := range []uuid.UUID{own, strangers[0]} {
		w.untilStatus(w.event(other, "Football", 48*time.Hour), "scheduled")
	}
	w.exec(`delete from events where id = $1`, event)
	w.until("the removal", func() bool { return len(w.liveOf(addresses[0])) == 0 })
	if n := w.google.Count(gcalfake.OpToken, http.StatusOK); n != 1 {
		t.Errorf("%d access tokens were asked for, want 1", n)
	}
	if left, why := a.events.Paused(); left > 0 {
		t.Errorf("all calendars are paused: %s", why)
	}
	if f := a.checkGoogle(); !f.OK || f.Degraded {
		t.Errorf("google: %+v", f)
	}
}

// While a delegation is missing the users of its domain wait, at the cost of a few token requests and an alarm; whoever has a consent of their
// own is written all the same. Once it is there, all that waited is written, once.
func TestDelegationMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.employ("example.com")
	w.cfg.Lease = time.Minute // none is to end because the machine is busy: that counts as an attempt
	const each = 200
	own := w.crowd(each)
	members, addresses := w.members("example.com", each)
	w.exec(`insert into events (user_id, title, start_ts) select u, 'Practice ' || n, now() + n * interval '1 day' from unnest($1::uuid[]) u, generate_series(1, 2) n`,
		append(members, own...))
	a, stop := w.start()
	w.until("the others'", func() bool {
		return one[int](w, `select count(*)::int from events where user_id = any ($1) and status = 'synced'`, own) == 2*each
	})
	w.until("theirs to be at rest", func() bool {
		return one[int](w, `select count(*)::int from events where user_id = any ($1) and status = 'pending' and sync_due_at > now() + interval '1 minute'`, members) == 2*each
	})
	if n := w.google.Count(gcalfake.OpToken, http.StatusUnauthorized); n != 2 {
		t.Errorf("%d token requests for %d users without a delegation, want 2", n, each)
	}
	if n := w.google.Count(gcalfake.OpToken, http.StatusOK); n != each {
		t.Errorf("%d access tokens for %d users with a consent of their own", n, each)
	}
	if n := one[int](w, `select max(sync_attempts) from events`); n != 0 {
		t.Errorf("%d attempts were used", n)
	}
	if n := one[int](w, `select count(*)::int from reminder_worker.google_accounts where state <> 'connected'`); n != 0 {
		t.Errorf("%d accounts are parked", n)
	}
	message := one[string](w, `select max(error_message) from events where user_id = any ($1)`, members)
	if f := a.checkGoogle(); !f.Degraded || !strings.Contains(f.Reason, "Admin console of example.com") || !strings.Contains(message, gcal.Scope) {
		t.Errorf("google: %+v; event: %s", f, message)
	}
	stop()

	w.google.Delegate(robot, "example.com", gcal.Scope)
	w.exec(`update events set sync_due_at = now() where sync_due_at is not null`) // some minutes later
	w.start()
	w.until("theirs", func() bool {
		return one[int](w, `select count(*)::int from events where status = 'synced'`) == 4*each
	})
	for i, address := range addresses {
		if got := w.liveOf(address); len(got) != 2 || got[0] == got[1] {
			t.Errorf("%s has %v", address, got)
		}
		if len(w.live(own[i])) != 2 {
			t.Errorf("a user with a consent has %d copies", len(w.live(own[i])))
		}
	}
	if n := w.google.Count(gcalfake.OpInsert, http.StatusOK); n != 4*each {
		t.Errorf("%d inserts, want %d", n, 4*each)
	}
}

// What was written before there was a service account is taken up when there is one.
func TestServiceAccountConfiguredLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	members, addresses := w.members("example.com", 3)
	_, stop := w.start()
	for _, m := range members {
		w.untilStatus(w.event(m, "Choir", 48*time.Hour), "scheduled")
	}
	stop()
	w.employ("example.com")
	w.google.Delegate(robot, "example.com", gcal.Scope)
	w.start()
	w.until("all written", func() bool { return one[int](w, `select count(*)::int from events where status = 'synced'`) == 3 })
	for _, address := range addresses {
		if got := w.liveOf(address); len(got) != 1 {
			t.Errorf("%s has %v", address, got)
		}
	}
}

func TestExamineServiceAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	judged(t, examineServiceAccount(ctx, w.cfg), Pass, "not needed")
	w.employ("")
	judged(t, examineServiceAccount(ctx, w.cfg), Warn, "acts for nobody")
	w.cfg.GoogleWorkspaceDomain = "example.com,example.org"
	judged(t, examineServiceAccount(ctx, w.cfg), Pass, "of example.com or example.org")
	if n := w.google.Count(gcalfake.OpToken, http.StatusOK); n != 1 {
		t.Errorf("%d access tokens were asked for, want 1", n)
	}
	judged(t, examineGoogleCalendar(ctx, w.cfg), Pass, "reachable")
	alone := w.cfg
	alone.GoogleClientID, alone.GoogleClientSecret = "", ""
	judged(t, examineGoogleClient(alone), Pass, "by the service account only")
	judged(t, examineGoogleToken(ctx, alone), Pass, "none is needed")
	judged(t, examineServiceAccount(ctx, alone), Pass, "accepted")

	wrong := w.cfg
	wrong.GooglePrivateKey = marker
	if f := examineServiceAccount(ctx, wrong); strings.Contains(fmt.Sprint(f), marker) {
		t.Errorf("shows the key: %+v", f)
	} else {
		judged(t, f, Fail, "not a PEM block")
	}
	wrong.GooglePrivateKey = privateKey(t)
	judged(t, examineServiceAccount(ctx, wrong), Fail, "does not accept the service account: invalid_grant")
	wrong.GoogleTokenURL = w.google.URL() + "/elsewhere"
	judged(t, examineServiceAccount(ctx, wrong), Fail, "not one of a token endpoint (status 404)")
	wrong.GoogleTokenURL = "nowhere"
	judged(t, examineServiceAccount(ctx, wrong), Skip, "no address")
	wrong.GoogleTokenURL = "http://127.0.0.1:1/token"
	judged(t, examineServiceAccount(ctx, wrong), Fail, "connection refused")
	w.google.Fail(gcalfake.Always(gcalfake.OpToken, gcalfake.Page(http.StatusServiceUnavailable)))
	judged(t, examineServiceAccount(ctx, w.cfg), Warn, "status 503")
}
