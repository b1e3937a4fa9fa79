package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

var statement = regexp.MustCompile(`(?i)^(select|insert into|update|delete from|alter|create|drop|grant|revoke|notify) \S+ \S+`)

// isSQL reports whether a code is a statement to paste.
func isSQL(code string) bool { return statement.MatchString(code) }

// appCall is what code of the app asks of the database.
type appCall struct {
	function  string              // called by rpc
	arguments []string            // by name
	table     string              // or what is read and written
	columns   map[string][]string // by privilege: SELECT, INSERT, UPDATE
}

// The code that the pages offer to the app calls functions that are there, with arguments they have, and names columns that are there; all of
// it is the signed-in user's to do.
func TestDocumentsHoldCodeThatTheDatabaseKnows(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	functions := publicFunctions(t, db)
	calls := 0
	for _, name := range pages {
		d := page(t, name)
		texts := map[int]string{}
		for _, b := range d.blocks {
			if b.language == "js" {
				texts[b.line] = b.text
			}
		}
		for _, c := range d.codes {
			texts[c.line] += c.text + "\n"
		}
		for line, text := range texts {
			for _, call := range appCalls(text, functions) {
				calls++
				if err := call.judge(t.Context(), db, functions); err != nil {
					t.Errorf("%s, from line %d: %v", name, line, err)
				}
			}
		}
	}
	if calls < 25 {
		t.Errorf("found %d calls", calls)
	}
}

// publicFunction is one that the app may see.
type publicFunction struct {
	arguments []string
	required  int // so many of the first have no default
}

func publicFunctions(t *testing.T, db *pgtest.DB) map[string]publicFunction {
	t.Helper()
	rows, err := db.Pool.Query(t.Context(), `select p.proname, coalesce(p.proargnames, '{}'), p.pronargs - p.pronargdefaults
		from pg_proc p where p.pronamespace = 'public'::regnamespace and has_function_privilege('authenticated', p.oid, 'EXECUTE')`)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]publicFunction{}
	var name string
	var f publicFunction
	_, err = pgx.ForEachRow(rows, []any{&name, &f.arguments, &f.required}, func() error {
		all[name] = publicFunction{slices.Clone(f.arguments), f.required}
		return nil
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d functions: %v", len(all), err)
	}
	return all
}

func (c appCall) judge(ctx context.Context, db *pgtest.DB, functions map[string]publicFunction) error {
	if c.function != "" {
		f, there := functions[c.function]
		if !there {
			return fmt.Errorf("function %s is not there, or not the app's to call", c.function)
		}
		for _, a := range c.arguments {
			if !slices.Contains(f.arguments, a) {
				return fmt.Errorf("%s has no argument %s, but %v", c.function, a, f.arguments)
			}
		}
		for _, a := range f.arguments[:f.required] {
			if !slices.Contains(c.arguments, a) {
				return fmt.Errorf("%s is called without %s", c.function, a)
			}
		}
		return nil
	}
	var faults []error
	for privilege, columns := range c.columns {
		for _, column := range columns {
			var may *bool
			err := db.Pool.QueryRow(ctx, `select has_column_privilege('authenticated', a.attrelid, a.attnum, $3)
				from pg_attribute a where a.attrelid = to_regclass('public.' || quote_ident($1)) and a.attname = $2 and a.attnum > 0 and not a.attisdropped`,
				c.table, column, privilege).Scan(&may)
			switch {
			case errors.Is(err, pgx.ErrNoRows):
				faults = append(faults, fmt.Errorf("%s.%s is not there", c.table, column))
			case err != nil:
				faults = append(faults, err)
			case !*may:
				faults = append(faults, fmt.Errorf("the app may not %s %s.%s", privilege, c.table, column))
			}
		}
	}
	return errors.Join(faults...)
}

var (
	rpcCall    = regexp.MustCompile(`\brpc\(`)
	fromCall   = regexp.MustCompile(`\.from\(`)
	plainCall  = regexp.MustCompile(`\b([a-z]+(?:_[a-z]+)+)\(`)
	nextMethod = regexp.MustCompile(`^\s*\.(\w+)\(`)
	comment    = regexp.MustCompile(`(?m)(^|\s)//.*$`)
)

// appCalls finds what JavaScript asks of the database. Comments hold calls of functions, too.
func appCalls(text string, functions map[string]publicFunction) (calls []appCall) {
	code := comment.ReplaceAllString(text, "")
	for _, at := range rpcCall.FindAllStringIndex(code, -1) {
		args := pieces(inside(code[at[1]-1:]))
		calls = append(calls, appCall{function: unquoted(args[0]), arguments: keysOf(args[1:])})
	}
	for _, at := range plainCall.FindAllStringSubmatchIndex(text, -1) {
		name := text[at[2]:at[3]]
		if _, there := functions[name]; there {
			calls = append(calls, appCall{function: name, arguments: keysOf(pieces(inside(text[at[1]-1:])))})
		}
	}
	for _, at := range fromCall.FindAllStringIndex(code, -1) {
		calls = append(calls, tableCall(code[at[1]-1:]))
	}
	return calls
}

// tableCall reads ('table').method(...).method(...).
func tableCall(code string) appCall {
	in := inside(code)
	c := appCall{table: unquoted(in), columns: map[string][]string{}}
	add := func(privilege string, columns ...string) {
		c.columns[privilege] = append(c.columns[privilege], columns...)
	}
	for rest := code[len(in)+2:]; ; {
		m := nextMethod.FindStringSubmatchIndex(rest)
		if m == nil {
			return c
		}
		method := rest[m[2]:m[3]]
		in := inside(rest[m[1]-1:])
		args := pieces(in)
		switch method {
		case "insert", "update":
			add(strings.ToUpper(method), keysOf(args)...)
		case "upsert":
			add("INSERT", keysOf(args)...)
			add("UPDATE", keysOf(args)...)
		case "select":
			for column := range strings.SplitSeq(unquoted(args[0]), ",") {
				if column = strings.TrimSpace(column); column != "" && column != "*" {
					add("SELECT", column)
				}
			}
		case "eq", "neq", "gt", "gte", "lt", "lte", "in", "is", "order":
			add("SELECT", unquoted(args[0]))
		}
		rest = rest[m[1]-1+len(in)+2:]
	}
}

// depths yields the place of each byte of code outside of quotes, with how many brackets are open behind it.
func depths(code string) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		depth, quote := 0, byte(0)
		for i := range len(code) {
			switch b := code[i]; {
			case quote != 0:
				if b == quote {
					quote = 0
				}
				continue
			case b == '\'' || b == '"' || b == '`':
				quote = b
				continue
			case strings.IndexByte("([{", b) >= 0:
				depth++
			case strings.IndexByte(")]}", b) >= 0:
				depth--
			}
			if !yield(i, depth) {
				return
			}
		}
	}
}

// inside returns what stands between the bracket that code begins with and the one that closes it.
func inside(code string) string {
	for i, depth := range depths(code) {
		if depth == 0 {
			return code[1:i]
		}
	}
	return code[1:]
}

// pieces cuts code at its outermost commas.
func pieces(code string) (parts []string) {
	from := 0
	for i, depth := range depths(code) {
		if code[i] == ',' && depth == 0 {
			parts, from = append(parts, strings.TrimSpace(code[from:i])), i+1
		}
	}
	return append(parts, strings.TrimSpace(code[from:]))
}

// keysOf are the names in the object that is the first argument. What is spread into it is not known.
func keysOf(args []string) (keys []string) {
	if len(args) == 0 || !strings.HasPrefix(args[0], "{") {
		return nil
	}
	for _, part := range pieces(inside(args[0])) {
		key, _, _ := strings.Cut(part, ":")
		if key = unquoted(strings.TrimSpace(key)); key != "" && !strings.HasPrefix(key, "...") {
			keys = append(keys, key)
		}
	}
	return keys
}

func unquoted(code string) string { return strings.Trim(code, "'\"` ") }

// What the reader of the app's code makes of it.
func TestAppCodeIsReadRight(t *testing.T) {
	t.Parallel()
	got := appCalls("const x = await supabase.from('events') // it's a comment, with { no: 'key'\n"+
		"  .insert({ user_id, title: 'A, b) {', push_data: { url: `/x` }, ...rest })\n  .select('id, status').eq('id', f(a, b)).single()\n"+
		"// and put_off({ minutes: 10 })\nrpc('put_off', { id: x.data.id })", map[string]publicFunction{"put_off": {}})
	want := []appCall{
		{function: "put_off", arguments: []string{"id"}},
		{function: "put_off", arguments: []string{"minutes"}},
		{table: "events", columns: map[string][]string{"INSERT": {"user_id", "title", "push_data"}, "SELECT": {"id", "status", "id"}}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(appCall{})); diff != "" {
		t.Error(diff)
	}
	db := pgtest.New(t)
	functions := publicFunctions(t, db)
	for _, bad := range []appCall{
		{function: "snooze"}, {function: "snooze_reminder"}, {function: "snooze_reminder", arguments: []string{"reminder_id", "hours"}},
		{table: "event", columns: map[string][]string{"SELECT": {"id"}}}, {table: "events", columns: map[string][]string{"SELECT": {"name"}}},
		{table: "events", columns: map[string][]string{"UPDATE": {"sync_due_at"}}},
	} {
		if err := bad.judge(t.Context(), db, functions); err == nil {
			t.Errorf("%+v: taken for good", bad)
		}
	}
}

// The tables of the app's page list what the user may write, with its defaults, and every state that a row can have.
func TestTablesOfTheAppsPage(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	d := page(t, appPage)
	settings := rowsOf(t, db, `select column_name::text, coalesce(column_default, 'null') from information_schema.columns
		where table_schema = 'public' and table_name = 'notification_settings' and column_name <> 'user_id'
		and has_column_privilege('authenticated', 'public.notification_settings', column_name, 'INSERT')`)
	if diff := cmp.Diff(settings, d.tableFrom("Settings", "push_enabled")); diff != "" {
		t.Errorf("settings (-database +table):\n%s", diff)
	}
	deliveries := rowsOf(t, db, `select m[1], '' from pg_constraint k, regexp_matches(pg_get_constraintdef(k.oid), '''([a-z_]+)''', 'g') m
		where k.conname = 'deliveries_state_known'`)
	const section = "What became of a push"
	if diff := cmp.Diff(names(deliveries), names(d.tableFrom(section, "accepted"))); diff != "" {
		t.Errorf("states of deliveries (-database +table):\n%s", diff)
	}
	if diff := cmp.Diff(reminderStates(t), names(d.tableFrom(section, "pending"))); diff != "" {
		t.Errorf("states of reminders (-database +table):\n%s", diff)
	}
}

// reminderStates are what an older service's check on that column is widened to.
func reminderStates(t *testing.T) (states []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, "sql", "migrations", "0001_app_tables.sql"))
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`\$s\$('pending', 'sending', .*)\$s\$`).FindSubmatch(text)
	if list == nil {
		t.Fatal("the migration lists no states")
	}
	for state := range strings.SplitSeq(string(list[1]), ", ") {
		states = append(states, unquoted(state))
	}
	slices.Sort(states)
	return states
}

func names(rows map[string]string) []string { return slices.Sorted(maps.Keys(rows)) }

// rowsOf reads two columns of text.
func rowsOf(t *testing.T, db *pgtest.DB, query string) map[string]string {
	t.Helper()
	rows, err := db.Pool.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error { all[name] = value; return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// tableFrom reads the table whose first code is first: the codes of its first column, each with the first code of the second.
func (d document) tableFrom(section, first string) map[string]string {
	table := map[string]string{}
	before := 0
	for _, row := range d.cells {
		begins := len(row) > 0 && row[0].section == section && row[0].column == 0
		switch {
		case len(table) == 0 && begins && row[0].text == first:
		case len(table) > 0 && begins && row[0].line == before+1:
		default:
			continue
		}
		before = row[0].line
		value := ""
		if at := slices.IndexFunc(row, func(c code) bool { return c.column == 1 }); at >= 0 {
			value = row[at].text
		}
		for _, c := range row {
			if c.column == 0 {
				table[c.text] = value
			}
		}
	}
	return table
}

// What the app is shown as JSON is JSON.
func TestDocumentsHoldJSON(t *testing.T) {
	t.Parallel()
	for _, name := range pages {
		for _, b := range page(t, name).blocks {
			if b.language == "json" && !json.Valid([]byte(b.text)) {
				t.Errorf("%s:%d is no JSON", name, b.line)
			}
		}
	}
}
