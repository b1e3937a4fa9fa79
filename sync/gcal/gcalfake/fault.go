package gcalfake

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Request is what a Rule may judge by.
type Request struct {
	Op       string
	User     string // who the access or refresh token belongs to, if anybody
	Calendar string
	ID       string
}

// Rule decides whether a request meets a fault; nil means that it does not. It is called concurrently.
type Rule func(Request) *Fault

// Fault is what goes wrong with one request. Delay comes first; then the connection is dropped, or an error is answered, or the
// request is served as usual.
type Fault struct {
	// Delay is time that passes before anything is done.
	Delay time.Duration
	// Hang never answers: until the client gives up or the server closes.
	Hang bool
	// Drop closes the connection without having done anything.
	Drop bool
	// Lose does what was asked and closes the connection without an answer.
	Lose bool
	// Break does what was asked and closes the connection in the middle of the answer.
	Break bool
	// Status, if set, is answered with an error; nothing is done, unless Done says otherwise.
	Status int
	// Done does what was asked before the error of Status is answered.
	Done bool
	// Reason and Message are Google's, or OAuth's error and error_description at the token endpoint. Without a Message the Calendar
	// API answers the one that goes with the reason.
	Reason, Message string
	// Detail adds an entry with this reason to the error's details.
	Detail string
	// HTML answers a gateway's page in place of JSON.
	HTML bool
	// RetryAfter adds the header of that name, in whole seconds.
	RetryAfter time.Duration
}

// Status is a fault that answers with a status and reason, as Status(503, "backendError"), and with Google's words for them.
func Status(status int, reason string) Fault {
	return Fault{Status: status, Reason: reason, Message: cmp.Or(published[reason].Message, http.StatusText(status))}
}

// Page is a fault that answers with a gateway's HTML page, as Page(502).
func Page(status int) Fault { return Fault{Status: status, HTML: true} }

// InvalidGrant is what the token endpoint says about a consent that is gone.
func InvalidGrant() Fault {
	return Fault{Status: http.StatusBadRequest, Reason: "invalid_grant", Message: "Token has been expired or revoked."}
}

// Always meets every request of an operation; an empty op means every request.
func Always(op string, f Fault) Rule {
	return func(r Request) *Fault {
		if op != "" && r.Op != op {
			return nil
		}
		return &f
	}
}

// Next meets the next n requests of an operation.
func Next(n int, op string, f Fault) Rule {
	var left atomic.Int64
	left.Store(int64(n))
	return func(r Request) *Fault {
		if op != "" && r.Op != op || left.Add(-1) < 0 {
			return nil
		}
		return &f
	}
}

// ForUser narrows a rule to one user. At the token endpoint the user is the refresh token's.
func ForUser(user string, rule Rule) Rule {
	return func(r Request) *Fault {
		if r.User != user {
			return nil
		}
		return rule(r)
	}
}

// Quota lets each user make so many Calendar requests a second, and answers 403 rateLimitExceeded to the others.
func Quota(perSecond int) Rule {
	var mu sync.Mutex
	second, used := int64(0), make(map[string]int)
	return func(r Request) *Fault {
		if r.Op == OpToken || r.Op == OpRevoke {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now().Unix(); now != second {
			second = now
			clear(used)
		}
		if used[r.User]++; used[r.User] <= perSecond {
			return nil
		}
		return new(Status(http.StatusForbidden, "rateLimitExceeded"))
	}
}

// ProjectQuota lets all users together make so many Calendar requests in any window, and answers 403 rateLimitExceeded to the others. What it
// refuses does not count.
func ProjectQuota(allowed int, window time.Duration) Rule {
	var mu sync.Mutex
	var taken []time.Time // within the window
	return func(r Request) *Fault {
		if r.Op == OpToken || r.Op == OpRevoke {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		for len(taken) > 0 && now.Sub(taken[0]) >= window {
			taken = taken[1:]
		}
		if len(taken) >= allowed {
			return new(Status(http.StatusForbidden, "rateLimitExceeded"))
		}
		taken = append(taken, now)
		return nil
	}
}

// Fail adds a rule. Of several, the one added first decides. The returned function takes it away again.
func (s *Server) Fail(rule Rule) (stop func()) {
	entry := &rule
	s.faults.change(func(rules []*Rule) []*Rule { return append(rules, entry) })
	return func() {
		s.faults.change(func(rules []*Rule) []*Rule {
			return slices.DeleteFunc(rules, func(r *Rule) bool { return r == entry })
		})
	}
}

// Heal takes all rules away.
func (s *Server) Heal() { s.faults.change(func([]*Rule) []*Rule { return nil }) }

// faults is the list of rules, replaced as a whole so that requests read it without a lock.
type faults struct {
	mu    sync.Mutex
	rules atomic.Pointer[[]*Rule]
}

func (f *faults) change(edit func([]*Rule) []*Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rules []*Rule
	if old := f.rules.Load(); old != nil {
		rules = slices.Clone(*old)
	}
	rules = edit(rules)
	f.rules.Store(&rules)
}

func (f *faults) match(r Request) *Fault {
	rules := f.rules.Load()
	if rules == nil {
		return nil
	}
	for _, rule := range *rules {
		if fault := (*rule)(r); fault != nil {
			return fault
		}
	}
	return nil
}

func (f *Fault) answer(op string) answer {
	var a answer
	switch {
	case f.HTML:
		a = answer{status: f.Status, html: true}
	case op == OpToken || op == OpRevoke:
		a = grantFailure(f.Status, f.Reason, f.Message)
	default:
		a = f.calendarAnswer()
	}
	a.retryAfter = f.RetryAfter
	return a
}

func (f *Fault) calendarAnswer() answer {
	a := failure(f.Status, f.Reason, f.Message)
	if f.Detail != "" {
		b := a.body.(map[string]any)["error"].(problemBody)
		b.Details = []map[string]any{{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": f.Detail, "domain": "googleapis.com"}}
		a.body = map[string]any{"error": b}
	}
	return a
}
