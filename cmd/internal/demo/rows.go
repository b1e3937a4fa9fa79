package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	insertOp = "INSERT"
	updateOp = "UPDATE"
	deleteOp = "DELETE"

	statusPending   = "pending"
	statusSending   = "sending"
	statusSent      = "sent"
	statusSynced    = "synced"
	statusScheduled = "scheduled"
	statusFailed    = "failed"
	statusCancelled = "cancelled"
	statusSkipped   = "skipped"
	statusExpired   = "expired"
	statusDeleted   = "deleted"
)

// handleRows follows what was committed. The lock is held.
func (t *tracker) handleRows(entries []entry) {
	plans := planning{tracker: t}
	for _, e := range entries {
		switch {
		case e.table == "events":
			plans.show() // they were committed before
			t.handleEvent(e)
		case e.op == deleteOp:
			delete(t.reminders, e.was.ID)
		default:
			t.handleReminder(e, &plans)
		}
	}
	plans.show()
}

func (t *tracker) handleEvent(e entry) {
	if e.op == deleteOp {
		ev := t.event(e.was)
		ev.commit(e.committed)
		ev.status = statusDeleted
		t.show(happening{At: e.committed, Kind: kindRow, Who: ev.who, Event: ev.title, Note: "deleted"})
		return
	}
	ev := t.event(e.is)
	if e.op == insertOp || e.is.SyncRevision != e.was.SyncRevision {
		ev.commit(e.committed)
	}
	ev.title, ev.start, ev.status, ev.who = e.is.Title, e.is.Start.Time, e.is.Status, t.people[e.is.UserID]
	h := happening{At: e.committed, Kind: kindRow, Who: ev.who, Event: ev.title}
	if e.op == insertOp || e.is.SyncRevision != e.was.SyncRevision {
		h.Note = whatChanged(e)
		t.show(h)
		return
	}
	if e.is.Status != e.was.Status {
		t.handleStatus(ev, h, e)
	}
}

// commit notes a change that the app has committed.
func (ev *trackedEvent) commit(at time.Time) {
	if ev.status != statusPending {
		ev.waiting = nil // what came before has been served
	}
	ev.changed, ev.waiting = at, append(ev.waiting, at)
}

// handleStatus follows what the program made of an event.
func (t *tracker) handleStatus(ev *trackedEvent, h happening, e entry) {
	switch e.is.Status {
	case statusFailed:
		h.Kind, h.Note = kindRefused, e.is.ErrorMessage
		t.show(h.timed(e.committed.Sub(ev.changed)))
	case statusScheduled:
		h.Kind, h.Note = kindNoCopy, "reminders only: "+ev.who+" has not connected Google"
		if e.is.ErrorMessage != "" {
			h.Note = e.is.ErrorMessage
		}
		t.show(h)
	}
}

func (t *tracker) event(r row) *trackedEvent {
	ev := t.events[r.ID]
	if ev == nil {
		ev = &trackedEvent{who: t.people[r.UserID], title: r.Title}
		t.events[r.ID] = ev
	}
	return ev
}

func whatChanged(e entry) string {
	if e.op == insertOp {
		return "inserted, begins " + clock(e.is.Start.Time, e.committed)
	}
	var parts []string
	if e.is.Status != e.was.Status && e.is.Status == statusCancelled {
		parts = append(parts, "cancelled")
	}
	if !e.is.Start.Equal(e.was.Start.Time) {
		parts = append(parts, "moved from "+clock(e.was.Start.Time, e.committed)+" to "+clock(e.is.Start.Time, e.committed))
	}
	if e.is.Title != e.was.Title {
		parts = append(parts, fmt.Sprintf("renamed, was %q", e.was.Title))
	}
	if len(parts) == 0 {
		return "changed"
	}
	return strings.Join(parts, ", ")
}

// handleReminder follows a reminder from its plan to its end.
func (t *tracker) handleReminder(e entry, plans *planning) {
	r := t.reminders[e.is.ID]
	if r == nil {
		r = &trackedReminder{event: e.is.EventID}
		t.reminders[e.is.ID] = r
	}
	again := e.is.Status == statusPending && e.was.Status != statusPending && e.was.Status != statusSending
	if e.op == insertOp || again || !e.is.NotifyAt.Equal(r.due) {
		r.due, r.armed = e.is.NotifyAt.Time, e.committed
	}
	r.status = e.is.Status
	switch {
	case e.op == insertOp || again:
		plans.add(e)
	case e.is.Status == e.was.Status:
	case e.is.Status == statusCancelled:
		plans.withdraw(e)
	case e.is.Status == statusFailed || e.is.Status == statusExpired || e.is.Status == statusSkipped:
		ev := t.event(row{ID: e.is.EventID, UserID: e.is.UserID})
		t.show(happening{At: e.committed, Kind: kindUnsent, Who: t.people[e.is.UserID], Event: ev.title, Note: e.is.Status + ": " + e.is.ErrorMessage})
	}
}

// planning gathers what one reading of the journal says about the reminders of each event, for one line each.
type planning struct {
	tracker *tracker
	order   []uuid.UUID
	byEvent map[uuid.UUID]*eventPlan
}

type eventPlan struct{ planned, withdrawn []entry }

func (p *planning) of(event uuid.UUID) *eventPlan {
	if p.byEvent == nil {
		p.byEvent = map[uuid.UUID]*eventPlan{}
	}
	if p.byEvent[event] == nil {
		p.byEvent[event] = &eventPlan{}
		p.order = append(p.order, event)
	}
	return p.byEvent[event]
}

func (p *planning) add(e entry) { ep := p.of(e.is.EventID); ep.planned = append(ep.planned, e) }
func (p *planning) withdraw(e entry) {
	ep := p.of(e.is.EventID)
	ep.withdrawn = append(ep.withdrawn, e)
}

func (p *planning) show() {
	for _, id := range p.order {
		ep := p.byEvent[id]
		if len(ep.withdrawn) > 0 {
			p.showOne(id, kindWithdrawn, ep.withdrawn)
		}
		if len(ep.planned) > 0 {
			p.showOne(id, kindPlanned, ep.planned)
		}
	}
	p.order, p.byEvent = nil, nil
}

func (p *planning) showOne(id uuid.UUID, k kind, entries []entry) {
	t, first := p.tracker, entries[0]
	ev := t.event(row{ID: id, UserID: first.is.UserID})
	h := happening{At: first.committed, Kind: k, Who: ev.who, Event: ev.title}
	if k == kindWithdrawn {
		h.Note = instants(entries) + ": " + first.is.ErrorMessage
		t.show(h.timed(first.committed.Sub(ev.changed)))
		return
	}
	if first.is.PlanRevision == nil {
		h.Note = instants(entries) + ", by the app itself"
		t.show(h)
		return
	}
	h.Note = describePlan(entries)
	t.show(h.timed(first.committed.Sub(ev.changed)))
}

// describePlan names the reminders that will come and those that would have been past.
func describePlan(entries []entry) string {
	slices.SortFunc(entries, func(a, b entry) int { return a.is.NotifyAt.Compare(b.is.NotifyAt.Time) })
	var coming, past []string
	for _, e := range entries {
		if e.is.Status == statusSkipped {
			past = append(past, lead(e.is.LeadSeconds))
		} else {
			coming = append(coming, lead(e.is.LeadSeconds)+" at "+clock(e.is.NotifyAt.Time, e.committed))
		}
	}
	var parts []string
	if len(coming) > 0 {
		parts = append(parts, strings.Join(coming, ", "))
	}
	if len(past) > 0 {
		parts = append(parts, "already past: "+strings.Join(past, ", "))
	}
	return strings.Join(parts, "; ")
}

func instants(entries []entry) string {
	texts := make([]string, len(entries))
	for i, e := range entries {
		texts[i] = clock(e.is.NotifyAt.Time, e.committed)
	}
	return strings.Join(texts, ", ")
}

// lead names how long before its event a reminder is due.
func lead(seconds int) string {
	d := time.Duration(seconds) * time.Second
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return d.String()
}
