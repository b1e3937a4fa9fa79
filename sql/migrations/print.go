package migrations

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/template"
)

// Print writes the migrations from the given version on as one script, for
// people who keep their whole schema in supabase/migrations. The script makes the
// migrations table and records every file in it as Up would, so that a program
// started later finds them applied.
//
// Each file is a statement of its own, a DO block around the unchanged text. It
// is skipped when the database has it already, and refuses to run when the
// database has another text under that number, or lacks the number before it. So
// the script may be run twice, in one transaction or without, and by tools that
// send it statement by statement.
func (m *Migrator) Print(w io.Writer, from int) error {
	if from < 1 || from > len(m.files) {
		return fmt.Errorf("print migrations: there is no version %d, only 1 to %d", from, len(m.files))
	}
	var errs []error
	script := func(part *template.Template, data any) { errs = append(errs, part.Execute(w, data)) }
	script(printHead, map[string]any{"From": from, "To": len(m.files), "Ledger": ledgerSQL})
	for _, file := range m.files[from-1:] {
		script(printFile, map[string]any{
			"M": file, "Key": lockKey, "Previous": file.Version - 1,
			"Guard": freeTag("guard", file.SQL), "Body": freeTag("body", file.SQL),
			"AppVersion": quote(m.opts.AppVersion), "SQL": strings.TrimRight(file.SQL, "\n"),
			"LockTimeout": fmt.Sprintf("%dms", m.opts.LockTimeout.Milliseconds()),
		})
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("print migrations: %w", err)
	}
	return nil
}

// freeTag returns a dollar quote that text does not contain.
func freeTag(base, text string) string {
	tag := "$" + base + "$"
	for n := 2; strings.Contains(text, tag); n++ {
		tag = fmt.Sprintf("$%s%d$", base, n)
	}
	return tag
}

// quote makes a string literal. An E string reads the same whatever
// standard_conforming_strings says.
func quote(text string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

var printHead = template.Must(template.New("head").Parse(
	`-- Schema of reminder-worker, version {{.From}} to {{.To}}. Running this file again changes nothing.

{{.Ledger}};
`))

var printFile = template.Must(template.New("file").Parse(`
-- ---------------------------------------------------------------------------
-- {{.M.File}}
-- ---------------------------------------------------------------------------
do {{.Guard}}
declare
  recorded text;
begin
  perform pg_catalog.pg_advisory_xact_lock({{.Key}});
  select checksum into recorded from reminder_worker.migrations where version = {{.M.Version}};
  if recorded = '{{.M.Checksum}}' then
    raise notice '{{.M.File}} is applied already';
    return;
  elsif recorded is not null then
    raise exception '{{.M.File}} was changed after it had been applied to this database';
  elsif (select coalesce(max(version), 0) from reminder_worker.migrations) <> {{.Previous}} then
    raise exception '{{.M.File}} does not follow the newest version of this database';
  end if;
  perform pg_catalog.set_config('lock_timeout', '{{.LockTimeout}}', true);
  execute {{.Body}}
{{.SQL}}
{{.Body}};
  insert into reminder_worker.migrations (version, name, checksum, app_version)
    values ({{.M.Version}}, '{{.M.Name}}', '{{.M.Checksum}}', {{.AppVersion}});
end
{{.Guard}};
`))
