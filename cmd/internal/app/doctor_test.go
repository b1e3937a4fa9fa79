package app

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// ids are those that scripts may rely on, in their order.
var ids = []string{
	"configuration", "database", "server_version", "writable", "schema", "triggers", "privileges", "row_security", "round_trip", "pooler",
	"replication", "clock", "queue", "sealed_tokens", "google_client", "google_token", "google_calendar", "expo_push", "service_role_key", "service_account",
	"token_sealing", "time_zone",
}

// diagnosis is what Diagnose says, by id. It checks what holds for every diagnosis.
func diagnosis(t testing.TB, c Config, invalid error) map[string]Finding {
	t.Helper()
	byID := map[string]Finding{}
	var order []string
	for _, f := range unhurried(t, c, invalid) {
		order = append(order, f.ID)
		byID[f.ID] = f
		if f.Text == "" || (f.Verdict == Pass) != (f.Fix == "") {
			t.Errorf("a finding needs a text, and a fix unless it passes: %+v", f)
		}
	}
	if diff := cmp.Diff(ids, order); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	return byID
}

// unhurried diagnoses again, up to five times, when a machine that is too busy has not answered a question in time: what follows is then skipped.
func unhurried(t testing.TB, c Config, invalid error) (findings []Finding) {
	for range 5 {
		findings = Diagnose(t.Context(), c, invalid)
		if !slices.ContainsFunc(findings, func(f Finding) bool { return strings.HasPrefix(f.Text, "no answer within") }) {
			break
		}
		t.Log("asked again: the machine is too busy to answer in time")
	}
	return findings
}

// expect compares verdicts with those that are not pass.
func expect(t testing.TB, got map[string]Finding, want map[string]Verdict) {
	t.Helper()
	for id, f := range got {
		w, ok := want[id]
		if !ok {
			w = Pass
		}
		if f.Verdict != w {
			t.Errorf("%s: %s (%s %v), want %s", id, f.Verdict, f.Text, f.Details, w)
		}
	}
}

func TestDiagnoseHealthy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := diagnosis(t, w.cfg, nil)
	expect(t, got, map[string]Verdict{"token_sealing": Warn})
	if Failed([]Finding{got["configuration"], got["token_sealing"]}) {
		t.Error("a warning is no failure")
	}
	if v := w.google.Violations(); len(v) > 0 {
		t.Errorf("violations of Google's description: %v", v)
	}
	if n := len(w.expo.Pushes()); n > 0 {
		t.Errorf("%d pushes sent", n)
	}
}

func TestDiagnoseEmptyDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	w := newWorldOn(t, db.Pool, db.URL())
	got := diagnosis(t, w.cfg, nil)
	expect(t, got, map[string]Verdict{"schema": Fail, "triggers": Skip, "privileges": Skip, "row_security": Skip, "sealed_tokens": Skip, "token_sealing": Warn})
	if !strings.Contains(got["schema"].Fix, "reminder-worker migrate up") {
		t.Errorf("fix %q", got["schema"].Fix)
	}
	if n := one[int](w, `select count(*)::int from pg_class where relnamespace = 'public'::regnamespace`); n != 0 {
		t.Errorf("the examination left %d relations behind", n)
	}
}

func TestDiagnoseTriggers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`alter table events disable trigger reminder_worker_events_deleted`)
	w.exec(`drop trigger reminder_worker_reminder_changed on reminders`)
	f := diagnosis(t, w.cfg, nil)["triggers"]
	want := []string{
		"reminder_worker_events_deleted on public.events is disabled",
		"reminder_worker_reminder_changed on public.reminders is missing",
	}
	if diff := cmp.Diff(want, f.Details); diff != "" || f.Verdict != Fail {
		t.Errorf("%s (-want +got):\n%s", f.Verdict, diff)
	}
	if repair := "alter table public.events enable trigger reminder_worker_events_deleted;"; !strings.Contains(f.Fix, repair) {
		t.Errorf("fix %q lacks %q", f.Fix, repair)
	}
}

// The list of triggers is that of the migrations, but for the one that guards the ids of events: an adopted table goes without.
func TestTriggersAreAllKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for table, known := range triggers {
		got := one[[]string](w, `select array_agg(tgname::text order by oid) from pg_trigger where tgrelid = $1::text::regclass and not tgisinternal
			and tgname <> 'reminder_worker_event_keeps_id'`, table)
		if diff := cmp.Diff(known, got); diff != "" {
			t.Errorf("%s (-known +migrated):\n%s", table, diff)
		}
	}
}

// narrow makes a role that may do what needs lists, and nothing else, and points the configuration at it.
func (w *world) narrow(role string, attributes string) {
	w.t.Helper()
	w.login(role, attributes)
	w.exec(`grant usage on schema reminder_worker to ` + role)
	for _, n := range needs {
		w.exec(fmt.Sprintf(`grant %s on %s to %s`, strings.Join(n.privileges, ", "), n.name(), role))
	}
	for _, c := range calls {
		w.exec(fmt.Sprintf(`grant execute on function %s to %s`, c, role))
	}
}

// login makes a role that may connect, and points the configuration at it.
func (w *world) login(role string, attributes string) {
	w.t.Helper()
	w.exec(fmt.Sprintf(`create role %s login %s`, role, attributes))
	w.t.Cleanup(func() {
		ctx := context.Background()
		for _, q := range []string{`drop owned by ` + role, `drop role ` + role} {
			if _, err := w.db.Exec(ctx, q); err != nil {
				w.t.Error(err)
			}
		}
	})
	w.runsAs(role)
	w.cfg.MigrateOnStart = false
}

// A role with nothing but what the examination asks for can run the whole program.
func TestNeedsAreEnough(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.narrow("narrow_worker", "bypassrls")
	w.servesNarrowly()
}

// So can the role that operators are given a script for, as which most tests of this package run their workers: it passes the examination and may do nothing
// else.
func TestTheRoleOfTheScriptIsEnough(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../../deploy/database/role.sql")
	if err != nil {
		t.Fatal(err)
	}
	const role = runner
	w := newWorld(t)
	w.exec(string(script), pgx.QueryExecModeSimpleProtocol) // it may be run again
	w.servesNarrowly()
	if f := diagnosis(t, w.cfg, nil)["row_security"]; f.Verdict != Pass {
		t.Errorf("row_security: %+v", f)
	}
	tables := one[[]string](w, `select array_agg(distinct format('%s.%s', table_schema, table_name)) from information_schema.table_privileges where grantee = $1`, role)
	var want []string
	for _, n := range needs {
		want = append(want, n.name())
		got := one[[]string](w, `select array_agg(privilege_type::text) from information_schema.table_privileges
			where grantee = $1 and table_schema = $2 and table_name = $3`, role, n.schema, n.table)
		if diff := cmp.Diff(slices.Sorted(slices.Values(n.privileges)), slices.Sorted(slices.Values(got))); diff != "" {
			t.Errorf("%s (-needed +granted):\n%s", n.name(), diff)
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(tables))); diff != "" {
		t.Errorf("tables (-needed +granted):\n%s", diff)
	}
	granted := one[int](w, `select count(*)::int from information_schema.routine_privileges where grantee = $1`, role)
	if granted != len(calls) {
		t.Errorf("%d functions are granted, %d are called", granted, len(calls))
	}
}

// servesNarrowly runs the program as the role of the configuration, which passes the examination, through the life of an event.
func (w *world) servesNarrowly() {
	t := w.t
	t.Helper()
	expect(t, diagnosis(t, w.cfg, nil), map[string]Verdict{"token_sealing": Warn})
	w.start()
	user, _ := w.user()
	event := w.event(user, "Swimming", 48*60*60*1e9)
	w.untilStatus(event, "synced")
	w.exec(`update reminders set notify_at_ts = now() where event_id = $1 and lead_seconds = 1800`, event)
	w.until("push", func() bool { return len(w.expo.Pushes()) == 1 })
	w.exec(`delete from events where id = $1`, event)
	w.until("removed copy", func() bool { return len(w.live(user)) == 0 })
	w.until("forgotten copy", func() bool { return one[int](w, `select count(*)::int from reminder_worker.calendar_copies`) == 0 })
	w.operates(user)
}

// operates does what an operator does by hand.
func (w *world) operates(user uuid.UUID) {
	w.t.Helper()
	event := w.failed(user, 48*time.Hour, "title is empty: give the event a title")
	w.failedReminder(event, time.Minute, noDevice)
	for _, part := range pauseParts {
		w.pause(part, "a trial")
	}
	if s := w.status(); len(s.Failures.Events) != 1 || len(s.Pauses) != 2 || len(s.Quotas) != 2 {
		w.t.Errorf("status: %+v", s)
	}
	for _, part := range pauseParts {
		w.resume(part)
	}
	if r := w.retry(RetryOptions{All: true}); r.Count(Retried) != 2 {
		w.t.Errorf("retried: %+v", r)
	}
	w.untilStatus(event, "synced")
}

func TestDiagnosePrivileges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.narrow("poor_worker", "bypassrls")
	w.exec(`revoke update, insert on reminders from poor_worker`)
	w.exec(`revoke usage on schema reminder_worker from poor_worker`)
	got := diagnosis(t, w.cfg, nil)
	f := got["privileges"]
	want := []string{"INSERT, UPDATE on public.reminders", "USAGE on schema reminder_worker"}
	if diff := cmp.Diff(want, f.Details); diff != "" || f.Verdict != Fail {
		t.Errorf("%s (-want +got):\n%s", f.Verdict, diff)
	}
	if !strings.Contains(f.Fix, `grant insert, update on public.reminders to "poor_worker";`) {
		t.Errorf("fix %q", f.Fix)
	}
	judged(t, got["schema"], Fail, `role "poor_worker" may not read the record`)
	if grant := "grant usage on schema reminder_worker to poor_worker;"; !strings.Contains(got["schema"].Fix, grant) {
		t.Errorf("fix %q lacks %q", got["schema"].Fix, grant)
	}
}

func TestDiagnoseRowSecurity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.narrow("blind_worker", "")
	f := diagnosis(t, w.cfg, nil)["row_security"]
	if f.Verdict != Fail || len(f.Details) != 4 {
		t.Errorf("without a policy: %+v", f)
	}
	for _, table := range []string{"events", "reminders", "children", "notification_settings"} {
		w.exec(`create policy worker on ` + table + ` to blind_worker using (true) with check (true)`)
	}
	if f := diagnosis(t, w.cfg, nil)["row_security"]; f.Verdict != Pass {
		t.Errorf("with policies: %+v", f)
	}
	w.exec(`alter policy worker on events using (title <> 'secret')`)
	if f := diagnosis(t, w.cfg, nil)["row_security"]; f.Verdict != Warn || len(f.Details) != 1 {
		t.Errorf("with a policy that hides some rows: %+v", f)
	}
	w.exec(`alter policy worker on events using (true)`)
	w.exec(`create policy but on reminders as restrictive using (message is not null)`)
	if f := diagnosis(t, w.cfg, nil)["row_security"]; f.Verdict != Warn || len(f.Details) != 1 {
		t.Errorf("with a restriction: %+v", f)
	}
}
