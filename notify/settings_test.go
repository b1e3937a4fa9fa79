package notify

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/parentpal/reminder-worker/sql/settings"
	"github.com/parentpal/reminder-worker/sql/store"
)

// TestNeverInQuietHoursNorLate draws users, events and moments: whatever is planned and however late it comes to be sent, what is let through
// is outside of quiet hours and before the start, and what is put off comes at a moment that is. Quiet hours are judged here by the plain wall
// clock; around a change of clocks, where that clock is ambiguous, either may be right.
func TestNeverInQuietHoursNorLate(t *testing.T) {
	t.Parallel()
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana", "Pacific/Apia", "Africa/Casablanca"}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		clock := rapid.IntRange(-1, 1439)
		quiet := settings.Quiet{From: settings.Clock(clock.Draw(t, "from")), Until: settings.Clock(clock.Draw(t, "until"))}
		leads := rapid.SliceOfNDistinct(rapid.IntRange(0, 3*1440), 1, 6, rapid.ID[int]).Draw(t, "minutes")
		chosen := settings.Settings{Zone: zone, Quiet: quiet, AllDayAt: settings.Clock(clock.Draw(t, "all day at"))}
		for _, m := range leads {
			chosen.Leads = append(chosen.Leads, time.Duration(m)*time.Minute)
		}
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 365*1440).Draw(t, "start")) * time.Minute)
		late := time.Duration(rapid.IntRange(0, 30*3600).Draw(t, "late")) * time.Second
		for _, a := range chosen.Alerts(start, start.Add(time.Hour), true) {
			row := store.ClaimRemindersRow{
				NotifyAtTs: a.At, HasStart: true, StartTs: start, Deadline: start, Planned: true, QuietFrom: int32(quiet.From), QuietUntil: int32(quiet.Until),
			}
			judgeCalm(t, row, a.At.Add(late), zone, quiet)
		}
	})
}

// judgeCalm follows one reminder from the moment it is claimed at.
func judgeCalm(t *rapid.T, row store.ClaimRemindersRow, now time.Time, zone *time.Location, quiet settings.Quiet) {
	until := row.Deadline
	if !now.Before(until) {
		return // the claim calls it expired
	}
	next, v := calm(row, now, until, zone)
	switch v.status {
	case "":
		if isQuiet(now, zone, quiet) && !nearChange(now, zone) {
			t.Fatalf("sent at %s, within quiet hours %s", now.In(zone), quiet)
		}
		if !next.IsZero() && (!next.After(now) || !isQuiet(next, zone, quiet) && !nearChange(next, zone)) {
			t.Fatalf("sent at %s until %s, where no quiet hours begin", now.In(zone), next.In(zone))
		}
	case reminderPending:
		again := now.Add(v.retry)
		if !again.Before(until.Add(time.Millisecond)) || isQuiet(again, zone, quiet) && !nearChange(again, zone) {
			t.Fatalf("put off from %s to %s; quiet hours %s, event at %s", now.In(zone), again.In(zone), quiet, until.In(zone))
		}
	}
}

func isQuiet(t time.Time, zone *time.Location, q settings.Quiet) bool {
	t = t.In(zone)
	minute := settings.Clock(t.Hour()*60 + t.Minute())
	switch {
	case q.From < 0 || q.Until < 0 || q.From == q.Until:
		return false
	case q.From < q.Until:
		return q.From <= minute && minute < q.Until
	}
	return minute >= q.From || minute < q.Until
}

// nearChange reports whether clocks change within a day of t: a period may begin or end with the jump then, or take in an hour that comes twice.
func nearChange(t time.Time, zone *time.Location) bool {
	_, a := t.Add(-25 * time.Hour).In(zone).Zone()
	_, b := t.Add(25 * time.Hour).In(zone).Zone()
	_, c := t.In(zone).Zone()
	return a != b || a != c
}

// TestSettingsAreKept sends for many users at once, of whom it is quiet hours for some right now, or will be in a second, or who have turned
// push off; with events that begin while they wait, or have been dismissed. Every push is held against the rows afterwards, by the database's
// own reckoning.
func TestSettingsAreKept(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t)
	w.cfg.Batch = 20
	zones := []string{"UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata", "Pacific/Auckland"}
	const users = 300
	base := time.Now().Add(time.Hour) // moved to now when all are made
	for range users {
		user, _ := w.user(1)
		zone := zones[rnd.IntN(len(zones))]
		// Quiet hours whose edge is within an hour of now, on either side, or none; by whole minutes, as they are set.
		w.exec(`insert into notification_settings (user_id, push_enabled, time_zone, quiet_from, quiet_until)
			select $1, $2, $3, case when $4 <> 0 then t.at end, case when $4 <> 0 then t.at + $4 * interval '1 minute' end
			from (select date_trunc('minute', (now() at time zone $3) + $5 * interval '1 minute')::time as at) t`,
			user, rnd.IntN(8) > 0, zone, []int{0, 45, 600}[rnd.IntN(3)], rnd.IntN(121)-60)
		in := time.Duration(200+rnd.IntN(1500)) * time.Millisecond
		event := w.event(user, time.Until(base)+[]time.Duration{in, in + 100*time.Millisecond, in + time.Second, 20 * time.Minute, 5 * time.Hour}[rnd.IntN(5)])
		id := w.planned(event, time.Until(base)+in)
		if rnd.IntN(4) == 0 {
			w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) select event_id, user_id, notify_at_ts - interval '100 milliseconds', 'own' from reminders where id = $1`, id)
		}
		if rnd.IntN(8) == 0 {
			w.exec(`update events set dismissed_for_ts = start_ts where id = $1`, event)
		}
	}
	left := time.Until(base)
	for _, sql := range []string{
		`update events set start_ts = start_ts - $1::interval, dismissed_for_ts = dismissed_for_ts - $1::interval`,
		`update reminders set notify_at_ts = notify_at_ts - $1::interval, planned_for_ts = planned_for_ts - $1::interval`,
		`update events set status = 'synced' where $1::interval is not null`,
	} {
		w.exec(sql, left)
	}
	s, _ := w.start()
	w.sweep(s)
	// All are done but those that wait for the end of quiet hours.
	w.untilTrue(finished)
	counts := map[string]int{}
	for _, p := range w.expo.Pushes() {
		id, err := uuid.Parse(p.CollapseID)
		if err != nil {
			t.Fatal(err)
		}
		if counts[p.CollapseID]++; counts[p.CollapseID] > 1 {
			t.Errorf("reminder %s was sent twice", id)
		}
		if wrong := one[string](w, wrongPush, id, p.FirstByte); wrong != "" {
			t.Errorf("reminder %s was sent: %s", id, wrong)
		}
	}
	w.same("reminders that should have been sent and were not", "", neglected)
	t.Log(one[string](w, `select string_agg(format('%s %s', n, why), ', ') from (
		select count(*) as n, status || coalesce(': ' || left(error_message, 40), '') as why from reminders group by 2 order by 1 desc) s`))
	if len(counts) < users/10 {
		t.Errorf("only %d were sent", len(counts))
	}
}

// quietAt is whether a moment is in the user's quiet hours, by the clock of their zone.
const quietAt = `case
	when n.quiet_from is null or n.quiet_from = n.quiet_until then false
	when n.quiet_from < n.quiet_until then (%[1]s at time zone n.time_zone)::time >= n.quiet_from and (%[1]s at time zone n.time_zone)::time < n.quiet_until
	else (%[1]s at time zone n.time_zone)::time >= n.quiet_from or (%[1]s at time zone n.time_zone)::time < n.quiet_until end`

// The first byte is read by the stand-in a moment after it was written: a millisecond or a few, on the same machine.
var wrongPush = `select concat_ws(', ', case when not n.push_enabled then 'push is off' end,
		case when $2::timestamptz - interval '50 milliseconds' > e.start_ts and r.notify_at_ts < e.start_ts then 'after the start' end,
		case when r.plan_revision is not null and e.dismissed_for_ts = e.start_ts then 'dismissed' end,
		case when ` + fmt.Sprintf(quietAt, `($2::timestamptz - interval '50 milliseconds')`) + ` and ` + fmt.Sprintf(quietAt, `$2::timestamptz`) + ` then 'in quiet hours' end)
	from reminders r join events e on e.id = r.event_id join notification_settings n on n.user_id = r.user_id where r.id = $1`

var neglected = `select coalesce(string_agg(concat_ws(' ', r.id, r.status, r.error_message), ', '), '')
	from reminders r join events e on e.id = r.event_id join notification_settings n on n.user_id = r.user_id
	where r.status <> 'sent' and n.push_enabled and e.start_ts > now() + interval '10 minutes'
		and not (r.plan_revision is not null and e.dismissed_for_ts is not null)
		and not (` + fmt.Sprintf(quietAt, `r.notify_at_ts`) + `) and not (` + fmt.Sprintf(quietAt, `(r.notify_at_ts + interval '30 seconds')`) + `)`

// All come due within seconds, so what is left waits for the end of its user's quiet hours.
var finished = `not exists (
	select from reminders r join notification_settings n on n.user_id = r.user_id
	where r.status = 'sending' or r.status = 'pending' and not (` + fmt.Sprintf(quietAt, `now()`) + `))`

// A reminder that waits for the end of quiet hours comes as soon as the user gives them up.
func TestQuietHoursGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user(1)
	w.exec(`insert into notification_settings (user_id, time_zone, quiet_from, quiet_until) values ($1, 'UTC', (now() at time zone 'UTC' - interval '1 hour')::time, (now() at time zone 'UTC' + interval '2 hours')::time)`, user)
	id := w.own(user, 0)
	s, _ := w.start()
	w.untilTrue(`status = 'pending' and next_attempt_at > now() + interval '1 hour' from reminders where id = $1`, id)
	if s.Waiting() != 0 {
		t.Errorf("%d are in the wheel, beyond its window", s.Waiting())
	}
	w.exec(`update notification_settings set quiet_from = null`)
	s.Look(Changes)
	w.untilStatus(id, "sent")
	if got := w.reminder(id); got != sentAtOnce {
		t.Errorf("reminder is %s", got)
	}
}
