package audit

import (
	"fmt"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// served100k fills the tables with events that were served, a third of them to come, as 1,000 users have them.
const served100k = `
insert into auth.users (id) select md5('u' || n)::uuid from generate_series(0, 999) n;
set session_replication_role = replica;
insert into public.events (id, user_id, title, start_ts, status, sync_due_at, sync_planned, sync_worker, google_calendar_id)
  select md5('e' || n)::uuid, md5('u' || n % 1000)::uuid, 'Practice', date_trunc('hour', now()) + (n - 66000) * interval '10 minutes' + interval '5 days', 'synced', null, 1, gen_random_uuid(), md5('e' || n)
  from generate_series(1, 100000) n;
insert into public.reminders (event_id, user_id, notify_at_ts, message, status, plan_revision, planned_for_ts, lead_seconds)
  select e.id, e.user_id, e.start_ts - l * interval '1 second', '', case when e.start_ts - l * interval '1 second' > now() then 'pending' else 'sent' end, 1, e.start_ts, l
  from public.events e, unnest('{86400,10800,1800}'::int[]) l;
insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, etag, content_hash, written_at)
  select id, user_id, google_calendar_id, '1', '', now() from public.events;
set session_replication_role = origin;
analyze;`

// BenchmarkDatabasePart measures one audit of 100,000 events without Google.
func BenchmarkDatabasePart(b *testing.B) {
	w := newWorld(b)
	conn, err := w.pool.Acquire(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if _, err := conn.Exec(b.Context(), served100k); err != nil {
		b.Fatal(err)
	}
	conn.Release()
	a := w.auditor()
	for b.Loop() {
		before := w.asked.n.Load()
		report, err := a.Audit(b.Context(), Scope{})
		if err != nil || len(report.Sums) > 0 || report.Looked.Events != 100_000 {
			b.Fatalf("looked at %+v, found %+v: %v", report.Looked, report.Sums, err)
		}
		b.ReportMetric(float64(w.asked.n.Load()-before), "statements/audit")
	}
}

// BenchmarkGooglePart measures one audit of accounts with 200 copies and 300 entries of their own each.
func BenchmarkGooglePart(b *testing.B) {
	const accounts, copies, others = 20, 200, 300
	w := newWorld(b)
	for range accounts {
		user := w.user()
		w.exec(`insert into events (user_id, title, start_ts) select $1, 'Practice ' || n, now() + n * interval '3 hours' from generate_series(1, $2::int) n`, user, copies)
		for i := range others {
			day := time.Now().AddDate(0, 0, i).Format(time.DateOnly)
			if _, err := w.google.UserInsert(user.String(), map[string]any{"summary": fmt.Sprint("Own ", i), "start": map[string]any{"date": day}, "end": map[string]any{"date": day}}); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := w.serve(b.Context()); err != nil {
		b.Fatal(err)
	}
	a := w.auditor()
	for b.Loop() {
		w.google.ResetLog()
		before, began := w.asked.n.Load(), time.Now()
		report, err := a.Audit(b.Context(), Scope{Google: true})
		if err != nil || len(report.Sums) > 0 || report.Looked.Accounts != accounts {
			b.Fatalf("looked at %+v, found %+v: %v", report.Looked, report.Sums, err)
		}
		b.ReportMetric(float64(w.google.Count(gcalfake.OpList, 200))/accounts, "requests/account")
		b.ReportMetric(float64(w.asked.n.Load()-before), "statements/audit")
		b.ReportMetric(float64(time.Since(began).Milliseconds())/accounts, "ms/account")
	}
}
