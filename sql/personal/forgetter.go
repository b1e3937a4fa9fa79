package personal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/store"
)

// Forgetter forgets users who are to be forgotten. Make it with NewForgetter.
type Forgetter struct {
	q     *store.Queries
	sweep time.Duration
	log   zerolog.Logger
	m     *Metrics
	due   chan struct{} // capacity 1
}

const (
	// stepRows is how many events or reminders one step removes at most.
	stepRows = 500
	// leastRest is the shortest time between two looks: most changes are none of a user who is to be forgotten.
	leastRest = 200 * time.Millisecond
	// dueBatch is how many deletions are taken at a time.
	dueBatch = 16
)

// NewForgetter returns one over the database of q, which looks by itself once in sweep.
func NewForgetter(q *store.Queries, sweep time.Duration, log zerolog.Logger, m *Metrics) *Forgetter {
	return &Forgetter{
		q: q, sweep: sweep, m: m, due: make(chan struct{}, 1),
		log: log.With().Str("component", "personal").Logger(),
	}
}

// Look says that somebody may have been asked to be forgotten. It never blocks.
func (f *Forgetter) Look() {
	select {
	case f.due <- struct{}{}:
	default:
	}
}

// Run makes the steps that are due until ctx ends.
func (f *Forgetter) Run(ctx context.Context) {
	for {
		until, err := f.take(ctx)
		if err != nil && ctx.Err() == nil {
			f.m.failed.Inc()
			f.log.Warn().Err(err).Msg("users not forgotten")
		}
		least, due := time.NewTimer(leastRest), time.NewTimer(max(until, leastRest))
		select {
		case <-ctx.Done():
			return
		case <-least.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-f.due:
		case <-due.C:
		}
	}
}

// Due makes the steps that are due, once.
func (f *Forgetter) Due(ctx context.Context) error {
	_, err := f.take(ctx)
	return err
}

// take makes the steps that are due, and returns when the next one is.
func (f *Forgetter) take(ctx context.Context) (time.Duration, error) {
	until, err := f.untilDue(ctx)
	if err != nil || until > 0 {
		return until, err
	}
	for ctx.Err() == nil {
		due, err := f.q.DueDeletions(ctx, dueBatch)
		if err != nil {
			return f.sweep, fmt.Errorf("ask who is to be forgotten: %w", err)
		}
		for _, id := range due {
			if _, err := f.Step(ctx, id); err != nil {
				return time.Second, err
			}
		}
		if len(due) < dueBatch {
			break
		}
	}
	return f.untilDue(ctx)
}

// untilDue is how long it is until a step is due, 0 if one is, and to the next sweep at most.
func (f *Forgetter) untilDue(ctx context.Context) (time.Duration, error) {
	ms, err := f.q.NextDeletionDue(ctx)
	if err != nil {
		return f.sweep, fmt.Errorf("ask when the next step is due: %w", err)
	}
	return min(f.sweep, time.Duration(min(max(ms, 0), 1e9)*float64(time.Millisecond))), nil
}

// Wish is what is asked for a user.
type Wish struct {
	// KeepCopies leaves in the user's calendar what stands there.
	KeepCopies bool
	// AuthUser has the row of auth.users removed as well.
	AuthUser bool
}

// Ask writes down that a user is to be forgotten, and returns under what number.
func (f *Forgetter) Ask(ctx context.Context, user uuid.UUID, w Wish) (uuid.UUID, error) {
	id, err := f.q.ForgetUser(ctx, store.ForgetUserParams{UserID: user, KeepCopies: w.KeepCopies, AuthUser: w.AuthUser})
	if err != nil {
		return uuid.Nil, fmt.Errorf("ask that the user be forgotten: %w", err)
	}
	return id, nil
}

// Step makes steps of a deletion as long as one follows the other at once. It reports whether the last was made. What the database refuses is written
// down and tried again later, which is no error.
func (f *Forgetter) Step(ctx context.Context, id uuid.UUID) (ended bool, err error) {
	for ctx.Err() == nil {
		s, err := f.q.ForgetStep(ctx, store.ForgetStepParams{ID: id, MaxRows: stepRows})
		if err != nil {
			return false, f.refused(ctx, id, err)
		}
		if s.Last {
			f.told(ctx, id)
		}
		if s.Ended {
			return true, nil
		}
		if s.InMs > 0 {
			return false, nil
		}
	}
	return false, context.Cause(ctx)
}

// refused notes what the database has said of a step.
func (f *Forgetter) refused(ctx context.Context, id uuid.UUID, err error) error {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return fmt.Errorf("forget a user: %w", err)
	}
	f.m.failed.Inc()
	f.log.Warn().Stringer("deletion", id).Str("sqlstate", pe.Code).Str("table", pe.TableName).Str("constraint", pe.ConstraintName).
		Msg("the database refuses a step of forgetting a user: it is tried again")
	reason := fmt.Sprintf("the database refuses: %s (SQLSTATE %s)", pe.Message, pe.Code)
	if err := f.q.PostponeDeletion(ctx, store.PostponeDeletionParams{ID: id, Reason: reason}); err != nil {
		return fmt.Errorf("postpone forgetting a user: %w", err)
	}
	return nil
}

// told logs what came of a deletion.
func (f *Forgetter) told(ctx context.Context, id uuid.UUID) {
	s, err := f.State(ctx, id)
	if err != nil {
		return // it is done, and the row says so
	}
	f.m.forgotten.Inc()
	e := f.log.Info().Stringer("deletion", id).Int64("copies", s.Copies).Int64("copies_left", s.CopiesLeft).Bool("consent", s.HadGrant).Bool("given_back", s.GivenBack)
	for kind, n := range s.Removed {
		e.Int64(kind, n)
	}
	e.Msg("user forgotten")
}

// State is how far a deletion has come.
type State struct {
	Ended bool
	Wish  Wish
	// Waits says what is waited for, in words; empty: nothing in particular.
	Waits string
	// Refused is how many steps in a row the database has refused.
	Refused int
	// Removed are rows, by kind.
	Removed map[string]int64
	// Copies were known when it was asked, and CopiesLeft of them could not be removed from the calendar.
	Copies, CopiesLeft int64
	// HadGrant says that there was a consent, GivenBack that it stands no more.
	HadGrant, GivenBack bool
}

// State reads it.
func (f *Forgetter) State(ctx context.Context, id uuid.UUID) (State, error) {
	row, err := f.q.DeletionState(ctx, id)
	if err != nil {
		return State{}, fmt.Errorf("ask how far the deletion has come: %w", err)
	}
	s := State{
		Ended: row.Ended, Wish: Wish{row.KeepCopies, row.AuthUser}, Waits: row.Reason, Refused: int(row.Attempts), Removed: map[string]int64{},
		Copies: int64(row.Copies), CopiesLeft: int64(row.CopiesLeft), HadGrant: row.HadGrant, GivenBack: row.GivenBack,
	}
	if err := json.Unmarshal(row.Removed, &s.Removed); err != nil {
		return s, fmt.Errorf("read what was removed: %w", err)
	}
	return s, nil
}
