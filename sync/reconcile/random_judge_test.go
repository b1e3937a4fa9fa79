package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// The rows as they are.
type (
	eventRow struct {
		ID       uuid.UUID
		Status   string
		Revision int64
		Leased   bool
		GoogleID string
		Message  string
	}
	copyRow struct {
		Event, User    uuid.UUID
		GoogleID, Hash string
		Confirmed      bool
		Tombstone      bool
		Leased, Due    bool
		Moving         bool
	}
	reminderRow struct {
		Event, User uuid.UUID
		At          time.Time
		Message     string
	}
)

// evidence is how things are when all is at rest.
type evidence struct {
	events    map[uuid.UUID]eventRow
	copies    map[[2]uuid.UUID]copyRow
	reminders map[uuid.UUID][]reminderRow
	states    map[uuid.UUID]string // of accounts
	live      map[*owner]map[string][]gcalfake.Event
	faults    []error
}

func (v *evidence) faulty(format string, args ...any) {
	v.faults = append(v.faults, fmt.Errorf(format, args...))
}

func (t *trial) gather() (*evidence, error) {
	v := &evidence{
		events: map[uuid.UUID]eventRow{}, copies: map[[2]uuid.UUID]copyRow{}, reminders: map[uuid.UUID][]reminderRow{},
		states: map[uuid.UUID]string{}, live: map[*owner]map[string][]gcalfake.Event{},
	}
	events, err1 := rowsOf[eventRow](t, `select id, status, sync_revision, sync_lease_until is not null, coalesce(google_calendar_id, ''), coalesce(error_message, '') from events`)
	copies, err2 := rowsOf[copyRow](t, `select event_id, user_id, google_event_id, content_hash, etag <> '', tombstoned_at is not null, lease_until is not null, due_at is not null,
		target_calendar_id is not null
		from reminder_worker.calendar_copies`)
	reminders, err3 := rowsOf[reminderRow](t, `select event_id, user_id, notify_at_ts, coalesce(message, '') from reminders where status = 'pending' order by notify_at_ts`)
	states, err4 := rowsOf[struct {
		User  uuid.UUID
		State string
	}](t, `select user_id, state from reminder_worker.google_accounts`)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	for _, e := range events {
		v.events[e.ID] = e
	}
	for _, c := range copies {
		v.copies[[2]uuid.UUID{c.Event, c.User}] = c
	}
	for _, r := range reminders {
		v.reminders[r.Event] = append(v.reminders[r.Event], r)
	}
	for _, a := range states {
		v.states[a.User] = a.State
	}
	for _, u := range t.users {
		v.live[u] = map[string][]gcalfake.Event{}
		for _, c := range t.google.Events(u.id.String()) {
			if c.Status != "cancelled" {
				v.live[u][c.Private[marker]] = append(v.live[u][c.Private[marker]], c)
			}
		}
	}
	return v, nil
}

func rowsOf[T any](t *trial, sql string) ([]T, error) {
	rows, err := t.pool.Query(context.Background(), sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}

// judge compares how things are with how they should be.
func (t *trial) judge() error {
	v, err := t.gather()
	if err != nil {
		return err
	}
	for _, u := range t.users {
		if state := v.states[u.id]; u.left && state != accountOff && state != accountNeedsReconnect {
			v.faulty("%s has left, and is %q", u.name, state)
		}
		if state := v.states[u.id]; u.linked && !u.doubted && state != accountConnected {
			v.faulty("%s is %q, and Google has not refused the consent", u.name, state)
		}
	}
	for _, e := range t.events {
		t.judgeRow(v, e)
		for _, u := range t.users {
			t.judgeCopies(v, e, u)
		}
	}
	if n := len(v.events); n != len(t.existing()) {
		v.faulty("%d events in the table, want %d", n, len(t.existing()))
	}
	for _, x := range t.google.Violations() {
		v.faulty("request violates Google's description: %s: %s", x.Op, x.Problem)
	}
	t.asked = t.google.Count("", -1)
	if n := t.requestsPerCause(); n > mostRequests {
		v.faulty("%.1f requests for each change and fault, want at most %d", n, mostRequests)
	}
	return errors.Join(v.faults...)
}

// mostRequests are as many as one change, fault or crash may lead to, over a trial.
const mostRequests = 4

func (t *trial) requestsPerCause() float64 {
	return float64(t.asked) / float64(max(t.causes+int(t.met.Load()), 1))
}

// reachable reports whether a user's calendar can be written.
func (v *evidence) reachable(u *owner) bool { return v.states[u.id] == accountConnected && !u.dead }

// gone reports whether a user has left and Google let their copies be removed.
func (u *owner) gone() bool { return u.left && !u.dead && !u.doubted }

// judgeRow compares an event's row and its reminders.
func (t *trial) judgeRow(v *evidence, e *entry) {
	row, there := v.events[e.id]
	if there == e.deleted {
		v.faulty("%s is deleted: %v, and there: %v", e.name, e.deleted, there)
	}
	if e.deleted {
		return
	}
	want := []string{eventSynced}
	switch u := e.owner; {
	case e.cancelled:
		want = []string{eventCancelled}
	case u.token == "" || u.calendarOff || u.gone() || !u.linked && e.touchedAt > u.unlinkedAt:
		want = []string{eventScheduled}
	case !v.reachable(u):
		want = []string{eventSynced, eventScheduled}
	}
	if !slices.Contains(want, row.Status) {
		v.faulty("%s of %s is %s (%s), want %v", e.name, e.owner.name, row.Status, row.Message, want)
	}
	if row.Leased {
		v.faulty("%s is held by a worker", e.name)
	}
	if row.Status == eventSynced && row.Message != "" {
		v.faulty("%s is synced and says %q", e.name, row.Message)
	}
	var at []time.Time
	for _, r := range v.reminders[e.id] {
		at = append(at, r.At)
		if r.User != e.owner.id || r.Message != e.message() {
			v.faulty("%s reminds %s of %q, want %s and %q", e.name, t.userName(r.User.String()), r.Message, e.owner.name, e.message())
		}
	}
	if !slices.EqualFunc(at, e.alerts(t.base), time.Time.Equal) {
		v.faulty("%s at %s reminds at %v, want %v", e.name, e.start, at, e.alerts(t.base))
	}
}

// judgeCopies compares what one user's calendar has of an event.
func (t *trial) judgeCopies(v *evidence, e *entry, u *owner) {
	name := fmt.Sprintf("%s in the calendar of %s", e.name, u.name)
	live := v.live[u][e.id.String()]
	row, known := v.copies[[2]uuid.UUID{e.id, u.id}]
	if len(live) > 1 && (v.reachable(u) || !row.Moving) { // what was being moved when access ended waits, in two calendars perhaps
		v.faulty("%s has %d copies", name, len(live))
	}
	for _, c := range live {
		if !known || row.GoogleID != c.ID {
			v.faulty("%s: copy %s is forgotten, the row says %q", name, c.ID, row.GoogleID)
		}
	}
	if row.Leased {
		v.faulty("%s: the copy's removal is claimed", name)
	}
	switch wanted := !e.deleted && !e.cancelled && e.owner == u; {
	case u.gone() && (known || len(live) > 0):
		v.faulty("%s: %d copies are left of one who has left, and the row is %+v", name, len(live), row)
	case !v.reachable(u):
		if known && !wanted && !row.Tombstone {
			v.faulty("%s: the copy is not to be removed", name)
		}
	case !wanted:
		if len(live) > 0 || known {
			v.faulty("%s: %d copies are left, and the row is %+v", name, len(live), row)
		}
	case !u.calendarOff:
		t.judgeCopy(v, e, name, live, row)
	}
}

// judgeCopy compares the copy of an event that should have one, apart from what its user has done to it.
func (t *trial) judgeCopy(v *evidence, e *entry, name string, live []gcalfake.Event, row copyRow) {
	h := e.hand(e.owner)
	untouched := h.settled && h.revision == v.events[e.id].Revision
	overruled := h.overruled(e)
	if row.Event == uuid.Nil || row.Tombstone || !row.Confirmed {
		v.faulty("%s: the row of the copy is %+v", name, row)
	}
	if len(live) == 0 {
		if !h.deleted || overruled {
			v.faulty("%s: there is no copy", name)
		}
		return
	}
	c := live[0]
	if c.Calendar != e.owner.calendar() {
		v.faulty("%s stands in %s, want %s", name, c.Calendar, e.owner.calendar())
	}
	if h.deleted && untouched {
		v.faulty("%s: the copy is back that the user has deleted", name)
	}
	if c.Private[hashMarker] != row.Hash || v.events[e.id].GoogleID != c.ID {
		v.faulty("%s: the rows say %q and %s, the copy %q and %s", name, row.Hash, v.events[e.id].GoogleID, c.Private[hashMarker], c.ID)
	}
	got, want := show(c), e.shows()
	if h.about != nil && (!h.maybe || got.about == *h.about) {
		want.about = *h.about
	}
	if h.retitled != "" && !h.deleted && !overruled && (untouched || got.title == h.retitled) {
		want.title = h.retitled
	}
	if got != want {
		v.faulty("%s shows %+v, want %+v", name, got, want)
	}
	if colour, _ := c.Resource["colorId"].(string); colour != h.colour && !h.maybe {
		v.faulty("%s has colour %q, want the user's, %q", name, colour, h.colour)
	}
	if minutes := alertOf(c); minutes != h.alert && !h.maybe {
		v.faulty("%s alerts %d minutes before, want the user's, %d", name, minutes, h.alert)
	}
}
