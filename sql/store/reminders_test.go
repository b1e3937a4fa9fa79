package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/parentpal/reminder-worker/sql/store"
)

// overdue makes a settled event whose planned reminders were due ago before now; it begins in an hour.
func (b *base) overdue(user uuid.UUID, ago ...time.Duration) (event uuid.UUID, reminders []uuid.UUID) {
	b.t.Helper()
	start := startOf(hour)
	event = b.eventAt(user, start)
	leads := make([]time.Duration, len(ago))
	for i, d := range ago {
		leads[i] = hour + d
	}
	b.settled(leads...)
	return event, list[uuid.UUID](b, `select id from reminders where event_id = $1 order by notify_at_ts`, event)
}

func TestClaimRemindersIsExclusive(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user("ExponentPushToken[a]")
	event := b.event(user, day)
	b.exec(`insert into reminders (event_id, user_id, notify_at_ts) select $1, $2, now() - n * interval '1 second' from generate_series(1, 500) n`, event, user)
	ids := list[uuid.UUID](b, `select id from reminders`)
	var mu sync.Mutex
	seen := map[uuid.UUID]int{}
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			rows, err := b.q.ClaimReminders(t.Context(), store.ClaimRemindersParams{Ids: ids, SlackMs: 20, LeaseMs: lease.Milliseconds()})
			mu.Lock()
			defer mu.Unlock()
			for _, r := range rows {
				seen[r.ID]++
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("reminder %s was claimed %d times", id, n)
		}
	}
	if len(seen) != len(ids) {
		t.Errorf("claimed %d of %d reminders", len(seen), len(ids))
	}
}

// What comes due soon is claimed ahead of its time, and told when that is; another's claim is not, however soon it ends.
func TestClaimAheadOfTime(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user("ExponentPushToken[a]")
	event := b.event(user, day)
	soon, held, later := b.custom(event, user, 5*time.Minute), b.custom(event, user, -time.Second), b.custom(event, user, 2*hour)
	b.exec(`update reminders set status = 'sending', next_attempt_at = now() + interval '5 minutes' where id = $1`, held)
	rows := must[[]store.ClaimRemindersRow](t)(b.q.ClaimReminders(b.ctx(), store.ClaimRemindersParams{
		Ids: []uuid.UUID{soon, held, later}, SlackMs: 20, AheadMs: hour.Milliseconds(), LeaseMs: lease.Milliseconds(),
	}))
	if len(rows) != 1 || rows[0].ID != soon || !rows[0].DueAt.Equal(rows[0].NotifyAtTs) {
		t.Errorf("claimed %v, want %s alone, at its time", rows, soon)
	}
	waits := must[[]store.UnclaimedRemindersRow](t)(b.q.UnclaimedReminders(b.ctx(), []uuid.UUID{held, later}))
	for _, w := range waits {
		if w.Claimed != (w.ID == held) {
			t.Errorf("%s is claimed: %v", w.ID, w.Claimed)
		}
	}
	if len(waits) != 2 {
		t.Errorf("%d wait, want 2", len(waits))
	}
}

// Claims that end with no result use no attempt and fail nothing, however many. From the third on the reminder rests: a lease, give or take a half, then twice
// as long each time, and no longer than may be. The last claim comes some leases before the event begins.
func TestLostClaims(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user("ExponentPushToken[a]")
	const short, longest = 15 * time.Second, 30 * time.Minute
	for left, want := range map[time.Duration][2]int{time.Minute: {3, 4}, 30 * time.Minute: {8, 13}, 3 * hour: {11, 21}, day: {45, 75}} { // there is chance in it
		event := b.event(user, left)
		id := b.custom(event, user, 0)
		claim := func() store.ClaimRemindersRow {
			rows := must[[]store.ClaimRemindersRow](t)(b.q.ClaimReminders(b.ctx(), store.ClaimRemindersParams{
				Ids: []uuid.UUID{id}, SlackMs: 20, LeaseMs: short.Milliseconds(), RestMaxMs: longest.Milliseconds(),
			}))
			if len(rows) != 1 {
				t.Fatalf("claimed %d", len(rows))
			}
			return rows[0]
		}
		claims, rests, last := 0, 0, left
		for row := claim(); row.Status != "expired"; row = claim() {
			pause := time.Until(row.Lease)
			switch row.Status {
			case "sending":
				claims++
				last = time.Until(row.StartTs)
			case "pending":
				usual := min(short<<min(rests, 20), longest)
				if rests++; pause > usual*3/2+time.Second || pause < usual/2-time.Second && time.Until(row.StartTs) > pause+5*short {
					t.Errorf("%s: rest %d is %s, want about %s", left, rests, pause, usual)
				}
				if lost := ask[int](b, `select lost_claims from reminders where id = $1`, id); lost != claims {
					t.Fatalf("%s: %d lost claims are noted after %d", left, lost, claims)
				}
			default:
				t.Fatalf("%s: %s after %d claims", left, row.Status, claims)
			}
			if row.RetryCount != 0 || claims > 100 {
				t.Fatalf("%s: %d claims, %d retries", left, claims, row.RetryCount)
			}
			// So much time passes.
			b.exec(`update events set start_ts = start_ts - $2::interval where id = $1`, event, pause)
			b.exec(`update reminders set notify_at_ts = notify_at_ts - $2::interval, next_attempt_at = clock_timestamp() where id = $1`, id, pause)
		}
		if claims < want[0] || claims > want[1] {
			t.Errorf("%s: %d claims, want %v", left, claims, want)
		}
		if left > time.Minute && (last < short || last > 5*short) {
			t.Errorf("%s: the last claim came %s before the event", left, last)
		}
		if _, reason := b.statusOf(id); !strings.Contains(reason, fmt.Sprintf("begun before the reminder could be sent: claimed %d times with no result", claims)) && left > time.Minute {
			t.Errorf("%s: reason %q", left, reason)
		}
		t.Logf("%s: %d claims, %d rests, the last claim %s before the event", left, claims, rests, last.Round(time.Second))
	}
}

// Reminders whose claims were lost together part, a result and whoever asks anew end the count, and what comes at no time has failed.
func TestLostClaimsAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user("ExponentPushToken[a]")
	event := b.event(user, day)
	one, other := b.custom(event, user, -time.Second), b.custom(event, user, -time.Second)
	lose := func(n int) map[uuid.UUID]store.ClaimRemindersRow {
		b.exec(`update reminders set status = 'sending', next_attempt_at = now(), lost_claims = $1 where status <> 'sent'`, n-1)
		return b.claimReminders(one, other)
	}
	if rows := lose(3); rows[one].Status != "pending" || rows[other].Status != "pending" || rows[one].Lease.Equal(rows[other].Lease) {
		t.Errorf("%v: want both to rest, and not for the same time", rows)
	}
	lost := func(id uuid.UUID) int {
		return ask[int](b, `select coalesce(lost_claims, 0) from reminders where id = $1`, id)
	}
	rows := lose(2)
	if lost(one) != 2 || lost(other) != 2 {
		t.Fatalf("%d and %d lost claims are noted, want 2", lost(one), lost(other))
	}
	for id, status := range map[uuid.UUID]string{one: "sent", other: "pending"} {
		b.push(new(pushed).reminder(rows[id], status))
		if lost(id) != 0 {
			t.Errorf("%d lost claims are noted after the result %s", lost(id), status)
		}
	}
	b.exec(`update reminders set lost_claims = 7`)
	b.exec(`update reminders set status = 'pending' where id = $1`, one) // it was sent: the app asks anew
	if lost(one) != 0 {
		t.Errorf("%d lost claims are noted of a reminder that is asked for anew", lost(one))
	}
	b.exec(`update reminders set status = 'sending', lost_claims = 2, next_attempt_at = now(), notify_at_ts = 'infinity' where id = $1`, other)
	b.exec(`update events set start_ts = 'infinity'`)
	if row := b.claimReminders(other)[other]; row.Status != "failed" {
		t.Errorf("what comes at no time is %s", row.Status)
	}
	if _, reason := b.statusOf(other); !strings.Contains(reason, "claimed 3 times with no result") {
		t.Errorf("reason %q", reason)
	}
}

func TestNotYetDueIsNotClaimed(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user("ExponentPushToken[a]")
	if rows := b.claimReminders(b.custom(b.event(user, day), user, hour)); len(rows) != 0 {
		t.Error("claimed a reminder an hour early")
	}
}

func TestOverdueRemindersFoldIntoTheNewest(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	event, ids := b.overdue(b.user("ExponentPushToken[a]"), 3*hour, 2*hour, time.Minute)
	own := b.custom(event, ask[uuid.UUID](b, `select user_id from events`), -time.Second)
	rows := b.claimReminders(append(ids, own)...)
	got := []string{rows[ids[0]].Status, rows[ids[1]].Status, rows[ids[2]].Status, rows[own].Status}
	if diff := cmp.Diff([]string{"skipped", "skipped", "sending", "sending"}, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}

func TestOldRetryFoldsIntoOneThatIsOut(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"sending", "sent"} {
		b := newBase(t)
		_, ids := b.overdue(b.user("ExponentPushToken[a]"), 2*hour, time.Minute)
		b.exec(`update reminders set status = $2 where id = $1`, ids[1], state)
		if got := b.claimReminders(ids[0])[ids[0]].Status; got != "skipped" {
			t.Errorf("a reminder older than one that is %s became %s", state, got)
		}
	}
}

func TestExpiredOrNot(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user("ExponentPushToken[a]")
	begun, ahead := b.event(user, -hour), b.event(user, hour)
	for name, c := range map[string]struct {
		event uuid.UUID
		in    time.Duration
		want  string
	}{
		"before a start that is past":      {begun, -2 * hour, "expired"},
		"before a start to come":           {ahead, -2 * hour, "sending"},
		"after the start, on purpose":      {begun, -time.Minute, "sending"},
		"after the start, a long time":     {b.event(user, -3*day), -2 * day, "expired"},
		"long ago, for a start to come":    {ahead, -30 * day, "sending"},
		"so early that nobody can mean it": {begun, -9000 * day, "expired"},
	} {
		id := b.custom(c.event, user, c.in)
		if got := b.claimReminders(id)[id].Status; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestStaleReminderIsLeftToPlanningThenPutAway(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	_, ids := b.overdue(b.user("ExponentPushToken[a]"), time.Minute)
	claimed := b.claimReminders(ids...)
	b.exec(`update events set start_ts = start_ts + interval '1 day'`)
	b.exec(`update reminders set next_attempt_at = now() - interval '1 second'`) // who held it died
	if rows := b.claimReminders(ids...); len(rows) != 0 {
		t.Fatalf("a moved event's reminder was claimed: %+v", rows)
	}
	due := store.DueRemindersParams{GraceMs: 0, MaxRows: 10}
	if left := must[[]uuid.UUID](t)(b.q.DueReminders(t.Context(), due)); len(left) != 0 {
		t.Error("the sweep found what waits for planning")
	}
	b.settled() // planning cannot withdraw a reminder that is being sent
	if left := must[[]uuid.UUID](t)(b.q.DueReminders(t.Context(), due)); len(left) != 1 {
		t.Error("the sweep did not find what planning has left behind")
	}
	if got := b.claimReminders(ids...)[ids[0]].Status; got != "cancelled" || len(claimed) != 1 {
		t.Errorf("status %s, want cancelled", got)
	}
	if _, reason := b.statusOf(ids[0]); reason != "the event was moved" {
		t.Errorf("reason %q", reason)
	}
}

func TestReminderOfACancelledOrMissingEvent(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	event, ids := b.overdue(b.user("ExponentPushToken[a]"), time.Minute)
	b.exec(`update events set status = 'cancelled'`)
	if got := b.claimReminders(ids...)[ids[0]].Status; got != "cancelled" {
		t.Errorf("cancelled event: %s", got)
	}
	b.exec(`alter table reminders drop constraint reminders_event_id_fkey`) // as an adopted table may be
	b.exec(`update reminders set status = 'pending'`)
	b.exec(`delete from events where id = $1`, event)
	if got := b.claimReminders(ids...)[ids[0]].Status; got != "cancelled" {
		t.Errorf("missing event: %s", got)
	}
}

func TestAddressees(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user, nobody := b.user("ExponentPushToken[1]", "ExponentPushToken[2]", "ExponentPushToken[gone]"), b.user()
	b.exec(`update reminder_worker.push_devices set retired_at = now() where token like '%gone%'`)
	event := b.event(user, day)
	devices, none := b.custom(event, user, -time.Minute), b.custom(event, nobody, -time.Second)
	own := ask[uuid.UUID](b, `insert into reminders (event_id, user_id, notify_at_ts, push_token)
		values ($1, $2, now() - interval '2 seconds', 'ExponentPushToken[own]') returning id`, event, nobody)
	rows := b.claimReminders(devices, none, own)
	if diff := cmp.Diff([]string{"ExponentPushToken[1]", "ExponentPushToken[2]"}, rows[devices].Tokens); diff != "" {
		t.Errorf("a user's devices (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"ExponentPushToken[own]"}, rows[own].Tokens); diff != "" {
		t.Errorf("the row's own token (-want +got):\n%s", diff)
	}
	if _, reason := b.statusOf(none); rows[none].Status != "failed" ||
		reason != "no device: the user has no push token registered (the app calls register_push_token)" {
		t.Errorf("no device: %s, %q", rows[none].Status, reason)
	}
}

// many are tokens of a user who registers devices without end.
func many(from, to int) (tokens []string) {
	for n := from; n <= to; n++ {
		tokens = append(tokens, fmt.Sprintf("ExponentPushToken[%03d]", n))
	}
	return tokens
}

func TestOnlyTheMostRecentDevicesAreAddressed(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user()
	b.exec(`insert into reminder_worker.push_devices (user_id, token, registered_at) select $1, token, now() - interval '1 hour' + nr * interval '1 second'
		from unnest($2::text[]) with ordinality t (token, nr)`, user, many(1, 100))
	id := b.custom(b.event(user, day), user, -time.Minute)
	row := b.claimReminders(id)[id]
	if diff := cmp.Diff(many(81, 100), row.Tokens); diff != "" {
		t.Errorf("addressed (-want +got):\n%s", diff)
	}
	p := new(pushed).reminder(row, "pending")
	for _, token := range many(82, 100) {
		p.to(row, token, "accepted", false)
	}
	b.push(p)
	if diff := cmp.Diff(many(81, 81), b.claimReminders(id)[id].Tokens); diff != "" {
		t.Errorf("the next attempt goes to (-want +got):\n%s", diff)
	}
}

func TestRegisteringRetiresTheOldestDevices(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user(many(1, 25)...)
	other := b.user("ExponentPushToken[other]")
	live := func() []string {
		return list[string](b, `select token from reminder_worker.push_devices where user_id = $1 and retired_at is null order by token`, user)
	}
	if diff := cmp.Diff(many(6, 25), live()); diff != "" {
		t.Errorf("live (-want +got):\n%s", diff)
	}
	if n := ask[int](b, `select count(*) from reminder_worker.push_devices where retired_reason = 'the user has registered 20 other devices since'`); n != 5 {
		t.Errorf("%d say why they are retired, want 5", n)
	}
	b.exec(`select reminder_worker.put_push_device($1, 'ExponentPushToken[002]', 'ios')`, user) // in use again
	if diff := cmp.Diff(append(many(2, 2), many(7, 25)...), live()); diff != "" {
		t.Errorf("live after an old one came back (-want +got):\n%s", diff)
	}
	tx := b.begin() // one instant for all of them
	for _, token := range append(many(101, 130), "ExponentPushToken[other]") {
		in(t, tx, `select reminder_worker.put_push_device($1, $2, 'ios')`, user, token)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := live(); len(got) != 20 || got[19] != "ExponentPushToken[other]" {
		t.Errorf("%d are live, want 20, the last one among them: %v", len(got), got)
	}
	if n := ask[int](b, `select count(*) from reminder_worker.push_devices where user_id = $1`, other); n != 0 {
		t.Error("a token belongs to two users")
	}
}

// TestRegistrationsDoNotWaitForEachOther registers while another registration of an old device is open.
func TestRegistrationsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	b, ctx := newBase(t), impatient(t)
	user := b.user(many(1, 20)...)
	tx := b.begin()
	in(t, tx, `select reminder_worker.put_push_device($1, $2, 'ios')`, user, many(1, 1)[0])
	if _, err := b.db.Pool.Exec(ctx, `select reminder_worker.put_push_device($1, $2, 'ios')`, user, many(21, 21)[0]); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if ask[bool](b, `select retired_at is not null from reminder_worker.push_devices where token = $1`, many(1, 1)[0]) {
		t.Error("a device that has just been registered again was retired")
	}
}

func TestUnclaimedReminders(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.adopted()
	user := b.user("ExponentPushToken[a]")
	event := b.event(user, day)
	insert := func(status, due, next string) uuid.UUID {
		return ask[uuid.UUID](b, `insert into reminders (event_id, user_id, status, notify_at_ts, next_attempt_at)
			values ($1, $2, $3, now() + $4::interval, now() + $5::interval) returning id`, event, user, status, due, next)
	}
	pending, held, waits := insert("pending", "-1 s", "0"), insert("sending", "-2 s", "1 minute"), insert("pending", "-3 s", "2 minutes")
	ids := []uuid.UUID{pending, held, waits, insert("sent", "-4 s", "0"), insert("failed", "-5 s", "0"), uuid.New()}
	for _, at := range []string{"infinity", "-infinity"} {
		ids = append(ids, ask[uuid.UUID](b, `insert into reminders (event_id, user_id, notify_at_ts) values ($1, $2, $3) returning id`, event, user, at))
	}
	stale := ask[uuid.UUID](b, `insert into reminders (event_id, user_id, notify_at_ts, plan_revision, planned_for_ts)
		select id, user_id, now() - interval '6 seconds', 1, start_ts - interval '1 hour' from events returning id`)
	b.exec(`alter table reminders drop constraint reminders_event_id_fkey`) // as an adopted table may be
	gone := ask[uuid.UUID](b, `insert into reminders (event_id, user_id, notify_at_ts, plan_revision) values (gen_random_uuid(), $1, now(), 1) returning id`, user)
	ids = append(ids, stale, gone)
	read := func() map[uuid.UUID]bool {
		found := map[uuid.UUID]bool{}
		for _, row := range must[[]store.UnclaimedRemindersRow](t)(b.q.UnclaimedReminders(t.Context(), ids)) {
			found[row.ID] = row.DueAt.After(time.Now().Add(30 * time.Second))
		}
		return found
	}
	if diff := cmp.Diff(map[uuid.UUID]bool{pending: false, held: true, waits: true, gone: false}, read()); diff != "" {
		t.Errorf("unclaimed, and whether in a while (-want +got):\n%s", diff)
	}
	b.exec(`update events set status = 'synced'`)
	if _, found := read()[stale]; !found {
		t.Error("what planning has left behind is not among them")
	}
}

func TestBadReminderRowsComeBack(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.adopted()
	user := b.user("ExponentPushToken[a]")
	event := b.event(user, day)
	for _, values := range []string{
		`$1, $2, '-infinity', null, 0`,
		`$1, $2, '4000-01-01 BC', null, 0`,
		`$1, nullif($2::uuid, $2), now() - interval '1 minute', null, 0`,
		`nullif($1::uuid, $1), $2, now() - interval '2 minutes', repeat('x', 10000000), 0`,
		`$1, $2, now() - interval '3 minutes', null, null`,
		`$1, $2, 'infinity', null, 0`,
	} {
		b.exec(`insert into reminders (event_id, user_id, notify_at_ts, message, retry_count) values (`+values+`)`, event, user)
	}
	window := store.WindowPageParams{After: time.Time{}, Until: time.Now().Add(hour), MaxRows: 100}
	must[[]store.WindowPageRow](t)(b.q.WindowPage(t.Context(), window))
	changed := store.ChangedRemindersParams{SinceXid: 0, Until: time.Now().Add(hour), MaxRows: 100}
	if rows := must[[]store.ChangedRemindersRow](t)(b.q.ChangedReminders(t.Context(), changed)); len(rows) != 5 {
		t.Errorf("%d changed reminders, want 5", len(rows))
	}
	due := must[[]uuid.UUID](t)(b.q.DueReminders(t.Context(), store.DueRemindersParams{GraceMs: 0, MaxRows: 100}))
	if rows := b.claimReminders(due...); len(rows) != 5 {
		t.Errorf("claimed %d reminders, want 5", len(rows))
	}
}

func TestWindowPagesMeetWithoutGapOrTwin(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user()
	b.exec(`insert into events (user_id, title, start_ts) select $1, 'Practice', now() + interval '1 day' from generate_series(1, 9)`, user)
	b.exec(`insert into reminders (event_id, user_id, notify_at_ts) select id, user_id, at from events, (values (now()), (now() + interval '1 minute')) t (at)`)
	seen := map[uuid.UUID]bool{}
	arg := store.WindowPageParams{Until: time.Now().Add(hour), MaxRows: 4}
	for {
		page := must[[]store.WindowPageRow](t)(b.q.WindowPage(t.Context(), arg))
		for _, r := range page {
			if seen[r.ID] {
				t.Fatalf("reminder %s came twice", r.ID)
			}
			seen[r.ID] = true
			arg.After, arg.AfterID = r.DueAt, r.ID
		}
		if len(page) < 4 {
			break
		}
	}
	if len(seen) != 18 {
		t.Errorf("read %d of 18 reminders", len(seen))
	}
}

// What is handed over row by row is what the statement answers, in the binary format and as text.
func TestWindowIsReadAlikeInEveryFormat(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user()
	b.exec(`insert into events (user_id, title, start_ts) select $1, 'Practice', now() + interval '1 day' from generate_series(1, 9)`, user)
	b.exec(`insert into reminders (event_id, user_id, notify_at_ts) select id, user_id, at
		from events, (values (now()), (now() + interval '1234567 microseconds'), ('-infinity'), ('1970-01-01'), ('1999-12-31 23:59:59.999999+00'), ('2100-01-01')) t (at)`)
	arg := store.WindowPageParams{Until: time.Now().Add(100 * 366 * day), MaxRows: 40}
	want := must[[]store.WindowPageRow](t)(b.q.WindowPage(t.Context(), arg))
	if len(want) != 40 {
		t.Fatalf("%d rows, want 40", len(want))
	}
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		cfg, err := pgx.ParseConfig(b.db.URL())
		if err != nil {
			t.Fatal(err)
		}
		cfg.DefaultQueryExecMode = mode
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		var got []store.WindowPageRow
		n, err := store.EachInWindow(t.Context(), store.New(conn), arg, func(id uuid.UUID, at time.Time) { got = append(got, store.WindowPageRow{ID: id, DueAt: at}) })
		if err != nil || n != len(got) {
			t.Errorf("%s: %d rows of which %d were handed over: %v", mode, n, len(got), err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", mode, diff)
		}
	}
}

// TestChangedRemindersMissNothing lets an older transaction commit after a younger one was read.
func TestChangedRemindersMissNothing(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user()
	event := b.event(user, day)
	slow := b.begin()
	in(t, slow, `insert into reminders (event_id, user_id, notify_at_ts) values ($1, $2, now() + interval '1 minute')`, event, user)
	b.custom(event, user, 2*time.Minute)
	since := must[store.DatabaseNowRow](t)(b.q.DatabaseNow(t.Context())).Xmin
	read := func() int {
		return len(must[[]store.ChangedRemindersRow](t)(b.q.ChangedReminders(t.Context(),
			store.ChangedRemindersParams{SinceXid: since, Until: time.Now().Add(hour), MaxRows: 100})))
	}
	if n := read(); n != 1 {
		t.Errorf("%d reminders are visible, want 1", n)
	}
	if err := slow.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := read(); n != 2 {
		t.Errorf("%d reminders are visible, want 2: the older transaction's was missed", n)
	}
}

// What a claim and Deadlines say of when a reminder is worth sending is what the database's function says, which they spell out.
func TestDeadlinesAgree(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.user(phone)
	b.exec(`insert into events (user_id, title, start_ts, status)
		select $1, 'Practice', s.at, 'synced' from (values (now() + interval '1 hour'), (now() - interval '1 hour'), ('infinity')) s (at)`, user)
	b.exec(`insert into reminders (event_id, user_id, notify_at_ts, message, plan_revision, planned_for_ts, snoozed_from)
		select e.id, e.user_id, now() - n * interval '1 minute', 'Field 3', case when n % 2 = 0 then 1 end, e.start_ts, case when n >= 2 then gen_random_uuid() end
		from events e, generate_series(0, 3) n`)
	ids := list[uuid.UUID](b, `select id from reminders`)
	want := map[uuid.UUID]time.Time{}
	for _, id := range ids {
		want[id] = ask[time.Time](b, `select reminder_worker.deadline(e.start_ts, r.notify_at_ts, r.snoozed_from is not null, r.plan_revision is not null)
			from reminders r join events e on e.id = r.event_id where r.id = $1`, id)
	}
	told := must[[]store.DeadlinesRow](t)(b.q.Deadlines(t.Context(), ids))
	claimed := must[[]store.ClaimRemindersRow](t)(b.q.ClaimReminders(t.Context(), store.ClaimRemindersParams{Ids: ids, LeaseMs: lease.Milliseconds()}))
	if len(told) != len(ids) || len(claimed) != len(ids) || len(ids) != 12 {
		t.Fatalf("%d reminders, %d deadlines, %d claimed", len(ids), len(told), len(claimed))
	}
	for _, row := range told {
		if !row.Deadline.Equal(want[row.ID]) {
			t.Errorf("Deadlines says %s, the function %s", row.Deadline, want[row.ID])
		}
	}
	for _, row := range claimed {
		if !row.Deadline.Equal(want[row.ID]) {
			t.Errorf("the claim says %s, the function %s", row.Deadline, want[row.ID])
		}
	}
}
