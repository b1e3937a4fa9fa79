package reconcile

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

const (
	opInsert, opGet, opUpdate, opDelete, opToken = gcalfake.OpInsert, gcalfake.OpGet, gcalfake.OpUpdate, gcalfake.OpDelete, gcalfake.OpToken
)

// The operations that a fault can meet.
var (
	everyOp  = []string{opInsert, opGet, opUpdate, opDelete}
	writeOps = []string{opInsert, opUpdate, opDelete}
)

// each makes a row for each operation.
func each(ops []string, row func(op string) answer) (rows []answer) {
	for _, op := range ops {
		rows = append(rows, row(op))
	}
	return rows
}

// first are the first requests of an operation, all are all of them.
func first(times int, op string, f gcalfake.Fault) []fault { return []fault{{op, times, f}} }
func all(op string, f gcalfake.Fault) []fault              { return first(0, op, f) }

// cause is a fault of one operation, and how it reads in a message.
type cause struct {
	op, name, text string
	fault          gcalfake.Fault
}

func says(op string, status int, reason string) cause {
	return cause{op, fmt.Sprintf("%d %s", status, reason), fmt.Sprintf("status %d: %s", status, reason), gcalfake.Status(status, reason)}
}

func gateway(op string, status int) cause {
	return cause{op, fmt.Sprintf("%d of a gateway", status), fmt.Sprintf("status %d", status), gcalfake.Page(status)}
}

// mute is a fault without an answer; how it reads depends on who notices first.
func mute(op, name string, f gcalfake.Fault) cause { return cause{op, name, "", f} }

// detailed is an error whose reason stands in its details.
func detailed(op, reason string) cause {
	c := says(op, http.StatusForbidden, reason)
	c.fault.Reason, c.fault.Detail = "forbidden", reason
	return c
}

// after adds the header Retry-After.
func (c cause) after(d time.Duration) cause {
	c.name += " with Retry-After"
	c.fault.RetryAfter = d
	return c
}

func (c cause) message() string { return fmt.Sprintf("google %s: %s", c.op, c.text) }

// row is what all rows of a cause have in common: what the app does, and the requests until it is met.
func (c cause) row() answer {
	a := answer{signal: c.name + " at " + c.op, account: "connected", end: synced, endCopy: "written", faults: all(c.op, c.fault)}
	switch c.op {
	case opInsert:
		a.copy, a.requests = "intended", "token 200, insert"
	case opToken:
		a.copy, a.requests = "intended", "token"
	case opGet:
		a.app, a.copy, a.requests = changes, "written", "get"
	case opUpdate:
		a.app, a.copy, a.requests = changes, "written", "get 200, update"
	case opDelete:
		a.app, a.copy, a.requests, a.end, a.endCopy = deletes, "tombstone", "delete", removed, "none"
	}
	a.requests += fmt.Sprintf(" %d", c.fault.Status)
	return a
}

// well are the requests when nothing is wrong and an access token is at hand.
func (a answer) well() string {
	switch a.app {
	case deletes:
		return "delete 204"
	case changes:
		return "get 200, update 200"
	default:
		return "insert 200"
	}
}

// anew are the requests of a worker, or with a consent, that has no access token yet.
func (a answer) anew() string { return "token 200, " + a.well() }

// stands fills in how hers stands; a removal that is not over has but one state.
func (a answer) stands(status string, tries int, message string) answer {
	if a.app == deletes {
		status = "tombstone"
	}
	a.event = fmt.Sprintf("%s, %d tries, %s", status, tries, message)
	return a
}

// passing is a bad moment: an attempt is used, and the next one is right.
func passing(c cause) answer {
	a := c.row().stands("pending", 1, c.message())
	a.faults, a.again = first(1, c.op, c.fault), retryBase
	if c.op == opToken {
		a.requests += ", " + a.anew()
	} else {
		a.requests += ", " + a.well()
	}
	return a
}

// postponed is a bad moment of which Google says how long it lasts.
func postponed(c cause, pause time.Duration) answer {
	c = c.after(pause)
	a := c.row().stands("pending", 1, c.message())
	a.faults, a.again, a.mend = first(1, c.op, c.fault), pause, (*couple).pauseEnds
	a.config = func(c *couple) { c.cfg.RetryBase = pause / 4 } // else it would not stand long enough to be seen
	a.requests += " | " + a.anew()
	return a
}

// hanging is an answer that does not come.
func hanging(op string) answer {
	a := passing(mute(op, "no answer in time", gcalfake.Fault{Hang: true}))
	a.config = func(c *couple) { c.gcal.Timeout = time.Second }
	return a
}

// lost is what was done, but for its answer: the next attempt finds it so.
func lost(op, found string) answer {
	a := passing(mute(op, "no answer to what was done", gcalfake.Fault{Lose: true}))
	a.requests = strings.TrimSuffix(a.requests, a.well()) + found
	return a
}

// throttled is a quota of hers: her calendar is left alone, for as long as Google says if it does, and no attempt is used.
func throttled(c cause, pause string) answer {
	a := c.row().stands("pending", 0, c.message())
	a.faults, a.again, a.mend = first(1, c.op, c.fault), afterPause, (*couple).pauseEnds
	if c.fault.RetryAfter > 0 {
		a.again = c.fault.RetryAfter
	}
	a.account, a.pause = "connected, "+c.message(), pause
	a.requests += " | " + a.anew()
	return a
}

// awaited is a quota whose pause is over while the worker runs.
func awaited(op string) answer {
	a := throttled(says(op, 429, "rateLimitExceeded").after(time.Second), seconds)
	a.signal, a.mend = a.signal+", and the pause is waited for", nil
	a.requests = strings.Replace(a.requests, " | "+a.anew(), ", "+a.well(), 1)
	return a
}

// denied is for good, until the event is another. A removal is not forgotten: it is tried again, rarely.
func denied(c cause) answer {
	if c.op == opDelete {
		a := c.row().stands("", 1, c.message())
		a.again, a.mend = retryMax, (*couple).pauseEnds
		a.requests += " | " + a.anew()
		return a
	}
	a := c.row().stands("failed", 0, c.message())
	a.again, a.mend = never, (*couple).changed
	a.requests += " | " + a.well()
	return a
}

// parked is a consent that is gone or too narrow: nothing is asked until she connects again.
func parked(c cause) answer {
	a := c.row()
	a = a.stands("scheduled", 0, a.where()+" in Google Calendar: access has ended ("+c.message())
	a.account, a.alarm, a.again, a.mend = "needs_reconnect, "+c.message(), true, never, (*couple).reconnects
	a.requests += " | " + a.anew()
	return a
}

// ours is a fault of our own registration: everybody waits, nobody is marked, no attempt is used.
func ours(c cause) answer {
	a := c.row().stands("pending", 0, c.message())
	a.everybody, a.alarm, a.again, a.mend = true, true, projectPause, (*couple).pauseEnds
	a.requests += " | " + a.anew() + ", " + a.anew()
	return a
}

// daily is our quota of a day: the same, until the next one.
func daily(op string) answer {
	a := ours(says(op, 403, "dailyLimitExceeded"))
	a.again = dayPause
	return a
}

// renewed is an access token that is refused, and the one that takes its place is not.
func renewed(c cause, requests string) answer {
	a := c.row()
	a.signal, a.faults, a.requests = a.signal+", once", first(1, c.op, c.fault), requests
	return a
}

// where says whether the copy is in Google while the account is parked: one that is to be removed is.
func (a answer) where() string {
	if a.app == deletes {
		return "still"
	}
	return "not"
}

// withdrawn is a consent that ends while an access token is at hand: it is refused, and there is no other.
func withdrawn(op, requests string) answer {
	gone := says(opToken, 400, "invalid_grant")
	a, p := says(op, 401, "authError").row(), parked(gone)
	a.signal, a.faults = a.signal+", and the consent is gone", append(a.faults, p.faults...)
	a.account, a.alarm, a.again, a.mend = p.account, p.alarm, p.again, p.mend
	a.requests = requests + " | " + a.anew()
	return a.stands("scheduled", 0, a.where()+" in Google Calendar: access has ended ("+gone.message())
}

// slipped is a copy that is another, or none, when it is written; the next time it is read again and written.
func slipped(status int, reason string) answer {
	a := says(opUpdate, status, reason).row()
	a.signal, a.faults[0].times = a.signal+", once", 1
	a.requests += ", " + a.well()
	return a
}

// slipping is the same again and again, so that it is put off.
func slipping(status int, reason string) answer {
	c := says(opUpdate, status, reason)
	a := c.row().stands("pending", 1, c.message())
	a.signal, a.faults[0].times, a.again = a.signal+", again and again", 4, retryBase
	a.requests = strings.Repeat(a.requests+", ", 4) + a.well()
	return a
}

// kept is a copy that she has deleted and that Google will not bring back: it is written under another id.
func kept(status int, reason string) answer {
	a := says(opUpdate, status, reason).row()
	a.signal, a.arrange, a.endCopy = a.signal+" of a copy that she has deleted", (*couple).userDeletes, "written, generation 1"
	a.requests += ", insert 200"
	return a
}

// noCalendar is that hers is gone: its events fail and say what to do, and somebody is told.
func noCalendar() answer {
	a := denied(says(opInsert, 404, "notFound"))
	a.alarm = true
	return a.stands("failed", 0, "google insert: status 404: notFound: Not Found. Choose a calendar that exists, or primary.")
}

var answers = slices.Concat(
	[]answer{{signal: "all is well", requests: "token 200, insert 200", end: synced, endCopy: "written"}},
	answers400, answers401, answers403, answers404, answers409, answers410, answers412, answers429, answers5xx, tokenAnswers, delegatedAnswers,
)

var answers400 = slices.Concat(
	each(everyOp, func(op string) answer { return denied(says(op, 400, "badRequest")) }),
	[]answer{
		denied(says(opInsert, 400, "timeRangeEmpty")),
		denied(says(opInsert, 400, "invalid")),
		denied(says(opInsert, 400, "required")),
		denied(says(opUpdate, 400, "timeRangeEmpty")),
	},
)

var answers401 = []answer{
	renewed(says(opInsert, 401, "authError"), "token 200, insert 401, token 200, insert 200"),
	renewed(says(opGet, 401, "authError"), "get 401, token 200, get 200, update 200"),
	renewed(says(opUpdate, 401, "authError"), "get 200, update 401, token 200, update 200"),
	renewed(says(opDelete, 401, "authError"), "delete 401, token 200, delete 204"),
	renewed(gateway(opInsert, 401), "token 200, insert 401, token 200, insert 200"),
	withdrawn(opGet, "get 401, token 400"),
	withdrawn(opUpdate, "get 200, update 401, token 400"),
	withdrawn(opDelete, "delete 401, token 400"),
	{
		// The consent stands, or there would be no new access token: no reason to ask her for another.
		signal: "401 authError at insert, of the renewed access token too", config: func(c *couple) { c.cfg.RetryBase, c.cfg.RetryMax = time.Hour, time.Hour },
		faults: first(2, opInsert, gcalfake.Status(401, "authError")), event: "pending, 1 tries, google insert: status 401: authError",
		account: "connected", copy: "intended", again: time.Hour, mend: (*couple).reconnects,
		requests: "token 200, insert 401, token 200, insert 401 | token 200, insert 200", end: synced, endCopy: "written",
	},
	{
		signal: "401 of a gateway at insert, of the renewed access token too", faults: first(2, opInsert, gcalfake.Page(401)),
		event: "pending, 1 tries, google insert: status 401", account: "connected", copy: "intended", again: retryBase,
		requests: "token 200, insert 401, token 200, insert 401, insert 200", end: synced, endCopy: "written",
	},
}

var answers403 = slices.Concat(
	each(everyOp, func(op string) answer { return throttled(says(op, 403, "rateLimitExceeded").after(time.Hour), hours) }),
	each(everyOp, func(op string) answer { return throttled(says(op, 403, "quotaExceeded"), hours) }),
	each(writeOps, daily),
	each(everyOp, func(op string) answer { return parked(says(op, 403, "insufficientPermissions")) }),
	each(everyOp, func(op string) answer { return ours(says(op, 403, "accessNotConfigured")) }),
	each(everyOp, func(op string) answer { return denied(says(op, 403, "forbidden")) }),
	each(everyOp, func(op string) answer { return passing(gateway(op, 403)) }),
	[]answer{
		throttled(says(opInsert, 403, "rateLimitExceeded"), seconds),
		throttled(says(opInsert, 403, "userRateLimitExceeded"), seconds),
		throttled(says(opDelete, 403, "userRateLimitExceeded"), seconds),
		throttled(detailed(opInsert, "RATE_LIMIT_EXCEEDED"), seconds),
		throttled(says(opInsert, 403, "quotaExceeded").after(3*time.Hour), hours),
		parked(detailed(opInsert, "ACCESS_TOKEN_SCOPE_INSUFFICIENT")),
		parked(detailed(opUpdate, "ACCESS_TOKEN_SCOPE_INSUFFICIENT")),
		ours(detailed(opInsert, "SERVICE_DISABLED")),
		ours(detailed(opInsert, "BILLING_DISABLED")),
		denied(says(opUpdate, 403, "forbiddenForNonOrganizer")),
		denied(says(opDelete, 403, "forbiddenForNonOrganizer")),
		denied(says(opInsert, 403, "forbiddenForServiceAccounts")),
	},
)

var answers404 = slices.Concat(
	[]answer{
		noCalendar(),
		{
			signal: "404 notFound at insert, and another calendar is chosen", arrange: func(c *couple) { c.chooses("gone@group.calendar.google.com") },
			event: "failed, 0 tries, google insert: status 404: notFound", account: "connected", copy: "intended", again: never, alarm: true,
			mend:     func(c *couple) { c.chooses("primary"); c.changed() },
			requests: "token 200, insert 404 | get 404, insert 200", end: synced, endCopy: "written", // it is looked for where it was intended first
		},
		{
			signal: "404 notFound at get: the copy has vanished", app: changes, arrange: (*couple).vanishes,
			requests: "get 404, insert 200", end: synced, endCopy: "written",
		},
		{
			// Its id is the only way to find it again: one "not found" must not make a twin.
			signal: "404 notFound at get, once, of a copy under a foreign id", app: changes, arrange: (*couple).inherits,
			faults: first(1, opGet, gcalfake.Status(404, "notFound")), event: "pending, 1 tries, google get: status 404: notFound",
			account: "connected", copy: "intended", again: retryBase, requests: "get 404, get 200, update 200", end: synced, endCopy: "written",
		},
		slipped(404, "notFound"),
		slipping(404, "notFound"),
		kept(404, "notFound"),
		{
			signal: "404 notFound at delete: the copy has vanished", app: deletes, arrange: (*couple).vanishes,
			requests: "delete 404", end: removed, endCopy: "none",
		},
	},
	each(everyOp, func(op string) answer { return ours(gateway(op, 404)) }),
)

var answers409 = []answer{
	{
		signal: "409 duplicate: it is ours, as it should be", app: asks, arrange: (*couple).forgets,
		requests: "insert 409, get 200", end: synced, endCopy: "written",
	},
	{
		signal: "409 duplicate: it is ours, of before", app: changes, arrange: (*couple).forgets,
		requests: "insert 409, get 200, update 200", end: synced, endCopy: "written",
	},
	{
		signal: "409 duplicate: it is cancelled", app: changes, arrange: func(c *couple) { c.userDeletes(); c.forgets() },
		requests: "insert 409, get 200, update 200", end: synced, endCopy: "written",
	},
	{
		signal: "409 duplicate: it is cancelled and stays so", app: changes, arrange: func(c *couple) { c.userDeletes(); c.forgets() },
		world:    func(c *gcalfake.Config) { c.RefuseUndelete = true },
		requests: "insert 409, get 200, update 403, insert 200", end: synced, endCopy: "written, generation 1",
	},
	{
		signal: "409 duplicate: it is somebody else's", arrange: (*couple).occupied,
		requests: "token 200, insert 409, get 200, insert 200", end: synced, endCopy: "written, generation 1", strangers: 1,
	},
	{
		// What was learned is kept: the next attempt begins with the next id.
		signal: "409 duplicate: it is somebody else's, and 500 under the next id", arrange: func(c *couple) { c.occupied(); c.unlucky() },
		event: "pending, 1 tries, google insert: status 500: backendError", account: "connected", copy: "intended, generation 1", again: retryBase,
		requests: "token 200, insert 409, get 200, insert 500, insert 200", end: synced, endCopy: "written, generation 1", strangers: 1,
	},
	{
		// Either may be Google's bad moment: one "not found" must not make a twin.
		signal: "409 duplicate, and 404 notFound at get, once", app: asks, arrange: (*couple).forgets,
		faults: first(1, opGet, gcalfake.Status(404, "notFound")), event: "pending, 1 tries, google get: status 404: notFound",
		account: "connected", copy: "intended", again: retryBase,
		requests: "insert 409, get 404, insert 409, get 200", end: synced, endCopy: "written",
	},
	passing(says(opUpdate, 409, "conflict")),
}

var answers410 = []answer{
	slipped(410, "deleted"),
	slipping(410, "deleted"),
	kept(410, "deleted"),
	kept(403, "forbidden"),
	{
		signal: "410 deleted at get", app: changes, arrange: (*couple).userDeletes, faults: all(opGet, gcalfake.Status(410, "deleted")),
		requests: "get 410, insert 409, get 410, insert 200", end: synced, endCopy: "written, generation 1",
	},
	{
		signal: "410 deleted at delete: she has deleted the copy", app: deletes, arrange: (*couple).userDeletes,
		requests: "delete 410", end: removed, endCopy: "none",
	},
	{
		signal: "she has deleted the copy, and Google brings it back", app: changes, arrange: (*couple).userDeletes,
		requests: "get 200, update 200", end: synced, endCopy: "written",
	},
}

var answers412 = []answer{slipped(412, "conditionNotMet"), slipping(412, "conditionNotMet")}

var answers429 = slices.Concat(
	each(everyOp, func(op string) answer { return throttled(says(op, 429, "rateLimitExceeded").after(time.Hour), hours) }),
	each(writeOps, func(op string) answer { return throttled(says(op, 429, "rateLimitExceeded"), seconds) }),
	[]answer{throttled(gateway(opInsert, 429), seconds), awaited(opInsert)},
)

var answers5xx = slices.Concat(
	each(everyOp, func(op string) answer { return passing(says(op, 500, "backendError")) }),
	each(everyOp, func(op string) answer { return passing(gateway(op, 502)) }),
	each(everyOp, func(op string) answer { return postponed(says(op, 503, "backendError"), time.Minute) }),
	each(writeOps, func(op string) answer { return passing(gateway(op, 504)) }),
	each(everyOp, func(op string) answer { return passing(mute(op, "a page with 200", gcalfake.Page(200))) }),
	// A request that only reads is made again by net/http, if its connection had been used before: it may not even be seen.
	each(writeOps, func(op string) answer { return passing(mute(op, "no connection", gcalfake.Fault{Drop: true})) }),
	[]answer{
		lost(opInsert, "insert 409, get 200"), lost(opUpdate, "get 200"), lost(opDelete, "delete 410"),
		hanging(opInsert), hanging(opUpdate), passing(gateway(opInsert, 503)),
	},
)

var tokenAnswers = []answer{
	parked(says(opToken, 400, "invalid_grant")),
	parked(says(opToken, 400, "admin_policy_enforced")),
	parked(says(opToken, 403, "access_denied")),
	ours(says(opToken, 401, "invalid_client")),
	ours(says(opToken, 401, "unauthorized_client")),
	ours(says(opToken, 400, "unauthorized_client")),
	passing(gateway(opToken, 400)),
	passing(says(opToken, 429, "rate_limit_exceeded")),
	passing(gateway(opToken, 429)),
	passing(says(opToken, 500, "internal_failure")),
	passing(gateway(opToken, 503)),
	postponed(says(opToken, 429, "rate_limit_exceeded"), time.Minute),
	postponed(gateway(opToken, 503), time.Minute),
	hanging(opToken),
	passing(cause{opToken, "a page with 200", "answer is not a token", gcalfake.Page(200)}),
	passing(mute(opToken, "no connection", gcalfake.Fault{Drop: true})),
	passing(mute(opToken, "no answer to what was done", gcalfake.Fault{Lose: true})),
}

// copyID is the id under which her copy is written first.
func (c *couple) copyID() string { return gcal.NewGoogleID(c.hers, 0) }

// userDeletes is that she deletes the copy in Google.
func (c *couple) userDeletes() { c.must(c.google.UserDelete(c.name(c.her), c.copyID())) }

// vanishes is that the copy is gone without a trace.
func (c *couple) vanishes() {
	c.userDeletes()
	c.must(c.google.Purge(c.name(c.her), c.copyID()))
}

// forgets is that the write of her copy was never recorded.
func (c *couple) forgets() {
	c.exec(`delete from reminder_worker.calendar_copies where event_id = $1`, c.hers)
	c.exec(`update events set google_calendar_id = null where id = $1`, c.hers)
}

// chooses names the calendar that hers are written to.
func (c *couple) chooses(calendar string) {
	c.exec(`update reminder_worker.google_accounts set calendar_id = $2 where user_id = $1`, c.her, calendar)
}

// inherits is that an older service has written her copy, under an id of Google's making.
func (c *couple) inherits() {
	c.vanishes()
	c.exec(`update reminder_worker.calendar_copies set google_event_id = $2, etag = '', content_hash = '' where event_id = $1`,
		c.hers, c.enters(map[string]any{"summary": "Swimming"}))
}

// occupied is that another program of hers has taken our id.
func (c *couple) occupied() { c.enters(map[string]any{"id": c.copyID(), "summary": "Dentist"}) }

// enters is that she writes something into her calendar herself.
func (c *couple) enters(resource map[string]any) (id string) {
	resource["start"] = map[string]any{"dateTime": "2035-01-01T10:00:00Z"}
	resource["end"] = map[string]any{"dateTime": "2035-01-01T11:00:00Z"}
	id, err := c.google.UserInsert(c.name(c.her), resource)
	c.must(err)
	return id
}

// unlucky is that the first insert under the next id fails.
func (c *couple) unlucky() {
	once := gcalfake.Next(1, opInsert, gcalfake.Status(500, "backendError"))
	c.google.Fail(func(r gcalfake.Request) *gcalfake.Fault {
		if r.ID != gcal.NewGoogleID(c.hers, 1) {
			return nil
		}
		return once(r)
	})
}
