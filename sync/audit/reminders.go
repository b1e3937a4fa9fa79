package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/reconcile"
)

const (
	pending = "pending"
	skipped = "skipped"
)

// compareReminders says what CommitPlans would change if it were given the plan: a pending reminder that is not wanted, one that is to be
// changed, one that is missing. A reminder that is past is none it misses. There are no rows if the event is not settled any more.
func compareReminders(event store.ClaimEventsRow, plan reconcile.Plan, rows []store.RemindersOfEventsRow) (found []Finding) {
	if len(rows) == 0 || rows[0].Revision != event.SyncRevision {
		return nil
	}
	w := newWishes(event, plan, rows)
	tell := func(kind Kind, reminder uuid.UUID, format string, args ...any) {
		found = append(found, Finding{
			Kind: kind, EventID: event.ID, UserID: event.UserID, ReminderID: reminder, Detail: fmt.Sprintf(format, args...), revision: event.SyncRevision,
		})
	}
	for _, r := range rows {
		if r.ReminderID == uuid.Nil || !r.Planned {
			continue // the app's own
		}
		at := r.NotifyAtTs.UTC().Format(time.RFC3339)
		switch wish, wanted := w.at[r.NotifyAtTs.UnixMicro()]; {
		case !wanted && r.Status == pending && !w.stays(r):
			tell(ReminderNotWanted, r.ReminderID, "at %s, %s before %s", at, lead(r), r.PlannedForTs.UTC().Format(time.RFC3339))
		case wanted && w.counts(r, wish) && w.differs(r, wish):
			tell(ReminderDiffers, r.ReminderID, "at %s, %s, planned for %s with %q", at, r.Status, r.PlannedForTs.UTC().Format(time.RFC3339), r.Message)
		}
	}
	// One whose user is not there has failed without its reminders. A user with an account is there.
	if event.Status == "failed" && !event.HasAccount {
		return found
	}
	for _, wish := range plan.Reminders {
		if wish.Status == pending && !w.dismissed && !w.met(rows, wish) {
			tell(ReminderMissing, uuid.Nil, "at %s, %s before the start", wish.At.UTC().Format(time.RFC3339), wish.Lead)
		}
	}
	return found
}

func lead(r store.RemindersOfEventsRow) time.Duration {
	return time.Duration(r.LeadSeconds) * time.Second
}

// wishes are what an event calls for, and what its user has said to that.
type wishes struct {
	start     time.Time
	user      uuid.UUID
	at        map[int64]reconcile.Reminder // by the microsecond, which is what the database keeps
	past      map[time.Duration]bool       // leads whose reminders are past by the plan
	dismissed bool
	putOff    map[uuid.UUID]bool
}

func newWishes(event store.ClaimEventsRow, plan reconcile.Plan, rows []store.RemindersOfEventsRow) wishes {
	w := wishes{
		start: event.StartTs, user: event.UserID, dismissed: rows[0].Dismissed,
		at: map[int64]reconcile.Reminder{}, past: map[time.Duration]bool{}, putOff: map[uuid.UUID]bool{},
	}
	for _, p := range plan.Reminders {
		w.at[p.At.UnixMicro()] = p
		w.past[p.Lead] = w.past[p.Lead] || p.Status == skipped
	}
	for _, r := range rows {
		w.putOff[r.SnoozedFrom] = true
	}
	return w
}

// stays reports whether a reminder stays where it is although it is not wanted there: it would have to be in the past to be right, and has not
// gone out. What the user has dismissed is put away when it comes due, if not before.
func (w wishes) stays(r store.RemindersOfEventsRow) bool {
	return r.PlannedForTs.Equal(w.start) && (w.past[lead(r)] || w.dismissed)
}

// counts reports whether planning would touch a reminder. One that is cancelled or skipped counts only where its reason shows that planning has
// put it away itself: the app may have done so, too.
func (w wishes) counts(r store.RemindersOfEventsRow, wish reconcile.Reminder) bool {
	if r.Status == pending {
		return true
	}
	return wish.Status == pending && !w.dismissed && !w.putOff[r.ReminderID] && putAway(r)
}

func putAway(r store.RemindersOfEventsRow) bool {
	switch r.Status {
	case "cancelled":
		return slices.Contains([]string{"the event was moved", "other times are wanted since", "the event was cancelled", "the event is gone"}, r.Reason) ||
			strings.HasPrefix(r.Reason, "the event cannot be served: ")
	case skipped:
		return strings.HasPrefix(r.Reason, "already past when planned") || strings.HasPrefix(r.Reason, "it falls into the user's quiet hours")
	}
	return false
}

func (w wishes) differs(r store.RemindersOfEventsRow, wish reconcile.Reminder) bool {
	return r.Status != pending || r.Message != wish.Message || !r.PlannedForTs.Equal(w.start) || r.UserID != w.user || lead(r) != wish.Lead
}

// met reports whether there is a reminder at the time of a wish, or one of the same lead has gone out.
func (w wishes) met(rows []store.RemindersOfEventsRow, wish reconcile.Reminder) bool {
	return slices.ContainsFunc(rows, func(r store.RemindersOfEventsRow) bool {
		return r.ReminderID != uuid.Nil && (r.NotifyAtTs.UnixMicro() == wish.At.UnixMicro() ||
			r.Planned && r.PlannedForTs.Equal(w.start) && lead(r) == wish.Lead && (r.Status == "sending" || r.Status == "sent"))
	})
}
