package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// marker is the private property by which a copy says whose it is.
const marker, hashMarker = "reminder_worker_event", "reminder_worker_hash"

// someCopy is one that stands in the calendar of its event's user; none: the entry is nil.
func (t *trial) someCopy(dice *rand.Rand) (*entry, gcalfake.Event) {
	u := pick(dice, t.users)
	var events []*entry
	var copies []gcalfake.Event
	for _, c := range t.google.Events(u.id.String()) {
		for _, e := range t.existing() {
			if c.Status != "cancelled" && e.owner == u && c.Private[marker] == e.id.String() {
				events, copies = append(events, e), append(copies, c)
			}
		}
	}
	if len(events) == 0 {
		return nil, gcalfake.Event{}
	}
	i := dice.IntN(len(events))
	return events[i], copies[i]
}

// standing is how things stand when a user lays hands on a copy.
type standing struct {
	revision int64 // of the event's row
	settled  bool  // the copy is as it should be, and so are the rows
	stays    bool  // it is not about to be removed
}

func (t *trial) standing(e *entry, c gcalfake.Event) (s standing, err error) {
	err = t.pool.QueryRow(context.Background(), `
		select e.sync_revision, e.status <> 'cancelled' and k.tombstoned_at is null and k.target_calendar_id is null and k.calendar_id = coalesce(nullif($5, ''), 'primary')
				and not exists (select from reminder_worker.google_accounts a where a.user_id = $2 and a.state = 'leaving'),
			e.status = 'synced' and e.sync_due_at is null and k.tombstoned_at is null and k.content_hash = $3 and k.google_event_id = $4
		from events e join reminder_worker.calendar_copies k on k.event_id = e.id and k.user_id = $2
		where e.id = $1`, e.id, e.owner.id, c.Private[hashMarker], c.ID, e.owner.setting()).Scan(&s.revision, &s.stays, &s.settled)
	if errors.Is(err, pgx.ErrNoRows) {
		return standing{}, nil
	}
	return s, err
}

// byHand changes a copy as its user does, in Google's own pages.
func (t *trial) byHand(dice *rand.Rand) (string, error) {
	e, c := t.someCopy(dice)
	if e == nil {
		return "", nil
	}
	s, err := t.standing(e, c)
	if err != nil {
		return "look at " + e.name, err
	}
	t.causes++
	h := e.hand(e.owner)
	h.maybe = h.maybe || !s.stays
	if h.deleted { // it is back, as it should be or may be
		h.deleted, h.retitled = false, ""
	}
	name := fmt.Sprintf("%s of %s", e.name, e.owner.name)
	switch dice.IntN(4) {
	case 0:
		text := t.name("Ask grandma ")
		if c.Description != "" && dice.IntN(2) == 0 {
			text = "" // what they do not want, they delete; what was empty they have not touched
		}
		// What they have put back as we wrote it is ours again.
		h.maybe = h.maybe || text == "" && slices.ContainsFunc(e.had, func(s shown) bool { return s.about == "" })
		h.about = &text
		return fmt.Sprintf("user describes %s as %q", name, text), t.google.UserEdit(c.User, c.ID, map[string]any{"description": text})
	case 1:
		h.colour = fmt.Sprint(1 + dice.IntN(11))
		return "user colours " + name, t.google.UserEdit(c.User, c.ID, map[string]any{"colorId": h.colour})
	case 2:
		h.at(e, s)
		h.retitled = t.name("Hands off ")
		return "user retitles " + name, t.google.UserEdit(c.User, c.ID, map[string]any{"summary": h.retitled})
	}
	h.at(e, s)
	h.deleted, h.maybe = true, true
	if err := t.google.UserDelete(c.User, c.ID); err != nil && s.stays {
		return "user deletes " + name, err
	}
	if dice.IntN(4) > 0 {
		return "user deletes " + name, nil
	}
	return "user deletes " + name + " for good", t.google.Purge(c.User, c.ID)
}

// alert is one that a user has added to a copy at the very moment at which it was written.
type alert struct {
	user    *owner
	event   string
	minutes int64
}

// collide has a user add an alert to a copy between our reading and our writing it.
func (t *trial) collide(dice *rand.Rand) (string, error) {
	u, minutes := pick(dice, t.users), int64(1+dice.IntN(100))
	var met atomic.Bool
	t.google.Fail(func(r gcalfake.Request) *gcalfake.Fault {
		if r.Op == gcalfake.OpUpdate && r.User == u.id.String() && met.CompareAndSwap(false, true) {
			t.alert(u, r.ID, minutes)
		}
		return nil
	})
	t.causes++
	return fmt.Sprintf("%s will add an alert while a copy is written", u.name), nil
}

// alert has a user add an alert to a copy, if it is there.
func (t *trial) alert(u *owner, id string, minutes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.google.Events(u.id.String()) {
		if c.ID != id || c.Status == "cancelled" {
			continue
		}
		overrides := []any{map[string]any{"method": "popup", "minutes": minutes}}
		if t.google.UserEdit(c.User, id, map[string]any{"reminders": map[string]any{"useDefault": false, "overrides": overrides}}) == nil {
			t.alerts = append(t.alerts, alert{u, c.Private[marker], minutes})
		}
	}
}

// heed enters the alerts added meanwhile into the model.
func (t *trial) heed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.alerts {
		for _, e := range t.events {
			if e.id.String() == a.event {
				h := e.hand(a.user)
				h.alert, h.maybe = a.minutes, h.maybe || e.unsteady
			}
		}
	}
	t.alerts = nil
}

// alertOf is how many minutes before the event the first alert of a copy comes; 0: it has none.
func alertOf(c gcalfake.Event) int64 {
	reminders, _ := c.Resource["reminders"].(map[string]any)
	overrides, _ := reminders["overrides"].([]any)
	if len(overrides) == 0 {
		return 0
	}
	first, _ := overrides[0].(map[string]any)
	minutes, _ := first["minutes"].(json.Number)
	n, _ := minutes.Int64()
	return n
}

func (t *trial) revoke(dice *rand.Rand) (string, error) {
	u := pick(dice, t.users)
	t.google.RevokeUser(u.id.String())
	u.dead, u.doubted = true, true
	t.concerns(u)
	return "revoke " + u.name, nil
}

func (t *trial) expire(*rand.Rand) (string, error) {
	t.google.ExpireAccessTokens()
	t.causes += len(t.users)
	return "access tokens expire", nil
}

// trouble is a fault of Google's, of the network's, or of our own registration.
type trouble struct {
	what  string
	ops   []string // one of them; none: any
	fault gcalfake.Fault
	most  int // times in a row
	// refuses says that an event may be 'failed' for it, doubts that an account may be parked.
	refuses, doubts bool
}

var (
	anyCall = []string{gcalfake.OpInsert, gcalfake.OpGet, gcalfake.OpUpdate, gcalfake.OpDelete}
	writing = []string{gcalfake.OpInsert, gcalfake.OpUpdate, gcalfake.OpDelete}
	token   = []string{gcalfake.OpToken}
)

func troubles() []trouble {
	status := gcalfake.Status
	wait := func(f gcalfake.Fault, d time.Duration) gcalfake.Fault { f.RetryAfter = d; return f }
	done := func(f gcalfake.Fault) gcalfake.Fault { f.Done = true; return f }
	return []trouble{
		{what: "answers 503", fault: status(http.StatusServiceUnavailable, "backendError"), most: 3},
		{what: "answers 500", ops: anyCall, fault: status(http.StatusInternalServerError, "internalError"), most: 3},
		{what: "answers 503 after the work", ops: writing, fault: done(status(http.StatusServiceUnavailable, "backendError")), most: 2},
		{what: "shows a page for 502", fault: gcalfake.Page(http.StatusBadGateway), most: 3},
		{what: "shows a page for 200", fault: gcalfake.Page(http.StatusOK), most: 2},
		{what: "shows a page for 403", ops: anyCall, fault: gcalfake.Page(http.StatusForbidden), most: 2},
		{what: "shows a page for 404", ops: anyCall, fault: gcalfake.Page(http.StatusNotFound), most: 2},
		{what: "answers 408", ops: anyCall, fault: status(http.StatusRequestTimeout, ""), most: 2},
		{what: "answers 429 and names a time", ops: anyCall, fault: wait(status(http.StatusTooManyRequests, "rateLimitExceeded"), time.Second), most: 3},
		{what: "says rateLimitExceeded", ops: anyCall, fault: status(http.StatusForbidden, "rateLimitExceeded"), most: 4},
		{what: "says userRateLimitExceeded", ops: anyCall, fault: status(http.StatusForbidden, "userRateLimitExceeded"), most: 2},
		{what: "says quotaExceeded", ops: writing, fault: status(http.StatusForbidden, "quotaExceeded"), most: 2},
		{what: "says dailyLimitExceeded", ops: anyCall, fault: status(http.StatusForbidden, "dailyLimitExceeded"), most: 1},
		{what: "says accessNotConfigured", ops: anyCall, fault: status(http.StatusForbidden, "accessNotConfigured"), most: 2},
		{what: "says authError", ops: anyCall, fault: status(http.StatusUnauthorized, "authError"), most: 3},
		{what: "says insufficientPermissions", ops: anyCall, fault: status(http.StatusForbidden, "insufficientPermissions"), most: 1, doubts: true},
		{what: "says forbidden", ops: writing, fault: status(http.StatusForbidden, "forbidden"), most: 1, refuses: true},
		{what: "says invalid", ops: writing, fault: status(http.StatusBadRequest, "invalid"), most: 1, refuses: true},
		{what: "finds no calendar", ops: []string{gcalfake.OpInsert}, fault: status(http.StatusNotFound, "notFound"), most: 1, refuses: true},
		{what: "finds no event", ops: []string{gcalfake.OpGet, gcalfake.OpUpdate}, fault: status(http.StatusNotFound, "notFound"), most: 1},
		{what: "says duplicate", ops: []string{gcalfake.OpInsert}, fault: status(http.StatusConflict, "duplicate"), most: 1},
		{what: "says conditionNotMet", ops: []string{gcalfake.OpUpdate}, fault: status(http.StatusPreconditionFailed, "conditionNotMet"), most: 3},
		{what: "drops the connection", fault: gcalfake.Fault{Drop: true}, most: 3},
		{what: "loses the answer", fault: gcalfake.Fault{Lose: true}, most: 2},
		{what: "breaks the answer off", fault: gcalfake.Fault{Break: true}, most: 2},
		{what: "hangs", fault: gcalfake.Fault{Hang: true}, most: 1},
		{what: "is slow", fault: gcalfake.Fault{Delay: trialCall / 4}, most: 3},
		{what: "says invalid_grant", ops: token, fault: gcalfake.InvalidGrant(), most: 1, doubts: true},
		{what: "says invalid_client", ops: token, fault: status(http.StatusUnauthorized, "invalid_client"), most: 2},
		{what: "says server_error", ops: token, fault: status(http.StatusInternalServerError, "server_error"), most: 2},
	}
}

// trouble has one user's next requests, or everybody's, go wrong.
func (t *trial) trouble(dice *rand.Rand) (string, error) {
	x := pick(dice, troubles())
	op, n := pick(dice, x.ops), 1+dice.IntN(x.most)
	rule := gcalfake.Next(n, op, x.fault)
	what, whose := fmt.Sprintf("Google %s, %d times, to %s", x.what, n, op), t.users
	if dice.IntN(2) == 0 {
		u := pick(dice, t.users)
		rule, whose = gcalfake.ForUser(u.id.String(), rule), []*owner{u}
		what += " of " + u.name
	}
	for _, u := range whose {
		u.doubted = u.doubted || x.doubts
	}
	t.refusing = t.refusing || x.refuses
	t.google.Fail(func(r gcalfake.Request) *gcalfake.Fault {
		f := rule(r)
		if f != nil {
			t.met.Add(1)
		}
		return f
	})
	return what, nil
}

// outage has every request fail for a while, one user's or everybody's. Its faults are no causes: there are to be few of them.
func (t *trial) outage(dice *rand.Rand) (string, error) {
	d := time.Duration(50+dice.IntN(350)) * time.Millisecond
	rule, what := gcalfake.Always("", gcalfake.Status(http.StatusServiceUnavailable, "backendError")), fmt.Sprintf("Google is away for %s", d)
	whose := t.users
	if dice.IntN(2) == 0 {
		u := pick(dice, t.users)
		rule, whose = gcalfake.ForUser(u.id.String(), rule), []*owner{u}
		what += " for " + u.name
	}
	for _, u := range whose {
		t.concerns(u)
	}
	time.AfterFunc(d, t.google.Fail(rule))
	return what, nil
}

// lag has the next requests take their time on the way: they are served, even if whoever sent them is not there any more.
func (t *trial) lag(dice *rand.Rand) (string, error) {
	d, n := time.Duration(1+dice.IntN(int(trialLease/10/time.Millisecond)))*time.Millisecond, 1+dice.IntN(4)
	var met atomic.Int64
	t.google.Fail(func(gcalfake.Request) *gcalfake.Fault {
		if met.Add(1) <= int64(n) {
			sleep(context.Background(), d)
		}
		return nil
	})
	return fmt.Sprintf("%d requests take %s", n, d), nil
}
