package app

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/audit"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// changes are what an app does all day, each about one user and one event of theirs.
var changes = []string{
	`insert into events (user_id, title, start_ts) values ($1, 'Practice', now() + (1 + random() * 100) * interval '1 hour')`,
	`insert into events (user_id, title, start_ts, location, reminder_minutes) values ($1, 'Match', now() + random() * interval '2 hours', 'Field 3', '{5,60}')`,
	`insert into events (user_id, title, start_ts, end_ts) values ($1, '', now(), now() - interval '1 hour')`,
	`update events set title = 'Practice ' || random() where id = $2`,
	`update events set start_ts = now() + random() * interval '50 hours', end_ts = null where id = $2`,
	`update events set status = 'cancelled' where id = $2`,
	`update events set status = 'pending' where id = $2`,
	`delete from events where id = $2`,
	`update events set user_id = $1 where id = $2`,
	`insert into reminders (event_id, user_id, notify_at_ts, message) select id, user_id, now() + random() * interval '20 seconds', 'mine' from events where id = $2 on conflict do nothing`,
	`update reminders set status = 'cancelled', error_message = null where event_id = $2 and status = 'pending'`,
	`update events set dismissed_for_ts = start_ts, dismissed_at = now() where id = $2`,
	`insert into notification_settings (user_id, time_zone, quiet_from, quiet_until) values ($1, 'Europe/Berlin', '22:00', '07:00')
		on conflict (user_id) do update set quiet_from = make_time((random() * 23)::int, 0, 0), reminder_minutes = case when random() < 0.5 then '{10,30}'::int[] end`,
	`insert into notification_settings (user_id, calendar_enabled) values ($1, false) on conflict (user_id) do update set calendar_enabled = not notification_settings.calendar_enabled`,
	`update reminder_worker.google_accounts set state = 'off' where user_id = $1 and random() < 0.1`,
}

// TestAuditFindsNothingInABusySystem audits again and again while workers serve random changes: all there is to find would be a mistake.
func TestAuditFindsNothingInABusySystem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// Lists are slow, so that much happens between what an audit reads of the rows and what it sees at Google.
	w.google.Fail(func(r gcalfake.Request) *gcalfake.Fault {
		if r.Op == gcalfake.OpList {
			return &gcalfake.Fault{Delay: 400 * time.Millisecond}
		}
		return &gcalfake.Fault{Delay: rand.N(30 * time.Millisecond)}
	})
	w.start()
	w.start()
	const users, audits = 6, 5
	var ids []uuid.UUID
	tokens := map[uuid.UUID]string{}
	for range users {
		id, _ := w.user()
		ids = append(ids, id)
		tokens[id] = w.google.Grant(id.String())
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var app sync.WaitGroup
	for range 3 {
		app.Go(func() {
			for ctx.Err() == nil {
				w.changeSomething(ctx, ids, tokens)
			}
		})
	}
	for n := range audits {
		if got := counts(w.auditOfAll(), true); len(got) > 0 {
			t.Errorf("audit %d finds %v", n+1, got)
		}
	}
	stop()
	app.Wait()
	w.until("all is served", func() bool {
		return one[bool](w, `select not exists (select from events where sync_due_at is not null or sync_lease_until is not null)
			and not exists (select from reminder_worker.calendar_copies where due_at is not null)`)
	})
	report := w.auditOfAll()
	if got := counts(report, true); len(got) > 0 {
		t.Errorf("the last audit finds %v", got)
	}
	t.Logf("looked at %+v in the end, after %d versions of events", report.Looked, one[int64](w, `select coalesce(sum(sync_revision), 0) from events`))
}

// auditOfAll audits until every account could be read: on a machine that stands still for half a minute a list is not answered in time.
func (w *world) auditOfAll() (report AuditReport) {
	w.until("an audit that reads every account", func() bool {
		report = w.audit(AuditOptions{Google: true})
		got := counts(report, true)
		return got[string(audit.AccountNotRead)] == 0 || len(got) > 1
	})
	return report
}

func (w *world) changeSomething(ctx context.Context, users []uuid.UUID, tokens map[uuid.UUID]string) {
	user := users[rand.N(len(users))]
	if rand.N(12) == 0 {
		_, _ = w.db.Exec(ctx, `select reminder_worker.put_google_account($1, $2)`, user, tokens[user])
		return
	}
	change := changes[rand.N(len(changes))]
	var event uuid.UUID
	if w.db.QueryRow(ctx, `select id from events order by random() limit 1`).Scan(&event) != nil {
		event = uuid.New()
	}
	// What fails, as a duplicate does, is the app's own affair. Both arguments are known to every statement.
	_, _ = w.db.Exec(ctx, `with given as (select $1::uuid, $2::uuid) `+change, user, event)
	select {
	case <-ctx.Done():
	case <-time.After(rand.N(20 * time.Millisecond)):
	}
}
