package store_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/parentpal/reminder-worker/sql/store"
)

func TestClaimEventsIsExclusive(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.exec(`insert into events (user_id, title, start_ts) select $1, 'Practice', now() + interval '1 day' from generate_series(1, 2000)`, b.user())
	claimed := make([][]uuid.UUID, 8)
	var g errgroup.Group
	for i := range claimed {
		g.Go(func() error {
			for {
				rows, err := b.q.ClaimEvents(t.Context(), store.ClaimEventsParams{MaxRows: 17, MaxCopies: 17, MaxBytes: 65536, LeaseMs: lease.Milliseconds()})
				if err != nil || len(rows) == 0 {
					return err
				}
				for _, r := range rows {
					claimed[i] = append(claimed[i], r.ID)
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	seen := map[uuid.UUID]bool{}
	for _, ids := range claimed {
		for _, id := range ids {
			if seen[id] {
				t.Errorf("event %s was claimed twice", id)
			}
			seen[id] = true
		}
	}
	if len(seen) != 2000 {
		t.Errorf("claimed %d of 2000 events", len(seen))
	}
}

// TestClaimSeesWhatBelongsToTheEvent: while a claim is under way, a user chooses another time zone. An event that has been changed by it is not
// claimed with the zone as it was before, which nobody would notice later.
func TestClaimSeesWhatBelongsToTheEvent(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user()
	first := b.event(b.user(), day)
	b.exec(`create function wait() returns trigger language plpgsql as $$
		begin
			perform pg_advisory_xact_lock(1);
			return new;
		end $$`)
	b.exec(`create trigger wait before update on events for each row when (old.id = '` + first.String() + `') execute function wait()`)
	second := b.event(user, day)
	app, other, worker := b.begin(), b.begin(), b.begin()
	in(t, app, `insert into notification_settings (user_id, time_zone) values ($1, 'Europe/Berlin')`, user)
	in(t, other, `select pg_advisory_xact_lock(1)`)
	in(t, worker, `set local enable_hashjoin = off`) // a hash would have all rows locked before the first is claimed
	in(t, worker, `set local enable_mergejoin = off`)
	claimed := make(chan []store.ClaimEventsRow, 1)
	go func() {
		rows, err := b.q.WithTx(worker).ClaimEvents(impatient(t), store.ClaimEventsParams{MaxRows: 10, MaxBytes: 65536, LeaseMs: lease.Milliseconds()})
		if err != nil {
			t.Error(err)
		}
		claimed <- rows
	}()
	b.untilLocked(impatient(t), worker)
	if err := errors.Join(app.Commit(t.Context()), other.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
	for _, row := range <-claimed {
		if row.ID == second && row.TimeZone != "Europe/Berlin" {
			t.Errorf("claimed at revision %d with the zone %q", row.SyncRevision, row.TimeZone)
		}
	}
	if err := worker.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if row := b.claimEvent(); row.ID != second || row.TimeZone != "Europe/Berlin" {
		t.Errorf("then %s is claimed with the zone %q", row.ID, row.TimeZone)
	}
}

// lapse lets the claims on all events end.
func (b *base) lapse() {
	b.t.Helper()
	b.exec(`update events set sync_lease_until = now() - interval '1 second', sync_due_at = now() - interval '1 second' where sync_lease_until is not null`)
}

func TestLapsedClaimIsDueAgainAndCounted(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	id := b.event(b.user(), day)
	if row := b.claimEvent(); row.SyncAttempts != 0 {
		t.Errorf("first claim: %d attempts", row.SyncAttempts)
	}
	if rows := b.claimEvents(); len(rows) != 0 {
		t.Errorf("claimed %d events that are held", len(rows))
	}
	b.lapse()
	if row := b.claimEvent(); row.ID != id || row.SyncAttempts != 1 {
		t.Errorf("second claim: %d attempts, want 1 for the claim that lapsed", row.SyncAttempts)
	}
	if err := b.q.ReleaseEvents(t.Context(), store.ReleaseEventsParams{EventIds: []uuid.UUID{id}}); err != nil {
		t.Fatal(err)
	}
	if row := b.claimEvent(); row.SyncAttempts != 1 {
		t.Errorf("after a release: %d attempts, want 1 still", row.SyncAttempts)
	}
}

func TestExtendEventLeasesTellsWhatIsHeld(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user()
	kept, lapsed, deleted := b.event(user, day), b.event(user, day), b.event(user, day)
	b.claimEvents()
	b.exec(`update events set sync_lease_until = now() - interval '1 second' where id = $1`, lapsed)
	b.exec(`delete from events where id = $1`, deleted)
	got := must[[]uuid.UUID](t)(b.q.ExtendEventLeases(t.Context(),
		store.ExtendEventLeasesParams{EventIds: []uuid.UUID{kept, lapsed, deleted}, LeaseMs: hour.Milliseconds()}))
	if diff := cmp.Diff([]uuid.UUID{kept}, got); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	if !ask[bool](b, `select sync_lease_until > now() + interval '59 minutes' and sync_due_at = sync_lease_until from events where id = $1`, kept) {
		t.Error("the lease was not extended")
	}
}

func TestClaimEventsPassesOverStatesOfTheApp(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	id := b.event(b.user(), day)
	b.exec(`update events set status = 'draft' where id = $1`, id)
	if row := b.claimEvent(); row.Status != "draft" {
		t.Errorf("status %q", row.Status)
	}
	if ask[bool](b, `select sync_due_at is not null or sync_lease_until is not null from events where id = $1`, id) {
		t.Error("a draft is still in the queue")
	}
}

// adopted loosens the tables to what an older service may have left behind.
func (b *base) adopted() {
	b.t.Helper()
	b.exec(`alter table events alter user_id drop not null, alter title drop not null, alter start_ts drop not null`)
	b.exec(`alter table reminders alter user_id drop not null, alter retry_count drop not null, alter event_id drop not null`)
}

func TestClaimEventsBringsBadRowsHome(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.adopted()
	user := b.user()
	for _, values := range []string{
		`nullif($1::uuid, $1), 'no user', now(), null, null, null`,
		`$1, null, null, null, null, null`,
		`$1, 'ever', 'infinity', 'infinity', null, null`,
		`$1, 'never', '-infinity', '-infinity', null, null`,
		`$1, 'far', '294000-01-01', '294000-01-02', null, null`,
		`$1, 'long ago', '4000-01-01 BC', null, null, null`,
		`$1, repeat('x', 10000000), now(), null, repeat('y', 10000000), null`,
		`$1, 'many things', now(), null, null, array_fill('z'::text, array[100000])`,
		`$1, 'odd things', now(), null, null, array[null, '', '  ', 'cleats', repeat('w', 600)]`,
	} {
		b.exec(`insert into events (user_id, title, start_ts, end_ts, location, prep_items) values (`+values+`)`, user)
	}
	rows := b.claimEvents()
	if len(rows) != 9 {
		t.Fatalf("claimed %d of 9 events", len(rows))
	}
	byTitle := map[string]store.ClaimEventsRow{}
	for _, r := range rows {
		byTitle[r.Title[:min(len(r.Title), 20)]+strings.Repeat("-", int(r.TextBytes/10_000_000))] = r
	}
	epoch := time.Unix(0, 0)
	for title, ok := range map[string]func(store.ClaimEventsRow) bool{
		"no user": func(r store.ClaimEventsRow) bool { return r.UserID == uuid.Nil && r.HasStart },
		"":        func(r store.ClaimEventsRow) bool { return !r.HasStart && r.StartTs.Equal(epoch) },
		"ever":    func(r store.ClaimEventsRow) bool { return !r.HasStart && !r.HasEnd },
		"never":   func(r store.ClaimEventsRow) bool { return !r.HasStart && !r.HasEnd },
		"far":     func(r store.ClaimEventsRow) bool { return r.HasStart && r.StartTs.UTC().Year() == 294000 },
		"long ago": func(r store.ClaimEventsRow) bool {
			return r.HasStart && r.StartTs.Before(epoch)
		},
		"--": func(r store.ClaimEventsRow) bool {
			return r.Title == "" && r.Location == "" && r.TextBytes == 20_000_000
		},
		"many things": func(r store.ClaimEventsRow) bool { return len(r.PrepItems) <= 100 },
		"odd things": func(r store.ClaimEventsRow) bool {
			return len(r.PrepItems) == 2 && r.PrepItems[0] == "cleats" && len(r.PrepItems[1]) == 512
		},
	} {
		row, found := byTitle[title]
		if !found || !ok(row) {
			row.Title = title
			t.Errorf("%q came back as %+v", title, row)
		}
	}
}

func TestNextDue(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	next := func() store.NextDueRow { return must[store.NextDueRow](t)(b.q.NextDue(t.Context(), true)) }
	if got := next(); got.EventsMs != 1e15 || got.RemovalsMs != 1e15 {
		t.Errorf("nothing queued: %+v", got)
	}
	id := b.event(b.user(), day)
	if got := next(); got.EventsMs > 0 || got.RemovalsMs != 1e15 {
		t.Errorf("an event is due: %+v", got)
	}
	b.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id) select id, user_id, 'g' from events`)
	moments := map[string]func(float64) bool{
		"infinity":  func(ms float64) bool { return ms == 1e15 },
		"-infinity": func(ms float64) bool { return ms <= 0 },
		"tomorrow":  func(ms float64) bool { return ms > 0 && ms <= 2*86_400_000 },
	}
	for due, ok := range moments {
		b.exec(`update events set sync_due_at = $2::text::timestamptz where id = $1`, id, due)
		if got := next(); !ok(got.EventsMs) || got.RemovalsMs != 1e15 {
			t.Errorf("the event is due %s: %+v", due, got)
		}
	}
	b.exec(`update events set sync_due_at = null`)
	for due, ok := range moments {
		b.exec(`update reminder_worker.calendar_copies set tombstoned_at = now(), due_at = $1::text::timestamptz`, due)
		if got := next(); !ok(got.RemovalsMs) || got.EventsMs != 1e15 {
			t.Errorf("the removal is due %s: %+v", due, got)
		}
	}
}

// What waits for Google never stands before what is to be planned, and is only taken where there is a place for it.
func TestPlanningComesFirst(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user()
	waiting := b.event(user, day)
	p := synced("pending", b.planned())
	p.RetryMs[0] = 0
	b.record(p)
	claim := func(plans, copies int32, skip ...uuid.UUID) (ids []uuid.UUID) {
		rows := must[[]store.ClaimEventsRow](t)(b.q.ClaimEvents(t.Context(),
			store.ClaimEventsParams{MaxRows: plans, MaxCopies: copies, MaxBytes: 65536, Skip: skip}))
		for _, r := range rows {
			if want := r.ID == waiting; r.Planned != want {
				t.Errorf("event %s planned %v, want %v", r.ID, r.Planned, want)
			}
			ids = append(ids, r.ID)
		}
		return ids
	}
	if got := claim(10, 0); len(got) != 0 {
		t.Errorf("took %v without a place", got)
	}
	fresh := b.event(user, day)
	first := must[uuid.UUID](t)(b.q.FirstDueEvent(t.Context(), store.FirstDueEventParams{Planned: true}))
	if diff := cmp.Diff([]uuid.UUID{waiting, fresh}, []uuid.UUID{first, must[uuid.UUID](t)(b.q.FirstDueEvent(t.Context(), store.FirstDueEventParams{}))}); diff != "" {
		t.Errorf("first due (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uuid.UUID{fresh}, claim(10, 10, waiting)); diff != "" {
		t.Errorf("took (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uuid.UUID{waiting}, claim(10, 10, fresh)); diff != "" {
		t.Errorf("took (-want +got):\n%s", diff)
	}
}

// An account that was paused for ever keeps its own copies waiting, and no other event from being claimed.
func TestClaimBesideAnEndlessPause(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	anna, ben := b.user(), b.user()
	b.exec(`select reminder_worker.put_google_account($1, 'token')`, anna)
	b.exec(`update reminder_worker.google_accounts set paused_until = 'infinity'`)
	paused, free := b.event(anna, day), b.event(ben, day)
	rows := b.claimEvents()
	until := map[uuid.UUID]time.Time{}
	for _, row := range rows {
		until[row.ID] = row.AccountPausedUntil
	}
	if len(rows) != 2 || until[paused].Before(time.Now().Add(365*day)) || until[free].After(time.Now()) {
		t.Errorf("claimed %d events, paused until %v", len(rows), until)
	}
}
