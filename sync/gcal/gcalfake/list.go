package gcalfake

import (
	"cmp"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const defaultPage, maxPage = 250, 2500

// list answers one page of a calendar.
func (cal *calendar) list(q url.Values) answer {
	f, problem := newFilter(q)
	if problem != nil {
		return *problem
	}
	from, ok := readPageToken(q.Get("pageToken"))
	if !ok || from > len(cal.order) {
		return invalid("Invalid page token value.")
	}
	size := defaultPage
	if n, err := strconv.Atoi(q.Get("maxResults")); err == nil {
		size = min(n, maxPage)
	}
	items, next := f.page(cal.ordered(q.Get("orderBy")), from, size)
	body := map[string]any{
		"kind": "calendar#events", "etag": cal.version, "updated": cal.updated.Format(stampLayout), "summary": cal.resource["summary"],
		"timeZone": cal.resource["timeZone"], "accessRole": "owner", "defaultReminders": []any{}, "items": items,
	}
	if next > 0 {
		body["nextPageToken"] = pageToken(next)
	}
	return success(body)
}

// ordered is the calendar's events as asked for; by default as they were created, which paging can rely on.
func (cal *calendar) ordered(by string) []*stored {
	switch by {
	case "startTime":
		return slices.SortedStableFunc(slices.Values(cal.order), func(a, b *stored) int { return a.start.Compare(b.start) })
	case "updated":
		return slices.SortedStableFunc(slices.Values(cal.order), func(a, b *stored) int {
			return cmp.Or(a.updated.Compare(b.updated), cmp.Compare(a.etag(), b.etag()))
		})
	}
	return cal.order
}

// filter is what a list request asks for.
type filter struct {
	showDeleted                  bool
	timeMin, timeMax, updatedMin time.Time
	private, shared              []string
	iCalUID, words               string
}

func newFilter(q url.Values) (filter, *answer) {
	f := filter{
		showDeleted: q.Get("showDeleted") == "true",
		timeMin:     readInstant(q.Get("timeMin")), timeMax: readInstant(q.Get("timeMax")), updatedMin: readInstant(q.Get("updatedMin")),
		private: q["privateExtendedProperty"], shared: q["sharedExtendedProperty"],
		iCalUID: q.Get("iCalUID"), words: strings.ToLower(q.Get("q")),
	}
	if !f.timeMin.IsZero() && !f.timeMax.IsZero() && !f.timeMax.After(f.timeMin) {
		return f, new(emptyRange("timeMax"))
	}
	if q.Get("orderBy") == "startTime" && q.Get("singleEvents") != "true" {
		return f, new(failure(http.StatusBadRequest, "badRequest", "The requested ordering is not available for the particular query."))
	}
	for _, property := range slices.Concat(f.private, f.shared) {
		if !strings.Contains(property, "=") {
			return f, new(invalid("Invalid extended property constraint."))
		}
	}
	return f, nil
}

// page gathers the events from a position on, and says where the next page begins, 0 if there is none.
func (f filter) page(events []*stored, from, size int) (items []map[string]any, next int) {
	items = []map[string]any{}
	for i := from; i < len(events); i++ {
		if !f.wants(events[i]) {
			continue
		}
		if len(items) == size {
			return items, i
		}
		items = append(items, events[i].resource)
	}
	return items, 0
}

func (f filter) wants(e *stored) bool {
	switch {
	case e.cancelled() && !f.showDeleted && f.updatedMin.IsZero(), // who asks for changes is told of deletions
		!f.timeMin.IsZero() && !e.end.After(f.timeMin),
		!f.timeMax.IsZero() && !e.start.Before(f.timeMax),
		!f.updatedMin.IsZero() && e.updated.Before(f.updatedMin),
		f.iCalUID != "" && e.resource["iCalUID"] != f.iCalUID,
		f.words != "" && !f.mentions(e):
		return false
	}
	return hasAll(e, "private", f.private) && hasAll(e, "shared", f.shared)
}

func (f filter) mentions(e *stored) bool {
	for _, name := range []string{"summary", "description", "location"} {
		if strings.Contains(strings.ToLower(text(e.resource[name])), f.words) {
			return true
		}
	}
	return false
}

// hasAll reports whether an event carries every one of the properties, each written name=value.
func hasAll(e *stored, side string, properties []string) bool {
	if len(properties) == 0 {
		return true
	}
	extended, _ := e.resource["extendedProperties"].(map[string]any)
	carried, _ := extended[side].(map[string]any)
	for _, property := range properties {
		name, value, _ := strings.Cut(property, "=")
		if carried[name] != value {
			return false
		}
	}
	return true
}

// readInstant trusts its text: the description's check has parsed it before.
func readInstant(s string) time.Time {
	t, _ := time.Parse(time.RFC3339, s)
	return t
}

func pageToken(position int) string {
	return base64.RawURLEncoding.EncodeToString(strconv.AppendInt([]byte("page:"), int64(position), 10))
}

func readPageToken(token string) (position int, ok bool) {
	if token == "" {
		return 0, true
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	digits, found := strings.CutPrefix(string(raw), "page:")
	position, convErr := strconv.Atoi(digits)
	return position, err == nil && found && convErr == nil && position >= 0
}
