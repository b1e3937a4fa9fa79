package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// need is what the worker must be allowed to do with a table.
type need struct {
	schema, table string
	privileges    []string
}

func (n need) name() string { return n.schema + "." + n.table }

// needs are all tables the worker's statements touch.
var needs = []need{
	{"public", "events", []string{"SELECT", "UPDATE", "DELETE"}},
	{"public", "reminders", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"public", "children", []string{"SELECT"}},
	{"public", "notification_settings", []string{"SELECT"}},
	{"reminder_worker", "google_accounts", []string{"SELECT", "UPDATE"}},
	{"reminder_worker", "push_devices", []string{"SELECT", "UPDATE", "DELETE"}},
	{"reminder_worker", "calendar_copies", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"reminder_worker", "deliveries", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"reminder_worker", "pauses", []string{"SELECT", "INSERT", "UPDATE", "DELETE"}},
	{"reminder_worker", "permits", []string{"SELECT"}},
	{"reminder_worker", "audits", []string{"SELECT", "UPDATE"}},
	{"reminder_worker", "cleanups", []string{"SELECT", "UPDATE"}},
	{"reminder_worker", "user_deletions", []string{"SELECT", "UPDATE", "DELETE"}},
	{"reminder_worker", "triggers", []string{"SELECT"}},
	{"reminder_worker", "migrations", []string{"SELECT"}},
}

// calls are all functions the worker's statements call, with their arguments.
var calls = signatures("address_of", "children_of", "close_bell", "deadline", "delegate_accounts", "forget_permits", "forget_step", "forget_user", "hearing", "is_push_token",
	"minute_of", "open_bell", "reason_of", "send_word", "take_permits", "user_exists", "writers")

// signatures finds functions of the worker's schema in the list of all.
func signatures(names ...string) []string {
	return slices.DeleteFunc(slices.Clone(functions), func(f string) bool {
		name, _, _ := strings.Cut(strings.TrimPrefix(f, "reminder_worker."), "(")
		return !slices.Contains(names, name)
	})
}

// access is how one table, or function, stands to the role.
type access struct {
	Table   string
	Lacks   []string // privileges
	Hidden  bool     // row level security applies to the role
	Some    bool     // a policy shows it rows
	All     bool     // a policy shows it every row
	Visible bool     // the schema may be used
}

// readAccess returns the tables of needs and the functions of calls that exist.
func readAccess(ctx context.Context, p *patient) ([]access, error) {
	var schemas, names, wanted []string
	for _, n := range needs {
		schemas, names, wanted = append(schemas, n.schema), append(names, n.table), append(wanted, strings.Join(n.privileges, " "))
	}
	rows, err := p.conn.Query(ctx, `with policies as (
			select polrelid, polpermissive as shows, pg_get_expr(polqual, polrelid) as which from pg_catalog.pg_policy
			where polcmd in ('*', 'r')
				and exists (select from unnest(polroles) r where r = 0 or pg_has_role(r, 'usage')))
		(select n.nspname || '.' || c.relname,
			array(select w from unnest(string_to_array(need.wanted, ' ')) w where not has_table_privilege(c.oid, w)),
			row_security_active(c.oid),
			exists (select from policies where polrelid = c.oid and shows),
			exists (select from policies where polrelid = c.oid and shows and which = 'true')
				and not exists (select from policies where polrelid = c.oid and not shows),
			has_schema_privilege(n.oid, 'USAGE')
		from unnest($1::text[], $2::text[], $3::text[]) with ordinality as need (nsp, rel, wanted, place)
		join pg_catalog.pg_namespace n on n.nspname = need.nsp
		join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = need.rel
		order by need.place)
		union all
		select 'function ' || call, case when has_function_privilege(p.oid, 'EXECUTE') then '{}' else '{EXECUTE}' end::text[],
			false, true, true, has_schema_privilege(n.oid, 'USAGE')
		from pg_catalog.pg_namespace n
		join pg_catalog.pg_proc p on p.pronamespace = n.oid
		join unnest($4::text[]) as call on call = n.nspname || '.' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')'
		where n.nspname = 'reminder_worker'`, schemas, names, wanted, calls)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[access])
}

func examinePrivileges(ctx context.Context, p *patient) Finding {
	tables, err := readAccess(ctx, p)
	if err != nil {
		return cannotAsk(err)
	}
	if all := len(needs) + len(calls); len(tables) < all {
		return skip("", fmt.Sprintf("%d of %d tables and functions are there", len(tables), all), migrateFix)
	}
	return judgePrivileges(p.role, tables)
}

func judgePrivileges(role string, tables []access) Finding {
	var lacks, grants []string
	for _, t := range tables {
		if !t.Visible {
			schema, _, _ := strings.Cut(strings.TrimPrefix(t.Table, "function "), ".")
			grants = append(grants, fmt.Sprintf("grant usage on schema %s to %s;", schema, pgx.Identifier{role}.Sanitize()))
			lacks = append(lacks, "USAGE on schema "+schema)
		}
		if len(t.Lacks) > 0 {
			what := strings.Join(t.Lacks, ", ")
			lacks = append(lacks, what+" on "+t.Table)
			grants = append(grants, fmt.Sprintf("grant %s on %s to %s;", strings.ToLower(what), t.Table, pgx.Identifier{role}.Sanitize()))
		}
	}
	if len(lacks) == 0 {
		return pass("", fmt.Sprintf("role %q may do what the worker does", role))
	}
	return fail("", fmt.Sprintf("role %q may not do what the worker must", role),
		"As the owner of the tables: "+strings.Join(unique(grants), " ")).with(unique(lacks)...)
}

// unique keeps the first of equal lines.
func unique(lines []string) (kept []string) {
	for _, l := range lines {
		if !slices.Contains(kept, l) {
			kept = append(kept, l)
		}
	}
	return kept
}

// examineRowSecurity looks for policies that hide rows. A worker that sees none of them finds nothing to do, and says nothing.
func examineRowSecurity(ctx context.Context, p *patient) Finding {
	tables, err := readAccess(ctx, p)
	if err != nil {
		return cannotAsk(err)
	}
	if all := len(needs) + len(calls); len(tables) < all {
		return skip("", fmt.Sprintf("%d of %d tables and functions are there", len(tables), all), migrateFix)
	}
	return judgeRowSecurity(p.role, tables)
}

func judgeRowSecurity(role string, tables []access) Finding {
	var hidden, partly []string
	for _, t := range tables {
		switch {
		case !t.Hidden || t.All:
		case t.Some:
			partly = append(partly, "policies decide which rows of "+t.Table+" it sees")
		default:
			hidden = append(hidden, "no row of "+t.Table+" is shown to it")
		}
	}
	fix := fmt.Sprintf("Connect as the owner of the tables, or: alter role %s bypassrls; or give each table a policy for it: for all to %[1]s using (true) with check (true).",
		pgx.Identifier{role}.Sanitize())
	switch {
	case len(hidden) > 0:
		return fail("", fmt.Sprintf("row level security hides rows from role %q", role), fix).with(append(hidden, partly...)...)
	case len(partly) > 0:
		return warn("", fmt.Sprintf("row level security may hide rows from role %q", role), fix).with(partly...)
	}
	return pass("", fmt.Sprintf("hides no row from role %q", role))
}
