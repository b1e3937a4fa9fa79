package gcal

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/googleapi"
)

const (
	// listPage is how many entries are asked for at once. Google would give 2,500; an answer of these is never near maxAnswer.
	listPage = 1000
	// listFields is what is asked for of each: what tells whose it is, and what Differs compares. No descriptions, which are long and the user's.
	listFields = "nextPageToken,items(id,status,etag,recurringEventId,summary,location,start,end,extendedProperties/private)"
)

// Entry is an entry of a user's calendar as Google has it, one of our copies or not.
type Entry struct {
	// CalendarID is the calendar, by the name it was asked for under.
	CalendarID string
	// GoogleID is its id there.
	GoogleID string
	// ETag is its version.
	ETag string
	// Deleted says that it was deleted. Google keeps such entries for some weeks.
	Deleted bool
	// EventID is the event that it is a copy of, by its private properties; nil: it is none of ours. A user may have made a repeated appointment of a
	// copy and then changed one of its times: that is an entry of its own, with the same properties, and the user's.
	EventID uuid.UUID
	// Hash is the Event.Hash that was last written to it.
	Hash string

	found *calendar.Event
}

func newEntry(calendarID string, found *calendar.Event) Entry {
	e := Entry{
		CalendarID: calendarID, GoogleID: found.Id, ETag: found.Etag, Deleted: found.Status == statusCancelled,
		Hash: marker(found, hashProperty), found: found,
	}
	if id, err := uuid.Parse(marker(found, eventProperty)); err == nil && found.RecurringEventId == "" {
		e.EventID = id
	}
	return e
}

// DeletedByUser reports whether the copy is known to have been deleted by the user, and no entry of it is left that would say so.
func (c Copy) DeletedByUser() bool { return c.ETag == deletedETag }

// Differs names what the entry shows otherwise than e: of title, place, start and end, which are ours to decide.
func (e Entry) Differs(from Event) []string { return differences(e.found, from) }

// List hands every entry of the account's calendar that ends after since to each, page by page, deleted ones included. A repeated appointment
// is one entry, and each of its times that was changed or deleted by itself is another, of no event. Where each fails, so does List. A calendar that
// changes meanwhile may show an entry twice, or not.
func (c *Client) List(ctx context.Context, a Account, since time.Time, each func([]Entry) error) error {
	for token := ""; ; {
		var page *calendar.Events
		err := c.do(ctx, a, OpList, func(ctx context.Context) (err error) {
			call := c.api.Events.List(a.calendar()).ShowDeleted(true).MaxResults(listPage).
				TimeMin(since.UTC().Format(time.RFC3339)).Fields(googleapi.Field(listFields)).Context(ctx)
			if token != "" {
				call.PageToken(token)
			}
			page, err = call.Do()
			return err
		})
		if err != nil {
			return err
		}
		entries := make([]Entry, len(page.Items))
		for i, found := range page.Items {
			entries[i] = newEntry(a.calendar(), found)
		}
		if err := each(entries); err != nil {
			return err
		}
		if token = page.NextPageToken; token == "" {
			return nil
		}
	}
}

// Find reads one entry of the account's calendar; there is false if Google has none of that id, not even a deleted one.
func (c *Client) Find(ctx context.Context, a Account, googleID string) (e Entry, there bool, err error) {
	var found *calendar.Event
	err = c.do(ctx, a, OpGet, func(ctx context.Context) (err error) {
		found, err = c.api.Events.Get(a.calendar(), googleID).Context(ctx).Do()
		return err
	})
	switch {
	case gone(err):
		return Entry{}, false, nil
	case err != nil:
		return Entry{}, false, err
	}
	return newEntry(a.calendar(), found), true, nil
}

// differences names the fields of ours in which found is not what would be written.
func differences(found *calendar.Event, e Event) (fields []string) {
	want := newBody(e, found.Id, "")
	for _, f := range []struct {
		name string
		same bool
	}{
		{"title", tidy(found.Summary) == tidy(want.Summary)},
		{"place", tidy(found.Location) == tidy(want.Location)},
		{"start", sameTime(found.Start, want.Start)},
		{"end", sameTime(found.End, want.End)},
	} {
		if !f.same {
			fields = append(fields, f.name)
		}
	}
	return fields
}

// tidy leaves out what Google may tidy up in a text by itself.
func tidy(text string) string { return strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")) }

// sameTime compares days by their dates and times as instants: Google may write them in the zone of the calendar.
func sameTime(found, want *calendar.EventDateTime) bool {
	if found == nil || found.Date != want.Date {
		return false
	}
	if want.Date != "" {
		return true
	}
	a, errA := time.Parse(time.RFC3339, found.DateTime)
	b, errB := time.Parse(time.RFC3339, want.DateTime)
	return errA == nil && errB == nil && a.Equal(b)
}
