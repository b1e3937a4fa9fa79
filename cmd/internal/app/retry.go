package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/store"
)

// retryBatch is how many rows are retried by one statement, which is a transaction of its own.
const retryBatch = 500

// RetryOptions say what is to be retried: rows by their ids, or else all that have failed within a week, or of those the ones of one reason.
type RetryOptions struct {
	// Events and Reminders are looked for as such. An id may be in both: it is unknown if it is neither.
	Events, Reminders []uuid.UUID
	// Reason is one of those that Failures tells, or the error_message of a row.
	Reason string
	// All has everything retried.
	All bool
	// DryRun changes nothing, and tells what would be retried.
	DryRun bool
}

// RetryOutcome is what became of one row.
type RetryOutcome string

// The outcomes.
const (
	Retried    RetryOutcome = "retried"
	NotFailed  RetryOutcome = "not_failed" // nothing was to be done
	TooLate    RetryOutcome = "too_late"   // a reminder that is of no use any more
	Withdrawn  RetryOutcome = "withdrawn"  // a reminder whose event is cancelled, gone or at another time
	Refused    RetryOutcome = "refused"    // the database does not let the row be changed: a constraint or a trigger of the app's
	Busy       RetryOutcome = "busy"       // somebody else is at the row: try again
	UnknownRow RetryOutcome = "unknown"    // there is no such row
)

// RetryItem is what became of a row that was asked for by its id.
type RetryItem struct {
	ID uuid.UUID `json:"id"`
	// Kind is event or reminder; empty: neither is known by this id.
	Kind string `json:"kind,omitempty"`
	// Status is the row's before.
	Status  string       `json:"status,omitempty"`
	Reason  string       `json:"reason,omitempty"`
	Outcome RetryOutcome `json:"outcome"`
}

// RetrySum counts the rows of one kind and reason by what became of them.
type RetrySum struct {
	Kind     string               `json:"kind"`
	Reason   string               `json:"reason"`
	Outcomes map[RetryOutcome]int `json:"outcomes"`
}

// RetryReport is what was retried, or would be.
type RetryReport struct {
	DryRun bool `json:"dry_run"`
	// Reasons counts what had failed, the most frequent first.
	Reasons []RetrySum `json:"reasons"`
	// Items tells of each id that was asked for. Empty if rows were asked for by reason, or all.
	Items []RetryItem `json:"items,omitempty"`
}

// Count is how many rows came out one way.
func (r RetryReport) Count(o RetryOutcome) (n int) {
	for _, s := range r.Reasons {
		n += s.Outcomes[o]
	}
	if o != NotFailed && o != UnknownRow {
		return n
	}
	for _, i := range r.Items {
		if i.Outcome == o {
			n++
		}
	}
	return n
}

// errNothingNamed ends a retry of nothing.
var errNothingNamed = errors.New("retry: name events or reminders by id, a reason, or all")

// Retry has failed events served and failed reminders sent once more, as if the app had asked for it, and all workers look for them. What has not
// failed, and reminders that are of no use any more, stay as they are. It works in small transactions: when it ends early, what was done stands, and
// the next call goes on with the rest.
func (a *App) Retry(ctx context.Context, o RetryOptions) (RetryReport, error) {
	r := &retrying{db: a.store(), o: o, sums: map[sumKey]*RetrySum{}}
	err := r.run(ctx)
	if r.changed {
		err = errors.Join(err, a.tellWorkers(ctx))
	}
	return r.report(), err
}

// retrying is one retry under way.
type retrying struct {
	db      *store.Queries
	o       RetryOptions
	sums    map[sumKey]*RetrySum
	items   []RetryItem
	changed bool
}

type sumKey struct{ kind, reason string }

// The kinds of rows, and the state of those that are retried.
const (
	kindEvent    = "event"
	kindReminder = "reminder"

	statusFailed = "failed"
)

// maxReasons bounds how many reasons are told apart in one report; what else there is counts together.
const (
	maxReasons   = 1000
	otherReasons = "other reasons"
)

func (r *retrying) run(ctx context.Context) error {
	switch {
	case len(r.o.Events)+len(r.o.Reminders) > 0:
		return r.named(ctx)
	case r.o.Reason != "":
		reason, err := r.db.ReasonOf(ctx, r.o.Reason)
		if err != nil {
			return fmt.Errorf("read reason: %w", err)
		}
		return r.all(ctx, reason)
	case r.o.All:
		return r.all(ctx, "")
	}
	return errNothingNamed
}

// named retries rows by their ids.
func (r *retrying) named(ctx context.Context) error {
	for _, k := range []struct {
		kind string
		ids  []uuid.UUID
	}{{kindEvent, r.o.Events}, {kindReminder, r.o.Reminders}} {
		for ids := range slices.Chunk(k.ids, retryBatch) {
			items, err := r.batch(ctx, k.kind, ids)
			if err != nil {
				return err
			}
			r.items = append(r.items, items...)
		}
	}
	r.items = merge(r.items)
	return nil
}

// merge leaves one item for each id: of one that was looked for as an event and as a reminder, what it is.
func merge(items []RetryItem) []RetryItem {
	found := map[uuid.UUID]bool{}
	for _, i := range items {
		found[i.ID] = found[i.ID] || i.Outcome != UnknownRow
	}
	told := map[uuid.UUID]bool{}
	return slices.DeleteFunc(items, func(i RetryItem) bool {
		if i.Outcome != UnknownRow {
			return false
		}
		again := told[i.ID]
		told[i.ID] = true
		return again || found[i.ID]
	})
}

// all retries what has failed for a reason, or for any, page by page: the latest first. A row that fails anew meanwhile is not met again.
func (r *retrying) all(ctx context.Context, reason string) error {
	now, err := r.db.DatabaseNow(ctx)
	if err != nil {
		return fmt.Errorf("read database clock: %w", err)
	}
	for _, kind := range []string{kindEvent, kindReminder} {
		page := store.FailedEventsParams{Before: "infinity", BeforeID: uuid.Max, Since: now.NowTs.Add(-failureAge), MaxRows: retryBatch}
		for more := true; more; {
			rows, err := r.page(ctx, kind, page)
			if err != nil {
				return err
			}
			var ids []uuid.UUID
			for _, row := range rows {
				page.Before, page.BeforeID = row.Place, row.ID
				if reason == "" || row.Reason == reason {
					ids = append(ids, row.ID)
				}
			}
			if _, err := r.batch(ctx, kind, ids); err != nil {
				return err
			}
			more = len(rows) == retryBatch
		}
	}
	return nil
}

// page reads the next failed rows of a kind.
func (r *retrying) page(ctx context.Context, kind string, arg store.FailedEventsParams) ([]store.FailedEventsRow, error) {
	if kind == kindEvent {
		rows, err := r.db.FailedEvents(ctx, arg)
		if err != nil {
			return nil, fmt.Errorf("read failed events: %w", err)
		}
		return rows, nil
	}
	rows, err := r.db.FailedReminders(ctx, store.FailedRemindersParams(arg))
	if err != nil {
		return nil, fmt.Errorf("read failed reminders: %w", err)
	}
	same := make([]store.FailedEventsRow, len(rows))
	for i, row := range rows {
		same[i] = store.FailedEventsRow(row)
	}
	return same, nil
}

// batch retries rows of one kind, and counts what became of them. A batch that the database refuses for the rows' own sake (a constraint of the app's,
// or a trigger that raises) is retried in halves, until the one row at fault stands alone.
func (r *retrying) batch(ctx context.Context, kind string, ids []uuid.UUID) (items []RetryItem, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := r.ask(ctx, kind, ids)
	switch half := len(ids) / 2; {
	case err == nil:
	case !refusesRow(err):
		return nil, fmt.Errorf("retry %ss: %w", kind, err)
	case half > 0:
		first, err1 := r.batch(ctx, kind, ids[:half])
		second, err2 := r.batch(ctx, kind, ids[half:])
		return append(first, second...), errors.Join(err1, err2)
	default:
		rows = []store.RetryFailedEventsRow{{ID: ids[0], Status: statusFailed, Reason: oneLine(err), Outcome: string(Refused)}}
	}
	for _, row := range rows {
		i := RetryItem{ID: row.ID, Kind: kind, Status: row.Status, Reason: row.Reason, Outcome: RetryOutcome(row.Outcome)}
		if i.Outcome == UnknownRow {
			i.Kind = ""
		}
		items = append(items, i)
		r.count(i)
		r.changed = r.changed || i.Outcome == Retried && !r.o.DryRun
	}
	return items, nil
}

func (r *retrying) ask(ctx context.Context, kind string, ids []uuid.UUID) ([]store.RetryFailedEventsRow, error) {
	if kind == kindEvent {
		return r.db.RetryFailedEvents(ctx, store.RetryFailedEventsParams{Ids: ids, Rehearsal: r.o.DryRun})
	}
	same, err := r.db.RetryFailedReminders(ctx, store.RetryFailedRemindersParams{Ids: ids, Rehearsal: r.o.DryRun})
	rows := make([]store.RetryFailedEventsRow, len(same))
	for i, row := range same {
		rows[i] = store.RetryFailedEventsRow(row)
	}
	return rows, err
}

// refusesRow reports whether a row refuses to be changed: for its data, or because a trigger raises.
func refusesRow(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && inClass(pe, "22", "23", "P0")
}

// count notes what became of a row that had failed.
func (r *retrying) count(i RetryItem) {
	if i.Outcome == NotFailed || i.Outcome == UnknownRow {
		return
	}
	key := sumKey{i.Kind, i.Reason}
	if r.sums[key] == nil && len(r.sums) >= maxReasons {
		key.reason = otherReasons
	}
	s := r.sums[key]
	if s == nil {
		s = &RetrySum{Kind: key.kind, Reason: key.reason, Outcomes: map[RetryOutcome]int{}}
		r.sums[key] = s
	}
	s.Outcomes[i.Outcome]++
}

func (r *retrying) report() RetryReport {
	report := RetryReport{DryRun: r.o.DryRun, Reasons: []RetrySum{}, Items: r.items}
	for _, s := range r.sums {
		report.Reasons = append(report.Reasons, *s)
	}
	slices.SortFunc(report.Reasons, func(a, b RetrySum) int {
		return cmp.Or(cmp.Compare(b.total(), a.total()), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Reason, b.Reason))
	})
	return report
}

func (s RetrySum) total() (n int) {
	for _, k := range s.Outcomes {
		n += k
	}
	return n
}
