package cleanup

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// row is one that is old, as it was found.
type row struct {
	id   uuid.UUID
	user uuid.UUID // of a removal
	at   place
}

// part is one kind of rows, and the table that is read for them.
type part struct {
	name   string
	wanted func(Config) bool
	blocks func(store.TableBlocksRow) int64
	// find reads from one place of the table to another and returns the first rows that are old, Config.Batch at most.
	find func(ctx context.Context, q *store.Queries, c Config, from, to place) ([]row, error)
	// remove removes those of them that are old still, with what belongs to them.
	remove func(ctx context.Context, q *store.Queries, c Config, rows []row) (Counts, error)
	// counted is what is told of so many rows that would be removed.
	counted func(n int64) Counts
}

// parts are all kinds, in the order in which they are looked at: reminders first, so that few are left to go with their events.
var parts = []part{
	{
		"reminders", func(c Config) bool { return c.Reminders > 0 }, func(b store.TableBlocksRow) int64 { return b.Reminders },
		findReminders, removeReminders, func(n int64) Counts { return Counts{Reminders: n} },
	},
	{
		"events", func(c Config) bool { return c.Events > 0 || c.FailedEvents > 0 }, func(b store.TableBlocksRow) int64 { return b.Events },
		findEvents, removeEvents, func(n int64) Counts { return Counts{Events: n} },
	},
	{
		"removals", func(c Config) bool { return c.Removals > 0 }, func(b store.TableBlocksRow) int64 { return b.Removals },
		findRemovals, removeRemovals, func(n int64) Counts { return Counts{Removals: n} },
	},
	{
		"devices", func(c Config) bool { return c.Devices > 0 }, func(b store.TableBlocksRow) int64 { return b.Devices },
		findDevices, removeDevices, func(n int64) Counts { return Counts{Devices: n} },
	},
}

func ids(rows []row) []uuid.UUID {
	all := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		all[i] = r.id
	}
	return all
}

// rowsOf puts rows of the store in the place of ours.
func rowsOf[T any](found []T, err error, of func(T) (id, user uuid.UUID, at string)) ([]row, error) {
	if err != nil {
		return nil, err
	}
	rows := make([]row, len(found))
	for i, f := range found {
		id, user, at := of(f)
		if rows[i], err = newRow(id, user, at); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func newRow(id, user uuid.UUID, at string) (row, error) {
	p, err := readPlace(at)
	return row{id, user, p}, err
}

func millis(d time.Duration) int64 { return d.Milliseconds() }

func findReminders(ctx context.Context, q *store.Queries, c Config, from, to place) ([]row, error) {
	found, err := q.OldReminders(ctx, store.OldRemindersParams{
		FromPlace: from.String(), ToPlace: to.String(), KeepMs: millis(c.Reminders), MaxRows: int32(c.Batch),
	})
	return rowsOf(found, err, func(f store.OldRemindersRow) (uuid.UUID, uuid.UUID, string) { return f.ID, uuid.Nil, f.Place })
}

func removeReminders(ctx context.Context, q *store.Queries, c Config, rows []row) (Counts, error) {
	n, err := q.RemoveReminders(ctx, store.RemoveRemindersParams{Ids: ids(rows), KeepMs: millis(c.Reminders)})
	return Counts{Reminders: n.Reminders, Deliveries: n.Deliveries}, err
}

func findEvents(ctx context.Context, q *store.Queries, c Config, from, to place) ([]row, error) {
	found, err := q.OldEvents(ctx, store.OldEventsParams{
		FromPlace: from.String(), ToPlace: to.String(), KeepFailedMs: millis(c.FailedEvents), KeepMs: millis(c.Events), MaxRows: int32(c.Batch),
	})
	return rowsOf(found, err, func(f store.OldEventsRow) (uuid.UUID, uuid.UUID, string) { return f.ID, uuid.Nil, f.Place })
}

// removeEvents holds the events first and then asks, in a statement that sees everything committed by then, what belongs to them.
func removeEvents(ctx context.Context, q *store.Queries, c Config, rows []row) (Counts, error) {
	held, err := q.LockEvents(ctx, store.LockEventsParams{Ids: ids(rows), KeepFailedMs: millis(c.FailedEvents), KeepMs: millis(c.Events)})
	if err != nil {
		return Counts{}, fmt.Errorf("hold events: %w", err)
	}
	n, err := q.RemoveEvents(ctx, held)
	return Counts{Events: n.Events, Reminders: n.Reminders, Deliveries: n.Deliveries, Copies: n.Copies}, err
}

func findRemovals(ctx context.Context, q *store.Queries, c Config, from, to place) ([]row, error) {
	found, err := q.OldRemovals(ctx, store.OldRemovalsParams{
		FromPlace: from.String(), ToPlace: to.String(), KeepMs: millis(c.Removals), MaxRows: int32(c.Batch),
	})
	return rowsOf(found, err, func(f store.OldRemovalsRow) (uuid.UUID, uuid.UUID, string) { return f.EventID, f.UserID, f.Place })
}

func removeRemovals(ctx context.Context, q *store.Queries, _ Config, rows []row) (Counts, error) {
	arg := store.RemoveRemovalsParams{EventIds: ids(rows)}
	for _, r := range rows {
		arg.UserIds = append(arg.UserIds, r.user)
	}
	n, err := q.RemoveRemovals(ctx, arg)
	return Counts{Removals: n}, err
}

func findDevices(ctx context.Context, q *store.Queries, c Config, from, to place) ([]row, error) {
	found, err := q.OldDevices(ctx, store.OldDevicesParams{
		FromPlace: from.String(), ToPlace: to.String(), KeepMs: millis(c.Devices), MaxRows: int32(c.Batch),
	})
	return rowsOf(found, err, func(f store.OldDevicesRow) (uuid.UUID, uuid.UUID, string) { return f.ID, uuid.Nil, f.Place })
}

func removeDevices(ctx context.Context, q *store.Queries, c Config, rows []row) (Counts, error) {
	n, err := q.RemoveDevices(ctx, store.RemoveDevicesParams{Ids: ids(rows), KeepMs: millis(c.Devices)})
	return Counts{Devices: n}, err
}
