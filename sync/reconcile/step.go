package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
)

// planned is a claimed row with its plan.
type planned struct {
	row  store.ClaimEventsRow
	plan Plan
	now  time.Time // the database's clock at the claim
	// claimed is ours just before it, so that we never believe to hold a claim for longer than it holds.
	claimed time.Time
	// ahead is on its way already; nil: it is not.
	ahead *job
}

// taken is what a step has claimed, whether more may be due, and if not, until when nothing is (zero: that was not asked).
type taken struct {
	events, removals int
	more             bool
	until            time.Time
}

func (t taken) none() bool { return t.events+t.removals == 0 }

// step claims what is due, commits its reminders and hands what needs Google to the lanes. Planning goes on when there is no room for
// more calls: what it plans then waits in the table.
func (r *Reconciler) step(ctx context.Context) (took taken, err error) {
	if err := r.payBack(ctx); err != nil {
		return took, err
	}
	copies, claimed := r.callable(), time.Now()
	rows, err := r.claim(ctx, r.cfg.Batch, copies)
	if err != nil {
		return took, err
	}
	r.findAccounts(ctx, rows)
	plans, waiting := r.sort(rows, claimed)
	took.events = len(rows)
	if r.swept.Swap(false) && r.idle {
		r.m.sweepFound.Add(float64(missed(plans)))
	}
	took.more = len(rows)-len(waiting) >= r.cfg.Batch || copies > 0 && len(waiting) >= copies
	for _, p := range waiting {
		r.dispatch(p)
	}
	if sent := r.sendAhead(plans); sent == 1 && len(rows) == 1 {
		sleep(ctx, headStart)
	}
	if err := r.ended(); err != nil {
		return took, errors.Join(err, r.beginAll(ctx, plans))
	}
	r.beginBeside(ctx, plans)
	return r.alsoRemovals(ctx, took)
}

// unnoticed is how long an event may have been due before somebody should have looked.
const unnoticed = 2 * time.Second

// missed counts the events whose change was announced to nobody: due for a while, and never tried.
func missed(plans []planned) (n int) {
	for _, p := range plans {
		if p.row.SyncAttempts == 0 && p.now.Sub(p.row.SyncChangedAt) > unnoticed {
			n++
		}
	}
	return n
}

// places is how many events may be claimed that wait for Google only: what is left beside those that are planned meanwhile, if that is
// worth a statement.
func (r *Reconciler) places() int {
	free := min(r.cfg.Batch, r.flight.room()-min(r.cfg.Batch, r.cfg.InFlight/4))
	if free < min(r.cfg.Batch, max(1, r.cfg.InFlight/16)) {
		return 0
	}
	return free
}

// callable is places while calendars are called. While all of them rest, or are paused by hand, what waits for them stays in the table.
func (r *Reconciler) callable() int {
	if left, _ := r.pause.left(); left > 0 || r.byHand.Load() {
		return 0
	}
	return r.places()
}

// sort tells the rows that are to be planned from those whose reminders stand and that wait for Google only.
func (r *Reconciler) sort(rows []store.ClaimEventsRow, claimed time.Time) (plans, waiting []planned) {
	for _, p := range r.plan(rows, claimed) {
		if p.row.Planned && p.row.HasCopy && r.writes(p) && !moves(p.row) {
			waiting = append(waiting, p)
		} else {
			plans = append(plans, p)
		}
	}
	return plans, waiting
}

func (r *Reconciler) plan(rows []store.ClaimEventsRow, claimed time.Time) []planned {
	batch := make([]planned, 0, len(rows))
	for _, row := range rows {
		if row.Status != eventPending && row.Status != eventCancelled {
			continue // a state of the app's own: the claim has taken it out of the queue
		}
		now := row.LeaseUntil.Add(-r.cfg.Lease)
		batch = append(batch, planned{row: row, now: now, claimed: claimed, plan: r.planner.Plan(row, row.SyncChangedAt)})
	}
	return batch
}

// begin commits the plans of a batch and starts what follows from them. If the database refuses the data of the batch it is
// split, until the one row at fault stands alone and fails alone.
func (r *Reconciler) begin(ctx context.Context, batch []planned) error {
	if len(batch) == 0 {
		return nil
	}
	rows, err := r.db.CommitPlans(ctx, r.commitParams(batch))
	switch {
	case err == nil:
		return r.start(ctx, batch, rows)
	case !refusesData(err) && !lockedOut(err):
		r.letGo(ctx, behind(batch))
		return fmt.Errorf("commit plans: %w", err)
	case len(batch) > 1:
		half := len(batch) / 2
		return errors.Join(r.begin(ctx, batch[:half]), r.begin(ctx, batch[half:]))
	case batch[0].ahead != nil:
		return nil // what became of it is recorded with its call
	case lockedOut(err):
		return r.giveBack(ctx, batch...) // a user who is being deleted, for instance
	}
	if violates(err, foreignKey) {
		r.settle(done(newJob(batch[0], r.cfg.Lease), eventFailed, "user_id is no user of auth.users: give the event a user that is there"))
		return nil
	}
	o := r.again(outcome{job: newJob(batch[0], r.cfg.Lease), status: eventPending, retry: never, unplanned: true, message: "could not be planned: " + err.Error()})
	r.settle(o)
	return nil
}

// letGo gives the claims of a batch back that could not be committed, if that can be done; otherwise they end by themselves.
func (r *Reconciler) letGo(ctx context.Context, batch []planned) {
	if len(batch) == 0 {
		return
	}
	ids := make([]uuid.UUID, len(batch))
	for i, p := range batch {
		ids[i] = p.row.ID
	}
	_ = r.db.ReleaseEvents(ctx, store.ReleaseEventsParams{EventIds: ids, Worker: r.worker})
}

// refusesData reports whether a statement failed for what it was given (SQLSTATE classes 22, 23, and 54: too much of it), so that repeating it
// whole cannot help.
func refusesData(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && len(pe.Code) == 5 && (pe.Code[:2] == "22" || pe.Code[:2] == "23" || pe.Code[:2] == "54")
}

func (r *Reconciler) commitParams(batch []planned) store.CommitPlansParams {
	var arg store.CommitPlansParams
	for _, p := range batch {
		arg.EventIds = append(arg.EventIds, p.row.ID)
		arg.Revisions = append(arg.Revisions, p.row.SyncRevision)
		arg.Leases = append(arg.Leases, p.row.LeaseUntil)
		arg.WithdrawReasons = append(arg.WithdrawReasons, p.plan.Withdraw)
		arg.BuryCopies = append(arg.BuryCopies, p.plan.Bury)
		google, calendar := "", ""
		if r.writes(p) {
			google, calendar = copyID(p.row), calendarOf(p.row)
			if calendar == "" {
				google = "" // noted when it is known where
			}
		}
		arg.GoogleIds = append(arg.GoogleIds, google)
		arg.CalendarIds = append(arg.CalendarIds, calendar)
		for _, m := range p.plan.Reminders {
			arg.ReminderEventIds = append(arg.ReminderEventIds, p.row.ID)
			arg.NotifyAts = append(arg.NotifyAts, m.At)
			arg.LeadSeconds = append(arg.LeadSeconds, int32(m.Lead/time.Second))
			arg.Messages = append(arg.Messages, m.Message)
			arg.Statuses = append(arg.Statuses, m.Status)
			arg.Reasons = append(arg.Reasons, m.Reason)
		}
	}
	return arg
}

// writes reports whether the plan is to be carried into the user's calendar now.
func (r *Reconciler) writes(p planned) bool {
	return r.cal != nil && p.plan.Fault == "" && !p.plan.Bury && !stays(p.row) && p.row.HasAccount && p.row.AccountState == accountConnected
}

const (
	accountConnected      = "connected"
	accountNeedsReconnect = "needs_reconnect"
	accountLeaving        = "leaving"
	accountOff            = "off"
)

// lostCalendar tells a developer of the app what to do about a calendar that the user has deleted.
const lostCalendar = "not in Google Calendar: the calendar that was made for this user has been deleted there. " +
	"It is written when the user chooses a calendar again (google_calendar or google_calendar_name in notification_settings)."

// start arms the reminders that were committed and sends each event that is still ours on its way.
func (r *Reconciler) start(ctx context.Context, batch []planned, rows []store.CommitPlansRow) error {
	held := make(map[uuid.UUID]bool, len(batch))
	armed := make([]Armed, 0, len(rows))
	for _, row := range rows {
		held[row.EventID] = true
		if row.ReminderID != uuid.Nil {
			armed = append(armed, Armed{ID: row.ReminderID, At: row.DueAt})
		}
	}
	if len(armed) > 0 {
		r.arm(armed)
	}
	var lost []planned
	for _, p := range batch {
		if held[p.row.ID] {
			r.m.observePickup(p.row)
		}
		switch {
		case p.ahead != nil:
			p.planned(held[p.row.ID])
		case held[p.row.ID]:
			r.dispatch(p)
		default:
			lost = append(lost, p)
		}
	}
	return r.giveBack(ctx, lost...)
}

// foreignKey is the SQLSTATE of a row that refers to one that is not there.
const foreignKey = "23503"

func violates(err error, code string) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == code
}

// The SQLSTATEs of a statement that has waited long enough for a row, and of one that would have waited for ever.
const (
	lockNotAvailable = "55P03"
	deadlockDetected = "40P01"
)

// lockedOut reports whether a statement failed because somebody else was at a row.
func lockedOut(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && (pe.Code == lockNotAvailable || pe.Code == deadlockDetected)
}

func (r *Reconciler) dispatch(p planned) {
	j := newJob(p, r.cfg.Lease)
	switch {
	case p.plan.Bury:
		r.Wake() // its copy may have become a tombstone
		r.settle(done(j, eventCancelled, ""))
	case p.plan.Fault != "":
		r.settle(done(j, eventFailed, p.plan.Fault))
	case r.cal == nil || !p.row.HasAccount || stays(p.row):
		r.settle(done(j, eventScheduled, ""))
	case p.row.AccountState == accountUndecided:
		r.settle(outcome{job: j, status: eventPending, retry: r.cfg.Jitter(undecidedPause), message: undecided})
	case p.row.AccountState == accountNeedsReconnect && p.row.Subject != "":
		r.settle(done(j, eventScheduled, waitsForService("Google does not know them, or has suspended them")))
	case p.row.AccountState == accountNeedsReconnect:
		r.settle(done(j, eventScheduled, waitsForConsent("it was withdrawn or has expired")))
	case p.row.AccountState != accountConnected:
		r.settle(done(j, eventScheduled, ""))
	case p.row.CalendarToMake != "" && p.row.MadeCalendarGone:
		r.settle(done(j, eventFailed, lostCalendar))
	case p.row.CalendarPaused:
		r.settle(outcome{job: j, status: eventPending, message: pausedByHand})
	case p.row.AccountPausedUntil.After(p.now):
		o := done(j, eventPending, "Google asked for a pause of this user's calendar")
		o.retry = p.row.AccountPausedUntil.Sub(p.now)
		r.settle(o)
	default:
		r.unseal(j)
	}
}

// unseal opens the account's refresh token and hands the job on.
func (r *Reconciler) unseal(j *job) {
	token, err := r.cfg.Keys.Open(j.user, j.stored)
	if err == nil {
		j.account.RefreshToken = token
		r.enqueue(j)
		return
	}
	r.settle(r.unopened(j, err))
}

// enqueue hands a job to its user's lane. One lane does not fill the memory that all share, or a large import into a slow calendar
// would keep others' reminders from being planned: what does not fit comes back when its turn is to be expected. When all places are
// taken what is planned waits in the table.
func (r *Reconciler) enqueue(j *job) {
	if !j.removal && r.flight.room() <= 0 {
		r.settle(outcome{job: j, status: eventPending})
		return
	}
	if wait := r.lanes.turn(j.user, r.share, time.Duration(r.callTook.Load())); wait > 0 {
		r.settle(outcome{job: j, status: eventPending, retry: wait, message: "waits for other events of this user"})
		return
	}
	r.flight.add(j)
	r.lanes.add(j)
}

// settle records an outcome that needed no call.
func (r *Reconciler) settle(o outcome) {
	r.flight.add(o.job)
	r.results <- o
}

func newJob(p planned, lease time.Duration) *job {
	row := p.row
	j := &job{
		event: row.ID, user: row.UserID, revision: row.SyncRevision, attempts: int(row.SyncAttempts), content: p.plan.Content,
		account: gcal.Account{UserID: row.UserID, Subject: row.Subject, Consent: row.ConnectedAt, CalendarID: calendarOf(row)}, stored: row.RefreshToken,
		home:  row.CalendarID,
		makes: row.CalendarToMake,
		ends:  row.CalendarOff,
		known: gcal.Copy{GoogleID: copyID(row)},

		holdsUntil: p.claimed.Add(lease),
	}
	j.known.Tries = j.attempts
	if remembered(row) {
		j.known.Generation = int(row.CopyGeneration)
		if row.CopyCalendarID != j.account.CalendarID {
			j.known.Calendar = row.CopyCalendarID
		}
	}
	if row.HasCopy {
		j.known.ETag, j.known.Hash = row.CopyEtag, row.CopyHash
	}
	return j
}
