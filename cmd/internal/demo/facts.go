package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// eventProperty is the private property by which a copy names its event.
const eventProperty = "reminder_worker_event"

const eventFactsSQL = `
select e.id, e.title, case when isfinite(e.start_ts) then e.start_ts else 'epoch' end, e.status, coalesce(a.state = 'connected', false)
from public.events e
left join reminder_worker.google_accounts a on a.user_id = e.user_id
order by e.created_at, e.id`

// Skipped, cancelled and expired reminders are owed to nobody; expired ones that became due while the program ran are.
const owedFactsSQL = `
select r.event_id, coalesce(e.title, ''), r.id, r.notify_at_ts,
  case when r.push_token <> '' then array[r.push_token] else coalesce((
    select array_agg(d.token order by d.token) from reminder_worker.push_devices d
    where d.user_id = r.user_id and d.retired_at is null and d.registered_at <= r.notify_at_ts), '{}') end
from public.reminders r
left join public.events e on e.id = r.event_id
where r.status in ('pending', 'sending', 'sent', 'failed', 'expired') and isfinite(r.notify_at_ts) and r.notify_at_ts <= $1`

// gather reads everything that the judgement needs. The program has stopped by then, at the instant at.
func (s *stage) gather(ctx context.Context, at time.Time, promises []promise) (facts, error) {
	f := facts{at: at, copies: s.liveCopies()}
	for _, v := range s.google.Violations() {
		f.violations = append(f.violations, v.Op+": "+v.Problem)
	}
	t := s.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	f.pushes, f.pickups = slices.Clone(t.pushes), slices.Clone(t.pickups)
	good := map[uuid.UUID]bool{}
	for _, p := range promises {
		good[p.event] = true
		if !p.due.IsZero() {
			f.owed = append(f.owed, owedFact{event: p.event, title: p.title, due: p.due, owed: p.due, tokens: p.tokens})
		}
	}
	if err := s.gatherEvents(ctx, &f, good); err != nil {
		return f, err
	}
	return f, s.gatherOwed(ctx, &f)
}

func (s *stage) gatherEvents(ctx context.Context, f *facts, good map[uuid.UUID]bool) error {
	rows, err := s.db.Query(ctx, eventFactsSQL)
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	var e eventFact
	there := map[uuid.UUID]bool{}
	_, err = pgx.ForEachRow(rows, []any{&e.id, &e.title, &e.start, &e.status, &e.connected}, func() error {
		e.good, e.changed, there[e.id] = good[e.id], time.Time{}, true
		if seen := s.tracker.events[e.id]; seen != nil {
			e.who, e.changed = seen.who, seen.changed
		}
		f.events = append(f.events, e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	for id, seen := range s.tracker.events {
		if !there[id] {
			f.events = append(f.events, eventFact{id: id, who: seen.who, title: seen.title, status: statusDeleted, changed: seen.changed})
		}
	}
	return nil
}

func (s *stage) gatherOwed(ctx context.Context, f *facts) error {
	rows, err := s.db.Query(ctx, owedFactsSQL, f.at)
	if err != nil {
		return fmt.Errorf("read reminders: %w", err)
	}
	var o owedFact
	var id uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&o.event, &o.title, &id, &o.due, &o.tokens}, func() error {
		o.owed = o.due
		if seen := s.tracker.reminders[id]; seen != nil {
			o.owed = later(o.due, seen.armed)
		}
		own := o
		own.tokens = slices.Clone(o.tokens)
		f.owed = append(f.owed, own)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read reminders: %w", err)
	}
	return nil
}

func (s *stage) liveCopies() (copies []copyFact) {
	for _, user := range s.google.Users() {
		for _, e := range s.google.Events(user) {
			if e.Status != "cancelled" {
				copies = append(copies, copyFact{event: copiedEvent(e), title: e.Summary, start: e.Start})
			}
		}
	}
	return copies
}

// copiedEvent is the event that a copy is of, or nil.
func copiedEvent(e gcalfake.Event) uuid.UUID {
	id, err := uuid.Parse(e.Private[eventProperty])
	if err != nil {
		return uuid.Nil
	}
	return id
}

// eventOfCopy finds a copy by Google's id.
func (s *stage) eventOfCopy(user, googleID string) uuid.UUID {
	for _, e := range s.google.Events(user) {
		if e.ID == googleID {
			return copiedEvent(e)
		}
	}
	return uuid.Nil
}
