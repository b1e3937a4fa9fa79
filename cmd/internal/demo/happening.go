package demo

import "time"

// kind is what sort of thing happened, in the words that are shown.
type kind string

const (
	kindScene     kind = "scene"
	kindNote      kind = "note"
	kindRow       kind = "row committed"
	kindPlanned   kind = "reminders planned"
	kindWithdrawn kind = "reminders withdrawn"
	kindWritten   kind = "copy written"
	kindUpdated   kind = "copy updated"
	kindRemoved   kind = "copy removed"
	kindNoCopy    kind = "no copy"
	kindRefused   kind = "row refused"
	kindPushed    kind = "push sent"
	kindUnsent    kind = "reminder not sent"
	kindAnswer    kind = "answer of Google"
	kindFault     kind = "waited in vain"
)

// happening is one thing that happened, and one line on the screen.
type happening struct {
	At   time.Time
	Kind kind
	// Who is the user, Event the event's title; either may be empty.
	Who, Event string
	// Took is the latency, if Timed: since the commit, or since the reminder was due.
	Took  time.Duration
	Timed bool
	Note  string
	// Phone is the device that a push went to, Title and Body what it shows.
	Phone, Title, Body string
}

func (h happening) timed(took time.Duration) happening {
	h.Took, h.Timed = took, true
	return h
}

// face is how a demo shows itself. Its methods may be called from any goroutine.
type face interface {
	say(text string)
	show(h happening)
	started(a addresses)
	conclude(s summary)
}
