package reconcile

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
)

// The states of an account that are not in its row, but this worker's view of it.
const (
	accountUnserved  = "unserved"  // another worker may be able to call its calendar
	accountUndecided = "undecided" // it could not be found out now
)

// undecided is what is said of events whose account could not be found out.
const undecided = "waits to learn whether a service account may act for the user"

// undecidedPause is how long what could not be found out is left alone. Mostly somebody is at the account's row.
const undecidedPause = time.Second

// ownGrants reports whether there is an OAuth client for users' own consents.
func (r *Reconciler) ownGrants() bool { return r.cal != nil && r.cal.OwnGrants() }

// domains are those whose users a service account acts for.
func (r *Reconciler) domains() []string {
	if !r.delegates() {
		return []string{}
	}
	return r.cfg.Domains
}

// serves reports whether this worker can call the calendar of an account, of which the subject is known.
func (r *Reconciler) serves(subject string) bool {
	if subject == "" {
		return r.ownGrants()
	}
	return slices.Contains(r.domains(), gcal.Account{Subject: subject}.Domain())
}

// delegates reports whether a service account acts for users who have not consented themselves.
func (r *Reconciler) delegates() bool {
	return r.cal != nil && r.cal.Delegates() && len(r.cfg.Domains) > 0
}

// account is that of a claimed event or removal, as it is to be called.
type account struct {
	user                      uuid.UUID
	subject, calendar, state  *string
	consentGiven, pausedUntil *time.Time
}

// findAccounts looks at the accounts of a claimed batch with this worker's eyes: what it cannot serve is as good as not there. Where a service
// account acts for users, those without an account may be given one here, and delegated ones follow the address of their users: whether
// somebody may still be acted for is asked with every claim, and not remembered.
func (r *Reconciler) findAccounts(ctx context.Context, rows []store.ClaimEventsRow) {
	var asked []account
	for i := range rows {
		row := &rows[i]
		if row.Status == eventPending && !stays(*row) && row.UserID != noUser && (!row.HasAccount || row.Subject != "" && row.AccountState != accountOff) {
			calendar := &row.CalendarID
			if row.CalendarID != "" || row.CalendarToMake != "" {
				calendar = new(string) // it is the user's choice, or known
			}
			asked = append(asked, account{row.UserID, &row.Subject, calendar, &row.AccountState, &row.ConnectedAt, &row.AccountPausedUntil})
		}
	}
	r.delegate(ctx, asked)
	for i := range rows {
		switch row := &rows[i]; row.AccountState {
		case accountUndecided:
			row.HasAccount = true
		case "", accountUnserved:
			row.HasAccount = false
		default:
			row.HasAccount = r.serves(row.Subject)
		}
	}
}

// findRemovals does the same for removals, which make no accounts.
func (r *Reconciler) findRemovals(ctx context.Context, rows []store.ClaimRemovalsRow) {
	var asked []account
	for i := range rows {
		row := &rows[i]
		if row.Subject != "" && removable(row) {
			calendar := row.CalendarID // the copy's own: it is where it is
			asked = append(asked, account{row.UserID, &row.Subject, &calendar, &row.AccountState, &row.ConnectedAt, &row.AccountPausedUntil})
		}
	}
	r.delegate(ctx, asked)
	for i := range rows {
		if row := &rows[i]; removable(row) && !r.serves(row.Subject) {
			row.AccountState = accountUnserved
		}
	}
}

// removable reports whether the state of a copy's account is one in which it may be removed.
func removable(row *store.ClaimRemovalsRow) bool {
	return row.AccountState == accountConnected || row.AccountState == accountLeaving
}

// delegate has the database see to accounts, and brings those asked for up to date.
func (r *Reconciler) delegate(ctx context.Context, asked []account) {
	if len(asked) == 0 || !r.delegates() {
		return
	}
	users := make([]uuid.UUID, len(asked))
	for i, a := range asked {
		users[i] = a.user
	}
	found, err := r.delegateUsers(ctx, users)
	for _, a := range asked {
		d, stands := found[a.user]
		switch {
		case err != nil:
			*a.state = accountUndecided
		case stands:
			*a.subject, *a.calendar, *a.state, *a.consentGiven, *a.pausedUntil = d.Subject, d.CalendarID, d.State, d.ConnectedAt, d.PausedUntil
		case *a.subject != "" && r.serves(*a.subject):
			*a.state = accountUndecided // it was another address's, and is gone, or somebody is at it
		case *a.subject != "":
			*a.state = accountUnserved
		}
	}
}

// delegateUsers returns the accounts of those users for whom the service account may act. Reminders do not wait for it if it fails.
func (r *Reconciler) delegateUsers(ctx context.Context, users []uuid.UUID) (map[uuid.UUID]store.DelegateAccountsRow, error) {
	slices.SortFunc(users, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	rows, err := r.db.DelegateAccounts(ctx, store.DelegateAccountsParams{Users: slices.Compact(users), Domains: r.cfg.Domains})
	if err != nil {
		if !lockedOut(err) && ctx.Err() == nil {
			r.m.databaseErrors.Inc()
			r.alarm("accounts", r.cfg.ProjectPause, fmt.Errorf("delegate accounts: %w", err).Error(), "accounts of the service account not looked at")
		}
		return nil, err
	}
	found := make(map[uuid.UUID]store.DelegateAccountsRow, len(rows))
	for _, row := range rows {
		found[row.UserID] = row
	}
	return found, nil
}

// recallWaiting takes up what was served while no service account acted for its users.
func (r *Reconciler) recallWaiting(ctx context.Context) {
	arg := store.WaitingUsersParams{MaxRows: recallBatch}
	for r.delegates() && ctx.Err() == nil {
		users, err := r.db.WaitingUsers(ctx, arg)
		if err == nil && len(users) > 0 {
			arg.After = users[len(users)-1]
			_, err = r.delegateUsers(ctx, users)
		}
		if err != nil && !lockedOut(err) { // those of one page wait for their next event then
			r.log.Error().Err(fmt.Errorf("recall users: %w", err)).Msg("events of users without an account are left until the next start")
			return
		}
		if len(users) < recallBatch {
			return
		}
	}
}

// refusedService is the outcome where Google refuses the service account, altogether or for all of a domain. Whoever has a consent of their own
// is not concerned; no user is marked, no attempt used.
func (r *Reconciler) refusedService(o outcome, ge *gcal.Error) outcome {
	o.retry, o.message = ge.RetryAfter, ge.Error()+". "+ge.Advice()
	if o.retry == 0 {
		o.retry = r.cfg.ProjectPause
		r.service.set(time.Now().Add(o.retry), o.message) // nobody else knows of it
	}
	what := "delegation"
	if ge.Domain != "" {
		what += " " + ge.Domain
	}
	r.alarm(what, o.retry, o.message, "calendars of delegated users paused")
	return o
}

// alarms tells what is wrong with the service account, each thing once in a while.
type alarms struct {
	mu    sync.Mutex
	until map[string]time.Time
	last  string // what was told last
}

// alarm logs what is wrong, unless that was done and d has not passed since.
func (r *Reconciler) alarm(what string, d time.Duration, why, message string) {
	r.alarms.mu.Lock()
	now := time.Now()
	told := now.Before(r.alarms.until[what])
	if r.alarms.last = why; !told {
		if r.alarms.until == nil {
			r.alarms.until = map[string]time.Time{}
		}
		r.alarms.until[what] = now.Add(d)
	}
	r.alarms.mu.Unlock()
	if !told {
		r.log.Error().Dur("pause", d).Str("reason", why).Msg(message)
	}
}

// Undelegated tells for how much longer users wait for whom the service account may not act, and why; 0: none does.
func (r *Reconciler) Undelegated() (left time.Duration, why string) {
	r.alarms.mu.Lock()
	defer r.alarms.mu.Unlock()
	for _, until := range r.alarms.until {
		left = max(left, time.Until(until))
	}
	return left, r.alarms.last
}
