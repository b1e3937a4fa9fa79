package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/migrations"
)

const migrateFix = "Run reminder-worker migrate up."

// triggers are those without which changes are missed, by table: all that the migrations make in every database.
var triggers = wantedTriggers()

func wantedTriggers() map[string][]string {
	m, err := migrations.New(migrations.Options{})
	if err != nil {
		return nil // examineSchema says so
	}
	wanted := map[string][]string{}
	for _, t := range m.Triggers() {
		wanted[t.Table] = append(wanted[t.Table], t.Name)
	}
	const settings = "public.notification_settings" // the text of one of its triggers is computed
	wanted[settings] = append([]string{"reminder_worker_settings_written"}, wanted[settings]...)
	return wanted
}

func examineSchema(ctx context.Context, p *patient) Finding {
	m, err := migrations.New(migrations.Options{})
	if err != nil {
		return fail("", oneLine(err), "Build the program anew.")
	}
	pending, err := m.Pending(ctx, p.conn)
	if err != nil {
		return judgeSchema(err)
	}
	if len(pending) == 0 {
		return examineObjects(ctx, p)
	}
	names := make([]string, len(pending))
	for i, m := range pending {
		names[i] = fmt.Sprintf("%04d %s", m.Version, m.Name)
	}
	text := count(len(pending), "migration is", "migrations are") + " pending"
	if pending[0].Version == 1 {
		text = "the database has not been migrated"
	}
	grants, err := migrations.MissingGrants(ctx, p.conn)
	if err != nil {
		return cannotAsk(err)
	}
	return judgePending(p.role, text, grants).with(names...)
}

// judgePending tells who may migrate from who may not, before it is tried.
func judgePending(role, text string, grants []string) Finding {
	if len(grants) == 0 {
		return fail("", text, migrateFix)
	}
	return fail("", fmt.Sprintf("%s, and role %q may not migrate it", text, role),
		"Run reminder-worker migrate up as the owner of the database and of the app's tables, or grant as that owner: "+strings.Join(grants, " "))
}

func judgeSchema(err error) Finding {
	var (
		changed *migrations.ChangedError
		gap     *migrations.GapError
		newer   *migrations.NewerError
		denied  *migrations.PermissionError
	)
	switch {
	case errors.As(err, &denied):
		return fail("", fmt.Sprintf("role %q may not read the record of migrations", denied.Role),
			"As the owner of the app's tables: "+strings.Join(denied.Grants, " "))
	case errors.As(err, &newer):
		return fail("", newer.Error(), "Run the version of the program that migrated this database, or a newer one.")
	case errors.As(err, &gap), errors.As(err, &changed):
		return fail("", "the record of migrations does not fit this program", "Run the release that migrated this database; compare reminder-worker migrate status.").
			with(strings.Split(err.Error(), "\n")...)
	}
	return cannotAsk(err)
}

// trigger is one that the database has.
type trigger struct{ Table, Name, Enabled string }

func examineTriggers(ctx context.Context, p *patient) Finding {
	rows, err := p.conn.Query(ctx, `select n.nspname || '.' || c.relname, t.tgname, t.tgenabled::text
		from pg_catalog.pg_trigger t
		join pg_catalog.pg_class c on c.oid = t.tgrelid
		join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where not t.tgisinternal and t.tgname like 'reminder\_worker\_%' order by 1, 2`)
	if err != nil {
		return cannotAsk(err)
	}
	present, err := pgx.CollectRows(rows, pgx.RowToStructByPos[trigger])
	if err != nil {
		return cannotAsk(err)
	}
	if len(present) == 0 {
		return skip("", "there are none; the schema is not there yet", migrateFix)
	}
	return judgeTriggers(present)
}

// judgeTriggers looks for those that are missing, and for any of ours that do not fire: switched off, or meant for replicas only.
func judgeTriggers(present []trigger) Finding {
	var faults, repairs []string
	for _, t := range present {
		if t.Enabled != "O" && t.Enabled != "A" {
			faults = append(faults, t.Name+" on "+t.Table+" is disabled")
			repairs = append(repairs, fmt.Sprintf("alter table %s enable trigger %s;", t.Table, t.Name))
		}
	}
	missing := 0
	for _, table := range slices.Sorted(maps.Keys(triggers)) {
		for _, name := range triggers[table] {
			if !slices.ContainsFunc(present, func(t trigger) bool { return t.Table == table && t.Name == name }) {
				faults = append(faults, name+" on "+table+" is missing")
				missing++
			}
		}
	}
	if len(faults) == 0 {
		return pass("", fmt.Sprintf("%d present and enabled", len(present)))
	}
	fix := "Enable them: " + strings.Join(repairs, " ")
	if missing > 0 {
		fix = strings.TrimSpace("Create the missing ones as reminder-worker migrate print shows them. " + strings.Join(repairs, " "))
	}
	return fail("", "changes are missed: some triggers do not fire", fix).with(faults...)
}
