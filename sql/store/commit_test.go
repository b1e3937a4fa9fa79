package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/store"
)

func TestCommitPlansAddsAndAnswers(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.eventAt(b.user(), startOf(2*day))
	row := b.claimEvent()
	p := new(plan).event(row).before(row, day, 3*hour, hour)
	p.Statuses[0], p.Reasons[0] = "skipped", "already past"
	rows := b.commit(p)
	if !held(rows)[row.ID] || len(armed(rows)) != 2 {
		t.Errorf("answered %+v, want the event and its two pending reminders", rows)
	}
	got := list[string](b, `select concat_ws(' ', r.status, lead_seconds, plan_revision, planned_for_ts = start_ts, r.error_message)
		from reminders r join events e on e.id = r.event_id order by notify_at_ts`)
	want := []string{"skipped 86400 1 t already past", "pending 10800 1 t", "pending 3600 1 t"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reminders (-want +got):\n%s", diff)
	}
	if again := b.commit(p); len(armed(again)) != 0 || !held(again)[row.ID] {
		t.Errorf("planning the same again changed %d reminders", len(armed(again)))
	}
}

func TestCommitPlansIsFenced(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]string{
		"changed":          `update events set title = 'Match'`,
		"moved":            `update events set start_ts = start_ts + interval '1 hour'`,
		"cancelled":        `update events set status = 'cancelled'`,
		"given away":       `update events set user_id = (select id from auth.users where email = 'other@example.org')`,
		"deleted":          `delete from events`,
		"held by another":  `update events set sync_lease_until = now() + interval '2 minutes'`,
		"held by no one":   `update events set sync_lease_until = null`,
		"changed and back": `update events set title = 'Match'; update events set title = 'Practice'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBase(t)
			b.exec(`insert into auth.users (email) values ('other@example.org')`)
			b.event(b.user(), day)
			row := b.claimEvent()
			if _, err := b.db.Connect(t).Exec(t.Context(), meanwhile); err != nil {
				t.Fatal(err)
			}
			if rows := b.commit(new(plan).event(row).before(row, hour).copied("g")); len(rows) != 0 {
				t.Errorf("a stale plan counted: %+v", rows)
			}
			if n := ask[int](b, `select count(*) from reminders`) + ask[int](b, `select count(*) from reminder_worker.calendar_copies`); n != 0 {
				t.Errorf("a stale plan left %d rows", n)
			}
		})
	}
}

func TestGiveBackEvents(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	id := b.event(b.user(), day)
	row := b.claimEvent()
	b.exec(`update events set title = 'Match'`)
	arg := store.GiveBackEventsParams{EventIds: []uuid.UUID{id}, Revisions: []int64{row.SyncRevision}, Leases: []time.Time{row.LeaseUntil}}
	if locked, err := b.q.GiveBackEvents(t.Context(), arg); err != nil || len(locked) != 0 {
		t.Fatal(locked, err)
	}
	again := b.claimEvent()
	if again.Title != "Match" || again.SyncRevision != row.SyncRevision+1 {
		t.Errorf("claimed %q at revision %d", again.Title, again.SyncRevision)
	}
	if locked, err := b.q.GiveBackEvents(t.Context(), arg); err != nil || len(locked) != 0 {
		t.Fatal(locked, err)
	}
	if rows := b.claimEvents(); len(rows) != 0 {
		t.Error("who held it before gave back the claim of another")
	}
}

func TestPlanningLeavesTheAppsRemindersAlone(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user()
	start := startOf(2 * day)
	id := b.eventAt(user, start)
	b.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) values ($1, $2, $3, 'mine')`, id, user, start.Add(-hour))
	b.custom(id, user, hour)
	const mine = `select concat_ws(' ', message, status, notify_at_ts, plan_revision, planned_for_ts, changed_xid) from reminders where plan_revision is null order by notify_at_ts`
	before := list[string](b, mine)
	b.settled(day, hour) // one at the same instant
	b.exec(`update events set start_ts = start_ts + interval '3 hours'`)
	b.settled(day)
	b.exec(`update events set status = 'cancelled'`)
	b.settled()
	if diff := cmp.Diff(before, list[string](b, mine)); diff != "" {
		t.Errorf("the app's own reminders changed (-before +after):\n%s", diff)
	}
	if n := ask[int](b, `select count(*) from reminders where plan_revision is not null and notify_at_ts = $1`, start.Add(-hour)); n != 0 {
		t.Error("a second reminder was planned for the instant of the app's own")
	}
}

func TestMovedThereAndBack(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	start := startOf(2 * day)
	b.eventAt(b.user(), start)
	b.settled(day, hour)
	const states = `select concat_ws(' ', status, error_message) from reminders order by notify_at_ts`
	first := list[uuid.UUID](b, `select id from reminders order by notify_at_ts`)
	b.exec(`update reminders set status = 'sending', retry_count = 2 where id = $1`, first[1])
	b.exec(`update reminders set status = 'pending', next_attempt_at = now() where id = $1`, first[1]) // a retry is under way
	b.exec(`update events set start_ts = $1`, start.Add(5*hour))
	b.settled(day, hour)
	want := []string{"cancelled the event was moved", "pending", "cancelled the event was moved", "pending"}
	if diff := cmp.Diff(want, list[string](b, states)); diff != "" {
		t.Errorf("after the move (-want +got):\n%s", diff)
	}
	b.exec(`update events set start_ts = $1`, start)
	row := b.claimEvent()
	rows := b.commit(new(plan).event(row).before(row, day, hour))
	if diff := cmp.Diff(2, len(armed(rows))); diff != "" {
		t.Errorf("armed after moving back (-want +got):\n%s", diff)
	}
	want = []string{"pending", "cancelled the event was moved", "pending", "cancelled the event was moved"}
	if diff := cmp.Diff(want, list[string](b, states)); diff != "" {
		t.Errorf("after moving back (-want +got):\n%s", diff)
	}
	if ask[bool](b, `select retry_count <> 0 or next_attempt_at is not null from reminders where id = $1`, first[1]) {
		t.Error("a revived reminder remembers its attempts")
	}
}

func TestSentRemindersStay(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.eventAt(b.user(), startOf(2*day))
	b.settled(day, hour)
	b.exec(`update reminders set status = 'sent', sent_at_ts = now() where lead_seconds = 86400`)
	b.exec(`update events set title = 'Match'`)
	b.settled(day, hour)
	b.exec(`update events set status = 'cancelled'`)
	b.settled()
	got := list[string](b, `select concat_ws(' ', lead_seconds, status, sent_at_ts is not null) from reminders order by notify_at_ts`)
	if diff := cmp.Diff([]string{"86400 sent t", "3600 cancelled f"}, got); diff != "" {
		t.Errorf("reminders (-want +got):\n%s", diff)
	}
}

func TestPlansFollowTheUser(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	id := b.event(b.user(), 2*day)
	b.settled(day)
	other := b.user()
	b.exec(`update events set user_id = $1`, other)
	b.settled(day)
	if got := ask[uuid.UUID](b, `select user_id from reminders where event_id = $1`, id); got != other {
		t.Error("the reminder still belongs to the former user")
	}
}

func TestPlanningMakesNoTwinsWithoutTheConstraint(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.exec(`alter table reminders drop constraint reminders_event_id_notify_at_ts_key`)
	b.event(b.user(), 2*day)
	b.settled(day, hour)
	b.exec(`update events set title = 'Match'`)
	b.settled(day, hour)
	if n := ask[int](b, `select count(*) from reminders`); n != 2 {
		t.Errorf("%d reminders, want 2", n)
	}
}

// What the user has dismissed is planned as skipped, and comes again when the event is moved.
func TestDismissedIsPlannedAsSkipped(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.eventAt(b.user(), startOf(2*day))
	b.exec(`update events set dismissed_for_ts = start_ts`)
	row := b.claimEvent()
	if got := armed(b.commit(new(plan).event(row).before(row, hour))); len(got) != 0 {
		t.Errorf("%d reminders are armed", len(got))
	}
	const state = `select concat_ws(' ', status, error_message) from reminders order by notify_at_ts`
	if diff := cmp.Diff([]string{"skipped dismissed by the user"}, list[string](b, state)); diff != "" {
		t.Errorf("reminders (-want +got):\n%s", diff)
	}
	b.record(synced("synced", row))
	b.exec(`update events set start_ts = start_ts + interval '1 hour'`)
	b.settled(hour)
	if diff := cmp.Diff([]string{"skipped dismissed by the user", "pending"}, list[string](b, state)); diff != "" {
		t.Errorf("reminders after the move (-want +got):\n%s", diff)
	}
}

// A change of when (quiet hours, a zone) moves what has not gone out, and does not send again what has.
func TestOtherTimesWanted(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.eventAt(b.user(), startOf(2*day))
	b.settled(day, hour)
	b.exec(`update reminders set status = 'sent' where lead_seconds = 86400`)
	b.exec(`update events set status = 'pending'`)
	row := b.claimEvent()
	p := new(plan).event(row).before(row, day, hour)
	p.NotifyAts[0], p.NotifyAts[1] = p.NotifyAts[0].Add(time.Hour), p.NotifyAts[1].Add(-time.Hour)
	p.WithdrawReasons[0] = ""
	b.commit(p)
	got := list[string](b, `select concat_ws(' ', lead_seconds, start_ts - notify_at_ts, r.status, r.error_message) from reminders r join events e on e.id = event_id order by notify_at_ts`)
	want := []string{"86400 1 day sent", "3600 02:00:00 pending", "3600 01:00:00 cancelled other times are wanted since"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reminders (-want +got):\n%s", diff)
	}
}

// A reminder that was put off before it came does not come back when the event is edited.
func TestPutOffStaysSo(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user()
	event := b.eventAt(user, startOf(2*day))
	b.settled(hour)
	b.exec(`select set_config('request.jwt.claims', json_build_object('sub', $1::text)::text, false), public.snooze_reminder((select id from reminders), minutes => 10)`, user)
	b.exec(`update events set title = 'Match' where id = $1`, event)
	b.settled(hour)
	got := list[string](b, `select concat_ws(' ', status, left(error_message, 7), snoozed_from is not null) from reminders order by notify_at_ts`)
	if diff := cmp.Diff([]string{"pending t", "skipped put off f"}, got); diff != "" {
		t.Errorf("reminders (-want +got):\n%s", diff)
	}
}

// TestCommitAfterTheLease: a worker that was held up for longer than its claim, which nobody has taken since, may not go on as if it had it.
func TestCommitAfterTheLease(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.event(b.user(), day)
	row := b.claimEvent()
	b.exec(`update events set sync_lease_until = now() - interval '1 second'`)
	row.LeaseUntil = ask[time.Time](b, `select sync_lease_until from events`)
	if rows := b.commit(new(plan).event(row).before(row, hour)); len(rows) != 0 {
		t.Errorf("the plan counts: %+v", rows)
	}
}

// TestCommitForWhoHasLeft: a user leaves between claim and plan. No copy is noted, and none written with what was known of the account.
func TestCommitForWhoHasLeft(t *testing.T) {
	t.Parallel()
	for state, counts := range map[string]bool{"connected": true, "leaving": false, "off": false} {
		b := newBase(t)
		user := b.user()
		b.exec(`select reminder_worker.put_google_account($1, 'token')`, user)
		b.event(user, day)
		row := b.claimEvent()
		b.exec(`update reminder_worker.google_accounts set state = $1`, state)
		if rows := b.commit(new(plan).event(row).copied("g")); (len(rows) > 0) != counts {
			t.Errorf("%s: the plan counts: %v", state, len(rows) > 0)
		}
		if rows := b.commit(new(plan).event(row).before(row, hour)); len(rows) == 0 {
			t.Errorf("%s: a plan without a copy does not count", state)
		}
	}
}
