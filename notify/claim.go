package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/wheel"
	"github.com/parentpal/reminder-worker/sql/store"
)

// claimSlack is how far the measured offset of the database's clock may be wrong without a fired reminder being refused.
const claimSlack = 20 * time.Millisecond

// claimSoon and claimAgain are the shortest and the longest pause before ids are tried once more that could not be claimed.
const (
	claimSoon  = 50 * time.Millisecond
	claimAgain = time.Second
)

// deliver claims ids, sends what the claim takes and records what became of it. It returns how many it took.
func (s *Sender) deliver(ctx context.Context, ids []uuid.UUID) (int, error) {
	b, taken, err := s.take(ctx, ids)
	s.push(ctx, b)
	s.armUnclaimed(ctx, b.missed)
	return taken, err
}

// take claims ids, and returns how many it took. It waits until the first request's worth may be offered: the quota is asked for what was
// claimed and not for what was due, which other workers may have claimed, or the user has on several devices.
func (s *Sender) take(ctx context.Context, ids []uuid.UUID) (b batch, taken int, err error) {
	asked := time.Now()
	rows, err := s.db.ClaimReminders(ctx, store.ClaimRemindersParams{
		Ids: ids, SlackMs: claimSlack.Milliseconds(), AheadMs: ahead.Milliseconds(), LeaseMs: s.cfg.Lease.Milliseconds(), RestMaxMs: s.cfg.RetryMax.Milliseconds(),
	})
	if err != nil {
		taken, err = s.unclaimed(ctx, ids, fmt.Errorf("claim reminders: %w", err))
		return b, taken, err
	}
	answered := time.Now()
	b.began, b.missed = answered, without(ids, rows)
	var resting []wheel.Entry
	for _, row := range rows {
		outcome := row.Status
		switch row.Status {
		case reminderSending:
			b.rows = append(b.rows, row)
			b.due = latest(b.due, row.DueAt)
		case reminderPending:
			outcome = outcomeRest
			resting = append(resting, wheel.Entry{ID: wheel.ID(row.ID), At: row.Lease})
		}
		s.m.reminders.WithLabelValues(outcome).Inc()
	}
	s.letRest(resting)
	if len(b.rows) > 0 {
		b.began = s.claimed(b.rows[0], asked, answered)
	}
	slices.SortStableFunc(b.rows, func(a, b store.ClaimRemindersRow) int { return a.Deadline.Compare(b.Deadline) })
	b.pushes, b.early = s.compose(b.rows)
	if b.chunks = s.chunks(b.pushes); len(b.chunks) > 0 {
		b.permit, b.ok = s.admitInTime(ctx, b.began, len(b.chunks[0]))
	}
	return b, len(rows), nil
}

// letRest arms reminders whose claims have ended with no result time after time, for the end of their rests.
func (s *Sender) letRest(entries []wheel.Entry) {
	if len(entries) == 0 {
		return
	}
	s.log.Warn().Int("reminders", len(entries)).Stringer("first", uuid.UUID(entries[0].ID)).Msg("claimed time after time with no result: they rest")
	for _, e := range entries {
		s.Arm(uuid.UUID(e.ID), e.At)
	}
}

// latest is the later of a and b.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// claimed is the moment of a claim by our clock, or a little before: by what the database's clock may be further than we know.
func (s *Sender) claimed(row store.ClaimRemindersRow, asked, answered time.Time) time.Time {
	moment := row.Lease.Add(-s.cfg.Lease)
	return answered.Add(-s.clock.learn(moment, asked, answered).Sub(moment))
}

// unclaimed deals with a claim that failed. What the database refuses for the rows' own sake (the app's constraint, or its trigger) is
// delivered in halves, so that one row at fault stands alone; that one is left to the sweep.
func (s *Sender) unclaimed(ctx context.Context, ids []uuid.UUID, err error) (int, error) {
	s.m.databaseErrors.Inc()
	refused := refusesData(err)
	if half := len(ids) / 2; refused && half > 0 {
		first, err1 := s.deliver(ctx, ids[:half])
		second, err2 := s.deliver(ctx, ids[half:])
		return first + second, errors.Join(err1, err2)
	}
	s.log.Error().Err(err).Int("reminders", len(ids)).Stringer("first", ids[0]).Msg("claim failed")
	if refused {
		return 0, nil
	}
	s.armAgain(ids)
	return 0, err
}

// armUnclaimed arms those of ids, which a claim did not answer, that are still to be sent: the app was at the row, or another worker has
// claimed it and may die. What waits for planning is armed by planning.
func (s *Sender) armUnclaimed(ctx context.Context, ids []uuid.UUID) {
	if len(ids) == 0 {
		return
	}
	rows, err := s.db.UnclaimedReminders(ctx, ids)
	if err != nil {
		s.m.databaseErrors.Inc()
		s.log.Error().Err(fmt.Errorf("read unclaimed reminders: %w", err)).Int("reminders", len(ids)).Msg("unclaimed not read")
		s.armAgain(ids)
		return
	}
	now := s.now()
	for _, row := range rows {
		at := tryAgain(row.DueAt, now)
		if row.Claimed || !at.Equal(row.DueAt) {
			at = at.Add(ahead) // no claim ahead of this time can succeed
		}
		s.Arm(row.ID, at)
	}
}

// tryAgain is when to claim again what was due and could not be claimed: who is at the row is mostly gone soon. The longer it is overdue the
// longer the pause, so it doubles with every try. What is due later, at the end of another's claim, is tried then.
func tryAgain(due, now time.Time) time.Time {
	if due.After(now.Add(claimSoon)) {
		return due
	}
	return now.Add(min(max(now.Sub(due), claimSoon), claimAgain))
}

func (s *Sender) armAgain(ids []uuid.UUID) {
	at := s.now().Add(claimAgain)
	entries := make([]wheel.Entry, len(ids))
	for i, id := range ids {
		entries[i] = wheel.Entry{ID: wheel.ID(id), At: at}
	}
	s.wheel.ArmAll(entries)
}

// without returns those of ids that no row answers.
func without(ids []uuid.UUID, rows []store.ClaimRemindersRow) []uuid.UUID {
	if len(rows) == len(ids) {
		return nil // the usual case
	}
	answered := make(map[uuid.UUID]bool, len(rows))
	for _, row := range rows {
		answered[row.ID] = true
	}
	var left []uuid.UUID
	for _, id := range ids {
		if !answered[id] {
			left = append(left, id)
		}
	}
	return left
}
