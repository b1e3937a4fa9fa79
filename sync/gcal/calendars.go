package gcal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/api/calendar/v3"
)

// NewCalendar is a calendar to be made in a user's account.
type NewCalendar struct {
	// Name is what the user sees, 1 to 254 characters.
	Name string
	// TimeZone is an IANA name, or empty.
	TimeZone string
}

// MakeCalendar makes a calendar in a user's account and returns its id, to write copies to by Account.CalendarID. It needs a consent to
// make calendars: the scope calendar.app.created, or calendar.
//
// Google gives a calendar its id, so an answer that was lost cannot be told from a request that was. After one say again: the calendar that it
// may have made is looked for first, by a mark in its description. That is left out where the consent does not cover the list of calendars, which
// calendar.app.created alone does not: then an empty calendar may be left beside the one that is used.
func (c *Client) MakeCalendar(ctx context.Context, a Account, n NewCalendar, again bool) (id string, err error) {
	mark := calendarMark(a.UserID)
	if again {
		id, err := c.findCalendar(ctx, a, mark)
		if id != "" || err != nil {
			return id, err
		}
	}
	var made *calendar.Calendar
	err = c.do(ctx, a, OpCalendarInsert, func(ctx context.Context) (err error) {
		made, err = c.api.Calendars.Insert(&calendar.Calendar{Summary: n.Name, TimeZone: n.TimeZone, Description: mark}).Context(ctx).Do()
		return err
	})
	if err != nil {
		leaveOut(err, n.Name)
		return "", err
	}
	if made.Id == "" {
		return "", &Error{Kind: Retry, Op: OpCalendarInsert, Err: errors.New("answer has no id")}
	}
	return made.Id, nil
}

// calendarMark is how a calendar that was made for a user is told from others.
func calendarMark(user uuid.UUID) string {
	return fmt.Sprintf("Appointments of the family, written by reminder-worker (%s).", user)
}

// maxCalendarPages bounds the search: nobody has that many calendars.
const maxCalendarPages = 20

// findCalendar returns the id of the calendar with the mark; empty: there is none, or the consent does not cover the question.
func (c *Client) findCalendar(ctx context.Context, a Account, mark string) (string, error) {
	page := ""
	for range maxCalendarPages {
		var list *calendar.CalendarList
		err := c.do(ctx, a, OpCalendarList, func(ctx context.Context) (err error) {
			list, err = c.api.CalendarList.List().MinAccessRole("owner").ShowHidden(true).MaxResults(250).PageToken(page).
				Fields("nextPageToken", "items(id,description)").Context(ctx).Do()
			return err
		})
		switch e := (*Error)(nil); {
		case errors.As(err, &e) && e.Op == OpCalendarList && (e.Kind == Permanent || e.Kind == Reconnect):
			return "", nil
		case err != nil:
			return "", err
		}
		for _, entry := range list.Items {
			if strings.Contains(entry.Description, mark) {
				return entry.Id, nil
			}
		}
		if page = list.NextPageToken; page == "" {
			break
		}
	}
	return "", nil
}
