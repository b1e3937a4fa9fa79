package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
)

// lossWindow is for how long Google is sure to keep what a user has deleted.
const lossWindow = 25 * 24 * time.Hour

// accountsTogether is how many accounts are read before their candidates are looked at once more.
const accountsTogether = 100

// account is one account, and what is recorded of its copies and seen in its calendars.
type account struct {
	store.AccountsPageRow
	access gcal.Account
	rows   map[uuid.UUID]*recorded   // by event
	names  map[entryName]*recorded   // what is recorded, by what it names
	live   map[uuid.UUID][]entryName // entries of ours that are there, by event
}

// entryName names an entry among those of an account.
type entryName struct{ calendar, id string }

// recorded is a recorded copy, and the entry it names, if that was seen.
type recorded struct {
	store.CopiesOfAccountRow
	entry *gcal.Entry
}

func (c *recorded) name() entryName { return entryName{c.CalendarID, c.GoogleEventID} }

// arriving is the entry that the copy becomes in the calendar that it is on its way to.
func (c *recorded) arriving() entryName {
	if c.TargetCalendarID == "" {
		return entryName{}
	}
	return entryName{c.TargetCalendarID, c.TargetEventID}
}

// judged reports whether the copy should stand there as it is recorded: its event is done with, and not over.
func (c *recorded) judged() bool {
	return c.Settled && c.Coming && !c.Tombstoned && c.Status == "synced" && c.Etag != ""
}

// candidate is what one look at an account has found. It keeps what the second look needs.
type candidate struct {
	Finding
	access  gcal.Account
	content gcal.Event // of a copy that differs
	known   entryName  // what is recorded
	lost    bool       // no trace of it means that it is lost
}

// walkAccounts reads the calendars of every connected account in scope.
func (r *run) walkAccounts(ctx context.Context) error {
	var after uuid.UUID
	for n := 1; ; n++ {
		rows, err := r.accounts(ctx, after, accountsTogether)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := r.readAccount(ctx, row); err != nil {
				return err
			}
		}
		if err := r.confirm(ctx); err != nil {
			return err
		}
		if len(rows) < accountsTogether || r.scope.User != uuid.Nil {
			return nil
		}
		after = rows[len(rows)-1].UserID
	}
}

func (r *run) accounts(ctx context.Context, after uuid.UUID, n int) (rows []store.AccountsPageRow, err error) {
	if r.scope.User == uuid.Nil {
		rows, err = r.db.AccountsPage(ctx, store.AccountsPageParams{After: after, MaxRows: int32(n)})
	} else {
		var one []store.AccountToReadRow
		one, err = r.db.AccountToRead(ctx, r.scope.User)
		for _, row := range one {
			rows = append(rows, store.AccountsPageRow(row))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	return rows, nil
}

// readAccount compares an account's calendars with what is recorded. What seems out of step waits to be looked at once more.
func (r *run) readAccount(ctx context.Context, row store.AccountsPageRow) error {
	if row.State != "connected" || row.Paused || !r.serves(row.Subject) || !row.Theirs {
		return nil
	}
	token, err := r.cfg.Keys.Open(row.UserID, row.RefreshToken)
	if err != nil {
		return r.unread(ctx, row.UserID, "", err)
	}
	a := &account{
		AccountsPageRow: row,
		access:          gcal.Account{UserID: row.UserID, RefreshToken: token, Subject: row.Subject, Consent: row.ConnectedAt},
		rows:            map[uuid.UUID]*recorded{}, names: map[entryName]*recorded{}, live: map[uuid.UUID][]entryName{},
	}
	since := time.Now().Add(-r.cfg.Past)
	if err := r.readRecorded(ctx, a, since); err != nil {
		return err
	}
	whole := true
	for _, calendar := range calendarsOf(row) {
		if err := r.readCalendar(ctx, a, calendar, since); err != nil {
			if fatal(err) {
				return err
			}
			if calendar != row.CalendarID && calendarGone(err) {
				continue // and what stood there with it; nothing is written to it any more
			}
			whole = false
			if err := r.unread(ctx, row.UserID, calendar, err); err != nil {
				return err
			}
			if _, over := errors.AsType[*overError](err); over {
				break
			}
		}
	}
	if !whole {
		return nil // what was not seen may be there
	}
	r.report.Looked.Accounts++
	r.progress()
	if err := r.compare(ctx, a, since); err != nil {
		return err
	}
	return r.seen(ctx, row)
}

// seen remembers that an account was read, which matters once in a while.
func (r *run) seen(ctx context.Context, row store.AccountsPageRow) error {
	if time.Since(row.AuditedAt) < auditedAgain {
		return nil
	}
	if err := r.db.NoteAudited(ctx, row.UserID); err != nil {
		return fmt.Errorf("note what was read: %w", err)
	}
	return nil
}

// auditedAgain is how old the note must be that an account was read to be written anew.
const auditedAgain = 12 * time.Hour

// calendarsOf are those that copies of the account are in or on their way to, and the one that it writes to now.
func calendarsOf(row store.AccountsPageRow) []string {
	all := append([]string{row.CalendarID}, row.CalendarIds...)
	slices.Sort(all)
	return slices.Compact(all)
}

func (r *run) readRecorded(ctx context.Context, a *account, since time.Time) error {
	for arg := (store.CopiesOfAccountParams{UserID: a.UserID, Since: since, MaxRows: int32(r.cfg.Page)}); ; {
		rows, err := r.db.CopiesOfAccount(ctx, arg)
		if err != nil {
			return fmt.Errorf("read copies of an account: %w", err)
		}
		for _, row := range rows {
			c := &recorded{CopiesOfAccountRow: row}
			a.rows[row.EventID], a.names[c.name()] = c, c
		}
		if len(rows) < r.cfg.Page {
			return nil
		}
		arg.After = rows[len(rows)-1].EventID
	}
}

func (r *run) readCalendar(ctx context.Context, a *account, calendar string, since time.Time) error {
	access := a.access
	access.CalendarID = calendar
	return r.patiently(ctx, func() error {
		return r.cal.List(ctx, access, since, func(page []gcal.Entry) error { a.take(page); r.report.Looked.Entries += len(page); return nil })
	})
}

const (
	// maxWaits is how often is waited when a quota is used up that all share.
	maxWaits = 20
	// longestWait is the longest time that is waited for such a quota at once. What has no room for longer is used up for the day, or nearly.
	longestWait = time.Minute
)

// overError says that a quota that all share is used up for longer than an audit waits.
type overError struct {
	until time.Time
	err   error
}

func (e *overError) Error() string {
	return fmt.Sprintf("the rest of the account was not looked at, for Google is not asked before %s: %v", e.until.UTC().Format(time.RFC3339), e.err)
}

func (e *overError) Unwrap() error { return e.err }

// patiently makes a call again when such a quota has room. Who writes copies comes first: they do not wait here. Where the wait would be long
// none is made, and no further call until it is over.
func (r *run) patiently(ctx context.Context, call func() error) error {
	for waits := 0; ; waits++ {
		if r.over != nil && time.Now().Before(r.over.until) {
			return r.over
		}
		err := call()
		e, ok := errors.AsType[*gcal.Error](err)
		if !ok || e.Kind != gcal.Throttled || !e.Shared() {
			return err
		}
		if e.RetryAfter > longestWait || waits == maxWaits {
			r.over = &overError{until: time.Now().Add(e.RetryAfter), err: err}
			return r.over
		}
		if err := pause(ctx, e.RetryAfter); err != nil {
			return err
		}
	}
}

// take sorts a page of entries: what is recorded, and what else is ours.
func (a *account) take(page []gcal.Entry) {
	for _, e := range page {
		name := entryName{e.CalendarID, e.GoogleID}
		if c := a.names[name]; c != nil {
			c.entry = &e
		}
		if e.EventID != uuid.Nil && !e.Deleted && !slices.Contains(a.live[e.EventID], name) {
			a.live[e.EventID] = append(a.live[e.EventID], name)
		}
	}
}

// fatal reports whether no account can be read.
func fatal(err error) bool {
	e, ok := errors.AsType[*gcal.Error](err)
	return !ok || e.Kind == gcal.Project && !e.Service || errors.Is(err, context.Canceled)
}

func calendarGone(err error) bool {
	e, ok := errors.AsType[*gcal.Error](err)
	return ok && e.Kind == gcal.CalendarGone
}

// ownGrants reports whether calendars of users who have consented themselves are read.
func (r *run) ownGrants() bool { return r.cal != nil && r.cal.OwnGrants() }

// domains are those whose users a service account acts for.
func (r *run) domains() []string {
	if r.cal == nil || !r.cal.Delegates() {
		return []string{}
	}
	return append([]string{}, r.cfg.Plan.Domains...)
}

// serves reports whether an account can be read, of which the subject is known.
func (r *run) serves(subject string) bool {
	if subject == "" {
		return r.ownGrants()
	}
	return slices.Contains(r.domains(), gcal.Account{Subject: subject}.Domain())
}

func (r *run) unread(ctx context.Context, user uuid.UUID, calendar string, why error) error {
	return r.conclude(ctx, []Finding{{Kind: AccountNotRead, UserID: user, CalendarID: calendar, Detail: why.Error()}})
}
