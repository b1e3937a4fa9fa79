package app

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

func (w *world) retry(o RetryOptions) (r RetryReport) {
	w.t.Helper()
	err := w.attend(func(a *App) (err error) { r, err = a.Retry(w.t.Context(), o); return err })
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// failed makes an event that has failed for a reason.
func (w *world) failed(user uuid.UUID, in time.Duration, why string) uuid.UUID {
	w.t.Helper()
	return one[uuid.UUID](w, `insert into events (user_id, title, start_ts, status, error_message, sync_attempts)
		values ($1, 'Recital', now() + $2::interval, 'failed', $3, 7) returning id`, user, in, why)
}

// failedReminder makes one of the app's own that has failed.
func (w *world) failedReminder(event uuid.UUID, ago time.Duration, why string) uuid.UUID {
	w.t.Helper()
	return one[uuid.UUID](w, `insert into reminders (event_id, user_id, notify_at_ts, message, status, error_message, retry_count)
		select id, user_id, now() - $2::interval, 'Pack the violin', 'failed', $3, 5 from events where id = $1 returning id`, event, ago, why)
}

const noDevice = "no device: the user has no push token registered (the app calls register_push_token)"

// What has failed is served once more by running workers, who hear of it: events as if the app had changed them, reminders as long as they are of use.
func TestRetryIsServedByWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.SweepInterval = time.Hour // what is not announced is not found
	user, _ := w.user()
	gone := w.failed(user, 5*time.Hour, "gave up after 100 attempts: google insert: status 503: backendError")
	kept := w.failed(user, 5*time.Hour, "title is empty: give the event a title")
	over := w.event(user, "Dentist", -2*time.Hour)
	useful := w.failedReminder(gone, time.Minute, noDevice)
	late := w.failedReminder(over, 3*time.Hour, noDevice)
	off := w.event(user, "Playdate", 5*time.Hour)
	w.exec(`update events set status = 'cancelled' where id = $1`, off)
	withdrawn := w.failedReminder(off, time.Minute, noDevice)
	a, _ := w.start()
	w.until("ready", a.Ready)
	w.untilStatus(over, "synced")

	before := one[string](w, `select string_agg(status || coalesce(error_message, ''), ',' order by id) from (select id, status, error_message from events union all select id, status, error_message from reminders) x`)
	r := w.retry(RetryOptions{Reason: "gave up after 3 attempts: google insert: status 503: backendError", DryRun: true})
	if r.Count(Retried) != 1 || len(r.Reasons) != 1 || !r.DryRun {
		t.Errorf("a rehearsal: %+v", r)
	}
	if after := one[string](w, `select string_agg(status || coalesce(error_message, ''), ',' order by id) from (select id, status, error_message from events union all select id, status, error_message from reminders) x`); after != before {
		t.Errorf("a rehearsal changed rows:\n%s\n%s", before, after)
	}

	r = w.retry(RetryOptions{Reason: "gave up after N attempts: google insert: status 503: backendError"})
	want := RetryReport{Reasons: []RetrySum{{Kind: "event", Reason: "gave up after N attempts: google insert: status 503: backendError", Outcomes: map[RetryOutcome]int{Retried: 1}}}}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("by reason (-want +got):\n%s", diff)
	}
	w.untilStatus(gone, "synced")
	if n := one[int](w, `select sync_attempts from events where id = $1`, gone); n != 0 {
		t.Errorf("%d attempts are still counted", n)
	}
	if status := one[string](w, `select status from events where id = $1`, kept); status != "failed" {
		t.Errorf("an event that failed for another reason is %s", status)
	}

	ids := []uuid.UUID{kept, useful, late, withdrawn, gone, uuid.MustParse("11111111-1111-4111-8111-111111111111")}
	r = w.retry(RetryOptions{Events: ids, Reminders: ids})
	got := map[uuid.UUID]string{}
	for _, i := range r.Items {
		got[i.ID] = i.Kind + " " + i.Status + " " + string(i.Outcome)
	}
	wantItems := map[uuid.UUID]string{
		kept: "event failed retried", useful: "reminder failed retried", late: "reminder failed too_late", withdrawn: "reminder failed withdrawn",
		gone: "event synced not_failed", ids[5]: "  unknown",
	}
	if diff := cmp.Diff(wantItems, got); diff != "" || len(r.Items) != len(ids) {
		t.Errorf("by id, %d items (-want +got):\n%s", len(r.Items), diff)
	}
	if r.Count(Retried) != 2 || r.Count(TooLate) != 1 || r.Count(NotFailed) != 1 || r.Count(UnknownRow) != 1 {
		t.Errorf("counts: %+v", r.Reasons)
	}
	w.until("push", func() bool { return len(w.expo.Pushes()) == 1 })
	w.until("sent", func() bool { return one[string](w, `select status from reminders where id = $1`, useful) == "sent" })
	w.untilStatus(kept, "synced")
	if r := w.retry(RetryOptions{All: true}); r.Count(Retried) != 0 || r.Count(TooLate) != 1 || r.Count(Withdrawn) != 1 {
		t.Errorf("all that is left: %+v", r)
	}
}

// More than one page, with rows that somebody is at and one that refuses: the others are retried, and the next call goes on.
func TestRetryAllInPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user()
	const many = 2*retryBatch + 17
	w.exec(`insert into events (user_id, title, start_ts, status, error_message)
		select $1, 'Practice ' || n, now() + n % 300 * interval '1 hour', 'failed', 'gave up after ' || n || ' attempts: away' from generate_series(1, $2) n`, user, many)
	w.exec(`update events set start_ts = 'infinity' where title in ('Practice 1', 'Practice 2')`)
	w.exec(`update events set status = 'failed', error_message = 'start_ts is missing or infinite: give the event a time', sync_due_at = null where status = 'pending'`)
	w.exec(`insert into events (user_id, title, start_ts, status, error_message) values ($1, 'Long ago', now() - interval '8 days', 'failed', 'away')`, user)
	w.exec(`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not this one'; end $$`)
	w.exec(`create trigger refuse before update on events for each row when (old.title = 'Practice 3') execute function refuse()`)
	tx, err := w.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `select from events where title in ('Practice 4', 'Practice 5') for update`); err != nil {
		t.Fatal(err)
	}
	r := w.retry(RetryOptions{All: true})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.Count(Retried) != many-3 || r.Count(Busy) != 2 || r.Count(Refused) != 1 {
		t.Errorf("%d retried, %d busy, %d refused of %d", r.Count(Retried), r.Count(Busy), r.Count(Refused), many)
	}
	if r = w.retry(RetryOptions{All: true}); r.Count(Retried) != 2 || r.Count(Refused) != 1 {
		t.Errorf("then %d retried, %d refused", r.Count(Retried), r.Count(Refused))
	}
	if status := one[string](w, `select status from events where title = 'Long ago'`); status != "failed" {
		t.Errorf("what began long ago is %s", status)
	}
	old := one[uuid.UUID](w, `select id from events where title = 'Long ago'`)
	if r = w.retry(RetryOptions{Events: []uuid.UUID{old}}); r.Count(Retried) != 1 {
		t.Errorf("by its id: %+v", r)
	}
}

func TestRetryOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.attend(func(a *App) error { _, err := a.Retry(t.Context(), RetryOptions{}); return err }); err == nil {
		t.Error("nothing was named, and nothing said")
	}
}

// Failures are told by their reasons, which hold nothing of a single row.
func TestFailuresByReason(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user()
	event := w.failed(user, time.Hour, "gave up after 100 attempts: google update: status 500: backendError")
	w.failed(user, 2*time.Hour, "gave up after 99 attempts: google update: status 500: backendError")
	w.failed(user, 2*time.Hour, "gave up after 99 attempts: google update: status 503: backendError")
	w.failed(user, -8*24*time.Hour, "long ago")
	for i, why := range []string{
		"no device took it: ExponentPushToken[abc…]: expo: DeviceNotRegistered: \"ExponentPushToken[abc…]\" is not a registered push token",
		"no device took it: ExponentPushToken[xyz…]: expo: DeviceNotRegistered: \"ExponentPushToken[xyz…]\" is not a registered push token; ExponentPushToken[uvw…]: expo: MessageTooBig",
		noDevice, "", // as an older service leaves it
	} {
		w.failedReminder(event, time.Duration(i)*time.Minute, why)
	}
	var got Failures
	if err := w.attend(func(a *App) (err error) { got, err = a.Failures(t.Context()); return err }); err != nil {
		t.Fatal(err)
	}
	texts := func(fs []Failure) (found []string) {
		for _, f := range fs {
			found = append(found, f.Reason)
			if f.Count < 1 || f.Example == uuid.Nil || f.Latest.IsZero() {
				t.Errorf("%+v", f)
			}
		}
		return found
	}
	if diff := cmp.Diff([]string{
		"gave up after N attempts: google update: status 500: backendError", "gave up after N attempts: google update: status 503: backendError",
	}, texts(got.Events)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	reminders := texts(got.Reminders)
	if len(reminders) != 3 || reminders[0] != `no device took it: a device: expo: DeviceNotRegistered: "a device" is not a registered push token` ||
		!slices.Contains(reminders, noDevice) || !slices.Contains(reminders, "no reason was given") {
		t.Errorf("reminders: %q", reminders)
	}
}
