package store_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

// shared is a calendar that two users write to, and an event whose entry is looked at.
type shared struct {
	*base
	anna, ben, event uuid.UUID
}

func newShared(t *testing.T) shared {
	b := newBase(t)
	s := shared{base: b, anna: b.user(), ben: b.user()}
	s.event = b.event(s.ben, day)
	b.exec(`update events set status = 'scheduled', sync_due_at = null, sync_planned = sync_revision`)
	return s
}

// copied records a copy of the event, with what set says.
func (s shared) copied(user uuid.UUID, id, set string) {
	s.t.Helper()
	s.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id) values ($1, $2, $3)`, s.event, user, id)
	if set != "" {
		s.exec(`update reminder_worker.calendar_copies set `+set+` where event_id = $1 and user_id = $2`, s.event, user)
	}
}

// remove asks for the removal of an entry in anna's primary calendar, and reports whether it is to be removed.
func (s shared) remove(id string) bool {
	s.t.Helper()
	n := must[int64](s.t)(s.q.RemoveEntries(s.ctx(), store.RemoveEntriesParams{
		UserID: s.anna, Keys: []uuid.UUID{uuid.New()}, EventIds: []uuid.UUID{s.event}, CalendarIds: []string{"primary"}, GoogleIds: []string{id},
	}))
	return n == 1
}

// An entry is removed where this database knows its event and nobody has a copy that it may be.
func TestRemoveEntriesLeavesWhatMayBeOthers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		before  func(s shared)
		removed bool
	}{
		{"the event has no copy", func(shared) {}, true},
		{"the event is not known here", func(s shared) { s.exec(`delete from events`) }, false},
		{"the event is gone, its copy is known", func(s shared) { s.copied(s.ben, "another", "tombstoned_at = now()"); s.exec(`delete from events`) }, true},
		{"the other has this copy", func(s shared) { s.copied(s.ben, "id", "") }, false},
		{"the other has this copy, to be removed", func(s shared) {
			s.copied(s.ben, "id", "tombstoned_at = now(), due_at = now()")
			s.exec(`delete from events`)
		}, false},
		{"the other's is about to be this one", func(s shared) {
			s.copied(s.ben, "another", "target_calendar_id = 'family', target_event_id = 'id'")
			s.exec(`update events set status = 'cancelled', sync_due_at = null`)
		}, false},
		{"the other has another copy", func(s shared) { s.copied(s.ben, "another", "") }, false},
		{"the other's is not recorded", func(s shared) { s.exec(`update events set status = 'synced'`) }, false},
		{"the other's is being written", func(s shared) { s.exec(`update events set sync_due_at = now()`) }, false},
		{"the other's was cancelled", func(s shared) { s.exec(`update events set status = 'cancelled', sync_due_at = null`) }, true},
		{"a twin", func(s shared) {
			s.exec(`update events set user_id = $1, sync_due_at = null`, s.anna)
			s.copied(s.anna, "another", "")
		}, true},
		{"the copy itself", func(s shared) {
			s.exec(`update events set user_id = $1, sync_due_at = null`, s.anna)
			s.copied(s.anna, "id", "")
		}, false},
		{"what the copy is on its way to", func(s shared) {
			s.exec(`update events set user_id = $1, sync_due_at = null`, s.anna)
			s.copied(s.anna, "another", "calendar_id = 'family', target_calendar_id = 'primary', target_event_id = 'id'")
		}, false},
		{"the same id in the calendar that the copy leaves", func(s shared) {
			s.exec(`update events set user_id = $1, sync_due_at = null`, s.anna)
			s.copied(s.anna, "id", "calendar_id = 'family'")
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShared(t)
			s.exec(`alter table events disable trigger user`)
			c.before(s)
			if got := s.remove("id"); got != c.removed {
				t.Errorf("removed: %v, want %v", got, c.removed)
			}
		})
	}
}

// An entry too many that is the copy by the time its removal is claimed, or is about to be, is none.
func TestClaimRemovalsForgetsWhatIsTheCopyNow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		before  func(s shared)
		claimed int
	}{
		{"as it was", func(s shared) { s.copied(s.anna, "id", "calendar_id = 'family'") }, 1},
		{"the copy has come there", func(s shared) { s.copied(s.anna, "id", "") }, 0},
		{"the copy is on its way there", func(s shared) { s.copied(s.anna, "another", "target_calendar_id = 'primary', target_event_id = 'id'") }, 0},
		{"the copy is on its way elsewhere", func(s shared) { s.copied(s.anna, "another", "target_calendar_id = 'family', target_event_id = 'id'") }, 1},
		{"another user's copy is that", func(s shared) { s.copied(s.ben, "id", "calendar_id = 'anna@example.org'") }, 0},
		{"another user's copy is to be that", func(s shared) {
			s.copied(s.ben, "another", "target_calendar_id = 'anna@example.org', target_event_id = 'id'")
		}, 0},
		{"the copy was to be removed as well", func(s shared) { s.copied(s.anna, "id", "tombstoned_at = now()") }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newShared(t)
			if !s.remove("id") {
				t.Fatal("not to be removed")
			}
			c.before(s)
			if rows := s.claimRemovals(); len(rows) != c.claimed {
				t.Errorf("%d removals claimed, want %d", len(rows), c.claimed)
			}
			if n := ask[int](s.base, `select count(*) from reminder_worker.calendar_copies where entry_of is not null`); n != c.claimed {
				t.Errorf("%d entries are left to be removed, want %d", n, c.claimed)
			}
		})
	}
}

// The first id in the calendar that a copy is moved to is its event's own.
func TestClaimRemovalsKnowsTheFirstID(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	if !s.remove(strings.ReplaceAll(s.event.String(), "-", "")) {
		t.Fatal("not to be removed")
	}
	s.copied(s.anna, "another", "calendar_id = 'family', target_calendar_id = 'primary'")
	if rows := s.claimRemovals(); len(rows) != 0 {
		t.Errorf("%d removals claimed of what is about to be the copy", len(rows))
	}
}

// A copy is not moved to where an entry too many is being removed: the removal would take it.
func TestMoveWaitsForTheRemovalOfATwin(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	id := strings.ReplaceAll(s.event.String(), "-", "")
	s.exec(`update events set user_id = $1`, s.anna)
	s.exec(`update events set status = 'scheduled', sync_due_at = null, sync_planned = sync_revision`)
	s.copied(s.anna, id, "calendar_id = 'family'")
	if !s.remove(id) {
		t.Fatal("not to be removed")
	}
	removals := s.claimRemovals()
	if len(removals) != 1 {
		t.Fatalf("%d removals claimed, want 1", len(removals))
	}
	s.exec(`update events set status = 'pending'`)
	row := s.claimEvent()
	if rows := s.commit(new(plan).event(row).copied(id)); len(rows) != 0 {
		t.Error("a plan counted while the twin is being removed")
	}
	s.exec(`update reminder_worker.calendar_copies set lease_until = now() - interval '1 second' where tombstoned_at is not null`)
	if rows := s.commit(new(plan).event(row).copied(id)); len(rows) == 0 {
		t.Error("the plan waits for a removal that is over")
	}
	s.exec(`update reminder_worker.calendar_copies set due_at = now() where tombstoned_at is not null`)
	if removals := s.claimRemovals(); len(removals) != 0 {
		t.Error("what the copy is on its way to is removed")
	}
}
