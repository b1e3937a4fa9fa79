package migrations

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Trigger is one that the files make in every database. Those that they make under a condition, or with a computed text, are not among them:
// what a database was given of these stands in its table reminder_worker.triggers.
type Trigger struct {
	Table string // with its schema
	Name  string
	SQL   string // the statement that makes it, or makes it anew
}

// function is one of those in the schema reminder_worker.
type function struct{ name, body, sql string }

var (
	triggerHead  = regexp.MustCompile(`(?i)^create\s+(?:or\s+replace\s+)?trigger\s+(\w+)\s`)
	triggerTable = regexp.MustCompile(`(?i)\son\s+((?:[a-z_]+\.)?[a-z_]+)\s`)
	functionHead = regexp.MustCompile(`(?i)^create\s+(?:or\s+replace\s+)?function\s+reminder_worker\.(\w+)\s*\(`)
	functionBody = regexp.MustCompile(`(?i)\sas\s+(\$\w*\$)`)
	createOnly   = regexp.MustCompile(`(?i)^create\s+(trigger|function)\s`)
)

// Triggers returns what the files make, by the last statement about each, in the order in which they first appear.
func (m *Migrator) Triggers() []Trigger {
	triggers, _ := m.definitions()
	return triggers
}

func (m *Migrator) definitions() (triggers []Trigger, functions []function) {
	triggerAt, functionAt := map[string]int{}, map[string]int{}
	for _, file := range m.files {
		for _, sql := range statements(file.SQL) {
			if t, ok := readTrigger(sql); ok {
				triggers = putLast(triggers, triggerAt, t.Table+" "+t.Name, t)
			}
			if f, ok := readFunction(sql); ok {
				functions = putLast(functions, functionAt, f.name, f)
			}
		}
	}
	return triggers, functions
}

// putLast keeps the last of those with one key, in the place of the first.
func putLast[T any](all []T, at map[string]int, key string, v T) []T {
	if i, known := at[key]; known {
		all[i] = v
		return all
	}
	at[key] = len(all)
	return append(all, v)
}

// statements cuts a file. What stands behind a statement, up to the next, stays with it.
func statements(sql string) []string {
	starts := statementStarts(sql)
	all := make([]string, len(starts))
	for i, at := range starts {
		end := len(sql)
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		all[i] = sql[at:end]
	}
	return all
}

func readTrigger(sql string) (Trigger, bool) {
	head := triggerHead.FindStringSubmatch(sql)
	table := triggerTable.FindStringSubmatch(sql)
	if head == nil || table == nil {
		return Trigger{}, false
	}
	return Trigger{Table: table[1], Name: head[1], SQL: orReplace(sql)}, true
}

func readFunction(sql string) (function, bool) {
	head := functionHead.FindStringSubmatch(sql)
	tag := functionBody.FindStringSubmatchIndex(sql)
	if head == nil || tag == nil {
		return function{}, false
	}
	quote, rest := sql[tag[2]:tag[3]], sql[tag[3]:]
	body, _, ok := strings.Cut(rest, quote)
	return function{name: head[1], body: body, sql: orReplace(sql)}, ok
}

// orReplace makes a statement one that may be repeated.
func orReplace(sql string) string { return createOnly.ReplaceAllString(sql, "create or replace $1 ") }

// FaultKind is in which way something of the schema is not as it was made.
type FaultKind string

// The ways.
const (
	TriggerMissing  FaultKind = "trigger_missing"
	TriggerDisabled FaultKind = "trigger_disabled"
	TriggerChanged  FaultKind = "trigger_changed" // does something else, or at another occasion
	FunctionChanged FaultKind = "function_changed"
)

// Fault is something of the schema that is not as it was made.
type Fault struct {
	Kind  FaultKind
	Table string // of a trigger, with its schema
	Name  string
	mend  string // the statement that makes it right
}

// String says what is wrong, in words.
func (f Fault) String() string {
	_, way, _ := strings.Cut(string(f.Kind), "_")
	if f.Table == "" {
		return f.Name + "() is " + way
	}
	return f.Name + " on " + f.Table + " is " + way
}

// Faults compares the triggers of the database, and the bodies of the worker's functions, with what was made. The database must be up to date.
//
// Two texts of a trigger are compared by making either on an empty temporary table and having the server tell what it made, so that no two
// versions of the server spell it in two ways. Nothing of the app is locked for that, and nothing of it stays. Any role may do it that may make temporary tables.
func (m *Migrator) Faults(ctx context.Context, conn *pgx.Conn) ([]Fault, error) {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin to compare triggers: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // all of it is to be forgotten
	triggers, functions := m.definitions()
	recorded, err := readRecorded(ctx, tx)
	if err != nil {
		return nil, err
	}
	faults, err := triggerFaults(ctx, tx, append(triggers, recorded...))
	if err != nil {
		return nil, err
	}
	changed, err := functionFaults(ctx, tx, functions)
	return append(changed, faults...), err // the functions first: that is the order to mend them in
}

func readRecorded(ctx context.Context, tx pgx.Tx) ([]Trigger, error) {
	rows, err := tx.Query(ctx, `select relation, name, definition from reminder_worker.triggers order by relation, name`, pgx.QueryExecModeExec)
	if err != nil {
		return nil, fmt.Errorf("read recorded triggers: %w", err)
	}
	recorded, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Trigger])
	if err != nil {
		return nil, fmt.Errorf("read recorded triggers: %w", err)
	}
	for i := range recorded {
		recorded[i].SQL = orReplace(recorded[i].SQL)
	}
	return recorded, nil
}

// present is a trigger that the database has.
type present struct{ Table, Name, Enabled, Definition string }

func readPresent(ctx context.Context, tx pgx.Tx) (map[string]present, error) {
	rows, err := tx.Query(ctx, `select n.nspname || '.' || c.relname, t.tgname, t.tgenabled::text, pg_get_triggerdef(t.oid)
		from pg_catalog.pg_trigger t
		join pg_catalog.pg_class c on c.oid = t.tgrelid
		join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where not t.tgisinternal and t.tgname like 'reminder\_worker\_%'`, pgx.QueryExecModeExec)
	if err != nil {
		return nil, fmt.Errorf("read triggers: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[present])
	if err != nil {
		return nil, fmt.Errorf("read triggers: %w", err)
	}
	found := make(map[string]present, len(all))
	for _, p := range all {
		found[p.Table+" "+p.Name] = p
	}
	return found, nil
}

func triggerFaults(ctx context.Context, tx pgx.Tx, wanted []Trigger) (faults []Fault, err error) {
	found, err := readPresent(ctx, tx)
	if err != nil {
		return nil, err
	}
	for i, t := range wanted {
		is, there := found[t.Table+" "+t.Name]
		fault := Fault{Table: t.Table, Name: t.Name, mend: t.SQL}
		switch {
		case !there:
			fault.Kind = TriggerMissing
		case is.Enabled != "O" && is.Enabled != "A":
			fault.Kind = TriggerDisabled
			// Made anew as well: it may have been changed before.
			fault.mend = t.SQL + "\n;\n" + fmt.Sprintf("alter table %s enable trigger %s", t.Table, pgx.Identifier{t.Name}.Sanitize())
		default:
			would, err := trial(ctx, tx, i, t)
			if err != nil {
				return nil, err
			}
			if would == elsewhere(is.Definition) {
				continue
			}
			fault.Kind = TriggerChanged
		}
		faults = append(faults, fault)
	}
	return faults, nil
}

// trial makes a trigger on a temporary table like its own, with a temporary function in the place of its own, and returns how the server spells it. So a role
// that owns nothing may compare, too.
func trial(ctx context.Context, tx pgx.Tx, nr int, t Trigger) (string, error) {
	table := fmt.Sprintf("reminder_worker_trial_%d", nr)
	at := triggerTable.FindStringSubmatchIndex(t.SQL)
	made := t.SQL[:at[2]] + "pg_temp." + table + t.SQL[at[3]:]
	columns, err := likeTable(ctx, tx, t.Table)
	if err == nil {
		_, err = tx.Exec(ctx, fmt.Sprintf("create temporary table %s (%s) on commit drop", table, columns), pgx.QueryExecModeExec)
	}
	if call := triggerCall.FindStringSubmatchIndex(made); err == nil && call != nil {
		stand := "pg_temp." + made[call[4]:call[5]]
		made = made[:call[2]] + stand + made[call[5]:]
		_, err = tx.Exec(ctx, "create or replace function "+stand+"() returns trigger language plpgsql as 'begin return null; end'", pgx.QueryExecModeSimpleProtocol)
	}
	if err == nil {
		_, err = tx.Exec(ctx, made, pgx.QueryExecModeSimpleProtocol)
	}
	var text string
	if err == nil {
		err = tx.QueryRow(ctx, `select pg_get_triggerdef(oid) from pg_catalog.pg_trigger where tgrelid = $1::text::regclass and tgname = $2`,
			pgx.QueryExecModeExec, "pg_temp."+table, t.Name).Scan(&text)
	}
	if err != nil {
		return "", fmt.Errorf("compare trigger %s on %s: %w", t.Name, t.Table, err)
	}
	return elsewhere(temporary.ReplaceAllString(text, " EXECUTE FUNCTION reminder_worker.")), nil
}

// likeTable returns the columns of a table like another: of one that may not be read as well as the catalog tells them, with text for the types of schemas that
// may be closed.
func likeTable(ctx context.Context, tx pgx.Tx, table string) (columns string, err error) {
	err = tx.QueryRow(ctx, `
		select case
			when has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') then format('like %I.%I', n.nspname, c.relname)
			else (
				select string_agg(format('%I %s', a.attname, case when y.typnamespace = 'pg_catalog'::regnamespace then format_type(a.atttypid, a.atttypmod) else 'text' end), ', ' order by a.attnum)
				from pg_catalog.pg_attribute a
				join pg_catalog.pg_type y on y.oid = a.atttypid
				where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped)
		end
		from pg_catalog.pg_class c
		join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where n.nspname || '.' || c.relname = $1`, pgx.QueryExecModeExec, table).Scan(&columns)
	return columns, err
}

var (
	triggerCall = regexp.MustCompile(`(?i)\sexecute\s+function\s+(reminder_worker\.(\w+))\s*\(`)
	temporary   = regexp.MustCompile(` EXECUTE FUNCTION pg_temp(?:_\d+)?\.`)
)

var onTable = regexp.MustCompile(` ON \S+ `)

// elsewhere takes the table out of what pg_get_triggerdef tells.
func elsewhere(definition string) string {
	at := onTable.FindStringIndex(definition)
	if at == nil {
		return definition
	}
	return definition[:at[0]] + " ON it " + definition[at[1]:]
}

// functionFaults looks for functions whose body is another than that of the file. One that is not there at all is none of them: the triggers
// that call it are gone with it, or their statements fail aloud.
func functionFaults(ctx context.Context, tx pgx.Tx, wanted []function) (faults []Fault, err error) {
	var names, bodies []string
	for _, f := range wanted {
		names, bodies = append(names, f.name), append(bodies, f.body)
	}
	rows, err := tx.Query(ctx, `select w.nr::integer
		from unnest($1::text[], $2::text[]) with ordinality as w (name, body, nr)
		where exists (select from pg_catalog.pg_proc p where p.pronamespace = 'reminder_worker'::regnamespace and p.proname = w.name)
			and not exists (
				select from pg_catalog.pg_proc p where p.pronamespace = 'reminder_worker'::regnamespace and p.proname = w.name and p.prosrc = w.body)
		order by w.nr`, pgx.QueryExecModeExec, names, bodies)
	if err != nil {
		return nil, fmt.Errorf("compare functions: %w", err)
	}
	changed, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return nil, fmt.Errorf("compare functions: %w", err)
	}
	for _, nr := range changed {
		f := wanted[nr-1]
		faults = append(faults, Fault{Kind: FunctionChanged, Name: f.name, mend: f.sql})
	}
	return faults, nil
}

// Mend makes what a fault is about as it was made, in a transaction of its own. It waits for the app no longer than a migration does.
func (m *Migrator) Mend(ctx context.Context, conn *pgx.Conn, f Fault) error {
	if f.mend == "" {
		return fmt.Errorf("mend %s: %w", f, errors.New("it is not known how it was made"))
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin to mend %s: %w", f, err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // nothing to roll back after the commit
	limit := fmt.Sprintf("set local lock_timeout = '%dms'", m.opts.LockTimeout.Milliseconds())
	if _, err := tx.Exec(ctx, limit, pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("mend %s: %w", f, err)
	}
	if _, err := tx.Exec(ctx, f.mend, pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("mend %s: %w", f, err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("mend %s: %w", f, err)
	}
	return nil
}
