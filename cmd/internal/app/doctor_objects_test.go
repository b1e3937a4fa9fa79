package app

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// The lists are those of the migrations: whatever is made is known, and what is known is made.
func TestObjectsAreAllKnown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	conn, err := Connect(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(t.Context(), conn)
	present, err := readObjects(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(present)
	if lost := missing(present); len(lost) > 0 {
		t.Errorf("not made by any migration: %v", lost)
	}
	known := missing(nil) // the tables and functions
	for _, o := range objects {
		known = append(known, missing([]string{"table " + o.table})...)
	}
	elsewhere := func(thing string) bool { // what only the app knows, and what an adopted database may have by another name
		return strings.HasPrefix(thing, "column public.children.") || strings.HasPrefix(thing, "column public.") && strings.HasSuffix(thing, ".created_at") ||
			slices.Contains([]string{
				"index public.children_pkey", "index public.events_pkey", "index public.reminders_pkey", "index public.events_user_id_idx",
				"index public.reminders_event_id_notify_at_ts_key", "index public.reminders_user_id_idx",
				"index public.notification_settings_pkey", "index public.children_user_id_idx", "index public.events_child_id_idx",
			}, thing)
	}
	for _, thing := range present {
		if !slices.Contains(known, thing) && !elsewhere(thing) {
			t.Errorf("%s is made by the migrations, and not known", thing)
		}
	}
}

func TestDiagnoseMissingObjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`alter table events drop column sync_due_at`)
	w.exec(`drop function public.unregister_push_token`)
	f := diagnosis(t, w.cfg, nil)["schema"]
	want := []string{
		"column public.events.sync_due_at", "index public.events_unplanned_idx", "index public.events_planned_idx",
		"function public.unregister_push_token(text)",
	}
	if diff := cmp.Diff(want, f.Details); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
	judged(t, f, Fail, "4 objects are gone")
	if !strings.Contains(f.Fix, "migrate print") {
		t.Errorf("fix %q", f.Fix)
	}
}

func TestDiagnoseMissingTable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`drop table reminder_worker.deliveries cascade`)
	f := diagnosis(t, w.cfg, nil)["schema"]
	if diff := cmp.Diff([]string{"table reminder_worker.deliveries"}, f.Details); diff != "" {
		t.Errorf("details (-want +got):\n%s", diff)
	}
	judged(t, f, Fail, "1 object is gone")
	if !strings.Contains(f.Fix, "backup") {
		t.Errorf("fix %q", f.Fix)
	}
}

// Who may not migrate hears it before trying.
func TestDiagnosePendingWithoutPrivileges(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	w := newWorldOn(t, db.Pool, db.URL())
	w.exec(`revoke create on schema public from public`) // as it is from PostgreSQL 15 on
	w.login("idle_worker", "")
	f := diagnosis(t, w.cfg, nil)["schema"]
	judged(t, f, Fail, `the database has not been migrated, and role "idle_worker" may not migrate it`)
	for _, grant := range []string{"grant create on database " + db.Name + " to idle_worker;", "grant usage, create on schema public to idle_worker;"} {
		if !strings.Contains(f.Fix, grant) {
			t.Errorf("fix %q lacks %q", f.Fix, grant)
		}
	}
}

// Functions that were given to another role without the sequences they look at break the app's own statements: that is no small matter.
func TestDiagnoseDoorbellOfAnotherOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`create role heir_of_functions`)
	t.Cleanup(func() {
		w.exec(`reassign owned by heir_of_functions to current_user`)
		w.exec(`drop owned by heir_of_functions`)
		w.exec(`drop role heir_of_functions`)
	})
	w.exec(`grant usage, create on schema reminder_worker to heir_of_functions`)
	w.exec(`alter function reminder_worker.ring() owner to heir_of_functions`)
	f := diagnosis(t, w.cfg, nil)["schema"]
	judged(t, f, Fail, "every INSERT into events fails")
	if !strings.Contains(f.Fix, "grant usage, select, update on sequence reminder_worker.doorbell_notify to heir_of_functions;") {
		t.Errorf("fix %q", f.Fix)
	}
}
