package gcal

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"
)

// The pauses that are taken when Google does not name one.
const (
	ratePause  = 2 * time.Second // to begin with: the rate is measured over a sliding minute
	quotaPause = 2 * time.Hour   // quotaExceeded makes a calendar read-only for hours
	maxPause   = 24 * time.Hour  // no header may put an account to sleep for longer
)

const (
	reasonDailyLimit = "dailyLimitExceeded"
	// ReasonOwnQuota is ours, not Google's: what all workers together allow themselves is used up.
	ReasonOwnQuota = "sharedQuotaUsedUp"
	// ReasonOwnUserQuota is the same for what all workers together allow themselves of one user's.
	ReasonOwnUserQuota = "userQuotaUsedUp"
	// ReasonPaced is ours, too: Google takes fewer requests than are made, and this one's turn is later.
	ReasonPaced = "waitsForItsTurn"
)

// later is an error that tells when it is worth another try.
type later interface{ RetryAfter() time.Duration }

// personal is such an error that may concern one user only.
type personal interface {
	error
	Personal() bool
}

// reasonKinds judges what Google gives a reason for, whatever the status it comes with.
var reasonKinds = map[string]Kind{
	"rateLimitExceeded":               Throttled,
	"userRateLimitExceeded":           Throttled,
	"userRateLimitExceededUnreg":      Throttled,
	"quotaExceeded":                   Throttled,
	"calendarLimitsExceeded":          Throttled,
	"RATE_LIMIT_EXCEEDED":             Throttled,
	reasonDailyLimit:                  Throttled,
	"authError":                       Retry, // a renewed access token was refused, too: a grant that is gone shows when it is renewed
	"insufficientPermissions":         Reconnect,
	"ACCESS_TOKEN_SCOPE_INSUFFICIENT": Reconnect,
	"accessNotConfigured":             Project,
	"SERVICE_DISABLED":                Project,
	"BILLING_DISABLED":                Project,
	"CONSUMER_INVALID":                Project,
	"CONSUMER_SUSPENDED":              Project,
	"billingNotEnabled":               Project,
	"backendError":                    Retry,
	"internalError":                   Retry,
}

// grantKinds judges the token endpoint's error codes. One that is not here is our registration's fault until proved otherwise:
// that raises an alarm and marks nobody.
var grantKinds = map[string]Kind{
	"invalid_grant":           Reconnect,
	"access_denied":           Reconnect,
	"admin_policy_enforced":   Reconnect,
	"server_error":            Retry,
	"temporarily_unavailable": Retry,
	"internal_failure":        Retry,
	"rate_limit_exceeded":     Retry,
}

// classify turns whatever an exchange ended with into an Error. It looks at types, status codes and reasons only, never at text,
// and does nothing but look: now serves the pauses that end at a time of day.
func classify(op string, err error, now time.Time) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if r, ok := errors.AsType[*oauth2.RetrieveError](err); ok && r.Response != nil {
		return classifyGrant(op, r, now)
	}
	if g, ok := errors.AsType[*googleapi.Error](err); ok {
		return classifyAnswer(op, g, now)
	}
	if wait := later(nil); errors.As(err, &wait) {
		reason := ReasonOwnQuota
		if p, ok := errors.AsType[personal](err); ok && p.Personal() {
			reason = ReasonOwnUserQuota
		}
		if _, paced := errors.AsType[governed](err); paced {
			reason = ReasonPaced
		}
		return &Error{Kind: Throttled, Op: op, Reason: reason, RetryAfter: min(max(wait.RetryAfter(), time.Millisecond), maxPause), Err: err}
	}
	return &Error{Kind: Retry, Op: op, Err: bareCause(op, err)}
}

// bareCause keeps what caused a failure to talk, without the address, and drops what a decoder says about an answer of the token
// endpoint, which quotes it.
func bareCause(op string, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return unquoted(u.Err)
	}
	if op == OpToken && !isContextual(err) {
		return errors.New("answer is not a token")
	}
	return err
}

// unquoted leaves out what an error quotes of an answer that could not be read.
func unquoted(err error) error {
	text := err.Error()
	from, to := strings.IndexByte(text, '"'), strings.LastIndexByte(text, '"')
	if from == to {
		return err
	}
	return errors.New(text[:from] + "[...]" + text[to+1:])
}

func classifyGrant(op string, r *oauth2.RetrieveError, now time.Time) *Error {
	status := r.Response.StatusCode
	e := &Error{Op: op, Status: status, Reason: plainWord(r.ErrorCode), RetryAfter: retryAfter(r.Response.Header, now)}
	kind, known := grantKinds[r.ErrorCode]
	switch {
	case r.ErrorCode == "", status == http.StatusTooManyRequests, status >= 500:
		e.Kind = Retry // a gateway's page, or a bad moment: says nothing about user or client
	case known:
		e.Kind = kind
	default:
		e.Kind = Project
	}
	return e
}

func classifyAnswer(op string, g *googleapi.Error, now time.Time) *Error {
	a := readAnswer(g)
	e := &Error{
		Kind: a.kind(op, g.Code), Op: op, Status: g.Code, Reason: a.reason, Message: oneLine(g.Message[:min(len(g.Message), maxMessage)]),
		RetryAfter: retryAfter(g.Header, now),
	}
	e.asked = e.RetryAfter > 0
	if e.Kind == Throttled && e.RetryAfter == 0 {
		e.RetryAfter = pause(a.reason, now)
	}
	return e
}

// answer is what an error of the Calendar API says about itself.
type answer struct {
	reason string // errors[0].reason, else the first of details, else the status by its name
	domain string
}

func readAnswer(g *googleapi.Error) answer {
	var a answer
	if len(g.Errors) > 0 {
		a.reason = plainWord(g.Errors[0].Reason)
	}
	for _, d := range g.Details {
		m, _ := d.(map[string]any)
		// A detail is the finer word: beside it errors[0].reason is a bare "forbidden".
		if r, _ := m["reason"].(string); r != "" && (a.reason == "" || a.reason == "forbidden") {
			a.reason = plainWord(r)
		}
	}
	var body struct {
		Error struct {
			Status string
			Errors []struct{ Domain string }
		}
	}
	_ = json.Unmarshal([]byte(g.Body), &body) // a gateway's page leaves it empty
	if len(body.Error.Errors) > 0 {
		a.domain = body.Error.Errors[0].Domain
	}
	if a.reason == "" {
		a.reason = plainWord(body.Error.Status)
	}
	return a
}

func (a answer) kind(op string, status int) Kind {
	if k, ok := reasonKinds[a.reason]; ok {
		return k
	}
	switch {
	case status == http.StatusTooManyRequests:
		return Throttled
	case status == http.StatusRequestTimeout, status >= 500, status < 400:
		return Retry
	case status == http.StatusUnauthorized:
		return Retry // likewise, or a gateway's page: no reason to bother the user
	case status == http.StatusForbidden:
		return a.forbiddenKind()
	case status == http.StatusNotFound:
		return a.notFoundKind(op)
	case status == http.StatusConflict, status == http.StatusPreconditionFailed, status == http.StatusGone:
		return Retry // lost a race with another writer
	case status == http.StatusProxyAuthRequired:
		return Project
	default:
		return Permanent
	}
}

func (a answer) forbiddenKind() Kind {
	switch {
	case a.domain == "usageLimits":
		return Throttled
	case a.reason == "":
		return Retry // a gateway's page, not Google's judgement
	default:
		return Permanent
	}
}

// notFoundKind tells a missing calendar from an address that is not the Calendar API's at all.
func (a answer) notFoundKind(op string) Kind {
	switch {
	case a.reason == "":
		return Project
	case op == OpInsert, op == OpList:
		return CalendarGone
	default:
		return Retry
	}
}

func pause(reason string, now time.Time) time.Duration {
	switch reason {
	case "quotaExceeded", "calendarLimitsExceeded":
		return quotaPause
	case reasonDailyLimit:
		return untilNextDay(now)
	default:
		return ratePause
	}
}

// untilNextDay is the time to the next midnight of Pacific standard time, when Google begins a new day of quota. In summer that
// is an hour late, which costs less than asking a zone database that may not be there.
func untilNextDay(now time.Time) time.Duration {
	pacific := now.In(time.FixedZone("PST", -8*60*60))
	y, m, d := pacific.Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, pacific.Location()).Sub(now)
}

// retryAfter reads the header in both its forms, seconds and a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	var d time.Duration
	if s, err := strconv.ParseInt(v, 10, 32); err == nil {
		d = time.Duration(s) * time.Second
	} else if t, err := http.ParseTime(v); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), maxPause)
}

// plainWord lets through what looks like one of Google's reasons, so that no foreign text reaches a log or a label.
func plainWord(s string) string {
	if len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return "unknown"
	}
	return s
}

// maxMessage bounds in bytes what is kept of a message until it is told.
const maxMessage = 16 << 10

// oneLine makes of a message what a text column takes, in which there is no control character.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.Join(strings.Fields(s), " ")
}

// short is what is told of a message.
func short(s string) string {
	const most = 200
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// leastHidden and leastPart are the lengths in bytes of the shortest text that is left out of a message, for a shorter one is part of too many words,
// and of the shortest beginning of a longer one, for who repeats a text may cut it.
const (
	leastHidden = 4
	leastPart   = 12
)

// leaveOut takes what a request said out of what Google says about it.
func leaveOut(err error, said ...string) {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Message == "" {
		return
	}
	var lines []string
	for _, text := range said {
		for line := range strings.Lines(text) {
			if line = oneLine(line); len(line) >= leastHidden {
				lines = append(lines, line)
			}
		}
	}
	e.Message = without(e.Message, lines)
}

// without leaves lines out of a message: whole ones, a longer one before what may be a part of it, and then what begins like one, for as long as it goes
// on like any.
func without(text string, hidden []string) string {
	slices.SortFunc(hidden, func(a, b string) int { return len(b) - len(a) })
	for _, h := range hidden {
		text = strings.ReplaceAll(text, h, "[...]")
	}
	var left strings.Builder
	for i := 0; i < len(text); {
		most := 0
		for _, h := range hidden {
			n := 0
			for n < len(h) && i+n < len(text) && text[i+n] == h[n] {
				n++
			}
			if n >= leastPart {
				most = max(most, n)
			}
		}
		if most = len(strings.TrimRight(text[i:i+most], " ")); most == 0 {
			left.WriteByte(text[i])
			i++
			continue
		}
		left.WriteString("[...]")
		i += most
	}
	return strings.ToValidUTF8(left.String(), "")
}
