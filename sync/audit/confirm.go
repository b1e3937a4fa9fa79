package audit

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
)

// confirm looks once more at what seemed out of step at Google: first at the rows, which must be as they were and not be served, then at
// the entries themselves.
func (r *run) confirm(ctx context.Context) error {
	suspects := r.suspects
	r.suspects = nil
	if len(suspects) == 0 {
		return nil
	}
	if err := pause(ctx, r.cfg.Grace); err != nil {
		return err
	}
	var standing []Finding
	for len(suspects) > 0 { // they come account by account
		user := suspects[0].UserID
		n := 1
		for n < len(suspects) && suspects[n].UserID == user {
			n++
		}
		found, err := r.confirmOf(ctx, user, suspects[:n])
		if err != nil {
			return err
		}
		standing, suspects = append(standing, found...), suspects[n:]
	}
	if len(standing) == 0 {
		return nil
	}
	return r.conclude(ctx, standing)
}

func (r *run) confirmOf(ctx context.Context, user uuid.UUID, suspects []candidate) (standing []Finding, err error) {
	now, err := r.rowsOf(ctx, user, suspects)
	if err != nil {
		return nil, err
	}
	var gone []uuid.UUID
	for _, c := range suspects {
		if !c.unchanged(now[c.EventID]) {
			continue
		}
		kind, err := r.lookAgain(ctx, c)
		switch {
		case err != nil && fatal(err):
			return nil, err
		case err != nil:
			kind, c.Detail = AccountNotRead, err.Error()
		case kind == "":
			continue
		case kind != c.Kind:
			c.Detail = explain[kind]
		}
		if c.Kind = kind; kind == CopyDeleted || kind == CopyUnaccounted {
			gone = append(gone, c.EventID)
		}
		c.free = c.known == (entryName{}) && !now[c.EventID].Foreign
		standing = append(standing, c.Finding)
	}
	if len(gone) > 0 {
		if err := r.db.NoteGone(ctx, store.NoteGoneParams{UserID: user, EventIds: gone}); err != nil {
			return nil, fmt.Errorf("note deleted copies: %w", err)
		}
	}
	return standing, nil
}

// explain says what a second look has made of a first one.
var explain = map[Kind]string{
	CopyDeleted:     "by the user: written again when the event changes",
	CopyOrphaned:    "the event is gone, was cancelled, or is another user's who has no copy of it",
	CopyUnaccounted: "recorded, and not there; deleted by the user long ago, or lost",
}

func (r *run) rowsOf(ctx context.Context, user uuid.UUID, suspects []candidate) (map[uuid.UUID]store.RecordedCopiesRow, error) {
	var events []uuid.UUID
	for _, c := range suspects {
		events = append(events, c.EventID)
	}
	slices.SortFunc(events, byBytes)
	now := map[uuid.UUID]store.RecordedCopiesRow{}
	for some := range slices.Chunk(slices.Compact(events), r.cfg.Page) {
		rows, err := r.db.RecordedCopies(ctx, store.RecordedCopiesParams{UserID: user, EventIds: some})
		if err != nil {
			return nil, fmt.Errorf("read copies of events: %w", err)
		}
		for _, row := range rows {
			now[row.EventID] = row
		}
	}
	return now, nil
}

// unchanged reports whether the rows are as they were, nobody is at them, and none speaks for somebody else.
func (c candidate) unchanged(now store.RecordedCopiesRow) bool {
	entry := entryName{c.CalendarID, c.GoogleID}
	switch {
	case now.InWork, now.Revision != c.revision, entryName{now.CalendarID, now.GoogleEventID} != c.known:
		return false
	case c.Kind == CopyOrphaned, c.Kind == CopyUnclaimed:
		kind, _ := whose(now, entry)
		return kind == c.Kind
	case c.Kind == CopyTwin:
		return !now.Tombstoned && !slices.Contains(now.Names, entry.id) && entry != entryName{now.TargetCalendarID, now.TargetEventID}
	}
	return !now.Tombstoned
}

// lookAgain asks for the entry itself, and returns what it is after that; empty: in order.
func (r *run) lookAgain(ctx context.Context, c candidate) (Kind, error) {
	switch c.Kind {
	case CopyDeleted, CopyEdited, CopyUnmarked:
		return c.Kind, nil // worth a word, not another request
	}
	e, there, err := r.find(ctx, c.access, c.GoogleID)
	if err != nil {
		return "", err
	}
	live := there && !e.Deleted
	switch c.Kind {
	case CopyMissing:
		switch {
		case live:
			return "", nil
		case there:
			return CopyDeleted, nil
		case !c.lost:
			return CopyUnaccounted, nil
		}
		return CopyMissing, nil
	case CopyDiffers:
		if live && e.EventID == c.EventID && len(e.Differs(c.content)) > 0 {
			return c.Kind, nil
		}
		return "", nil
	}
	if !live || e.EventID != c.EventID {
		return "", nil
	}
	return r.besideKnown(ctx, c, e)
}

// besideKnown tells a twin from the recorded copy under another name of its calendar, and a wrong record from a right one.
func (r *run) besideKnown(ctx context.Context, c candidate, e gcal.Entry) (Kind, error) {
	if c.Kind == CopyOrphaned || c.Kind == CopyUnclaimed || c.known == (entryName{}) {
		return c.Kind, nil
	}
	access := c.access
	access.CalendarID = c.known.calendar
	known, there, err := r.find(ctx, access, c.known.id)
	if err != nil {
		return "", err
	}
	same := there && known.GoogleID == e.GoogleID && known.ETag == e.ETag
	if live := there && !known.Deleted; same || live != (c.Kind == CopyTwin) {
		return "", nil
	}
	return c.Kind, nil
}

func (r *run) find(ctx context.Context, a gcal.Account, id string) (e gcal.Entry, there bool, err error) {
	err = r.patiently(ctx, func() (err error) { e, there, err = r.cal.Find(ctx, a, id); return err })
	return e, there, err
}

// generationOf is the generation under which an entry's id is ours; one that is foreign has none.
func generationOf(event uuid.UUID, googleID string) int {
	for g := range maxGenerations {
		if gcal.NewGoogleID(event, g) == googleID {
			return g
		}
	}
	return 0
}

// maxGenerations is how far ids of ours are looked for.
const maxGenerations = 100
