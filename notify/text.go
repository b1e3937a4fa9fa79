package notify

import (
	"time"

	"github.com/parentpal/reminder-worker/sql/store"
)

// text is what the device shows. A reminder of ours names the time as it is called at the moment of sending, so it stays true when it is
// late; one that the app wrote is shown as the app wrote it.
func text(row store.ClaimRemindersRow, now time.Time, zone *time.Location) (title, body string) {
	title = row.Title
	if title == "" {
		title = "Reminder"
	}
	if !row.Planned && row.Message != "" {
		return title, row.Message
	}
	if row.HasStart {
		body = day(row.StartTs.In(zone), now.In(zone))
	}
	if row.Message != "" {
		body += " · " + row.Message
	}
	return title, body
}

// day names start as seen from now, both in the reader's zone: "Today 16:00", "Tomorrow 16:00", "Tue 24 Nov 16:00".
func day(start, now time.Time) string {
	clock := start.Format("15:04")
	switch {
	case sameDay(start, now):
		return "Today " + clock
	case sameDay(start, now.AddDate(0, 0, 1)):
		return "Tomorrow " + clock
	case start.Year() != now.Year():
		return start.Format("Mon 2 Jan 2006 15:04")
	default:
		return start.Format("Mon 2 Jan 15:04")
	}
}

func sameDay(a, b time.Time) bool {
	ay, am, ad := a.Date()
	by, bm, bd := b.Date()
	return ay == by && am == bm && ad == bd
}
