package app

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// requirePromtool makes a missing promtool a failure.
const requirePromtool = "REMINDER_WORKER_REQUIRE_PROMTOOL"

// alarm is what goes wrong with a worker, and which alerts have to tell of it.
type alarm struct {
	alerts string // their names, between blanks; empty: none may fire
	cause  func(r *recording)
	set    func(c *Config) // before the worker starts
}

var alarms = []alarm{
	{alerts: "", cause: func(r *recording) { r.family(3) }},
	{alerts: "ReminderWorkerDown", cause: func(r *recording) { r.stop() }},
	{
		// A column that statements need is gone: nothing can be claimed, and all that comes due asks again and again.
		alerts: "ReminderWorkerNotReady DatabaseErrors",
		cause: func(r *recording) {
			r.exec(`alter table reminder_worker.deliveries rename column token to tokens`)
			user, event := r.family(1)
			r.exec(`insert into reminders (event_id, user_id, notify_at_ts, message)
				select $1, $2, now() + n * interval '50 milliseconds', 'Leave now' from generate_series(1, 2000) n`, event, user)
		},
	},
	{alerts: "ReminderWorkerDeaf", cause: func(r *recording) {
		r.exec(`alter function reminder_worker.send_word(text, text) rename to sent_word`)
		r.exec(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ilike '%listen%' and pid <> pg_backend_pid()`)
	}},
	{alerts: "RemindersLate PushesPaused", cause: func(r *recording) {
		r.expo.Fail(func(expofake.Request) *expofake.Fault { return expofake.Status(503, "no healthy upstream") })
		for range 5 { // one that is refused may be that one's fault
			user, event := r.family(1)
			r.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) values ($1, $2, now() - interval '2 minutes', 'Leave now')`, event, user)
		}
	}},
	{alerts: "PausedByHand", cause: func(r *recording) {
		if err := r.app.Pause(r.t.Context(), "calendar", "the family moves house"); err != nil {
			r.t.Error(err)
		}
	}},
	{alerts: "CalendarsPaused", cause: func(r *recording) {
		r.google.Fail(gcalfake.Always("", gcalfake.Page(502)))
		for range 6 {
			r.family(3)
		}
	}},
	{alerts: "EventsStuck", cause: func(r *recording) {
		// A row that refuses to be claimed, by a constraint of the app's, and that has been due for ten minutes.
		r.exec(`alter table events add constraint unclaimed check (title <> 'Stuck' or sync_worker is null)`)
		user, _ := r.family(1)
		event := r.event(user, "Stuck", 48*time.Hour)
		r.exec(`update events set sync_due_at = now() - interval '10 minutes' where id = $1`, event)
	}},
	{alerts: "EventFailures CalendarFailures", cause: func(r *recording) {
		r.google.Fail(gcalfake.Always(gcalfake.OpInsert, gcalfake.Status(400, "invalid")))
		r.family(6)
	}},
	{alerts: "PushFailures PushCredentialsRefused ReceiptsStuck", cause: func(r *recording) {
		r.expo.Fail(func(q expofake.Request) *expofake.Fault {
			if q.Endpoint == expofake.ReceiptsEndpoint {
				return expofake.Status(503, "no healthy upstream")
			}
			return nil
		})
		for _, code := range []string{"MessageTooBig", "MessageTooBig", "MessageTooBig", "InvalidCredentials", ""} {
			user, event := r.family(1)
			if code != "" {
				r.expo.RefuseTicket(tokenOf(user), code)
			}
			r.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) values ($1, $2, now(), 'Leave now')`, event, user)
		}
		r.until("a receipt waits", func() bool {
			return one[bool](r.world, `select exists (select from reminder_worker.deliveries where receipt_due_at is not null)`)
		})
		// From now on they cannot be claimed, and it is as if that had been so for two hours.
		r.exec(`update reminder_worker.deliveries set receipt_due_at = now() - interval '2 hours' where receipt_due_at is not null;
			alter table reminder_worker.deliveries add constraint unclaimed check (receipt_due_at < now() - interval '1 hour') not valid`,
			pgx.QueryExecModeSimpleProtocol)
	}},
	{alerts: "ConsentsEnding", cause: func(r *recording) {
		for range 13 {
			user, _ := r.user()
			r.google.RevokeUser(user.String())
			r.event(user, "Recital", 48*time.Hour)
		}
	}},
	{
		alerts: "SweepFinds AuditFinds RemindersRest",
		set:    func(c *Config) { c.AuditInterval = time.Second },
		cause: func(r *recording) {
			_, event := r.family(1)
			_, other := r.family(1)
			r.untilStatus(event, "synced")
			r.untilStatus(other, "synced")
			// As a restored dump is written, or a replica: without triggers. And one of them is of workers that died with it, time after time.
			r.exec(`begin; set local session_replication_role = replica;
				delete from reminders where event_id = '`+event.String()+`' and lead_seconds = 1800;
				update reminders set notify_at_ts = now() - interval '1 minute', changed_xid = '3' where event_id = '`+event.String()+`' and lead_seconds = 86400;
				update reminders set notify_at_ts = now() - interval '1 minute', status = 'sending', next_attempt_at = now(), lost_claims = 2
					where event_id = '`+other.String()+`' and lead_seconds = 86400;
				commit`, pgx.QueryExecModeSimpleProtocol)
		},
	},
	{
		// The worker is shown a clock of the database that is half a minute ahead.
		alerts: "ClocksDiffer",
		set:    func(c *Config) { c.DatabaseURL += "&options=" + "-csearch_path%3Dahead,public,pg_catalog" },
		cause:  func(*recording) {},
	},
}

// tokenOf is the push token that world.user gives.
func tokenOf(user uuid.UUID) string { return "ExponentPushToken[" + user.String() + "]" }

// recording is a worker and what it told of itself, a sample for each minute of the rules' time.
type recording struct {
	*world
	alarm

	app     *App
	stop    func()
	samples []map[string]string // by series, its value
}

// family makes a user with n events, and returns the last.
func (r *recording) family(n int) (user, event uuid.UUID) {
	user, _ = r.user()
	for range n {
		event = r.event(user, "Recital", 48*time.Hour)
	}
	return user, event
}

// TestAlertsFire causes on running workers what each alert is about, records what they tell, and has Prometheus's own tool judge it by the rules.
// A minute of the rules is shorter here, but each sample is one that a worker gave.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv(requirePromtool) != "" {
			t.Fatal("promtool is not on PATH: install Debian's package prometheus, or its release")
		}
		t.Log("did not run: promtool is not on PATH")
		return
	}
	recordings := make([]*recording, len(alarms))
	for i, a := range alarms {
		recordings[i] = record(t, a)
	}
	const minute, before, enough, pause = 700 * time.Millisecond, 3, 25, 10
	for minutes := 0; ; minutes++ {
		if minutes == before {
			for _, r := range recordings {
				r.cause(r)
			}
		}
		for _, r := range recordings {
			r.sample()
		}
		if minutes >= enough && minutes%pause == 0 {
			recordings = slices.DeleteFunc(recordings, func(r *recording) bool { return r.judged(promtool) })
			if len(recordings) == 0 {
				return
			}
			if time.Duration(minutes)*minute > patience {
				break
			}
		}
		<-time.After(minute)
	}
	for _, r := range recordings {
		t.Errorf("after %d minutes not all of %q fire: %s", len(r.samples), r.alerts, r.firing(promtool))
	}
}

// TestEveryAlertIsCaused looks for alerts of the rules that nothing here is about.
func TestEveryAlertIsCaused(t *testing.T) {
	t.Parallel()
	rules, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	caused := map[string]bool{}
	for _, a := range alarms {
		for name := range strings.FieldsSeq(a.alerts) {
			caused[name] = true
		}
	}
	for line := range strings.Lines(string(rules)) {
		if name, is := strings.CutPrefix(strings.TrimSpace(line), "- alert: "); is && !caused[name] {
			t.Errorf("nothing here causes %s", name)
		}
	}
}

const rulesFile = "../../../deploy/prometheus/rules.yaml"

func record(t *testing.T, a alarm) *recording {
	t.Helper()
	r := &recording{world: newWorld(t), alarm: a}
	r.exec(`create schema ahead`)
	r.exec(`grant usage on schema ahead to public`)
	r.exec(`create function ahead.clock_timestamp() returns timestamptz language sql volatile as $$ select pg_catalog.clock_timestamp() + interval '30 seconds' $$`)
	if a.set != nil {
		a.set(&r.cfg)
	}
	r.app, r.stop = r.start()
	r.until("ready", func() bool { status, _ := get(t.Context(), r.app, "/readyz"); return status == 200 })
	return r
}

// sample reads what the worker tells. One that does not answer tells nothing.
func (r *recording) sample() {
	_, body := get(r.t.Context(), r.app, "/metrics")
	sample := map[string]string{}
	for line := range strings.Lines(body) {
		series, value, ok := cutLast(strings.TrimSpace(line), " ")
		if ok && strings.HasPrefix(series, "reminder_worker_") {
			sample[series] = value
		}
	}
	r.samples = append(r.samples, sample)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// judged reports whether what was recorded makes just those alerts fire that it has to; one that may not fire ends the test.
func (r *recording) judged(promtool string) bool {
	firing := r.firing(promtool)
	wanted := strings.Fields(r.alerts)
	for _, name := range firing {
		if len(wanted) == 0 {
			r.t.Errorf("%s fires for a healthy worker", name)
		}
	}
	return !slices.ContainsFunc(wanted, func(name string) bool { return !slices.Contains(firing, name) })
}

// firing are the alerts that have fired for the samples.
func (r *recording) firing(promtool string) (names []string) {
	r.t.Helper()
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		r.t.Fatal(err)
	}
	var series []string
	for _, s := range r.samples {
		for name := range s {
			series = append(series, name)
		}
	}
	slices.Sort(series)
	var b strings.Builder
	fmt.Fprintf(&b, "rule_files: [%s]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n", rules)
	for _, name := range slices.Compact(series) {
		fmt.Fprintf(&b, "      - series: '%s'\n        values: '", name)
		for _, s := range r.samples {
			if v, told := s[name]; told {
				fmt.Fprint(&b, v, " ")
			} else {
				b.WriteString("_ ")
			}
		}
		b.WriteString("'\n")
	}
	// What is expected is nothing, so that the tool tells what there is.
	fmt.Fprintf(&b, "    promql_expr_test:\n      - expr: count by (alertname) (count_over_time(ALERTS{alertstate=\"firing\"}[10h]))\n        eval_time: %dm\n", len(r.samples))
	file := filepath.Join(r.t.TempDir(), "recording.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, promtool, "test", "rules", file).CombinedOutput()
	if err == nil {
		return nil
	}
	for _, m := range alertName.FindAllStringSubmatch(string(out), -1) {
		names = append(names, m[1])
	}
	if len(names) == 0 {
		r.t.Fatalf("promtool: %v\n%s", err, out)
	}
	return names
}
