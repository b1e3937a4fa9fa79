package audit

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// round makes auditors take turns until one round is over, and returns how many steps each has made.
func (w *world) round(auditors ...*Auditor) (steps []int) {
	w.t.Helper()
	steps = make([]int, len(auditors))
	for n := 0; ; n++ {
		w.exec(`update reminder_worker.audits set due_at = now() where part <> '' or began_at is null`)
		who := n % len(auditors)
		if _, err := auditors[who].turn(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		steps[who]++
		if one[bool](w, `select began_at is null from reminder_worker.audits`) {
			return steps
		}
		if n > 1000 {
			w.t.Fatal("the round does not end")
		}
	}
}

func background(repair bool) func(*Config) {
	return func(c *Config) { c.Interval, c.MinPause, c.Page, c.Repair = time.Hour, time.Millisecond, 5, repair }
}

// Two workers share a round, step by step, and between them see everything.
func TestRoundInTheBackground(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var users []uuid.UUID
	for range 3 {
		user := w.user()
		users = append(users, user)
		for range 4 {
			w.event(user)
		}
	}
	w.served()
	w.exec(`delete from reminders where lead_seconds = 1800`)
	w.exec(`update reminder_worker.calendar_copies set tombstoned_at = now(), due_at = null where event_id = (select id from events order by id desc limit 1)`)
	for _, user := range users {
		for _, e := range w.live(user)[:1] {
			if err := w.google.UserEdit(user.String(), e.ID, map[string]any{"summary": "Another title"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	a, b := w.auditor(background(false)), w.auditor(background(false))
	var before map[Kind]int
	steps := w.round(a, b)
	if steps[0] < 5 || steps[1] < 5 {
		t.Errorf("steps %v", steps)
	}
	if err := json.Unmarshal(one[[]byte](w, `select found from reminder_worker.audits`), &before); err != nil || len(before) > 0 {
		t.Errorf("a new round begins with %v: %v", before, err)
	}
	if got := total(a, b); got[ReminderMissing] != 12 || got[RemovalNotQueued] != 1 || got[CopyNotRecorded] != 1 || got[CopyDiffers] < 2 {
		t.Errorf("found %v", got)
	}
	if n := one[int](w, `select count(*) from events where sync_due_at is not null`); n > 0 {
		t.Errorf("%d events are due after a round that repairs nothing", n)
	}
	for range 3 { // what one repair serves once more, another looks at only after that
		w.round(w.auditor(background(true)))
		w.served()
	}
	wantFound(t, "repaired", w.audit(Scope{Google: true}), map[Kind]int{})
}

// total is what metrics tell.
func total(auditors ...*Auditor) map[Kind]int {
	all := map[Kind]int{}
	for _, a := range auditors {
		for _, k := range Kinds() {
			if n := testutil.ToFloat64(a.m.findings.WithLabelValues(string(k))); n > 0 {
				all[k] += int(n)
			}
		}
	}
	return all
}

// One at a time, and not before it is due.
func TestTurns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.auditor(background(false))
	first, err := a.db.TakeTurn(t.Context(), store.TakeTurnParams{Name: turnName, LeaseMs: 60_000})
	if err != nil || len(first) != 1 {
		t.Fatalf("turn %v: %v", first, err)
	}
	if nap, err := w.auditor(background(false)).turn(t.Context()); err != nil || nap < time.Second || nap > longestNap {
		t.Errorf("another waits for %s: %v", nap, err)
	}
	// The first has been away for too long: the turn is another's, and what the first has to say does not count.
	w.exec(`update reminder_worker.audits set due_at = now()`)
	second, err := a.db.TakeTurn(t.Context(), store.TakeTurnParams{Name: turnName, LeaseMs: 60_000})
	if err != nil || len(second) != 1 {
		t.Fatalf("turn %v: %v", second, err)
	}
	end := store.EndTurnParams{Name: turnName, Lease: first[0].Lease, Part: "events", After: "x", Found: []byte("{}"), PauseMs: 1000}
	if n, err := a.db.EndTurn(t.Context(), end); err != nil || n != 0 {
		t.Errorf("who is late ends %d turns: %v", n, err)
	}
	end.Lease = second[0].Lease
	if n, err := a.db.EndTurn(t.Context(), end); err != nil || n != 1 {
		t.Errorf("who is in time ends %d turns: %v", n, err)
	}
}

// A step that fails is made again, from where it was.
func TestStepThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.auditor(background(false))
	w.exec(`update reminder_worker.audits set part = 'events', after = $1, began_at = now()`, uuid.Nil.String())
	rows, err := a.db.TakeTurn(t.Context(), store.TakeTurnParams{Name: turnName, LeaseMs: 60_000})
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.step(ctx, rows[0], time.Second); err == nil {
		t.Error("a step whose context has ended has succeeded")
	}
	if got := one[string](w, `select part || ' ' || after from reminder_worker.audits`); got != "events "+uuid.Nil.String() {
		t.Errorf("goes on at %q", got)
	}
}

// An account that takes longer than a step may is told, and the round goes on behind it.
func TestAccountThatTakesTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := slices.MinFunc([]uuid.UUID{w.user(), w.user()}, byBytes)
	busy := gcalfake.Status(http.StatusForbidden, "dailyLimitExceeded")
	busy.RetryAfter = longestWait
	w.google.Fail(gcalfake.ForUser(first.String(), gcalfake.Always(gcalfake.OpList, busy)))
	a := w.auditor(background(true))
	a.stepLimit = time.Second
	w.exec(`update reminder_worker.audits set part = 'accounts', after = $1, began_at = now()`, uuid.Nil.String())
	rows, err := a.db.TakeTurn(t.Context(), store.TakeTurnParams{Name: turnName, LeaseMs: 60_000})
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	if err := a.step(t.Context(), rows[0], time.Second); err != nil {
		t.Errorf("the step fails: %v", err)
	}
	if got := one[string](w, `select part || ' ' || after || ' ' || found from reminder_worker.audits`); got != "accounts "+first.String()+` {"account_not_read": 1}` {
		t.Errorf("goes on at %q", got)
	}
}

// A round is spread over its interval, and never faster than a few steps a minute.
func TestPace(t *testing.T) {
	t.Parallel()
	a := &Auditor{cfg: DefaultConfig()}
	a.cfg.Interval = 24 * time.Hour
	for _, c := range []struct {
		about store.TurnDueRow
		want  time.Duration
	}{
		{store.TurnDueRow{}, 6 * time.Hour},
		{store.TurnDueRow{Accounts: 1000, Events: 100_000, Copies: 100_000, Reminders: 240_000}, 24 * time.Hour / 1444},
		{store.TurnDueRow{Accounts: 100_000, Events: 1e7}, 10 * time.Second},
	} {
		if got := a.pace(c.about); math.Abs(float64(got-c.want)) > float64(time.Millisecond) {
			t.Errorf("%+v: %s, want %s", c.about, got, c.want)
		}
	}
}

func TestPlacesAreReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, p := range []place{{at: beginning}, {time.Now().Truncate(time.Microsecond), uuid.New()}} {
		if got := readPlace(p.String()); !got.at.Equal(p.at) || got.id != p.id {
			t.Errorf("%v is read as %v", p, got)
		}
	}
	if diff := cmp.Diff(true, readPlace("").at.Equal(beginning)); diff != "" {
		t.Error(diff)
	}
}

// Without an interval there is no background.
func TestNoBackground(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.auditor().Run(t.Context())
	if one[bool](w, `select began_at is not null from reminder_worker.audits`) {
		t.Error("a round has begun")
	}
}
