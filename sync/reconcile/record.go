package reconcile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
)

// record writes outcomes, as many as there are in one statement, until results is closed.
func (r *Reconciler) record(ctx context.Context) {
	for o := range r.results {
		r.write(ctx, r.gather(o))
	}
}

func (r *Reconciler) gather(first outcome) []outcome {
	batch := []outcome{first}
	for len(batch) < r.cfg.Batch {
		select {
		case o, open := <-r.results:
			if !open {
				return batch
			}
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// write records a batch and lets its jobs go.
func (r *Reconciler) write(ctx context.Context, batch []outcome) {
	r.writePersistently(ctx, batch)
	jobs := make([]*job, len(batch))
	soon := false
	for i, o := range batch {
		jobs[i] = o.job
		soon = soon || o.retry >= 0 && o.retry < r.cfg.Lease
	}
	r.flight.remove(jobs...)
	if soon { // the next look was to be when the claim would have ended
		r.WakeForEvents()
	}
}

// writePersistently repeats until the batch is recorded or ctx ends: what was done must not be forgotten because the database was away
// for a moment. If it is, leases end and the work is done again, which changes nothing. A batch whose data is refused is split, until
// the one result at fault stands alone and is dropped.
func (r *Reconciler) writePersistently(ctx context.Context, batch []outcome) {
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := r.writeOnce(ctx, batch)
		if err == nil {
			r.m.observeOutcomes(batch)
			return
		}
		r.m.databaseErrors.Inc()
		r.log.Error().Err(err).Int("events", len(batch)).Msg("results not recorded")
		if refusesData(err) {
			if half := len(batch) / 2; half > 0 {
				r.writePersistently(ctx, batch[:half])
				r.writePersistently(ctx, batch[half:])
			}
			return
		}
		if sleep(ctx, pause); ctx.Err() != nil {
			return
		}
	}
}

// writeOnce parks accounts first, so that no event of theirs is claimed again in between.
func (r *Reconciler) writeOnce(ctx context.Context, batch []outcome) error {
	if err := r.writeAccounts(ctx, batch); err != nil {
		return err
	}
	var events, removals, released []outcome
	for _, o := range batch {
		switch {
		case o.released:
			released = append(released, o)
		case o.job.removal:
			removals = append(removals, o)
		default:
			events = append(events, o)
		}
	}
	if err := r.writeEvents(ctx, events); err != nil {
		return err
	}
	if err := r.writeRemovals(ctx, removals); err != nil {
		return err
	}
	return r.release(ctx, released)
}

func (r *Reconciler) writeAccounts(ctx context.Context, batch []outcome) error {
	var arg store.MarkReconnectParams
	var lost store.LoseCalendarsParams
	parked := map[uuid.UUID]bool{}
	for _, o := range batch {
		a := o.job.account
		switch {
		case o.lost != "":
			lost.UserIds, lost.CalendarIds = append(lost.UserIds, a.UserID), append(lost.CalendarIds, o.lost)
		case o.reconnect != "" && !parked[a.UserID]:
			parked[a.UserID] = true
			arg.UserIds = append(arg.UserIds, a.UserID)
			arg.RefreshTokens = append(arg.RefreshTokens, o.job.stored)
			arg.Subjects = append(arg.Subjects, a.Subject)
			arg.Consents = append(arg.Consents, a.Consent)
			arg.Reasons = append(arg.Reasons, storable(o.reconnect))
		case o.pause > 0:
			err := r.db.PauseAccount(ctx, store.PauseAccountParams{UserID: a.UserID, PauseMs: o.pause.Milliseconds(), Reason: storable(o.why)})
			if err != nil {
				return fmt.Errorf("pause account: %w", err)
			}
		}
	}
	if err := r.writeLost(ctx, batch, lost); err != nil {
		return err
	}
	if len(arg.UserIds) == 0 {
		return nil
	}
	n, err := r.db.MarkReconnect(ctx, arg)
	if err != nil {
		return fmt.Errorf("mark accounts: %w", err)
	}
	r.m.parked.Add(float64(n))
	if n > 0 {
		r.log.Warn().Int64("accounts", n).Str("reason", arg.Reasons[0]).Msg("accounts need reconnect")
	}
	r.patience.parked(arg.UserIds, r.cfg.Lease)
	return nil
}

// writeLost records calendars that are gone, and gives events another try where there is another calendar in the place of theirs, or will be.
func (r *Reconciler) writeLost(ctx context.Context, batch []outcome, lost store.LoseCalendarsParams) error {
	if len(lost.UserIds) == 0 {
		return nil
	}
	replaced, err := r.db.LoseCalendars(ctx, lost)
	if err != nil {
		return fmt.Errorf("lose calendars: %w", err)
	}
	for i := range batch {
		o := &batch[i]
		if !o.job.removal && o.lost != "" && slices.Contains(replaced, store.LoseCalendarsRow{UserID: o.job.user, CalendarID: o.lost}) {
			o.status, o.retry, o.message = eventPending, r.cfg.Jitter(makingWait), "the calendar is not there; another takes its place"
		}
	}
	return nil
}

// busyTries is how often rows are tried that somebody else is at: for half a second in all. What is not recorded then is served again
// when its claim ends, which changes nothing; waiting longer would hold up everybody else's results.
const busyTries = 9

func (r *Reconciler) writeEvents(ctx context.Context, batch []outcome) error {
	for try := 0; len(batch) > 0 && try < busyTries; try++ {
		if try > 0 {
			sleep(ctx, time.Millisecond<<try)
		}
		busy, err := r.writeFree(ctx, batch)
		if err != nil {
			return err
		}
		batch = busy
	}
	if len(batch) > 0 {
		r.log.Warn().Int("events", len(batch)).Msg("rows held by others, results left to the next claim")
	}
	return nil
}

// writeFree records the outcomes of events that nobody else is at, and returns the others.
func (r *Reconciler) writeFree(ctx context.Context, batch []outcome) (busy []outcome, err error) {
	r.rows.Lock()
	answers, err := r.db.RecordSyncs(ctx, r.syncParams(batch))
	r.rows.Unlock()
	if err != nil {
		return nil, fmt.Errorf("record events: %w", err)
	}
	again := map[uuid.UUID]bool{}
	for _, a := range answers {
		if a.DueAgain {
			r.Wake()
		}
		if a.Busy {
			again[a.EventID] = true
		}
	}
	for _, o := range batch {
		if again[o.job.event] {
			busy = append(busy, o)
		}
	}
	return busy, nil
}

func (r *Reconciler) syncParams(batch []outcome) store.RecordSyncsParams {
	arg := store.RecordSyncsParams{Worker: r.worker, OwnGrants: r.ownGrants(), Domains: r.domains()}
	for _, o := range batch {
		c, calendar := gcal.Copy{}, ""
		if o.copy != nil {
			c, calendar = *o.copy, o.job.account.CalendarID
		}
		arg.EventIds = append(arg.EventIds, o.job.event)
		arg.UserIds = append(arg.UserIds, o.job.user)
		arg.Revisions = append(arg.Revisions, o.job.revision)
		arg.Statuses = append(arg.Statuses, o.status)
		arg.ErrorMessages = append(arg.ErrorMessages, storable(o.message))
		arg.RetryMs = append(arg.RetryMs, millis(o.retry))
		arg.CountAttempts = append(arg.CountAttempts, o.counts)
		arg.Planned = append(arg.Planned, !o.unplanned)
		arg.GoogleIds = append(arg.GoogleIds, c.GoogleID)
		arg.CalendarIds = append(arg.CalendarIds, calendar)
		arg.Generations = append(arg.Generations, int32(c.Generation))
		arg.Etags = append(arg.Etags, c.ETag)
		arg.Hashes = append(arg.Hashes, c.Hash)
	}
	return arg
}

func (r *Reconciler) writeRemovals(ctx context.Context, batch []outcome) error {
	if len(batch) == 0 {
		return nil
	}
	var arg store.RecordRemovalsParams
	for _, o := range batch {
		arg.EventIds = append(arg.EventIds, o.job.event)
		arg.UserIds = append(arg.UserIds, o.job.user)
		arg.Leases = append(arg.Leases, o.job.lease)
		arg.Gone = append(arg.Gone, o.gone)
		arg.CountAttempts = append(arg.CountAttempts, o.counts)
		arg.RetryMs = append(arg.RetryMs, millis(o.retry))
		arg.ErrorMessages = append(arg.ErrorMessages, storable(o.message))
	}
	answers, err := r.db.RecordRemovals(ctx, arg)
	if err != nil {
		return fmt.Errorf("record removals: %w", err)
	}
	for _, a := range answers {
		if a.DueAgain {
			r.Wake()
		}
	}
	return nil
}

func (r *Reconciler) release(ctx context.Context, batch []outcome) error {
	var events []uuid.UUID
	var removals store.ReleaseRemovalsParams
	for _, o := range batch {
		if o.job.removal {
			removals.EventIds = append(removals.EventIds, o.job.event)
			removals.UserIds = append(removals.UserIds, o.job.user)
		} else {
			events = append(events, o.job.event)
		}
	}
	if len(events) > 0 {
		r.rows.Lock()
		err := r.db.ReleaseEvents(ctx, store.ReleaseEventsParams{EventIds: events, Worker: r.worker})
		r.rows.Unlock()
		if err != nil {
			return fmt.Errorf("release events: %w", err)
		}
	}
	if len(removals.EventIds) > 0 {
		if err := r.db.ReleaseRemovals(ctx, removals); err != nil {
			return fmt.Errorf("release removals: %w", err)
		}
	}
	return nil
}

// maxMessage bounds what is kept of a fault's text.
const maxMessage = 1000

// storable makes text from outside fit for a text column: valid, without NUL, bounded.
func storable(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	if len(s) > maxMessage {
		s = s[:maxMessage]
	}
	return strings.ToValidUTF8(s, "")
}

// millis keeps a wait above zero above zero; never stays negative.
func millis(d time.Duration) int64 {
	if d > 0 && d < time.Millisecond {
		return 1
	}
	if d < 0 {
		return -1
	}
	return d.Milliseconds()
}
