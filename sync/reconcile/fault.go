package reconcile

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parentpal/reminder-worker/sql/store"
)

// What a row may hold. Far above what people write, far below what would harm anything on the way.
const (
	maxTextBytes  = 64 << 10
	maxTitleChars = 1000
	maxDuration   = 366 * 24 * time.Hour
)

var (
	earliest = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// findFault says what is wrong with a row and what to do, or nothing.
func findFault(row store.ClaimEventsRow) string {
	if row.TextBytes > maxTextBytes {
		return fmt.Sprintf("title, location and prep_items hold %s together; at most %s are served: shorten them",
			byteSize(row.TextBytes), byteSize(maxTextBytes))
	}
	switch n := utf8.RuneCountInString(row.Title); {
	case strings.TrimSpace(row.Title) == "":
		return "title is empty: give the event a title"
	case n > maxTitleChars:
		return fmt.Sprintf("title has more than %d characters: shorten it", maxTitleChars)
	case row.UserID == noUser:
		return "user_id is missing: an event needs the user it belongs to"
	case !row.HasStart:
		return "start_ts is missing or infinite: give the event a time"
	case row.StartTs.Before(earliest) || !row.StartTs.Before(latest):
		return fmt.Sprintf("start_ts is in the year %d: use a time between 1970 and 2199", row.StartTs.UTC().Year())
	}
	return findEndFault(row)
}

func findEndFault(row store.ClaimEventsRow) string {
	switch {
	case !row.HasEnd:
		return ""
	case row.EndTs.Before(row.StartTs):
		return fmt.Sprintf("end_ts is %s before start_ts: an event ends after it begins", spoken(row.StartTs.Sub(row.EndTs)))
	case row.EndTs.Sub(row.StartTs) > maxDuration:
		return fmt.Sprintf("the event lasts %s: at most a year is served", spoken(row.EndTs.Sub(row.StartTs)))
	}
	return ""
}

func byteSize(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%d KB", n>>10)
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}
