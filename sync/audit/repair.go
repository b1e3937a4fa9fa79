package audit

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// repair has findings mended, each in its way, and marks those for which that has been set going. What somebody else is at, or has changed since,
// stays as it is, for the next audit.
func (r *run) repair(ctx context.Context, findings []Finding) error {
	for _, mend := range []func(context.Context, []Finding) error{
		r.resumeAccounts, r.nameCopies, r.serveEvents, r.buryCopies, r.queueRemovals, r.removeEntries, r.retryReminders,
	} {
		if err := mend(ctx, findings); err != nil {
			return fmt.Errorf("repair: %w", err)
		}
	}
	return nil
}

// pick are the places of the findings that fit.
func pick(findings []Finding, fits func(Finding) bool) (at []int) {
	for i, f := range findings {
		if fits(f) {
			at = append(at, i)
		}
	}
	return at
}

func mark(findings []Finding, at []int) {
	for _, i := range at {
		findings[i].Repaired = true
	}
}

func (r *run) resumeAccounts(ctx context.Context, findings []Finding) error {
	at := pick(findings, func(f Finding) bool { return f.Kind == AccountPaused })
	var users []uuid.UUID
	for _, i := range at {
		users = append(users, findings[i].UserID)
	}
	if len(users) == 0 {
		return nil
	}
	n, err := r.db.ResumeAccounts(ctx, users)
	if err != nil {
		return fmt.Errorf("resume accounts: %w", err)
	}
	if int(n) == len(at) {
		mark(findings, at)
	}
	return nil
}

// served is what is asked of ServeEvents for one event.
type served struct {
	revision      int64
	queue, forget bool
}

// serveEvents has the events of findings served once more. An event that is pending already only comes into its queue.
func (r *run) serveEvents(ctx context.Context, findings []Finding) error {
	wanted := map[uuid.UUID]served{}
	at := pick(findings, func(f Finding) bool { return f.servesEvent() })
	for _, i := range at {
		f := findings[i]
		w := wanted[f.EventID]
		w.revision, w.queue = f.revision, w.queue || f.Kind == EventNotQueued || f.Kind == EventOverdue
		w.forget = w.forget || f.Kind == CopyMissing || f.Kind == CopyDiffers || f.Kind == CopyMisnamed
		wanted[f.EventID] = w
	}
	if len(wanted) == 0 {
		return nil
	}
	var arg store.ServeEventsParams
	for id, w := range wanted {
		arg.EventIds, arg.Revisions = append(arg.EventIds, id), append(arg.Revisions, w.revision)
		arg.Queue, arg.Forget = append(arg.Queue, w.queue), append(arg.Forget, w.forget)
	}
	ids, err := r.db.ServeEvents(ctx, arg)
	if err != nil {
		return fmt.Errorf("serve events: %w", err)
	}
	r.served = append(r.served, ids...)
	done := map[uuid.UUID]bool{}
	for _, id := range ids {
		done[id] = true
	}
	for _, i := range at {
		findings[i].Repaired = done[findings[i].EventID]
	}
	return nil
}

// servesEvent reports whether it is mended by serving its event once more.
func (f Finding) servesEvent() bool {
	switch f.Kind {
	case CopyTwin, CopyOrphaned, ReminderWithoutEvent, ReminderStuck:
		return false
	}
	return f.revision != 0 && f.Kind.Repair() != ""
}

func (r *run) nameCopies(ctx context.Context, findings []Finding) error {
	byUser := map[uuid.UUID]*store.NameCopiesParams{}
	named := map[uuid.UUID]bool{}
	for _, i := range pick(findings, func(f Finding) bool { return f.Kind == CopyMisnamed && f.GoogleID != "" }) {
		f := findings[i]
		if named[f.EventID] {
			continue // of several entries the first; the others are twins then
		}
		named[f.EventID] = true
		arg := byUser[f.UserID]
		if arg == nil {
			arg = &store.NameCopiesParams{UserID: f.UserID}
			byUser[f.UserID] = arg
		}
		arg.EventIds, arg.Revisions = append(arg.EventIds, f.EventID), append(arg.Revisions, f.revision)
		arg.CalendarIds, arg.GoogleIds = append(arg.CalendarIds, f.CalendarID), append(arg.GoogleIds, f.GoogleID)
		arg.Generations = append(arg.Generations, int32(generationOf(f.EventID, f.GoogleID)))
	}
	for _, arg := range byUser {
		if _, err := r.db.NameCopies(ctx, *arg); err != nil {
			return fmt.Errorf("name copies: %w", err)
		}
	}
	return nil
}

func (r *run) buryCopies(ctx context.Context, findings []Finding) error {
	at := pick(findings, func(f Finding) bool { return f.Kind == CopyNotBuried && f.revision == 0 })
	events, users := r.keysOf(findings, at)
	if len(at) == 0 {
		return nil
	}
	n, err := r.db.BuryCopies(ctx, store.BuryCopiesParams{EventIds: events, UserIds: users})
	if err != nil {
		return fmt.Errorf("bury copies: %w", err)
	}
	r.dug(findings, at, n)
	return nil
}

func (r *run) queueRemovals(ctx context.Context, findings []Finding) error {
	at := pick(findings, func(f Finding) bool { return f.Kind == RemovalNotQueued })
	events, users := r.keysOf(findings, at)
	if len(at) == 0 {
		return nil
	}
	n, err := r.db.QueueRemovals(ctx, store.QueueRemovalsParams{EventIds: events, UserIds: users})
	if err != nil {
		return fmt.Errorf("queue removals: %w", err)
	}
	r.dug(findings, at, n)
	return nil
}

func (r *run) keysOf(findings []Finding, at []int) (events, users []uuid.UUID) {
	for _, i := range at {
		events, users = append(events, findings[i].EventID), append(users, findings[i].UserID)
	}
	return events, users
}

// dug marks tombstones that are due. If some of them are not, which of them is not told, and all are left to the next audit.
func (r *run) dug(findings []Finding, at []int, n int64) {
	events, _ := r.keysOf(findings, at)
	r.served = append(r.served, events...)
	if int(n) == len(at) {
		mark(findings, at)
	}
}

// removeEntries enters entries too many as tombstones.
func (r *run) removeEntries(ctx context.Context, findings []Finding) error {
	byUser := map[uuid.UUID][]int{}
	for _, i := range pick(findings, func(f Finding) bool { return f.Kind == CopyTwin || f.Kind == CopyOrphaned }) {
		byUser[findings[i].UserID] = append(byUser[findings[i].UserID], i)
	}
	for user, at := range byUser {
		arg, taken := store.RemoveEntriesParams{UserID: user}, map[uuid.UUID]bool{}
		for _, i := range at {
			f := findings[i]
			key := keyOf(f, f.Kind == CopyOrphaned && f.free && !taken[f.EventID])
			taken[f.EventID] = true
			arg.Keys, arg.EventIds = append(arg.Keys, key), append(arg.EventIds, f.EventID)
			arg.CalendarIds, arg.GoogleIds = append(arg.CalendarIds, f.CalendarID), append(arg.GoogleIds, f.GoogleID)
		}
		n, err := r.db.RemoveEntries(ctx, arg)
		if err != nil {
			return fmt.Errorf("remove entries: %w", err)
		}
		r.served = append(r.served, arg.Keys...)
		if int(n) == len(at) {
			mark(findings, at)
		}
	}
	return nil
}

// keyOf is under what key an entry too many is entered: its event's where that is free and may come back to the user, else one that no event has.
func keyOf(f Finding, free bool) uuid.UUID {
	if free {
		return f.EventID
	}
	return uuid.NewSHA1(f.UserID, []byte(strings.Join([]string{f.CalendarID, f.GoogleID}, "\x00")))
}

func (r *run) retryReminders(ctx context.Context, findings []Finding) error {
	at := pick(findings, func(f Finding) bool { return f.Kind == ReminderWithoutEvent || f.Kind == ReminderStuck })
	var ids []uuid.UUID
	for _, i := range at {
		ids = append(ids, findings[i].ReminderID)
	}
	if len(ids) == 0 {
		return nil
	}
	n, err := r.db.RetryReminders(ctx, ids)
	if err != nil {
		return fmt.Errorf("retry reminders: %w", err)
	}
	if int(n) == len(at) {
		mark(findings, at)
	}
	return nil
}
