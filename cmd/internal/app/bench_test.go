package app

import (
	"testing"
	"time"
)

// BenchmarkDrain measures the whole work of an event, from pending rows to recorded copies and reminders, stand-in and database on the same
// machine: one operation is 5,000 events of 100 users.
func BenchmarkDrain(b *testing.B) {
	const events = 5000
	w := newWorld(b)
	w.cfg.CalendarRate = 0 // as fast as it goes
	users := w.crowd(100)
	for b.Loop() {
		b.StopTimer()
		w.exec(`insert into events (user_id, title, start_ts, location, prep_items)
			select ($1::uuid[])[1 + n % 100], 'Practice ' || n, now() + interval '3 days', 'Field 3', '{cleats,water}' from generate_series(1, $2) n`, users, events)
		b.StartTimer()
		began := time.Now()
		a, stop := w.start()
		w.until("ready", a.Ready)
		w.until("drained", func() bool { return one[int](w, `select count(*)::int from events where sync_due_at is not null`) == 0 })
		b.ReportMetric(events/time.Since(began).Seconds(), "events/s")
		b.StopTimer()
		stop()
		w.exec(`delete from events; delete from reminder_worker.calendar_copies`)
		b.StartTimer()
	}
}
