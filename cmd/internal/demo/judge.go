package demo

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// grace is how late is too late, and how young is too young to be judged.
const grace = time.Second

// Verdict lists what went wrong, a line for each.
type Verdict struct {
	// Lost is what should be and is not: a push, a copy, a removal.
	Lost []string `json:"lost"`
	// Doubled is what is there twice: two live copies of one event, two pushes of one reminder to one device.
	Doubled []string `json:"doubled"`
	// Late is what took more than a second.
	Late []string `json:"late"`
	// Violations are requests that Google's description of its API does not allow.
	Violations []string `json:"violations"`
}

// Good reports whether nothing went wrong.
func (v Verdict) Good() bool {
	return len(v.Lost)+len(v.Doubled)+len(v.Late)+len(v.Violations) == 0
}

// facts is what the rows and the stand-ins said when the program had stopped.
type facts struct {
	at         time.Time // until when the program ran
	events     []eventFact
	copies     []copyFact
	owed       []owedFact
	pushes     []pushFact
	pickups    []pickupFact
	violations []string
}

// due counts the pushes that were due, and not just now, when the program stopped: one per reminder and device, however often it is owed.
func (f facts) due() int {
	found := map[delivery]bool{}
	for _, o := range f.owed {
		if !f.overdue(o) {
			continue
		}
		for _, token := range o.tokens {
			found[delivery{o.event, o.due.UnixMicro(), token}] = true
		}
	}
	return len(found)
}

func (f facts) overdue(o owedFact) bool { return f.at.Sub(later(o.due, o.owed)) > grace }

// eventFact is an event that is there, or was.
type eventFact struct {
	id         uuid.UUID
	who, title string
	start      time.Time
	status     string
	changed    time.Time // last commit of the app
	connected  bool      // its user has Google connected
	good       bool      // the family's own, and without fault: it may not fail
}

// copyFact is an event as it stands in a calendar.
type copyFact struct {
	event uuid.UUID // nil: a person's own
	title string
	start time.Time
}

// owedFact is a reminder that should have come to these devices.
type owedFact struct {
	event  uuid.UUID
	title  string
	due    time.Time
	owed   time.Time // due, or when it became known that it was
	tokens []string
}

// pushFact is a push that was accepted.
type pushFact struct {
	reminder, event uuid.UUID
	token, title    string
	due, owed, at   time.Time
}

// pickupFact is how long after its commit a change was on its way to Google.
type pickupFact struct {
	what string
	took time.Duration
}

// judge compares what should be with what is. It is pure.
func judge(f facts) Verdict {
	v := Verdict{Violations: f.violations}
	v.judgeCopies(f)
	v.judgePushes(f)
	for _, p := range f.pickups {
		if p.took > grace {
			v.Late = append(v.Late, fmt.Sprintf("%s: %s after the commit", p.what, short(p.took)))
		}
	}
	return v
}

func (v *Verdict) judgeCopies(f facts) {
	live := map[uuid.UUID][]copyFact{}
	for _, c := range f.copies {
		if c.event != uuid.Nil {
			live[c.event] = append(live[c.event], c)
		}
	}
	for _, e := range f.events {
		copies := live[e.id]
		delete(live, e.id)
		if len(copies) > 1 {
			v.Doubled = append(v.Doubled, fmt.Sprintf("%d live copies of %s", len(copies), e.title))
		}
		if fault := e.fault(copies); fault != "" && f.at.Sub(e.changed) > grace {
			v.Lost = append(v.Lost, fault)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(live), func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) }) {
		v.Lost = append(v.Lost, "a copy of "+live[id][0].title+" is left though its event is gone")
	}
}

// fault says how the copies of an event differ from what its row calls for.
func (e eventFact) fault(copies []copyFact) string {
	switch e.status {
	case statusSynced, statusPending, statusScheduled:
		if !e.connected {
			return ""
		}
		if len(copies) == 0 {
			return fmt.Sprintf("no copy of %s (%s)", e.title, e.status)
		}
		if c := copies[0]; !sameWords(c.title, e.title) || !c.start.Equal(e.start.Truncate(time.Second)) {
			return "the copy of " + e.title + " is out of step with its row"
		}
	case statusFailed:
		if e.good {
			return e.title + " failed"
		}
	case statusCancelled, statusDeleted:
		if len(copies) > 0 {
			return fmt.Sprintf("the copy of %s is left though it was %s", e.title, e.status)
		}
	}
	return ""
}

func sameWords(a, b string) bool {
	return strings.Join(strings.Fields(a), " ") == strings.Join(strings.Fields(b), " ")
}

// delivery is one reminder, due at an instant, on one device. A reminder that was moved is due again, and may come again.
type delivery struct {
	event uuid.UUID
	due   int64
	token string
}

func (v *Verdict) judgePushes(f facts) {
	sent := map[delivery][]pushFact{}
	var order []delivery
	for _, p := range f.pushes {
		d := delivery{p.event, p.due.UnixMicro(), p.token}
		if p.reminder == uuid.Nil {
			continue // no reminder's: a request to reconnect
		}
		if len(sent[d]) == 0 {
			order = append(order, d)
		}
		sent[d] = append(sent[d], p)
	}
	for _, d := range order {
		first := slices.MinFunc(sent[d], func(a, b pushFact) int { return a.at.Compare(b.at) })
		if n := len(sent[d]); n > 1 {
			v.Doubled = append(v.Doubled, fmt.Sprintf("%d pushes of one reminder of %s to %s", n, first.title, phoneName(d.token)))
		}
		if late := first.at.Sub(first.owed); late > grace {
			v.Late = append(v.Late, fmt.Sprintf("push of %s to %s: %s late", first.title, phoneName(d.token), short(late)))
		}
	}
	v.Lost = append(v.Lost, missing(f, sent)...)
}

// missing lists what was owed, is overdue, and never came. What is owed twice, by promise and by row, is listed once.
func missing(f facts, sent map[delivery][]pushFact) []string {
	lost := map[delivery]string{}
	for _, o := range f.owed {
		if !f.overdue(o) {
			continue
		}
		for _, token := range o.tokens {
			d := delivery{o.event, o.due.UnixMicro(), token}
			if len(sent[d]) == 0 {
				lost[d] = fmt.Sprintf("push of %s to %s, due %s", o.title, phoneName(token), clock(o.due, f.at))
			}
		}
	}
	keys := slices.SortedFunc(maps.Keys(lost), func(a, b delivery) int {
		return cmp.Or(cmp.Compare(a.due, b.due), strings.Compare(a.token, b.token))
	})
	texts := make([]string, len(keys))
	for i, d := range keys {
		texts[i] = lost[d]
	}
	return texts
}
