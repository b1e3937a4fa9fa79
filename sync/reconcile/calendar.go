package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
)

// calendarOf is the calendar that the copy is to stand in after this. One that is on its way to another calendar gets there first; where the
// one that the account writes to is yet to be made, a copy stays where it is, and none is noted.
func calendarOf(row store.ClaimEventsRow) string {
	switch {
	case remembered(row) && row.CopyTargetID != "":
		return row.CopyTargetID
	case remembered(row) && row.CalendarToMake != "":
		return row.CopyCalendarID
	}
	return row.CalendarID
}

// remembered reports whether a copy is known of, be it one that was to go: it may stand still, under its id and in its calendar.
func remembered(row store.ClaimEventsRow) bool { return row.GoogleEventID != "" }

// stays reports whether what stands in the calendar is to be left as it is, because the user wants it so. A move that was begun is finished first:
// what is moved may stand in two calendars.
func stays(row store.ClaimEventsRow) bool {
	return row.CalendarOff && (!row.HasCopy || row.CopyTargetID == "")
}

// moves reports whether a copy is to be moved, and that is not noted yet.
func moves(row store.ClaimEventsRow) bool {
	return row.HasCopy && row.CopyTargetID == "" && calendarOf(row) != row.CopyCalendarID
}

// makingWait is how long an event is left alone whose calendar somebody else is making.
const makingWait = time.Second

// makeCalendar sees to it that the calendar exists that j's user wants to have made. Whoever notes it first makes it; all events of the user are
// written when it is known, j as well.
func (r *Reconciler) makeCalendar(ctx context.Context, j *job) error {
	if j.account.Delegated() {
		return &gcal.Error{
			Kind: gcal.Permanent, Op: gcal.OpCalendarInsert, Reason: "delegated",
			Note: "google_calendar_name is for users with a consent of their own: the service account may write to calendars, not make them.",
		}
	}
	making := r.cfg.CallTimeout + r.cfg.Lease // then another worker takes over
	row, err := r.db.BeginCalendar(ctx, store.BeginCalendarParams{UserID: j.user, MakingMs: making.Milliseconds()})
	if err != nil {
		j.wait = r.cfg.Jitter(makingWait)
		r.m.databaseErrors.Inc()
		r.log.Error().Err(fmt.Errorf("begin calendar: %w", err)).Stringer("user", j.user).Msg("calendar not made")
		return nil // says nothing of Google
	}
	if !row.Mine {
		if row.CalendarID == "" {
			j.wait = r.cfg.Jitter(makingWait)
		}
		return nil
	}
	id, err := r.cal.MakeCalendar(ctx, j.account, gcal.NewCalendar{Name: oneLine(j.makes), TimeZone: j.content.TimeZone}, row.Again)
	if err != nil && (row.Again || mayHaveMade(err)) {
		return err // it is looked for first when the next one tries
	}
	if ended := r.db.EndCalendar(ctx, store.EndCalendarParams{UserID: j.user, CalendarID: id, Consent: j.account.Consent}); ended != nil {
		r.m.databaseErrors.Inc()
		r.log.Error().Err(fmt.Errorf("end calendar: %w", ended)).Stringer("user", j.user).Msg("calendar not recorded, it is looked for again")
	}
	if err == nil {
		r.log.Info().Stringer("user", j.user).Str("calendar", id).Msg("calendar made")
	}
	return err
}

// mayHaveMade reports whether a request may have been carried out although it failed. What Google has refused was not.
func mayHaveMade(err error) bool {
	e, ok := errors.AsType[*gcal.Error](err)
	return !ok || e.Op == gcal.OpCalendarInsert && e.Kind == gcal.Retry
}
