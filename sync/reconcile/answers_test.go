package reconcile

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// answer is something that Google can say, or fail to say, and what must come of it. Two users have an event, and the app asks for the same
// with both at once: hers, which the answer is about, and his, which must not suffer.
type answer struct {
	signal string
	world  func(*gcalfake.Config)
	config func(*couple)
	// delegated says that she has consented to nothing: a service account acts for her, and for him his own consent.
	delegated bool
	// app is what the app does, with events that are written and synced already; writes: with none.
	app     string
	arrange func(*couple) // before the app does that
	faults  []fault       // of which the first that fits is met; by nobody but her, unless all calendars are concerned
	mend    func(*couple) // once all is at rest; nil: it passes by itself
	// event, account and copy are how hers stand when the answer has been recorded: event and account by prefix, and for a removal those of its
	// tombstone. No event: nothing is recorded before the end.
	event, account, copy string
	pause                string        // of her account: none, seconds or hours
	again                time.Duration // after how long hers is tried again; never: not by itself; afterPause: when that is over
	// requests are those made for her, or for both if all calendars are concerned, with the status of the answer, 0 if there was none. Those
	// before the bar are made until all is at rest.
	requests string
	// end is how her event stands in the end, endCopy her copy; strangers are the events in her calendar that are not the copy.
	end, endCopy string
	strangers    int
	everybody    bool // all calendars pause until hers is tried again
	alarm        bool // something is logged that somebody should see
}

// fault is one that so many requests of an operation meet; 0: all, until it is mended.
type fault struct {
	op    string
	times int
	gcalfake.Fault
}

func (f fault) rule() gcalfake.Rule {
	if f.times > 0 {
		return gcalfake.Next(f.times, f.op, f.Fault)
	}
	return gcalfake.Always(f.op, f.Fault)
}

// echo is what Google repeats, in words of its own, of what it was sent for a user.
func echo(name string) string { return " (as sent for " + name + ")" }

// echoing has a rule's errors repeat what was sent.
func echoing(rule gcalfake.Rule) gcalfake.Rule {
	return func(r gcalfake.Request) *gcalfake.Fault {
		met := rule(r)
		if met == nil || met.Message == "" {
			return met
		}
		f := *met
		f.Message += echo(r.User)
		return &f
	}
}

// What the app may do.
const (
	writes  = ""
	changes = `update events set title = title || '!'`
	asks    = `update events set status = 'pending'`
	deletes = `delete from events`
)

// How an event may end, and the removal of a copy.
const (
	synced  = "synced, 0 tries, -"
	removed = "removed"
)

// How long an account is left alone, and after how long it is tried again if Google has not said how long to leave it.
const (
	none    = ""
	seconds = "seconds"
	hours   = "hours"

	afterPause = time.Duration(-2)
	dayPause   = 24 * time.Hour // the longest there is: until the next day of quota
)

// TestAnswerTable goes through every answer of Google's Calendar API and of its token endpoint, in each operation that can meet it.
func TestAnswerTable(t *testing.T) {
	t.Parallel()
	for _, a := range answers {
		t.Run(a.signal, func(t *testing.T) {
			t.Parallel()
			a.test(t)
		})
	}
}

func (a answer) test(t *testing.T) {
	c := a.couple(t)
	for _, f := range a.faults {
		rule := echoing(f.rule())
		if !a.everybody {
			rule = gcalfake.ForUser(c.name(c.her), rule)
		}
		c.google.Fail(rule)
	}
	c.does(a.app)
	requests, seen := a.requests, 0
	if a.mend != nil {
		atRest, then, _ := strings.Cut(a.requests, " | ")
		c.recorded(c.her)
		c.recorded(c.his)
		a.paused(c)
		a.requested(c, atRest)
		c.google.ResetLog()
		requests, seen = then, len(c.moments(c.her))
		a.mend(c)
	}
	c.settled(c.her, seen)
	c.settled(c.his, 0)
	a.requested(c, requests)
	a.stood(c)
	a.spared(c)
	a.discreet(c)
	c.oneCopy(a.strangers)
	if alarms := c.alarms(); a.alarm != (alarms > 0) {
		t.Errorf("%d alarms\n%s", alarms, c.log.tail())
	}
	if left, why := c.r.Paused(); left > 0 {
		t.Errorf("all calendars are paused in the end, for %s: %s", left, why)
	}
}

// couple makes the two, and what there is before the answer comes.
func (a answer) couple(t *testing.T) *couple {
	var change []func(*gcalfake.Config)
	if a.world != nil {
		change = append(change, a.world)
	}
	c := newCouple(t, change...)
	if a.config != nil {
		a.config(c)
	}
	if a.delegated {
		c.employ("example.com")
		c.join(c.her, "example.com")
	}
	if a.everybody {
		c.cfg.Concurrency = 1 // the second of them finds what the first has learned
	}
	c.exec(noting)
	c.begin()
	if a.app != writes {
		c.does(writes)
		c.untilAll("synced")
	}
	if a.arrange != nil {
		a.arrange(c)
	}
	c.exec(`truncate moments, pauses`)
	c.google.ResetLog()
	return c
}

// paused checks whether all calendars are left alone, and for how long.
func (a answer) paused(c *couple) {
	c.t.Helper()
	left, why := c.r.Paused()
	if strings.Contains(why, "as sent for") {
		c.t.Errorf("what was sent for one stands over the pause of all: %q", why)
	}
	if a.everybody != (left > 0) || a.everybody && left > a.again {
		c.t.Errorf("all calendars are paused for %s: %q", left, why)
	}
}

// requested checks what Google was asked.
func (a answer) requested(c *couple, want string) {
	c.t.Helper()
	// What hangs is noted when its connection has ended, which may be later.
	c.until(want, func() bool { return strings.Count(c.requests(a.everybody), " 0") >= strings.Count(want, " 0") })
	if got := c.requests(a.everybody); got != want {
		c.t.Errorf("requests: %s\n    want: %s", got, want)
	}
}

// stood checks how hers stood when the answer had come, and how it stands in the end.
func (a answer) stood(c *couple) {
	c.t.Helper()
	moments := c.moments(c.her)
	worst, end := moments[0], moments[len(moments)-1]
	if slices.ContainsFunc(a.faults, func(f fault) bool { return f.Message != "" && strings.Contains(a.event, f.Message) }) &&
		!strings.Contains(worst.Event, echo(c.name(c.her))) {
		c.t.Errorf("what Google says in words of its own is missing: %s", worst.Event)
	}
	worst.Event = strings.ReplaceAll(worst.Event, echo(c.name(c.her)), "")
	if a.event == "" && len(moments) > 1 {
		c.t.Errorf("recorded before the end: %+v", worst)
	}
	if a.event != "" && !a.fits(worst) {
		c.t.Errorf("stood at\n%+v, want\n%s, %s, pause %q, copy %q, again in %s", worst, a.event, a.account, a.pause, a.copy, a.again)
	}
	if end.Event != a.end || !strings.HasPrefix(end.Account, "connected") || span(end.Pause) != a.pause || end.Copy != a.endCopy {
		c.t.Errorf("stands at\n%+v, want\n%s, connected, pause %q, copy %q", end, a.end, a.pause, a.endCopy)
	}
}

func (a answer) fits(m moment) bool {
	again := millis(a.again)
	if a.again == afterPause {
		again = m.Pause
	}
	// A pause of everybody has begun already when the second of them hears of it, and ends at a time of day if it is a day's.
	inTime := m.Again == again || a.everybody && m.Again > 0 && m.Again < again
	return inTime && strings.HasPrefix(m.Event, a.event) && strings.HasPrefix(m.Account, a.account) && span(m.Pause) == a.pause && m.Copy == a.copy
}

// discreet checks that what Google repeats stands with the event for which it was sent, and nowhere else.
func (a answer) discreet(c *couple) {
	c.t.Helper()
	for _, user := range []uuid.UUID{c.her, c.his} {
		own, other := echo(c.name(user)), echo(c.name(c.her))
		if user == c.her {
			other = echo(c.name(c.his))
		}
		if c.log.count(own) > 0 {
			c.t.Errorf("the log tells what was sent\n%s", c.log.tail())
		}
		for _, m := range c.moments(user) {
			if strings.Contains(m.Event, other) || strings.Contains(m.Account, own) || strings.Contains(m.Account, other) {
				c.t.Errorf("what was sent stands where it does not belong: %+v", m)
			}
		}
	}
}

// span is how long an account is left alone, as it matters to its user.
func span(ms int64) string {
	switch d := time.Duration(ms) * time.Millisecond; {
	case d <= 0:
		return none
	case d <= time.Minute:
		return seconds
	case d >= time.Hour && d <= dayPause:
		return hours
	default:
		return d.String()
	}
}

// spared checks that his comes to a good end, and that he has not suffered on the way.
func (a answer) spared(c *couple) {
	c.t.Helper()
	end, copies := synced, 1
	if a.app == deletes {
		end, copies = removed, 0
	}
	moments := c.moments(c.his)
	if got := moments[len(moments)-1].Event; got != end {
		c.t.Errorf("his stands at %s, want %s", got, end)
	}
	if len(moments) > 1 && !a.everybody {
		c.t.Errorf("his met trouble: %+v", moments)
	}
	if slices.ContainsFunc(moments, func(m moment) bool {
		return m.Account != "connected" || m.Pause > 0 || m.Event != removed && !strings.Contains(m.Event, ", 0 tries, ")
	}) {
		c.t.Errorf("his account was blamed, or an attempt used: %+v", moments)
	}
	if n := len(c.live(c.his)); n != copies {
		c.t.Errorf("his calendar shows %d events, want %d", n, copies)
	}
}
