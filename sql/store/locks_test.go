package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/parentpal/reminder-worker/sql/store"
)

// impatient is a context far longer than any statement takes; one that waits for the app, waits for ever.
func impatient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// occupied claims two events, and lets a transaction of the app sit on everything that belongs to the first.
func (b *base) occupied() (theirs, free store.ClaimEventsRow) {
	b.t.Helper()
	for _, token := range []string{phone, tablet} {
		b.eventAt(b.user(token), startOf(2*day))
		b.settled(day)
	}
	b.exec(`select reminder_worker.put_google_account(id, 'token') from auth.users`)
	b.exec(`update events set title = 'Match'`)
	rows := b.claimEvents()
	b.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, tombstoned_at, due_at, lease_until)
		select gen_random_uuid(), user_id, id::text, now(), now(), now() from events`)
	tx := b.begin()
	for _, sql := range []string{
		`select from events where id = $1 for update`,
		`select from reminders where event_id = $1 for update`,
		`select from reminder_worker.calendar_copies where user_id = (select user_id from events where id = $1) for update`,
		`select from reminder_worker.google_accounts where user_id = (select user_id from events where id = $1) for update`,
		`select from reminder_worker.push_devices where user_id = (select user_id from events where id = $1) for update`,
	} {
		in(b.t, tx, sql, rows[0].ID)
	}
	return rows[0], rows[1]
}

// TestEventsDoNotWaitForTheApp runs what writes events on a batch with one that the app sits on and another. None may wait, and the
// other's part must be done.
func TestEventsDoNotWaitForTheApp(t *testing.T) {
	t.Parallel()
	b, ctx := newBase(t), impatient(t)
	theirs, free := b.occupied()
	both := []uuid.UUID{theirs.ID, free.ID}
	p := new(plan).event(theirs).before(theirs, day).copied("a").event(free).before(free, day).copied("b")
	planned, err := b.q.CommitPlans(ctx, p.CommitPlansParams)
	if got := held(planned); err != nil || got[theirs.ID] || !got[free.ID] {
		t.Errorf("commit plans: held %v, %v", got, err)
	}
	locked, err := b.q.GiveBackEvents(ctx, store.GiveBackEventsParams{
		EventIds: []uuid.UUID{theirs.ID}, Revisions: []int64{theirs.SyncRevision}, Leases: []time.Time{theirs.LeaseUntil},
	})
	if err != nil || !slices.Equal(locked, []uuid.UUID{theirs.ID}) {
		t.Errorf("give back events: %v are locked, %v", locked, err)
	}
	extended, err := b.q.ExtendEventLeases(ctx, store.ExtendEventLeasesParams{EventIds: both, LeaseMs: lease.Milliseconds()})
	if err != nil || len(extended) != 2 {
		t.Errorf("extend: %d of 2 are held, %v", len(extended), err)
	}
	recorded, err := b.q.RecordSyncs(ctx, synced("synced", theirs, free))
	if diff := cmp.Diff([]store.RecordSyncsRow{{EventID: theirs.ID, Busy: true}}, recorded); err != nil || diff != "" {
		t.Errorf("record syncs: %v (-want +got):\n%s", err, diff)
	}
	if err := b.q.ReleaseEvents(ctx, store.ReleaseEventsParams{EventIds: both}); err != nil {
		t.Errorf("release events: %v", err)
	}
}

// TestCopiesDoNotWaitForTheApp is the same for accounts and removals.
func TestCopiesDoNotWaitForTheApp(t *testing.T) {
	t.Parallel()
	b, ctx := newBase(t), impatient(t)
	theirs, free := b.occupied()
	users := []uuid.UUID{theirs.UserID, free.UserID}
	n, err := b.q.MarkReconnect(ctx, store.MarkReconnectParams{UserIds: users, RefreshTokens: repeat("token", 2), Reasons: repeat("revoked", 2)})
	if err != nil || n != 1 {
		t.Errorf("mark reconnect: %d accounts, want 1, %v", n, err)
	}
	if err := b.q.PauseAccount(ctx, store.PauseAccountParams{UserID: theirs.UserID, PauseMs: 1000, Reason: "quota"}); err != nil {
		t.Errorf("pause account: %v", err)
	}
	arg := store.RecordRemovalsParams{UserIds: users, Gone: repeat(true, 2), RetryMs: repeat(int64(-1), 2), ErrorMessages: repeat("", 2)}
	const tombstones = `select event_id from reminder_worker.calendar_copies where tombstoned_at is not null`
	for _, user := range users {
		arg.EventIds = append(arg.EventIds, ask[uuid.UUID](b, tombstones+` and user_id = $1`, user))
	}
	if err := b.q.ReleaseRemovals(ctx, store.ReleaseRemovalsParams{EventIds: arg.EventIds, UserIds: users}); err != nil {
		t.Errorf("release removals: %v", err)
	}
	removals, err := b.q.ClaimRemovals(ctx, store.ClaimRemovalsParams{MaxRows: 10, LeaseMs: 1000})
	if err != nil || len(removals) != 1 {
		t.Fatalf("claim removals: %d, want 1, %v", len(removals), err)
	}
	arg.Leases = repeat(removals[0].LeaseUntil, 2)
	if _, err := b.q.RecordRemovals(ctx, arg); err != nil {
		t.Errorf("record removals: %v", err)
	}
	if diff := cmp.Diff(arg.EventIds[:1], list[uuid.UUID](b, tombstones)); diff != "" {
		t.Errorf("tombstones left (-want +got):\n%s", diff)
	}
}

// TestPushesDoNotWaitForTheApp is the same for reminders on their way.
func TestPushesDoNotWaitForTheApp(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	_, theirs := b.overdue(b.user(phone), time.Minute)
	_, free := b.overdue(b.user(tablet), time.Minute)
	rows := b.claimReminders(theirs[0], free[0])
	ctx := impatient(t)
	tx := b.begin()
	in(t, tx, `select from reminders where id = $1 for update`, theirs[0])
	in(t, tx, `select from reminder_worker.push_devices where token = $1 for update`, phone)
	p := new(pushed)
	for id, token := range map[uuid.UUID]string{theirs[0]: phone, free[0]: tablet} {
		p.reminder(rows[id], "sent").to(rows[id], token, "accepted", true)
	}
	busy, err := b.q.RecordPushes(ctx, p.RecordPushesParams)
	if diff := cmp.Diff(theirs, busy); err != nil || diff != "" {
		t.Errorf("record pushes: %v (-want +got):\n%s", err, diff)
	}
	if n := ask[int](b, `select count(*) from reminder_worker.push_devices where retired_at is not null`); n != 1 {
		t.Errorf("retired %d devices, want 1", n)
	}
	in(t, tx, `select from reminder_worker.deliveries for update`)
	settle := new(verdicts).on(rows[free[0]], tablet, "delivered", "")
	if settled, err := b.q.SettleDeliveries(ctx, settle.SettleDeliveriesParams); err != nil || len(settled) != 0 {
		t.Errorf("settled %d of deliveries that somebody else is at: %v", len(settled), err)
	}
}

// TestNoDeadlocks lets the app write many rows per transaction, in any order, while workers go through their whole cycle.
func TestNoDeadlocks(t *testing.T) {
	t.Parallel()
	const events, rounds = 60, 25
	b := newBase(t)
	b.exec(`insert into auth.users (email) select n || '@example.org' from generate_series(1, 5) n`)
	b.exec(`select reminder_worker.put_google_account(id, 'token') from auth.users`)
	b.exec(`insert into events (user_id, title, start_ts) select u.id, 'Practice', now() + n * interval '1 hour'
		from auth.users u, generate_series(1, $1 / 5) n`, events)
	ids := list[uuid.UUID](b, `select id from events`)
	var g errgroup.Group
	done := make(chan struct{})
	var apps errgroup.Group
	for i := range 3 {
		apps.Go(func() error { return b.scribble(rand.New(rand.NewPCG(uint64(i), 1)), ids, rounds) })
	}
	g.Go(func() error {
		defer close(done)
		return apps.Wait()
	})
	for range 2 {
		g.Go(func() error {
			for {
				select {
				case <-done:
					return nil
				default:
					if err := b.cycle(); err != nil {
						return err
					}
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
			err = fmt.Errorf("%w: %s: %s", err, pe.Detail, pe.Where)
		}
		t.Error(err)
	}
}

// scribble is an app that changes several rows in each of its transactions.
func (b *base) scribble(r *rand.Rand, ids []uuid.UUID, rounds int) error {
	for range rounds {
		tx, err := b.db.Pool.Begin(b.ctx())
		if err != nil {
			return err
		}
		// Among themselves the app's transactions keep an order; that they meet the worker in any order is what is tried.
		if _, err := tx.Exec(b.ctx(), `select pg_advisory_xact_lock(1)`); err != nil {
			return errors.Join(err, tx.Rollback(b.ctx()))
		}
		for range 6 {
			id := ids[r.IntN(len(ids))]
			sql := []string{
				`update events set title = title || '.' where id = $1`,
				`update events set start_ts = start_ts + interval '10 minutes' where id = $1`,
				`update events set status = case status when 'cancelled' then 'pending' else 'cancelled' end where id = $1`,
				`update reminders set message = message || '.' where event_id = $1`,
				`select reminder_worker.put_google_account(user_id, 'token') from events where id = $1`,
				`delete from reminders where event_id = $1`,
			}[r.IntN(6)]
			if _, err := tx.Exec(b.ctx(), sql, id); err != nil {
				return errors.Join(fmt.Errorf("the app: %s: %w", sql, err), tx.Rollback(b.ctx()))
			}
		}
		if err := tx.Commit(b.ctx()); err != nil {
			return err
		}
	}
	return nil
}

// cycle is what a worker does with what is due.
func (b *base) cycle() error {
	ctx := b.ctx()
	rows, err := b.q.ClaimEvents(ctx, store.ClaimEventsParams{MaxRows: 30, MaxCopies: 30, MaxBytes: 65536, LeaseMs: 50})
	if err != nil {
		return fmt.Errorf("claim events: %w", err)
	}
	p := new(plan)
	for _, row := range rows {
		if p.event(row).copied("g" + row.ID.String()); row.Status == "cancelled" {
			p.copied("").buried()
		} else {
			p.before(row, hour, 2*hour)
		}
	}
	if _, err := b.q.CommitPlans(ctx, p.CommitPlansParams); err != nil {
		return fmt.Errorf("commit plans: %w", err)
	}
	ids := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	if _, err := b.q.ExtendEventLeases(ctx, store.ExtendEventLeasesParams{EventIds: ids, LeaseMs: 50}); err != nil {
		return fmt.Errorf("extend leases: %w", err)
	}
	if _, err := b.q.RecordSyncs(ctx, synced("synced", rows...)); err != nil {
		return fmt.Errorf("record syncs: %w", err)
	}
	return b.cycleRemovals(ctx)
}

func (b *base) cycleRemovals(ctx context.Context) error {
	rows, err := b.q.ClaimRemovals(ctx, store.ClaimRemovalsParams{MaxRows: 30, LeaseMs: 50})
	if err != nil {
		return fmt.Errorf("claim removals: %w", err)
	}
	var arg store.RecordRemovalsParams
	for i, row := range rows {
		arg.EventIds = append(arg.EventIds, row.EventID)
		arg.UserIds = append(arg.UserIds, row.UserID)
		arg.Leases = append(arg.Leases, row.LeaseUntil)
		arg.Gone = append(arg.Gone, i%2 == 0)
		arg.RetryMs = append(arg.RetryMs, 0)
		arg.ErrorMessages = append(arg.ErrorMessages, "")
	}
	if _, err := b.q.RecordRemovals(ctx, arg); err != nil {
		return fmt.Errorf("record removals: %w", err)
	}
	return nil
}
