package reconcile

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

// employ gives the worker a service account that may act for all users of a domain.
func (w *world) employ(domain string) {
	w.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(robotKey())
	if err != nil {
		w.t.Fatal(err)
	}
	w.gcal.ServiceKey, err = gcal.ParseServiceKey(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	if err != nil {
		w.t.Fatal(err)
	}
	w.gcal.ServiceEmail, w.gcal.ServicePause, w.cfg.Domains = robot, time.Hour, append(w.cfg.Domains, domain)
	w.google.AddServiceAccount(robot, &robotKey().PublicKey)
	w.google.Delegate(robot, domain, gcal.Scope)
}

// join makes a user one of a domain, who has consented to nothing.
func (w *world) join(user uuid.UUID, domain string) {
	w.t.Helper()
	w.names[user] = user.String() + "@" + domain
	w.google.AddUser(w.names[user])
	w.exec(`delete from reminder_worker.google_accounts where user_id = $1`, user)
	w.exec(`update auth.users set email = $2 where id = $1`, user, w.names[user])
}

// delegated makes rows those of a user for whom a service account acts.
func delegated(rows ...answer) []answer {
	for i := range rows {
		rows[i].delegated, rows[i].signal = true, rows[i].signal+", delegated"
	}
	return rows
}

// unserviced is a fault of the service account's registration: whoever it acts for waits, he with a consent of his own does not.
func unserviced(c cause, pause time.Duration) answer {
	a := c.row().stands("pending", 0, c.message())
	a.alarm, a.again, a.mend = true, pause, (*couple).pauseEnds
	a.requests += " | " + a.anew()
	return a
}

// unknown is a user whom Google does not know: she is parked, and tried again after a day.
func unknown() answer {
	c := says(opToken, 400, "invalid_grant")
	a := c.row().stands("scheduled", 0, "not in Google Calendar: the service account cannot act for the user ("+c.message()+": no such user in example.com")
	a.account, a.alarm, a.again, a.mend = "needs_reconnect, "+c.message(), true, never, (*couple).dayPasses
	a.requests += " | " + a.anew()
	return a
}

var delegatedAnswers = delegated(
	answer{signal: "all is well", requests: "token 200, insert 200", end: synced, endCopy: "written"},
	answer{signal: "all is well with a change", app: changes, requests: "get 200, update 200", end: synced, endCopy: "written"},
	answer{signal: "all is well with a removal", app: deletes, requests: "delete 204", end: removed, endCopy: "none"},
	unserviced(says(opToken, 401, "unauthorized_client"), time.Hour),
	unserviced(says(opToken, 403, "access_denied"), time.Hour),
	unserviced(says(opToken, 400, "admin_policy_enforced"), time.Hour),
	unserviced(says(opToken, 401, "invalid_client"), time.Hour),
	unserviced(says(opToken, 400, "invalid_scope"), time.Hour),
	wrongKey(),
	unknown(),
	unserviced(says(opInsert, 403, "accessNotConfigured"), projectPause),
	unserviced(says(opUpdate, 403, "accessNotConfigured"), projectPause),
	unserviced(says(opDelete, 403, "accessNotConfigured"), projectPause),
	unserviced(detailed(opInsert, "SERVICE_DISABLED"), projectPause),
	passing(says(opToken, 500, "internal_failure")),
	passing(gateway(opToken, 503)),
	passing(says(opToken, 429, "rate_limit_exceeded")),
	postponed(gateway(opToken, 503), time.Minute),
	hanging(opToken),
	passing(cause{opToken, "a page with 200", "answer is not a token", gcalfake.Page(200)}),
	passing(mute(opToken, "no connection", gcalfake.Fault{Drop: true})),
	passing(says(opInsert, 500, "backendError")),
	throttled(says(opInsert, 403, "rateLimitExceeded").after(time.Hour), hours),
	throttled(says(opDelete, 403, "quotaExceeded"), hours),
	denied(says(opInsert, 403, "forbidden")),
	noCalendar(),
	renewed(says(opInsert, 401, "authError"), "token 200, insert 401, token 200, insert 200"),
)

// wrongKey is said in the same words as that a user is not known, and is told from it.
func wrongKey() answer {
	c := says(opToken, 400, "invalid_grant")
	a := unserviced(c, time.Hour)
	a.signal += ", for the key"
	a.event = "pending, 0 tries, " + c.message() + ": the key of " + robot
	a.arrange = func(c *couple) {
		c.google.Fail(gcalfake.ForUser(robot, gcalfake.Always(opToken, gcalfake.InvalidGrant())))
	}
	return a
}

// dayPasses is that a day later Google knows her, and the app changes her event.
func (c *couple) dayPasses() {
	c.exec(`update reminder_worker.google_accounts set updated_at = updated_at - interval '25 hours' where user_id = $1`, c.her)
	c.changed()
}

// Whether a service account may still act for a user is asked with every claim: who has another address has another calendar, and who has one
// of another domain has none.
func TestAddressChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.employ("example.com")
	user := w.user()
	w.join(user, "example.com")
	w.start()
	event := w.event(user, "Choir")
	w.untilStatus(event, "synced")
	w.wantCopies(user, 1)

	moves := func(address string) {
		w.exec(`update auth.users set email = $2 where id = $1`, user, address)
		w.exec(`update events set title = title || '!' where id = $1`, event)
	}
	w.google.AddUser("new@example.com")
	moves("New@Example.com")
	w.until("the copy in the new calendar", func() bool { return len(w.google.Events("new@example.com")) == 1 })
	w.untilStatus(event, "synced")
	w.google.ResetLog()
	moves("new@example.org")
	w.untilStatus(event, "scheduled")
	w.untilTrue(`count(*) = 0 from reminder_worker.google_accounts`)
	moves("new@example.com")
	w.untilStatus(event, "synced")
	if got := w.google.Events("new@example.com"); len(got) != 1 || got[0].Summary != "Choir!!!" {
		t.Errorf("the new calendar holds %v", got)
	}
}

// Reminders are planned, and the event is not given up, while it cannot be found out whether the service account may act.
func TestAccountsCannotBeLookedAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.employ("example.com")
	user, other := w.user(), w.user()
	w.join(user, "example.com")
	w.exec(`alter function reminder_worker.delegate_accounts rename to away`)
	w.start()
	event := w.event(user, "Choir")
	w.untilTrue(`status = 'pending' and sync_lease_until is null and coalesce(error_message, '') = $2 from events where id = $1`, event, undecided)
	w.untilTrue(`count(*) = 3 from reminders where event_id = $1`, event)
	w.untilStatus(w.event(other, "Football"), "synced")
	w.until("an alarm", func() bool { return w.log.count("accounts of the service account not looked at") > 0 })
	w.exec(`alter function reminder_worker.away rename to delegate_accounts`)
	w.untilStatus(event, "synced")
	w.wantCopies(user, 1)
	if n := one[int](w, `select max(sync_attempts) from events`); n != 0 {
		t.Errorf("%d attempts were used", n)
	}
}

// A worker leaves alone what it cannot serve: users' own consents without an OAuth client, users of a domain that only another worker is told of.
// It does not ask again and again, nor keep the account from the other.
func TestWorkerWithoutWhatItTakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.employ("example.com")
	w.google.Delegate(robot, "example.org", gcal.Scope)
	own, elsewhere := w.user(), w.user()
	w.join(elsewhere, "example.org")
	w.exec(`insert into reminder_worker.google_accounts (user_id, refresh_token, subject) values ($1, '', $2)`, elsewhere, w.name(elsewhere))
	w.gcal.ClientID, w.gcal.ClientSecret = "", ""
	_, stop := w.start()
	events := []uuid.UUID{w.event(own, "Choir"), w.event(elsewhere, "Chess")}
	for _, e := range events {
		w.untilStatus(e, "scheduled")
	}
	w.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, tombstoned_at, due_at)
		select gen_random_uuid(), u, 'gone', now(), now() from unnest($1::uuid[]) u`, []uuid.UUID{own, elsewhere})
	w.untilTrue(`count(*) = 2 from reminder_worker.calendar_copies where attempts > 0 or error_message like 'waits for a worker%'`)
	stop()
	if n := one[int](w, `select max(sync_revision)::int from events`); n != 1 {
		t.Errorf("served %d times", n)
	}
	if n := w.asked(opToken) + w.asked(opInsert); n != 0 {
		t.Errorf("%d requests", n)
	}
	w.gcal.ClientID, w.gcal.ClientSecret, w.cfg.Domains = "client", "client-secret", []string{"example.com", "example.org"}
	w.start()
	for _, e := range events {
		w.untilStatus(e, "synced")
	}
}

// Events that were served before there was a service account are taken up at its start, page by page, however many users there are.
func TestWaitingUsersAreTakenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.employ("example.com")
	const some = recallBatch + 100
	w.exec(`with u as (insert into auth.users (email) select 'parent' || n || case when n % 10 = 0 then '@example.com' else '@example.org' end
			from generate_series(1, $1) n returning id)
		insert into events (user_id, title, start_ts, status) select id, 'Choir', now() + interval '2 days', 'scheduled' from u`, some)
	for n := 10; n <= some; n += 10 {
		w.google.AddUser(fmt.Sprintf("parent%d@example.com", n))
	}
	w.start()
	w.untilTrue(`count(*) filter (where status = 'synced') = $1 and count(*) filter (where status = 'scheduled') = $2 from events`, some/10, some-some/10)
	if n := w.google.Count(gcalfake.OpInsert, http.StatusOK); n != some/10 {
		t.Errorf("%d inserts, want %d", n, some/10)
	}
	if n := one[int](w, `select count(*)::int from reminder_worker.google_accounts`); n != some/10 {
		t.Errorf("%d accounts, want %d", n, some/10)
	}
}

// What is to be removed for a user who has disconnected waits, and is not asked for again and again, whatever their address is by now.
func TestRemovalWaitsForWhoHasDisconnected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.employ("example.com")
	user, other := w.user(), w.user()
	w.join(user, "example.com")
	r, _ := w.start()
	event := w.event(user, "Choir")
	w.untilStatus(event, "synced")
	w.exec(`update reminder_worker.google_accounts set state = 'off' where user_id = $1`, user)
	w.exec(`update auth.users set email = 'another@example.com' where id = $1`, user)
	w.exec(`delete from events where id = $1`, event)
	w.untilTrue(`count(*) = 1 from reminder_worker.calendar_copies where due_at is null and error_message like 'waits until%'`)
	w.untilStatus(w.event(other, "Football"), "synced")
	r.Wake()
	w.wantCopies(user, 1)
}

// A user's own consent takes over at once, and its end is not the service account's beginning.
func TestOwnConsentTakesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.employ("example.com")
	user := w.user()
	w.join(user, "example.com")
	w.start()
	w.untilStatus(w.event(user, "Choir"), "synced")
	private := "private@example.org"
	token := w.google.Grant(private)
	w.exec(`select reminder_worker.put_google_account($1, $2)`, user, token)
	w.untilStatus(w.event(user, "Chess"), "synced")
	if got := w.google.Events(private); len(got) != 1 || got[0].Summary != "Chess" {
		t.Errorf("her own calendar holds %v", got)
	}
	w.google.RevokeUser(private)
	event := w.event(user, "Swimming")
	w.untilStatus(event, "scheduled")
	if message := one[string](w, `select error_message from events where id = $1`, event); !strings.Contains(message, "connects Google Calendar again") {
		t.Errorf("message %q", message)
	}
	w.untilTrue(`state = 'needs_reconnect' and notice_due_at is not null from reminder_worker.google_accounts`)
	w.wantCopies(user, 1)
}
