package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/audit"
	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// audit makes one audit, as the command does, with little time between the two looks.
func (w *world) audit(o AuditOptions, change ...func(*audit.Config)) AuditReport {
	w.t.Helper()
	a, err := New(w.cfg, ops.Build{Version: "test"}, zerolog.New(zerolog.NewTestWriter(w.t)).Level(zerolog.WarnLevel))
	if err != nil {
		w.t.Fatal(err)
	}
	c := w.cfg.audit()
	c.Grace = 200 * time.Millisecond
	for _, f := range change {
		f(&c)
	}
	a.auditor, err = audit.New(store.New(a.pool), a.cal, a.compareTriggers, c, a.log, audit.NewMetrics(nil))
	if err != nil {
		w.t.Fatal(err)
	}
	report, err := a.Audit(w.t.Context(), o)
	// Each step of an audit has a bound, which a machine that stands still for as long reaches. Who sees that runs it again.
	for try := 0; try < 3 && errors.Is(err, context.DeadlineExceeded) && w.t.Context().Err() == nil; try++ {
		report, err = a.Audit(w.t.Context(), o)
	}
	if err != nil {
		w.t.Fatalf("audit: %v", err)
	}
	return report
}

// counts are the findings by kind.
func counts(r AuditReport, infos bool) map[string]int {
	all := map[string]int{}
	for _, s := range r.Sums {
		if !s.Info || infos {
			all[string(s.Kind)] = s.Found
		}
	}
	return all
}

func wantFound(t *testing.T, what string, r AuditReport, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, counts(r, true)); diff != "" {
		t.Errorf("%s: kinds (-want +got):\n%s", what, diff)
		for _, s := range r.Sums {
			for _, e := range s.Examples {
				t.Logf("%s: event %s, user %s, entry %q: %s", e.Kind, e.EventID, e.UserID, e.GoogleID, e.Detail)
			}
		}
	}
}

// unseen runs statements that no trigger and no foreign key sees.
func (w *world) unseen(sql string, args ...any) {
	w.t.Helper()
	ctx := context.Background()
	tx, err := w.db.Begin(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	defer tx.Rollback(ctx) //nolint:errcheck // committed, or the test has failed
	if _, err := tx.Exec(ctx, `set local session_replication_role = replica`); err != nil {
		w.t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	if err := tx.Commit(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// damage is something that is put out of step, and what an audit says to it.
type damage struct {
	name string
	do   func(h *harm)
	want map[string]int
}

// harm is where damage is done: an event of anna's that was served and its copy, and other users, of whom dora has no calendar.
type harm struct {
	*world
	event                  uuid.UUID
	anna, ben, clara, dora uuid.UUID
	others                 []string // entries in anna's calendar that may be somebody else's
}

func (h *harm) id() string { return gcal.NewGoogleID(h.event, 0) }

// entry makes one in anna's calendar that carries the private properties of an event.
func (h *harm) entry(event uuid.UUID) (id string) {
	h.t.Helper()
	at := time.Now().Add(50 * time.Hour)
	id, err := h.google.UserInsert(h.anna.String(), map[string]any{
		"summary": "Practice again", "start": map[string]any{"dateTime": at.Format(time.RFC3339)}, "end": map[string]any{"dateTime": at.Add(time.Hour).Format(time.RFC3339)},
		"extendedProperties": map[string]any{"private": map[string]any{"reminder_worker_event": event.String(), "reminder_worker_hash": "v1:x"}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// unclaimed makes one that may be somebody else's.
func (h *harm) unclaimed(event uuid.UUID) { h.others = append(h.others, h.entry(event)) }

func (h *harm) edit(changes map[string]any) {
	h.t.Helper()
	if err := h.google.UserEdit(h.anna.String(), h.id(), changes); err != nil {
		h.t.Fatal(err)
	}
}

func (h *harm) deleteCopy(purge bool) {
	h.t.Helper()
	if err := h.google.UserDelete(h.anna.String(), h.id()); err != nil {
		h.t.Fatal(err)
	}
	if !purge {
		return
	}
	if err := h.google.Purge(h.anna.String(), h.id()); err != nil {
		h.t.Fatal(err)
	}
}

// rows changes what belongs to the event, unseen.
func rows(sql string) func(*harm) {
	return func(h *harm) { h.unseen(sql, h.event) }
}

func damages() []damage {
	return []damage{
		{"a trigger is gone", func(h *harm) { h.exec(`drop trigger reminder_worker_events_truncated on events`) }, map[string]int{"trigger_missing": 1}},
		{"a trigger is off", func(h *harm) { h.exec(`alter table reminders disable trigger reminder_worker_reminder_changed_ring`) }, map[string]int{"trigger_disabled": 1}},
		{"a trigger never fires", func(h *harm) {
			h.exec(`create or replace trigger reminder_worker_event_owner_changed after update on events for each row when (false) execute function reminder_worker.event_owner_changed()`)
		}, map[string]int{"trigger_changed": 1}},
		{"a function does nothing", func(h *harm) {
			h.exec(`create or replace function reminder_worker.events_deleted() returns trigger language plpgsql as $$ begin return null; end $$`)
		}, map[string]int{"function_changed": 1}},
		{"an account rests for ever", func(h *harm) {
			h.exec(`update reminder_worker.google_accounts set paused_until = 'infinity' where user_id = $1`, h.ben)
		}, map[string]int{"account_paused": 1}},
		{"pending in no queue", rows(`update events set status = 'pending', sync_due_at = null where id = $1`), map[string]int{"event_not_queued": 1}},
		{"pending until for ever", rows(`update events set status = 'pending', sync_due_at = 'infinity' where id = $1`), map[string]int{"event_not_queued": 1}},
		{"due for long", rows(`update events set status = 'pending', sync_revision = sync_revision + 1, sync_due_at = now() - interval '1 hour' where id = $1`), map[string]int{"event_overdue": 1}},
		{"held by nobody", rows(`update events set sync_lease_until = now() - interval '1 hour' where id = $1`), map[string]int{"event_held": 1}},
		{"planned at an older revision", rows(`update events set sync_revision = sync_revision + 1 where id = $1`), map[string]int{"event_not_planned": 1}},
		{"scheduled though connected", rows(`update events set status = 'scheduled' where id = $1`), map[string]int{"event_not_written": 1}},
		{"a reminder is gone", rows(`delete from reminders where event_id = $1 and lead_seconds = 1800`), map[string]int{"reminder_missing": 1}},
		{"a reminder comes at another time", rows(`update reminders set notify_at_ts = notify_at_ts + interval '5 minutes' where event_id = $1 and lead_seconds = 1800`),
			map[string]int{"reminder_missing": 1, "reminder_not_wanted": 1}},
		{"a reminder of another start", rows(`update reminders set planned_for_ts = planned_for_ts + interval '5 minutes' where event_id = $1 and lead_seconds = 1800`), map[string]int{"reminder_differs": 1}},
		{"a reminder was withdrawn", rows(`update reminders set status = 'cancelled', error_message = 'the event was moved' where event_id = $1 and lead_seconds = 1800`), map[string]int{"reminder_differs": 1}},
		{"a reminder is being sent for ever", rows(`update reminders set status = 'sending', next_attempt_at = 'infinity' where event_id = $1 and lead_seconds = 1800`), map[string]int{"reminder_stuck": 1}},
		{"a reminder was being sent an hour ago", rows(`update reminders set status = 'sending', next_attempt_at = now() - interval '1 hour' where event_id = $1 and lead_seconds = 1800`), map[string]int{"reminder_stuck": 1}},
		{"a reminder is tried again in a year", rows(`update reminders set next_attempt_at = now() + interval '1 year' where event_id = $1 and lead_seconds = 1800`), map[string]int{"reminder_stuck": 1}},
		{"the event is gone", rows(`delete from events where id = $1`), map[string]int{"copy_not_buried": 1, "reminder_without_event": 3}},
		{"cancelled", rows(`update events set status = 'cancelled' where id = $1`), map[string]int{"copy_not_buried": 1, "reminder_not_wanted": 3}},
		{"another user's", func(h *harm) { h.unseen(`update events set user_id = $2 where id = $1`, h.event, h.clara) },
			map[string]int{"copy_not_buried": 1, "copy_not_recorded": 1, "reminder_differs": 3}},
		{"another title", rows(`update events set title = 'Match' where id = $1`), map[string]int{"copy_outdated": 1}},
		{"another time", rows(`update events set start_ts = start_ts + interval '90 minutes', end_ts = end_ts + interval '90 minutes' where id = $1`),
			map[string]int{"copy_outdated": 1, "reminder_not_wanted": 3, "reminder_missing": 3}},
		{"no copy is recorded", rows(`delete from reminder_worker.calendar_copies where event_id = $1`), map[string]int{"copy_not_recorded": 1}},
		{"the copy was never confirmed", rows(`update reminder_worker.calendar_copies set etag = '', content_hash = '' where event_id = $1`), map[string]int{"copy_not_recorded": 1}},
		{"the event names another copy", rows(`update events set google_calendar_id = 'another' where id = $1`), map[string]int{"copy_misnamed": 1}},
		{"the record names another copy", func(h *harm) {
			h.unseen(`update reminder_worker.calendar_copies set google_event_id = 'another' where event_id = $1`, h.event)
			h.unseen(`update events set google_calendar_id = 'another' where id = $1`, h.event)
		}, map[string]int{"copy_misnamed": 1}},
		{"a removal in no queue", rows(`with gone as (delete from events where id = $1), silent as (delete from reminders where event_id = $1)
			update reminder_worker.calendar_copies set tombstoned_at = now(), due_at = null where event_id = $1`), map[string]int{"removal_not_queued": 1}},
		{"the copy is lost", func(h *harm) { h.deleteCopy(true) }, map[string]int{"copy_missing": 1}},
		{"the copy has another title and time", func(h *harm) {
			at := time.Now().Add(72 * time.Hour).Format(time.RFC3339)
			h.edit(map[string]any{"summary": "Something else", "start": map[string]any{"dateTime": at}, "end": map[string]any{"dateTime": at}})
		}, map[string]int{"copy_differs": 1}},
		{"a twin", func(h *harm) { h.entry(h.event) }, map[string]int{"copy_twin": 1}},
		{"cancelled, and its copy forgotten", rows(`with forgotten as (delete from reminder_worker.calendar_copies where event_id = $1), silent as (delete from reminders where event_id = $1)
			update events set status = 'cancelled' where id = $1`), map[string]int{"copy_orphaned": 1}},
		{"another user's, and its copy forgotten", func(h *harm) {
			h.unseen(`with forgotten as (delete from reminder_worker.calendar_copies where event_id = $1), silent as (update reminders set user_id = $2 where event_id = $1)
				update events set user_id = $2, status = 'scheduled', google_calendar_id = null where id = $1`, h.event, h.dora)
		}, map[string]int{"copy_orphaned": 1}},

		// What may be somebody else's is told, and not mended.
		{"a copy of no event that is known", func(h *harm) { h.unclaimed(uuid.New()) }, map[string]int{"copy_unclaimed": 1}},
		{"two copies of no event that is known", func(h *harm) { id := uuid.New(); h.unclaimed(id); h.unclaimed(id) }, map[string]int{"copy_unclaimed": 2}},
		{"a copy of an event that another user has a copy of", func(h *harm) {
			h.unclaimed(one[uuid.UUID](h.world, `select id from events where user_id = $1 limit 1`, h.ben))
		}, map[string]int{"copy_unclaimed": 1}},

		// What is the user's.
		{"the user has deleted the copy", func(h *harm) { h.deleteCopy(false) }, map[string]int{"copy_deleted": 1}},
		{"the user has coloured the copy", func(h *harm) { h.edit(map[string]any{"colorId": "5", "description": "my own words"}) }, map[string]int{"copy_edited": 1}},
		{"the copy bears no mark", func(h *harm) {
			h.edit(map[string]any{"extendedProperties": map[string]any{"private": map[string]any{"reminder_worker_event": nil}}})
		}, map[string]int{"copy_unmarked": 1}},
		{"the copy has been gone for too long to tell", func(h *harm) {
			h.deleteCopy(true)
			h.unseen(`update reminder_worker.calendar_copies set written_at = now() - interval '60 days' where event_id = $1`, h.event)
			h.unseen(`update reminder_worker.google_accounts set audited_at = null where user_id = $1`, h.anna)
		}, map[string]int{"copy_unaccounted": 1}},
	}
}

// TestAuditRepairsEveryDamage does every damage at once, has it named and mended, and finds nothing left of it but entries that may be somebody
// else's: with a worker at work, and without one.
func TestAuditRepairsEveryDamage(t *testing.T) {
	t.Parallel()
	for _, worker := range []bool{true, false} {
		t.Run(map[bool]string{true: "with a worker", false: "alone"}[worker], func(t *testing.T) {
			t.Parallel()
			repairEveryDamage(t, worker)
		})
	}
}

func repairEveryDamage(t *testing.T, worker bool) {
	w := newWorld(t)
	all := damages()
	h := &harm{world: w}
	h.anna, _ = w.user()
	h.ben, _ = w.user()
	h.clara, _ = w.user()
	h.dora = one[uuid.UUID](w, `insert into auth.users (email) values ('dora@example.org') returning id`)
	_, stop := w.start()
	events := map[uuid.UUID]string{}
	var order []uuid.UUID
	for _, d := range all {
		id := w.event(h.anna, "Practice", 48*time.Hour)
		events[id] = d.name
		order = append(order, id)
	}
	w.event(h.ben, "Piano", 30*time.Hour)
	w.event(h.clara, "Swimming", 30*time.Hour)
	w.until("all are served", func() bool {
		return one[bool](w, `select not exists (select from events where status <> 'synced' or sync_lease_until is not null)`)
	})
	stop()
	dentist, err := w.google.UserInsert(h.anna.String(), map[string]any{"summary": "Dentist", "start": map[string]any{"date": "2031-03-01"}, "end": map[string]any{"date": "2031-03-02"}})
	if err != nil {
		t.Fatal(err)
	}
	wantFound(t, "before", w.audit(AuditOptions{Google: true}), map[string]int{})

	want := map[string]int{}
	for i, d := range all {
		h.event = order[i]
		d.do(h)
		for kind, n := range d.want {
			want[kind] += n
		}
	}
	before := w.versions()
	w.runsAs("postgres") // triggers are their owner's to make again
	wantFound(t, "damaged", w.audit(AuditOptions{Google: true}), want)
	if worker {
		_, stop = w.start()
	}
	report := w.audit(AuditOptions{Google: true, Repair: true})
	if n := report.Left(); n != len(h.others) {
		t.Errorf("%d findings left, want those %d that may be somebody else's", n, len(h.others))
		wantFound(t, "repairing", report, want)
	}
	left := map[string]int{"copy_unclaimed": len(h.others), "copy_deleted": 1, "copy_edited": 1, "copy_unmarked": 1, "copy_unaccounted": 1}
	wantFound(t, "repaired", w.audit(AuditOptions{Google: true}), left)
	if worker {
		stop()
	}
	after := w.versions()
	if after == before {
		t.Error("a repair has written nothing")
	}
	wantFound(t, "repaired, once more", w.audit(AuditOptions{Google: true, Repair: true}), left)
	if got := w.versions(); got != after {
		t.Errorf("a repair with nothing to repair has written rows:\n%s\n%s", after, got)
	}
	h.checkRepaired(events, dentist)
}

// versions is another one whenever a row was written.
func (w *world) versions() string {
	w.t.Helper()
	return one[string](w, `select concat_ws(' ', (select md5(string_agg(xmin::text, ' ' order by id)) from events),
		(select md5(string_agg(xmin::text, ' ' order by id)) from reminders),
		(select md5(string_agg(xmin::text, ' ' order by event_id, user_id)) from reminder_worker.calendar_copies),
		(select md5(string_agg(xmin::text, ' ' order by user_id)) from reminder_worker.google_accounts))`)
}

// checkRepaired holds the calendars and the reminders against the events, by itself.
func (h *harm) checkRepaired(names map[uuid.UUID]string, dentist string) {
	h.t.Helper()
	of := map[string][]gcalfake.Event{}
	untouched := append([]string{dentist}, h.others...)
	for _, user := range []uuid.UUID{h.anna, h.ben, h.clara} {
		for _, e := range h.live(user) {
			if i := slices.Index(untouched, e.ID); i >= 0 {
				untouched = slices.Delete(untouched, i, i+1)
			} else {
				key := e.Private["reminder_worker_event"]
				if key == "" {
					key = "unmarked"
				}
				of[key+" "+user.String()] = append(of[key+" "+user.String()], e)
			}
		}
	}
	if len(untouched) > 0 {
		h.t.Errorf("%d entries are gone that are nobody's to remove", len(untouched))
	}
	if len(of["unmarked "+h.anna.String()]) != 1 {
		h.t.Errorf("the entry without a mark was touched")
	}
	delete(of, "unmarked "+h.anna.String())
	rows, err := h.db.Query(context.Background(), `select e.id, e.user_id, e.title, e.status, e.start_ts,
		(select count(*) from reminders r where r.event_id = e.id and r.status = 'pending' and r.plan_revision is not null and r.notify_at_ts = e.start_ts - r.lead_seconds * interval '1 second')
		from events e`)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			id, user      uuid.UUID
			title, status string
			start         time.Time
			reminders     int
		)
		if err := rows.Scan(&id, &user, &title, &status, &start, &reminders); err != nil {
			h.t.Fatal(err)
		}
		h.checkEvent(names[id], of[id.String()+" "+user.String()], title, status, start, reminders)
		delete(of, id.String()+" "+user.String())
	}
	for key, left := range of {
		h.t.Errorf("%d entries are left of %s", len(left), key)
	}
	if n := one[int](h.world, `select count(*) from reminders where status = 'pending' and event_id not in (select id from events) and coalesce(next_attempt_at, notify_at_ts) > now()`); n > 0 {
		h.t.Errorf("%d reminders of no event wait", n)
	}
}

func (h *harm) checkEvent(name string, copies []gcalfake.Event, title, status string, start time.Time, reminders int) {
	h.t.Helper()
	wantCopies, wantReminders, wantStatus := 1, 3, "synced"
	switch {
	case status == "cancelled":
		wantCopies, wantReminders, wantStatus = 0, 0, status
	case name == "another user's, and its copy forgotten":
		wantCopies, wantStatus = 0, "scheduled"
	case slices.Contains([]string{"the user has deleted the copy", "the copy bears no mark", "the copy has been gone for too long to tell"}, name):
		wantCopies = 0
	}
	if strings.HasPrefix(name, "a reminder") && strings.Contains(name, "sen") || strings.Contains(name, "tried again") {
		wantReminders = reminders // may have been claimed since
	}
	if len(copies) != wantCopies || reminders != wantReminders || status != wantStatus {
		h.t.Errorf("%s: %s, %d copies, %d reminders; want %d and %d", name, status, len(copies), reminders, wantCopies, wantReminders)
	}
	for _, c := range copies {
		if c.Summary != title || !c.Start.Equal(start.Truncate(time.Second)) {
			h.t.Errorf("%s: the copy shows %q at %s, want %q at %s", name, c.Summary, c.Start, title, start)
		}
	}
}
