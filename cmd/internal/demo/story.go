package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

const (
	// patience is how long the story waits for what must come of one step before it goes on. Once something was waited for in vain the
	// program is broken, and impatience is enough to show it.
	patience   = 15 * time.Second
	impatience = 2 * time.Second

	day24   = 24 * time.Hour
	hours3  = 3 * time.Hour
	minutes = 30 * time.Minute

	concert = "Schulkonzert"
)

// promise is an event of the family's that must come out well, and the reminder that must come while the demo runs, if one must.
type promise struct {
	event  uuid.UUID
	title  string
	due    time.Time
	tokens []string
}

// story is what the family does. It waits for what comes of each step, and for nothing else.
type story struct {
	*family
	tracker  *tracker
	face     face
	promises []promise
	limit    time.Duration // of one wait
}

// tell plays all scenes. The error is of the database: what does not come in time is shown, and judged at the end.
func (s *story) tell(ctx context.Context) error {
	for _, scene := range []func(context.Context) error{
		s.soon, s.dentist, s.tomorrow, s.moved, s.renamed, s.cancelled, s.deleted, s.wrong,
	} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) soon(ctx context.Context) error {
	s.scene("Mira enters a practice that begins in half an hour. She has two devices.")
	return s.plan(ctx, s.mira, "Soccer practice", "Field 3", minutes, 4*time.Second, "cleats", "water")
}

func (s *story) dentist(ctx context.Context) error {
	s.scene("Jonas enters an appointment in three hours.")
	return s.plan(ctx, s.jonas, "Dentist", "12 Mill Lane", hours3, 6*time.Second, "insurance card")
}

func (s *story) tomorrow(ctx context.Context) error {
	s.scene("Ruth, who has not connected Google and reads German, enters a concert tomorrow.")
	return s.plan(ctx, s.ruth, concert, "Aula", day24, 8*time.Second)
}

func (s *story) moved(ctx context.Context) error {
	s.scene("Jonas enters a piano lesson for later, then moves it to an earlier time: its reminder and its copy move.")
	id, err := s.enter(ctx, s.jonas, appointment{title: "Piano lesson", place: "Music school", start: in(2 * time.Hour), lasts: time.Hour})
	if err != nil {
		return err
	}
	start := in(minutes + 5*time.Second)
	s.promises = append(s.promises, promise{id, "Piano lesson", start.Add(-minutes), s.jonas.tokens()})
	return s.change(ctx, s.jonas, id, `update events set start_ts = $2, end_ts = $3 where id = $1`, id, start, start.Add(time.Hour))
}

func (s *story) renamed(ctx context.Context) error {
	s.scene("Mira enters a parents' evening and corrects its title.")
	start := in(hours3 + 10*time.Second)
	id, err := s.enter(ctx, s.mira, appointment{title: "Parents evening", place: "Room 12", start: start, lasts: 2 * time.Hour})
	if err != nil {
		return err
	}
	s.promises = append(s.promises, promise{id, "Parents' evening", start.Add(-hours3), s.mira.tokens()})
	return s.change(ctx, s.mira, id, `update events set title = $2 where id = $1`, id, "Parents' evening")
}

func (s *story) cancelled(ctx context.Context) error {
	s.scene("Mira enters a swimming lesson and cancels it: nobody is reminded.")
	id, err := s.enter(ctx, s.mira, appointment{title: "Swimming", place: "Pool", start: in(minutes + 11*time.Second), lasts: time.Hour})
	if err != nil {
		return err
	}
	return s.change(ctx, s.mira, id, `update events set status = 'cancelled' where id = $1`, id)
}

func (s *story) deleted(ctx context.Context) error {
	s.scene("Jonas enters a playdate and deletes it.")
	id, err := s.enter(ctx, s.jonas, appointment{title: "Playdate", place: "Playground", start: in(hours3 + 11*time.Second), lasts: time.Hour})
	if err != nil {
		return err
	}
	if _, err := s.as(ctx, s.jonas, `delete from events where id = $1`, id); err != nil {
		return err
	}
	return s.wait(ctx, "the removal of Playdate", func() bool {
		ev := s.tracker.event(row{ID: id})
		return ev.status == statusDeleted && len(ev.waiting) == 0
	})
}

func (s *story) wrong(ctx context.Context) error {
	s.scene("Ruth enters a carnival that ends before it begins: that row fails alone, and says why.")
	id, err := s.insert(ctx, s.ruth, appointment{title: "Carnival", start: in(day24), lasts: -time.Hour})
	if err != nil {
		return err
	}
	return s.wait(ctx, "the refusal of Carnival", func() bool { return s.settled(id) })
}

// plan enters an event whose reminder, lead before its start, is due in soon.
func (s *story) plan(ctx context.Context, m *member, title, place string, lead, soon time.Duration, bring ...string) error {
	start := in(lead + soon)
	id, err := s.enter(ctx, m, appointment{title: title, place: place, bring: bring, start: start, lasts: time.Hour})
	s.promises = append(s.promises, promise{id, title, start.Add(-lead), m.tokens()})
	return err
}

// enter inserts an event and waits until it has been served.
func (s *story) enter(ctx context.Context, m *member, a appointment) (uuid.UUID, error) {
	id, err := s.insert(ctx, m, a)
	if err != nil {
		return id, err
	}
	s.promises = append(s.promises, promise{event: id, title: a.title})
	return id, s.wait(ctx, "what comes of "+a.title, func() bool { return s.settled(id) })
}

// change updates an event and waits until the change has been served.
func (s *story) change(ctx context.Context, m *member, id uuid.UUID, sql string, args ...any) error {
	since := time.Time{}
	s.tracker.locked(func() { since = s.tracker.event(row{ID: id}).changed })
	if _, err := s.as(ctx, m, sql, args...); err != nil {
		return err
	}
	return s.wait(ctx, "what comes of the change", func() bool {
		ev := s.tracker.event(row{ID: id})
		return ev.changed.After(since) && s.settled(id)
	})
}

// settled reports whether the program is done with an event, and its last write to Google has been shown. The tracker's lock is held.
func (s *story) settled(id uuid.UUID) bool {
	ev := s.tracker.events[id]
	switch {
	case ev == nil || ev.status == statusPending:
		return false
	case ev.status == statusSynced || ev.status == statusCancelled:
		return len(ev.waiting) == 0
	}
	return true
}

func (s *story) wait(ctx context.Context, what string, ok func() bool) error {
	err := s.tracker.await(ctx, s.limit, ok)
	if errors.Is(err, errInVain) {
		s.face.show(happening{At: time.Now(), Kind: kindFault, Note: fmt.Sprintf("%s for %s", s.limit, what)})
		s.limit = impatience
		return nil
	}
	return err
}

func (s *story) scene(caption string) {
	s.face.show(happening{At: time.Now(), Kind: kindScene, Note: caption})
}

// putOff answers the last push of the concert by its button.
func (s *story) putOff(ctx context.Context) error {
	s.scene("Ruth taps a button under her push, later: in three seconds it comes again.")
	i := slices.IndexFunc(s.promises, func(p promise) bool { return p.title == concert && len(p.tokens) > 0 })
	again := s.promises[i]
	again.due = in(3 * time.Second)
	s.promises = append(s.promises, again)
	_, err := s.as(ctx, s.ruth, `select snooze_reminder((select id from reminders where event_id = $1 and status in ('sending', 'sent')), until => $2)`, again.event, again.due)
	return err
}

// delivered waits until all that was promised has come, or is overdue for longer than the judgement forgives.
func (s *story) delivered(ctx context.Context) error {
	var last time.Time
	for _, p := range s.promises {
		last = later(last, p.due)
	}
	err := s.tracker.await(ctx, time.Until(last)+grace+100*time.Millisecond, func() bool {
		return !slices.ContainsFunc(s.promises, func(p promise) bool { return !s.tracker.kept(p) })
	})
	if errors.Is(err, errInVain) {
		return nil
	}
	return err
}

// kept reports whether a promised reminder has come to all its devices. The lock is held.
func (t *tracker) kept(p promise) bool {
	for _, token := range p.tokens {
		if !slices.ContainsFunc(t.pushes, func(f pushFact) bool { return f.event == p.event && f.token == token && f.due.Equal(p.due) }) {
			return false
		}
	}
	return true
}

// in is an instant from now, as exact as Postgres keeps it.
func in(d time.Duration) time.Time { return time.Now().Add(d).Truncate(time.Millisecond) }
