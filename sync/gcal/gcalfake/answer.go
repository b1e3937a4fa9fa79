package gcalfake

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// answer is what goes back. The zero status drops the connection instead.
type answer struct {
	status     int
	retryAfter time.Duration
	html       bool
	broken     bool // half of it is sent
	body       any
}

var dropped = answer{}

func (a answer) write(w http.ResponseWriter) {
	if a.status == 0 {
		panic(http.ErrAbortHandler) // net/http's way to close a connection without an answer
	}
	if a.retryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(a.retryAfter.Seconds())))
	}
	switch {
	case a.html:
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.WriteHeader(a.status)
		fmt.Fprintf(w, "<!DOCTYPE html><html><title>Error %d</title><p>%s</p></html>\n", a.status, http.StatusText(a.status))
	case a.broken:
		a.breakOff(w)
	case a.body == nil:
		w.WriteHeader(a.status)
	default:
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.WriteHeader(a.status)
		_ = json.NewEncoder(w).Encode(a.body)
	}
}

// breakOff sends half of what it has announced, or nothing of an answer that has no body, and closes the connection.
func (a answer) breakOff(w http.ResponseWriter) {
	if whole, err := json.Marshal(a.body); err == nil && a.body != nil {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
		w.WriteHeader(a.status)
		_, _ = w.Write(whole[:len(whole)/2])
		_ = http.NewResponseController(w).Flush()
	}
	panic(http.ErrAbortHandler)
}

func success(body any) answer { return answer{status: http.StatusOK, body: body} }

// failure is an error in the Calendar API's shape. An empty message means Google's own.
func failure(status int, reason, message string) answer {
	p := published[reason]
	p.Domain, p.Reason, p.Message = cmp.Or(p.Domain, "global"), reason, cmp.Or(message, p.Message, http.StatusText(status))
	return p.answer(status)
}

const usageLimits, ofCalendar = "usageLimits", "calendar"

// published are the errors as Google's page on them shows them, by reason, and the domains of some others; without one it is global.
var published = map[string]problem{
	timeRangeEmpty:                {Domain: ofCalendar, Message: "The specified time range is empty."},
	"authError":                   {Message: "Invalid Credentials", LocationType: "header", Location: "Authorization"},
	"userRateLimitExceeded":       {Domain: usageLimits, Message: "User Rate Limit Exceeded"},
	"rateLimitExceeded":           {Domain: usageLimits, Message: "Rate Limit Exceeded"},
	"quotaExceeded":               {Domain: usageLimits, Message: "Calendar usage limits exceeded."},
	"dailyLimitExceeded":          {Domain: usageLimits, Message: "Daily Limit Exceeded"},
	"accessNotConfigured":         {Domain: usageLimits},
	"forbiddenForNonOrganizer":    {Domain: ofCalendar, Message: "Shared properties can only be changed by the organizer of the event."},
	"forbiddenForServiceAccounts": {Domain: ofCalendar},
	"notFound":                    {Message: "Not Found"},
	"duplicate":                   {Message: "The requested identifier already exists."},
	"conflict":                    {Message: "Conflict"},
	"deleted":                     {Message: "Resource has been deleted"},
	"fullSyncRequired": {
		Domain: ofCalendar, Message: "Sync token is no longer valid, a full sync is required.", LocationType: "parameter", Location: "syncToken",
	},
	"updatedMinTooLongAgo": {
		Domain: ofCalendar, Message: "The requested minimum modification time lies too far in the past.",
		LocationType: "parameter", Location: "updatedMin",
	},
	"conditionNotMet": {Message: "Precondition Failed", LocationType: "header", Location: "If-Match"},
	"backendError":    {Message: "Backend Error"},
}

type problem struct {
	Domain       string `json:"domain"`
	Reason       string `json:"reason"`
	Message      string `json:"message"`
	LocationType string `json:"locationType,omitempty"`
	Location     string `json:"location,omitempty"`
}

type problemBody struct {
	Code    int              `json:"code"`
	Message string           `json:"message"`
	Errors  []problem        `json:"errors,omitempty"`
	Status  string           `json:"status,omitempty"`
	Details []map[string]any `json:"details,omitempty"`
}

func (p problem) answer(status int) answer {
	return answer{status: status, body: map[string]any{"error": problemBody{
		Code: status, Message: p.Message, Errors: []problem{p}, Status: canonical[status],
	}}}
}

// canonical are the names that newer parts of Google put beside the number; the others have none.
var canonical = map[int]string{http.StatusUnauthorized: "UNAUTHENTICATED", http.StatusForbidden: "PERMISSION_DENIED"}

func notFound() answer { return failure(http.StatusNotFound, "notFound", "") }

func unauthenticated() answer { return failure(http.StatusUnauthorized, "authError", "") }

func conditionNotMet() answer { return failure(http.StatusPreconditionFailed, "conditionNotMet", "") }

const timeRangeEmpty = "timeRangeEmpty"

// emptyRange names the parameter that is to blame, empty if it is the body.
func emptyRange(parameter string) answer {
	p := published[timeRangeEmpty]
	if p.Reason = timeRangeEmpty; parameter != "" {
		p.LocationType, p.Location = "parameter", parameter
	}
	return p.answer(http.StatusBadRequest)
}

func invalid(message string) answer { return failure(http.StatusBadRequest, "invalid", message) }

// grantFailure is an error in OAuth's shape.
func grantFailure(status int, code, description string) answer {
	return answer{status: status, body: map[string]string{"error": code, "error_description": description}}
}
