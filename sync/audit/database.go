package audit

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/reconcile"
)

// walkEvents looks at events, their queue, their reminders and the copies they should have, from behind after on.
func (r *run) walkEvents(ctx context.Context, after uuid.UUID) error {
	for {
		next, err := r.pageOfEvents(ctx, after)
		if err != nil || next == uuid.Nil {
			return err
		}
		after = next
	}
}

// pageOfEvents looks at one page and returns its last event, nil behind the last page.
func (r *run) pageOfEvents(ctx context.Context, after uuid.UUID) (uuid.UUID, error) {
	ids, err := r.eventIDs(ctx, after)
	if err != nil {
		return uuid.Nil, fmt.Errorf("read events: %w", err)
	}
	j := r.judgeOf(&r.events, twice(eventOf, r.cfg.Page, r.lookAtEvents))
	if len(ids) > 0 {
		found, err := r.lookAtEvents(ctx, ids)
		if err != nil {
			return uuid.Nil, err
		}
		r.report.Looked.Events += len(ids)
		r.progress()
		if err := j.add(ctx, found); err != nil {
			return uuid.Nil, err
		}
	}
	if len(ids) < r.cfg.Page {
		return uuid.Nil, j.flush(ctx)
	}
	return ids[len(ids)-1], nil
}

func (r *run) eventIDs(ctx context.Context, after uuid.UUID) ([]uuid.UUID, error) {
	if r.scope.User != uuid.Nil {
		return r.db.EventsOfUserPage(ctx, store.EventsOfUserPageParams{UserID: r.scope.User, After: after, MaxRows: int32(r.cfg.Page)})
	}
	return r.db.EventsPage(ctx, store.EventsPageParams{After: after, MaxRows: int32(r.cfg.Page)})
}

func (r *run) lookAtEvents(ctx context.Context, ids []uuid.UUID) ([]Finding, error) {
	rows, err := r.db.EventFaults(ctx, store.EventFaultsParams{Ids: ids, OwnGrants: r.ownGrants(), Domains: r.domains(), OverdueMs: r.cfg.Overdue.Milliseconds()})
	if err != nil {
		return nil, fmt.Errorf("look at events: %w", err)
	}
	var found []Finding
	for _, row := range rows {
		found = append(found, Finding{Kind: Kind(row.Kind), EventID: row.EventID, UserID: row.UserID, Detail: row.Detail, revision: row.Revision})
	}
	plans, err := r.lookAtPlans(ctx, ids)
	return append(found, plans...), err
}

// lookAtPlans plans the coming events among ids, and those that were cancelled, and compares.
func (r *run) lookAtPlans(ctx context.Context, ids []uuid.UUID) ([]Finding, error) {
	clock, err := r.db.DatabaseNow(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the database's clock: %w", err)
	}
	rows, err := r.eventsToPlan(ctx, ids, clock.NowTs)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	reminders, err := r.remindersOf(ctx, rows)
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, row := range rows {
		plan := r.planner.Plan(row, clock.NowTs)
		found = append(found, compareReminders(row, plan, reminders[row.ID])...)
		if f, stale := outdated(row, plan); stale && r.serves(row.Subject) {
			found = append(found, f)
		}
	}
	return found, nil
}

func (r *run) remindersOf(ctx context.Context, events []store.ClaimEventsRow) (map[uuid.UUID][]store.RemindersOfEventsRow, error) {
	ids := make([]uuid.UUID, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	rows, err := r.db.RemindersOfEvents(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read reminders of events: %w", err)
	}
	of := make(map[uuid.UUID][]store.RemindersOfEventsRow, len(ids))
	for _, row := range rows {
		of[row.EventID] = append(of[row.EventID], row)
	}
	return of, nil
}

// eventsToPlan reads what planning needs. The conversion holds the statement to the columns of the claim.
func (r *run) eventsToPlan(ctx context.Context, ids []uuid.UUID, since time.Time) ([]store.ClaimEventsRow, error) {
	rows, err := r.db.EventsToPlan(ctx, store.EventsToPlanParams{Ids: ids, MaxBytes: reconcile.MaxTextBytes, Since: since})
	if err != nil {
		return nil, fmt.Errorf("read events to plan: %w", err)
	}
	claims := make([]store.ClaimEventsRow, len(rows))
	for i, row := range rows {
		claims[i] = store.ClaimEventsRow(row)
	}
	return claims, nil
}

// outdated compares the content that was last written with what the event calls for. A hash of another version says nothing.
func outdated(row store.ClaimEventsRow, plan reconcile.Plan) (Finding, bool) {
	if row.Status != "synced" || !row.HasCopy || row.CopyEtag == "" || row.CalendarOff || row.AccountState != "connected" || plan.Fault != "" {
		return Finding{}, false
	}
	hash := plan.Content.Hash()
	if row.CopyHash == hash || !sameVersion(row.CopyHash, hash) {
		return Finding{}, false
	}
	return Finding{
		Kind: CopyOutdated, EventID: row.ID, UserID: row.UserID, revision: row.SyncRevision,
		Detail: "what the event calls for has changed without its being served: a child's name, the deployment's zone, or a write while triggers were off",
	}, true
}

func sameVersion(a, b string) bool {
	versionA, _, ok := strings.Cut(a, ":")
	versionB, _, _ := strings.Cut(b, ":")
	return a == "" || ok && versionA == versionB
}

// walkCopies looks at recorded copies whose events are gone, from behind after on.
func (r *run) walkCopies(ctx context.Context, after uuid.UUID) error {
	from := copyKey{event: after}
	for {
		next, err := r.pageOfCopies(ctx, from)
		if err != nil || next == (copyKey{}) {
			return err
		}
		from = next
	}
}

func (r *run) pageOfCopies(ctx context.Context, after copyKey) (copyKey, error) {
	keys, err := r.copyKeys(ctx, after)
	if err != nil {
		return copyKey{}, fmt.Errorf("read copies: %w", err)
	}
	j := r.judgeOf(&r.copies, twice(copyOf, r.cfg.Page, r.lookAtCopies))
	if len(keys) > 0 {
		found, err := r.lookAtCopies(ctx, keys)
		if err != nil {
			return copyKey{}, err
		}
		r.report.Looked.Copies += len(keys)
		r.progress()
		if err := j.add(ctx, found); err != nil {
			return copyKey{}, err
		}
	}
	if len(keys) < r.cfg.Page {
		return copyKey{}, j.flush(ctx)
	}
	return keys[len(keys)-1], nil
}

func (r *run) copyKeys(ctx context.Context, after copyKey) (keys []copyKey, err error) {
	if r.scope.User != uuid.Nil {
		rows, err := r.db.CopiesOfUserPage(ctx, store.CopiesOfUserPageParams{UserID: r.scope.User, AfterEvent: after.event, MaxRows: int32(r.cfg.Page)})
		for _, row := range rows {
			keys = append(keys, copyKey{row.EventID, row.UserID})
		}
		return keys, err
	}
	rows, err := r.db.CopiesPage(ctx, store.CopiesPageParams{AfterEvent: after.event, AfterUser: after.user, MaxRows: int32(r.cfg.Page)})
	for _, row := range rows {
		keys = append(keys, copyKey{row.EventID, row.UserID})
	}
	return keys, err
}

func (r *run) lookAtCopies(ctx context.Context, keys []copyKey) (found []Finding, err error) {
	arg := store.CopyFaultsParams{OwnGrants: r.ownGrants(), Domains: r.domains()}
	for _, k := range keys {
		arg.EventIds, arg.UserIds = append(arg.EventIds, k.event), append(arg.UserIds, k.user)
	}
	rows, err := r.db.CopyFaults(ctx, arg)
	if err != nil {
		return nil, fmt.Errorf("look at copies: %w", err)
	}
	for _, row := range rows {
		found = append(found, Finding{Kind: Kind(row.Kind), EventID: row.EventID, UserID: row.UserID, Detail: row.Detail})
	}
	return found, nil
}

// beginning and endOfTime are before and after everything that the queue of reminders holds.
var (
	beginning = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	endOfTime = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
)

// walkReminders looks at the queue of reminders.
func (r *run) walkReminders(ctx context.Context) error {
	for from := (place{at: beginning}); ; {
		next, err := r.pageOfReminders(ctx, from)
		if err != nil || next == (place{}) {
			return err
		}
		from = next
	}
}

// place is one in the queue of reminders.
type place struct {
	at time.Time
	id uuid.UUID
}

func (r *run) pageOfReminders(ctx context.Context, after place) (place, error) {
	rows, err := r.db.WindowPage(ctx, store.WindowPageParams{After: after.at, AfterID: after.id, Until: endOfTime, MaxRows: int32(r.cfg.Page)})
	if err != nil {
		return place{}, fmt.Errorf("read reminders: %w", err)
	}
	ids := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	last := len(rows) < r.cfg.Page
	if last {
		endless, err := r.db.EndlessReminders(ctx, math.MaxInt16)
		if err != nil {
			return place{}, fmt.Errorf("read reminders: %w", err)
		}
		ids = append(ids, endless...)
	}
	look := func(ctx context.Context, ids []uuid.UUID) ([]Finding, error) { return r.lookAtReminders(ctx, ids) }
	j := r.judgeOf(&r.reminders, twice(reminderOf, r.cfg.Page, look))
	if len(ids) > 0 {
		found, err := look(ctx, ids)
		if err != nil {
			return place{}, err
		}
		r.report.Looked.Reminders += len(ids)
		r.progress()
		if err := j.add(ctx, found); err != nil {
			return place{}, err
		}
	}
	if last {
		return place{}, j.flush(ctx)
	}
	return place{rows[len(rows)-1].DueAt, rows[len(rows)-1].ID}, nil
}

func (r *run) lookAtReminders(ctx context.Context, ids []uuid.UUID) (found []Finding, err error) {
	rows, err := r.db.ReminderFaults(ctx, store.ReminderFaultsParams{Ids: ids, OverdueMs: r.cfg.Overdue.Milliseconds()})
	if err != nil {
		return nil, fmt.Errorf("look at reminders: %w", err)
	}
	for _, row := range rows {
		if r.scope.User == uuid.Nil || r.scope.User == row.UserID {
			found = append(found, Finding{Kind: Kind(row.Kind), EventID: row.EventID, UserID: row.UserID, ReminderID: row.ReminderID, Detail: row.Detail})
		}
	}
	return found, nil
}

// walkPauses looks for accounts that are paused for longer than Google ever asks for.
func (r *run) walkPauses(ctx context.Context, after uuid.UUID) error {
	look := func(ctx context.Context) ([]Finding, error) { return r.lookAtPauses(ctx, after) }
	j := &judge{run: r, again: func(ctx context.Context, before []Finding) ([]Finding, error) {
		found, err := look(ctx)
		return both(before, found), err
	}}
	found, err := look(ctx)
	if err != nil {
		return err
	}
	if err := j.add(ctx, found); err != nil {
		return err
	}
	return j.flush(ctx)
}

func (r *run) lookAtPauses(ctx context.Context, after uuid.UUID) (found []Finding, err error) {
	for {
		rows, err := r.db.PausedAccounts(ctx, store.PausedAccountsParams{After: after, MaxRows: int32(r.cfg.Page)})
		if err != nil {
			return nil, fmt.Errorf("look at pauses: %w", err)
		}
		for _, row := range rows {
			if after = row.UserID; r.scope.User == uuid.Nil || r.scope.User == row.UserID {
				found = append(found, Finding{Kind: AccountPaused, UserID: row.UserID, Detail: "until " + row.Until})
			}
		}
		if len(rows) < r.cfg.Page {
			return found, nil
		}
	}
}
