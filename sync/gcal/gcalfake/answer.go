package gcalfake

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// answer is what goes back. The zero status drops the connection instead.
type answer struct {
	status     int
	retryAfter time.Duration
	html       bool
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
	case a.body == nil:
		w.WriteHeader(a.status)
	default:
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.WriteHeader(a.status)
		_ = json.NewEncoder(w).Encode(a.body)
	}
}

func success(body any) answer { return answer{status: http.StatusOK, body: body} }

// failure is an error in the Calendar API's shape.
func failure(status int, reason, message string) answer {
	return problem{Domain: domainOf(reason), Reason: reason, Message: message}.answer(status)
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

func domainOf(reason string) string {
	switch reason {
	case "rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded", "accessNotConfigured":
		return "usageLimits"
	case "timeRangeEmpty", "forbiddenForNonOrganizer", "forbiddenForServiceAccounts":
		return "calendar"
	default:
		return "global"
	}
}

func notFound() answer { return failure(http.StatusNotFound, "notFound", "Not Found") }

func unauthenticated() answer {
	return problem{
		Domain: "global", Reason: "authError", Message: "Invalid Credentials", LocationType: "header", Location: "Authorization",
	}.answer(http.StatusUnauthorized)
}

func conditionNotMet() answer {
	return problem{
		Domain: "global", Reason: "conditionNotMet", Message: "Precondition Failed", LocationType: "header", Location: "If-Match",
	}.answer(http.StatusPreconditionFailed)
}

func invalid(message string) answer { return failure(http.StatusBadRequest, "invalid", message) }

// grantFailure is an error in OAuth's shape.
func grantFailure(status int, code, description string) answer {
	return answer{status: status, body: map[string]string{"error": code, "error_description": description}}
}
