package gcal

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Kind is what a fault asks of the caller.
type Kind int

// The kinds, each with what to do.
const (
	// Retry means that nothing is known to be wrong with the event or the account: the network, a timeout, a server's bad
	// moment. Try the same call again later; it cannot make a twin.
	Retry Kind = iota
	// Permanent means that this event will not be accepted as it is. Other events of the account are not concerned.
	Permanent
	// Throttled means that Google asks for a pause of RetryAfter, from this account or (see Error.Shared) from everyone; or that nothing was
	// asked, because Config.Admit would have it later.
	Throttled
	// Reconnect means that the consent is gone or too narrow. Only the user can renew it.
	Reconnect
	// Project means that our own registration with Google is at fault: raise an alarm, mark no user.
	Project
	// CalendarGone means that the account works and its calendar id does not exist.
	CalendarGone
)

var kindNames = [...]string{"retry", "permanent", "throttled", "reconnect", "project", "calendar_gone"}

// String is the kind's name, fit for a metric's label.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("kind(%d)", int(k))
	}
	return kindNames[k]
}

// The operations an Error may name.
const (
	OpInsert = "insert"
	OpGet    = "get"
	OpUpdate = "update"
	OpDelete = "delete"
	OpList   = "list"
	OpToken  = "token"
	OpRevoke = "revoke"

	OpCalendarInsert = "insert calendar"
	OpCalendarList   = "list calendars"
)

// Error is every error of this package except those of Config and New. Its text is fit for an operator's log and for rows that others than the
// event's user read: it holds Google's reason, never a token, and nothing of what Google says in words of its own, for they may repeat
// what was sent, an event's title for one. [Error.Told] has these as well.
type Error struct {
	Kind Kind
	// Op is the exchange that failed, one of the Op constants.
	Op string
	// Reason is Google's own word for it, as "quotaExceeded" or "invalid_grant"; empty when nothing of Google's answered.
	Reason string
	// Note is our own sentence about it, where there is one.
	Note string
	// Message is Google's sentence about it, in one line, without what the event says; what the token endpoint says is left out altogether. It is for the
	// event's own row.
	Message string
	// Status is the HTTP status, 0 when there was no answer.
	Status int
	// RetryAfter is how long to pause; 0 leaves it to the caller. Throttled always has one.
	RetryAfter time.Duration
	asked      bool // RetryAfter is Google's word
	// Service says that our registration is the service account's (Kind is Project): no account with a consent of its own meets the fault.
	Service bool
	// Domain is the one whose users the service account may not act for; empty: what is wrong is not a domain's.
	Domain string
	// Waited is for how long the call waited for its turn, before Google was asked.
	Waited time.Duration
	// Err is the cause when there was no answer: a context's end, a network error.
	Err error
}

// Error says which exchange failed and why, in one line, and nothing of what Google said in words of its own.
func (e *Error) Error() string { return e.text("") }

// Told is Error with Google's own sentence, for the row of the event that the call was about.
func (e *Error) Told() string { return e.text(short(e.Message)) }

func (e *Error) text(message string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "google %s", e.Op)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.Reason != "" {
		fmt.Fprintf(&b, ": %s", e.Reason)
	}
	if e.Note != "" {
		fmt.Fprintf(&b, ": %s", e.Note)
	}
	if message != "" {
		fmt.Fprintf(&b, ": %s", message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap is the cause, so that errors.Is finds context.Canceled.
func (e *Error) Unwrap() error { return e.Err }

// Shared reports whether every account meets the same fault, so that pausing one is not enough.
func (e *Error) Shared() bool {
	return e.Kind == Project && !e.Service || e.Kind == Throttled && (e.Reason == reasonDailyLimit || e.Reason == ReasonOwnQuota || e.Reason == ReasonPaced)
}

// Advice is what a person can do about it, as a sentence.
func (e *Error) Advice() string {
	switch {
	case e.Service && e.Domain != "":
		return "In the Admin console of " + e.Domain + " (Security, Access and data control, API controls, Domain-wide delegation) " +
			"add the client id of the service account, a number, with the scope " + Scope + "; Google may need some minutes, at most a day."
	case e.Service:
		return "Check the service account (GOOGLE_CLIENT_EMAIL, GOOGLE_PRIVATE_KEY), the clock of this machine, the addresses, " +
			"and that the project of the service account has the Calendar API enabled."
	}
	switch e.Kind {
	case Permanent:
		if e.Status == http.StatusForbidden || e.Op == OpCalendarInsert {
			return "Give the account leave to change this calendar, or choose another."
		}
		return "Change the event; it is tried again then."
	case Throttled:
		return "Nothing to do: Google asked for a pause, and the calendar is written after it."
	case Reconnect:
		return "Ask the user to connect Google Calendar again."
	case Project:
		return "Check the OAuth client (GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET), the addresses, and that the project has the Calendar API and billing enabled."
	case CalendarGone:
		return "Choose a calendar that exists, or primary."
	default:
		return "Nothing to do: it is tried again."
	}
}
