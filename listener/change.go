package listener

import "time"

// Cause says why a [Change] was handed on, and so how far its handler must look.
type Cause uint8

const (
	// Committed says a transaction that touched watched rows was committed: the
	// queue indexes have something to tell.
	Committed Cause = iota + 1
	// Backlog says the listener has just begun to hear, for the first time or
	// again: anything may have happened before.
	Backlog
	// Sweep says nothing but that time has passed. In a healthy system its
	// handler finds nothing to do.
	Sweep
	// Look says that something may have been committed which no trigger announced:
	// by another worker, or while the bell is silent.
	Look
)

// causes lists every cause, for the metrics that must exist before they count.
var causes = []Cause{Committed, Backlog, Sweep, Look}

// String returns the cause as it stands in logs and metric labels.
func (c Cause) String() string {
	switch c {
	case Committed:
		return "committed"
	case Backlog:
		return "backlog"
	case Sweep:
		return "sweep"
	case Look:
		return "look"
	default:
		return "unknown"
	}
}

// Change is the invitation to look at the tables. It says that something was
// committed, and at most to which table, never what.
type Change struct {
	// Cause says why.
	Cause Cause
	// At is when the first of what was folded into this change was heard.
	At time.Time
	// OnlyEvents says that rows of events were announced and no others: reminders
	// and accounts stand as they were.
	OnlyEvents bool
	// Count is how many committed transactions were heard and folded into this
	// change. It is 0 for a sweep, and for a look or a backlog nobody added to.
	Count int

	acks *acks  // is told when the handler has returned
	upto uint64 // the last position that was folded into this change
}

// fold returns one change that stands for both. A backlog includes whatever was
// committed, and the older time is kept because lateness is counted from it.
func (c Change) fold(next Change) Change {
	if next.Cause == Backlog || c.Cause == Look {
		c.Cause = next.Cause
	}
	if next.At.Before(c.At) {
		c.At = next.At
	}
	c.Count += next.Count
	c.OnlyEvents = c.OnlyEvents && next.OnlyEvents
	if next.acks != nil {
		c.acks, c.upto = next.acks, next.upto
	}
	return c
}
