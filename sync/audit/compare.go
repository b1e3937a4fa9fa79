package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
)

// compare holds what is recorded against what was seen.
func (r *run) compare(ctx context.Context, a *account, since time.Time) error {
	var shown []*recorded // to be compared by content
	for _, event := range slices.SortedFunc(maps.Keys(a.rows), byBytes) {
		c := a.rows[event]
		r.compareOthers(a, c)
		if c.judged() && r.compareOne(a, c) {
			shown = append(shown, c)
		}
	}
	if err := r.compareContent(ctx, a, shown, since); err != nil {
		return err
	}
	return r.compareStrays(ctx, a)
}

func byBytes(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }

// compareOne judges whether a recorded copy is there, and reports whether its content is to be compared.
func (r *run) compareOne(a *account, c *recorded) bool {
	twins := slices.ContainsFunc(a.live[c.EventID], func(n entryName) bool { return n != c.name() })
	e := c.entry
	switch {
	case (e == nil || e.Deleted) && twins:
		others := slices.DeleteFunc(slices.Clone(a.live[c.EventID]), func(n entryName) bool { return n == c.name() })
		other := max(0, slices.Index(others, c.arriving())) // a move that has come to its end before any other
		r.suspect(a, c, CopyMisnamed, others[other], fmt.Sprintf("the record names %s, which is not there", c.GoogleEventID))
	case e == nil && (gcal.Copy{ETag: c.Etag}).DeletedByUser():
		r.suspect(a, c, CopyDeleted, c.name(), explain[CopyDeleted])
	case e == nil:
		r.suspect(a, c, CopyMissing, c.name(), "recorded, and not there")
	case e.Deleted:
		r.suspect(a, c, CopyDeleted, c.name(), explain[CopyDeleted])
	case e.EventID != c.EventID:
		r.suspect(a, c, CopyUnmarked, c.name(), "it stands there without the private properties of its event")
	default:
		return true
	}
	return false
}

// compareOthers looks for further entries of an event of the user's beside the recorded one.
func (r *run) compareOthers(a *account, c *recorded) {
	for _, n := range a.live[c.EventID] {
		known, told := a.names[n]
		switch {
		case told && known.Tombstoned, n == c.name(), n == c.arriving(), c.Tombstoned && c.Queued:
			continue // on its way out, the copy itself, or on its way here
		case c.Here && c.Status != "cancelled" && !c.Tombstoned && c.Settled && c.entry != nil && !c.entry.Deleted:
			r.suspect(a, c, CopyTwin, n, "beside "+c.GoogleEventID)
		case c.Here && c.Status == "cancelled" && c.Settled:
			r.suspect(a, c, CopyOrphaned, n, explain[CopyOrphaned])
		}
	}
}

// compareContent plans events once more and compares what their copies show.
func (r *run) compareContent(ctx context.Context, a *account, shown []*recorded, since time.Time) error {
	for some := range slices.Chunk(shown, r.cfg.Page) {
		ids := make([]uuid.UUID, len(some))
		for i, c := range some {
			ids[i] = c.EventID
		}
		rows, err := r.eventsToPlan(ctx, ids, since)
		if err != nil {
			return err
		}
		for _, row := range rows {
			c, plan := a.rows[row.ID], r.planner.Plan(row, row.SyncChangedAt)
			if row.SyncRevision != c.Revision || plan.Fault != "" || plan.Content.Hash() != c.ContentHash {
				continue // changed since, or outdated, which is another finding
			}
			if fields := c.entry.Differs(plan.Content); len(fields) > 0 {
				r.suspect(a, c, CopyDiffers, c.name(), "in "+strings.Join(fields, ", "))
				r.suspects[len(r.suspects)-1].content = plan.Content
			} else if c.entry.ETag != c.Etag {
				r.suspect(a, c, CopyEdited, c.name(), "another version than the one that was written, with the same title, place and time")
			}
		}
	}
	return nil
}

// compareStrays judges entries of ours of whose events no copy was read, or that are none of the user's. An event of theirs that has no copy
// recorded and should is known from its row, and served once more.
func (r *run) compareStrays(ctx context.Context, a *account) error {
	var events []uuid.UUID
	for event := range a.live {
		if c := a.rows[event]; c == nil || !c.Here && (!c.Tombstoned || !c.Queued) {
			events = append(events, event)
		}
	}
	for some := range slices.Chunk(events, r.cfg.Page) {
		rows, err := r.db.RecordedCopies(ctx, store.RecordedCopiesParams{UserID: a.UserID, EventIds: some})
		if err != nil {
			return fmt.Errorf("read copies of events: %w", err)
		}
		for _, row := range rows {
			r.judgeStray(a, row)
		}
	}
	return nil
}

func (r *run) judgeStray(a *account, row store.RecordedCopiesRow) {
	c := &recorded{CopiesOfAccountRow: store.CopiesOfAccountRow{
		EventID: row.EventID, CalendarID: row.CalendarID, GoogleEventID: row.GoogleEventID, Tombstoned: row.Tombstoned, Here: row.Here, Status: row.Status, Revision: row.Revision,
	}}
	if row.InWork {
		return
	}
	shared := slices.ContainsFunc(a.live[row.EventID], func(n entryName) bool { return slices.Contains(row.Names, n.id) })
	for _, n := range a.live[row.EventID] {
		if known, told := a.names[n]; told && known.Tombstoned || row.Recorded && n == c.name() {
			continue
		}
		kind, why := whose(row, n)
		if kind == CopyUnclaimed && shared {
			continue // a twin in a calendar that the other user's audit reads as well, beside their copy
		}
		if kind != "" {
			r.suspect(a, c, kind, n, why)
		}
	}
}

// whose judges an entry of ours that is not the recorded copy of one of the user's events. Several users may write to one calendar, and so may
// several databases: it is an orphan only where this one knows its event, and nobody else can have a copy of it. Empty: it is in order.
func whose(row store.RecordedCopiesRow, n entryName) (kind Kind, why string) {
	switch {
	case slices.Contains(row.Names, n.id):
		return "", "" // another user's copy, in a calendar that they share; or so it must be taken
	case row.Here && row.Status != "cancelled":
		return "", ""
	case !row.Known:
		return CopyUnclaimed, "nothing is known here of its event: it was deleted long ago, or is another database's. Remove the entry by hand if nobody else writes to this calendar"
	case row.Elsewhere:
		return CopyUnclaimed, "the event is another user's, who has a copy of it, and may share this calendar. Remove the entry by hand if not"
	}
	return CopyOrphaned, explain[CopyOrphaned]
}

// suspect notes what is to be looked at once more.
func (r *run) suspect(a *account, c *recorded, kind Kind, n entryName, detail string) {
	access := a.access
	access.CalendarID = n.calendar
	r.suspects = append(r.suspects, candidate{
		Finding: Finding{
			Kind: kind, EventID: c.EventID, UserID: a.UserID, CalendarID: n.calendar, GoogleID: n.id, Detail: detail, revision: c.Revision,
		},
		access: access, known: c.name(),
		lost: c.GoneAt.Before(c.WrittenAt) && (time.Since(c.WrittenAt) < lossWindow || a.AuditedAt.After(c.WrittenAt) && time.Since(a.AuditedAt) < lossWindow),
	})
}
