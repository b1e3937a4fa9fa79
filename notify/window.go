package notify

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/wheel"
	"github.com/parentpal/reminder-worker/sql/store"
)

// window is the part of the table that the wheel holds.
type window struct {
	mu    sync.RWMutex
	until time.Time // database time; guarded by mu
	since int64     // transactions before this one have been read; the watcher's own
}

func (w *window) covers(at time.Time) bool {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return !at.After(w.until)
}

// extend moves the end of the window and returns where it was.
func (w *window) extend(until time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.until
	w.until = until
	return was
}

// lookPause is the shortest time from one look to the next: under a storm of commits the table is read fifty times a second, not once
// for each.
const lookPause = 20 * time.Millisecond

// retryFill is the pause after the window could not be read.
const retryFill = time.Second

// watch keeps the wheel in line with the table: what Look asks for, and the window's refill.
func (s *Sender) watch(ctx context.Context) {
	refill := time.NewTicker(s.cfg.Horizon / 4)
	defer refill.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case scope := <-s.looks:
			if err = s.look(ctx, scope); err != nil {
				s.Look(scope)
			}
			sleep(ctx, lookPause)
		case <-refill.C:
			err = s.refill(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.m.databaseErrors.Inc()
			s.log.Error().Err(err).Msg("wheel not filled")
			sleep(ctx, retryFill)
		}
	}
}

func (s *Sender) look(ctx context.Context, scope Scope) error {
	if scope == Window || !s.ready.Load() {
		return s.fill(ctx)
	}
	if err := s.readChanges(ctx); err != nil {
		return err
	}
	if scope == Overdue {
		return s.sweep(ctx)
	}
	return nil
}

// firstLooks is how often the clock is asked the first time: the first answer may have waited for a connection.
const firstLooks = 3

// readClock measures the database's clock and returns the oldest transaction that was running then.
func (s *Sender) readClock(ctx context.Context) (row store.DatabaseNowRow, err error) {
	looks := 1
	if !s.clockKnown.Load() {
		looks = firstLooks
	}
	for range looks {
		asked := time.Now()
		if row, err = s.db.DatabaseNow(ctx); err != nil {
			return row, fmt.Errorf("read database clock: %w", err)
		}
		answered := time.Now()
		s.clock.learn(row.NowTs, asked, answered)
		s.setOffset(row.NowTs, asked.Round(0), answered.Round(0))
	}
	return row, nil
}

// setOffset learns from an answer that the database gave between two of our instants. We believe the least that the answer allows, for by
// that clock nothing can fire before its time; it is late by the time the answer was on its way. What is believed already stands as long
// as later answers allow it, so the quickest of them decides.
func (s *Sender) setOffset(database, asked, answered time.Time) {
	least, most := database.Sub(answered), database.Sub(asked)
	offset := least
	if s.clockKnown.Swap(true) {
		offset = min(max(time.Duration(s.offset.Load()), least), most)
	}
	s.offset.Store(int64(offset))
	s.wheel.SetOffset(offset + ahead)
	s.m.clockOffset.Set(offset.Seconds())
}

// fill reads the whole window, what is overdue included.
func (s *Sender) fill(ctx context.Context) error {
	began := time.Now()
	clock, err := s.readClock(ctx)
	if err != nil {
		return err
	}
	until := clock.NowTs.Add(s.cfg.Horizon)
	// The window covers its end before it is read: what planning arms meanwhile goes into the wheel, and reading it again is harmless.
	s.window.extend(until)
	n, err := s.read(ctx, time.Time{}, until)
	if err != nil {
		return err
	}
	s.window.since = clock.Xmin
	if s.ready.CompareAndSwap(false, true) {
		s.log.Info().Int("reminders", n).Dur("took", time.Since(began)).Time("until", until).Msg("wheel filled")
	}
	return nil
}

// refill reads on from the window's end to the new horizon.
func (s *Sender) refill(ctx context.Context) error {
	if !s.ready.Load() {
		return nil
	}
	clock, err := s.readClock(ctx)
	if err != nil {
		return err
	}
	until := clock.NowTs.Add(s.cfg.Horizon)
	was := s.window.extend(until)
	if _, err := s.read(ctx, was, until); err != nil {
		s.window.extend(was)
		return err
	}
	return nil
}

// read arms what becomes due after after and up to until. It reads one page while that before is armed.
func (s *Sender) read(ctx context.Context, after, until time.Time) (total int, err error) {
	arg := store.WindowPageParams{After: after, AfterID: maxID, Until: until, MaxRows: int32(s.cfg.PageSize)}
	if after.IsZero() {
		arg.AfterID = uuid.Nil
	}
	pages, spare := make(chan []wheel.Entry), make(chan []wheel.Entry, 2)
	spare <- nil
	spare <- nil
	var arming sync.WaitGroup
	arming.Go(func() {
		for page := range pages {
			s.wheel.ArmAll(page)
			spare <- page[:0]
		}
	})
	defer arming.Wait()
	defer close(pages)
	for {
		page := <-spare
		n, err := store.EachInWindow(ctx, s.db, arg, func(id uuid.UUID, at time.Time) { page = append(page, wheel.Entry{ID: wheel.ID(id), At: at}) })
		if err != nil {
			return total, fmt.Errorf("read window: %w", err)
		}
		pages <- page
		total += n
		if n < s.cfg.PageSize {
			return total, nil
		}
		arg.After, arg.AfterID = page[n-1].At, uuid.UUID(page[n-1].ID)
	}
}

// maxID is behind every reminder of its instant.
var maxID = uuid.Max

// changedRows is how many changed rows one look reads before it reads the window instead.
const changedRows = 50_000

// readChanges arms what transactions since the last look have changed.
func (s *Sender) readChanges(ctx context.Context) error {
	clock, err := s.readClock(ctx)
	if err != nil {
		return err
	}
	rows, err := s.db.ChangedReminders(ctx, store.ChangedRemindersParams{
		SinceXid: s.window.since, Until: s.windowEnd(), MaxRows: changedRows,
	})
	if err != nil {
		return fmt.Errorf("read changed reminders: %w", err)
	}
	if len(rows) == changedRows {
		return s.fill(ctx)
	}
	entries := make([]wheel.Entry, len(rows))
	for i, r := range rows {
		entries[i] = wheel.Entry{ID: wheel.ID(r.ID), At: r.DueAt}
	}
	s.wheel.ArmAll(entries)
	s.window.since = clock.Xmin
	return nil
}

func (s *Sender) windowEnd() time.Time {
	s.window.mu.RLock()
	defer s.window.mu.RUnlock()
	return s.window.until
}

// sweep takes what is overdue and nobody's. While the queue holds ids they are what is overdue, and while the sender is paused by hand it is to be so.
func (s *Sender) sweep(ctx context.Context) error {
	if s.queue.len() > 0 || s.pace.paused() {
		return nil
	}
	ids, err := s.db.DueReminders(ctx, store.DueRemindersParams{
		GraceMs: s.cfg.SweepGrace.Milliseconds(), MaxRows: int32(s.cfg.PageSize),
	})
	if err != nil {
		return fmt.Errorf("read overdue reminders: %w", err)
	}
	if len(ids) > 0 {
		s.m.sweepFound.Add(float64(len(ids)))
		s.log.Warn().Int("reminders", len(ids)).Msg("sweep found overdue")
		s.queue.addIDs(ids)
	}
	return nil
}
