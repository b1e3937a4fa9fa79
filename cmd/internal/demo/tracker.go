package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// tracker follows rows, copies and pushes, shows each step, and keeps what the judgement needs.
//
// One goroutine handles everything, and reads the journal before each thing that arrived outside: what caused it was committed before it
// was sent, so it is known by then.
type tracker struct {
	journal *pgx.Conn
	inbox   *inbox
	face    face
	// eventOf finds the event of a copy whose id does not tell.
	eventOf func(user, googleID string) uuid.UUID

	mu         sync.Mutex    // guards everything below
	changed    chan struct{} // closed and replaced whenever something was handled
	people     map[uuid.UUID]string
	events     map[uuid.UUID]*trackedEvent
	reminders  map[uuid.UUID]*trackedReminder
	pushes     []pushFact
	pickups    []pickupFact
	latenesses []time.Duration
	counts     map[kind]int
}

type trackedEvent struct {
	who, title string
	status     string
	start      time.Time
	changed    time.Time   // last commit of the app
	waiting    []time.Time // commits that no write to Google has answered yet
}

type trackedReminder struct {
	event  uuid.UUID
	due    time.Time
	armed  time.Time // when it was committed that it is due then
	status string
}

func newTracker(f face) *tracker {
	return &tracker{
		inbox: newInbox(), face: f,
		changed:   make(chan struct{}),
		people:    map[uuid.UUID]string{},
		events:    map[uuid.UUID]*trackedEvent{},
		reminders: map[uuid.UUID]*trackedReminder{},
		counts:    map[kind]int{},
	}
}

// run handles what arrives until ctx ends, and then what is left.
func (t *tracker) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return t.step(context.WithoutCancel(ctx))
		case <-t.inbox.ring:
		}
		if err := t.step(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
}

// step handles everything that is there.
func (t *tracker) step(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	items := t.inbox.take()
	entries, err := readJournal(ctx, t.journal)
	if err != nil {
		return err
	}
	if err := t.meet(ctx, entries); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handleRows(entries)
	for _, item := range items {
		switch v := item.(type) {
		case gcalfake.Record:
			t.handleRequest(v)
		case expofake.Push:
			t.handlePush(v)
		}
	}
	close(t.changed)
	t.changed = make(chan struct{})
	return nil
}

// meet learns the names of users not seen before.
func (t *tracker) meet(ctx context.Context, entries []entry) error {
	for _, e := range entries {
		id := e.is.UserID
		if e.op == "DELETE" {
			id = e.was.UserID
		}
		if t.people[id] != "" { // written by this goroutine only
			continue
		}
		var email string
		err := t.journal.QueryRow(ctx, `select coalesce(email, '') from auth.users where id = $1`, id).Scan(&email)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("read user: %w", err)
		}
		t.mu.Lock()
		t.people[id] = nameOf(email, id)
		t.mu.Unlock()
	}
	return nil
}

// nameOf makes a name of an address, or else of an id.
func nameOf(email string, id uuid.UUID) string {
	name, _, _ := strings.Cut(email, "@")
	switch {
	case name == "" && id == uuid.Nil:
		return ""
	case name == "":
		return id.String()[:8]
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// show counts a happening and shows it. The lock is held.
func (t *tracker) show(h happening) {
	t.counts[h.Kind]++
	t.face.show(h)
}

var errInVain = errors.New("it did not come")

// await waits until ok, which is asked under the lock whenever something was handled. It gives up after limit.
func (t *tracker) await(ctx context.Context, limit time.Duration, ok func() bool) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		t.mu.Lock()
		done, changed := ok(), t.changed
		t.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return errInVain
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// locked calls f under the lock.
func (t *tracker) locked(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
}
