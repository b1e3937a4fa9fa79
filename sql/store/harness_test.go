package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	lease = time.Minute
	hour  = time.Hour
	day   = 24 * time.Hour
)

// base is one test's database with the statements on it.
type base struct {
	t  *testing.T
	db *pgtest.DB
	q  *store.Queries
}

func newBase(t *testing.T) *base {
	t.Helper()
	db := pgtest.New(t)
	return &base{t: t, db: db, q: store.New(db.Pool)}
}

func (b *base) ctx() context.Context { return b.t.Context() }

func (b *base) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.db.Pool.Exec(b.ctx(), sql, args...); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

func ask[T any](b *base, sql string, args ...any) (answer T) {
	b.t.Helper()
	if err := b.db.Pool.QueryRow(b.ctx(), sql, args...).Scan(&answer); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

func list[T any](b *base, sql string, args ...any) []T {
	b.t.Helper()
	rows, err := b.db.Pool.Query(b.ctx(), sql, args...)
	if err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	return found
}

// must unwraps what a statement answers.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// user makes a user with devices holding tokens.
func (b *base) user(tokens ...string) uuid.UUID {
	b.t.Helper()
	id := ask[uuid.UUID](b, `insert into auth.users (email) values ('parent@example.org') returning id`)
	for _, token := range tokens {
		b.exec(`select reminder_worker.put_push_device($1, $2, 'ios')`, id, token)
	}
	return id
}

func (b *base) event(user uuid.UUID, in time.Duration) uuid.UUID {
	b.t.Helper()
	return ask[uuid.UUID](b, `insert into events (user_id, title, start_ts) values ($1, 'Practice', now() + $2) returning id`, user, in)
}

// eventAt makes an event whose start is a round number, so that times can be compared exactly.
func (b *base) eventAt(user uuid.UUID, start time.Time) uuid.UUID {
	b.t.Helper()
	return ask[uuid.UUID](b, `insert into events (user_id, title, start_ts) values ($1, 'Practice', $2) returning id`, user, start)
}

func (b *base) claimEvents() []store.ClaimEventsRow {
	b.t.Helper()
	return must[[]store.ClaimEventsRow](b.t)(b.q.ClaimEvents(b.ctx(),
		store.ClaimEventsParams{MaxRows: 1000, MaxCopies: 1000, MaxBytes: 65536, LeaseMs: lease.Milliseconds()}))
}

// claimEvent claims, and expects exactly one event to be due.
func (b *base) claimEvent() store.ClaimEventsRow {
	b.t.Helper()
	rows := b.claimEvents()
	if len(rows) != 1 {
		b.t.Fatalf("claimed %d events, want 1", len(rows))
	}
	return rows[0]
}

// plan is the argument of CommitPlans, built up.
type plan struct{ store.CommitPlansParams }

func (p *plan) event(row store.ClaimEventsRow) *plan {
	p.EventIds = append(p.EventIds, row.ID)
	p.Revisions = append(p.Revisions, row.SyncRevision)
	p.Leases = append(p.Leases, row.LeaseUntil)
	p.WithdrawReasons = append(p.WithdrawReasons, "the event was moved")
	p.GoogleIds = append(p.GoogleIds, "")
	p.CalendarIds = append(p.CalendarIds, "")
	p.BuryCopies = append(p.BuryCopies, false)
	return p
}

// copied notes a copy of the event added last.
func (p *plan) copied(googleID string) *plan {
	p.GoogleIds[len(p.GoogleIds)-1] = googleID
	p.CalendarIds[len(p.CalendarIds)-1] = "primary"
	return p
}

// buried buries the copy of the event added last.
func (p *plan) buried() *plan {
	p.BuryCopies[len(p.BuryCopies)-1] = true
	return p
}

// before plans reminders for the event row, leads before its start.
func (p *plan) before(row store.ClaimEventsRow, leads ...time.Duration) *plan {
	for _, lead := range leads {
		p.ReminderEventIds = append(p.ReminderEventIds, row.ID)
		p.NotifyAts = append(p.NotifyAts, row.StartTs.Add(-lead))
		p.LeadSeconds = append(p.LeadSeconds, int32(lead/time.Second))
		p.Messages = append(p.Messages, "Field 3")
		p.Statuses = append(p.Statuses, "pending")
		p.Reasons = append(p.Reasons, "")
	}
	return p
}

func (b *base) commit(p *plan) []store.CommitPlansRow {
	b.t.Helper()
	return must[[]store.CommitPlansRow](b.t)(b.q.CommitPlans(b.ctx(), p.CommitPlansParams))
}

// held are the distinct events a commit answered.
func held(rows []store.CommitPlansRow) map[uuid.UUID]bool {
	found := map[uuid.UUID]bool{}
	for _, r := range rows {
		found[r.EventID] = true
	}
	return found
}

// armed are the reminders a commit answered.
func armed(rows []store.CommitPlansRow) (ids []uuid.UUID) {
	for _, r := range rows {
		if r.ReminderID != uuid.Nil {
			ids = append(ids, r.ReminderID)
		}
	}
	return ids
}

// planned claims the one due event, plans it and commits.
func (b *base) planned(leads ...time.Duration) store.ClaimEventsRow {
	b.t.Helper()
	row := b.claimEvent()
	if got := held(b.commit(new(plan).event(row).before(row, leads...))); !got[row.ID] {
		b.t.Fatal("the plan did not count")
	}
	return row
}

// synced is the argument of RecordSyncs for events that came out well.
func synced(status string, rows ...store.ClaimEventsRow) store.RecordSyncsParams {
	var p store.RecordSyncsParams
	for _, r := range rows {
		p.EventIds = append(p.EventIds, r.ID)
		p.UserIds = append(p.UserIds, r.UserID)
		p.Revisions = append(p.Revisions, r.SyncRevision)
		p.Statuses = append(p.Statuses, status)
		p.ErrorMessages = append(p.ErrorMessages, "")
		p.RetryMs = append(p.RetryMs, -1)
		p.CountAttempts = append(p.CountAttempts, false)
		p.GoogleIds = append(p.GoogleIds, "g"+r.ID.String())
		p.CalendarIds = append(p.CalendarIds, "primary")
		p.Generations = append(p.Generations, 1)
		p.Etags = append(p.Etags, `"1"`)
		p.Hashes = append(p.Hashes, "hash")
	}
	return p
}

func (b *base) record(p store.RecordSyncsParams) []store.RecordSyncsRow {
	b.t.Helper()
	return must[[]store.RecordSyncsRow](b.t)(b.q.RecordSyncs(b.ctx(), p))
}

// settled plans and records the one due event.
func (b *base) settled(leads ...time.Duration) store.ClaimEventsRow {
	b.t.Helper()
	row := b.planned(leads...)
	b.record(synced("synced", row))
	return row
}

// custom makes a reminder of the app's own, due after in.
func (b *base) custom(event, user uuid.UUID, in time.Duration) uuid.UUID {
	b.t.Helper()
	return ask[uuid.UUID](b, `insert into reminders (event_id, user_id, notify_at_ts, message)
		values ($1, $2, now() + $3, 'mine') returning id`, event, user, in)
}

func (b *base) claimReminders(ids ...uuid.UUID) map[uuid.UUID]store.ClaimRemindersRow {
	b.t.Helper()
	rows := must[[]store.ClaimRemindersRow](b.t)(b.q.ClaimReminders(b.ctx(),
		store.ClaimRemindersParams{Ids: ids, SlackMs: 20, LeaseMs: lease.Milliseconds(), RestMaxMs: hour.Milliseconds()}))
	found := map[uuid.UUID]store.ClaimRemindersRow{}
	for _, r := range rows {
		found[r.ID] = r
	}
	return found
}

// statusOf is the state of a reminder and the reason given.
func (b *base) statusOf(reminder uuid.UUID) (status, reason string) {
	b.t.Helper()
	err := b.db.Pool.QueryRow(b.ctx(), `select status, coalesce(error_message, '') from reminders where id = $1`, reminder).Scan(&status, &reason)
	if err != nil {
		b.t.Fatal(err)
	}
	return status, reason
}

// begin opens a transaction of the app, rolled back at the end.
func (b *base) begin() pgx.Tx {
	b.t.Helper()
	tx := must[pgx.Tx](b.t)(b.db.Connect(b.t).Begin(b.ctx()))
	b.t.Cleanup(func() { _ = tx.Rollback(context.Background()) }) // committed: nothing to roll back
	return tx
}

func in(t *testing.T, tx pgx.Tx, sql string, args ...any) {
	t.Helper()
	if _, err := tx.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// startOf is a start a while from now, in whole seconds.
func startOf(in time.Duration) time.Time { return time.Now().Add(in).Truncate(time.Second) }
