package migrations

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATE codes this package tells apart.
const (
	lockNotAvailable      = "55P03"
	insufficientPrivilege = "42501"
	raised                = "P0001" // by the file itself, in words for people
)

// FilesError lists everything that is wrong with a set of files.
type FilesError struct{ Faults []error }

// Error implements error.
func (e *FilesError) Error() string {
	return "read migrations: " + strings.ReplaceAll(errors.Join(e.Faults...).Error(), "\n", "; ")
}

// Unwrap gives errors.Is and errors.As the single faults.
func (e *FilesError) Unwrap() []error { return e.Faults }

// ChangedError says that a file was edited after it had been applied.
type ChangedError struct {
	Migration Migration
	Recorded  string // checksum at the time it was applied
}

// Error implements error.
func (e *ChangedError) Error() string {
	return fmt.Sprintf("check migrations: %s was changed after it had been applied (checksum %.12s, recorded %.12s); restore it and put the change into a new file",
		e.Migration.File, e.Migration.Checksum, e.Recorded)
}

// GapError says that the database has a later migration but not this one.
type GapError struct {
	Missing Migration
	Applied int // a later version that is recorded
}

// Error implements error.
func (e *GapError) Error() string {
	return fmt.Sprintf("check migrations: %s is not recorded as applied, but version %d is; the record in reminder_worker.migrations was edited or belongs to another set of files",
		e.Missing.File, e.Applied)
}

// NewerError says that the database is ahead of the program.
type NewerError struct {
	Database   int    // newest version recorded
	Program    int    // newest version among the files
	AppVersion string // program that applied the database's newest, if it said so
}

// Error implements error.
func (e *NewerError) Error() string {
	text := fmt.Sprintf("check migrations: the database is at version %d, this program knows %d", e.Database, e.Program)
	if e.AppVersion != "" {
		text += fmt.Sprintf("; it was migrated by %s", e.AppVersion)
	}
	return text + "; use a newer program"
}

// LockError says that another process held the migration lock for too long.
type LockError struct {
	Waited time.Duration
	Holder *Holder // nil when the server does not show it
	Err    error
}

// Holder is the session that holds the migration lock, as pg_stat_activity shows it.
type Holder struct {
	PID         int
	User        string
	Application string
	Address     string
	Since       time.Time // begin of its transaction
}

// Error implements error.
func (e *LockError) Error() string {
	text := fmt.Sprintf("take the migration lock: another process kept it for %s", e.Waited)
	if h := e.Holder; h != nil {
		text += fmt.Sprintf("; it is held by backend %d (user %q, application %q, address %q) since %s, and pg_terminate_backend(%d) would end that",
			h.PID, h.User, h.Application, h.Address, h.Since.UTC().Format(time.RFC3339), h.PID)
	}
	return text
}

// Unwrap gives errors.Is and errors.As the cause.
func (e *LockError) Unwrap() error { return e.Err }

// PermissionError says that the role may not keep or read the record of migrations.
type PermissionError struct {
	Action string   // what was refused
	Role   string   // to whom
	Grants []string // statements that would allow it, for the owner of the database
	Err    error
}

// Error implements error.
func (e *PermissionError) Error() string {
	cause := e.Err.Error()
	if pgErr, ok := errors.AsType[*pgconn.PgError](e.Err); ok {
		cause = pgErr.Message
	}
	return fmt.Sprintf("%s: role %q may not: %s%s", e.Action, e.Role, cause, hintLine(e.Fix()))
}

// Fix says in a sentence what to do.
func (e *PermissionError) Fix() string {
	if len(e.Grants) == 0 {
		return ownerFix
	}
	return ownerFix + " Or, as that owner: " + strings.Join(e.Grants, " ")
}

// Unwrap gives errors.Is and errors.As the cause.
func (e *PermissionError) Unwrap() error { return e.Err }

// StatementError says which statement of which file the server refused.
type StatementError struct {
	File   string
	Line   int      // from 1
	Column int      // from 1, in characters
	Source string   // text of that line
	Grants []string // when the role may not: statements that would allow it
	Err    *pgconn.PgError
}

// LockTimeout reports whether the statement gave up waiting for a lock. Each try makes the app's queries wait behind it for as long:
// leave the app alone for ten times DefaultLockTimeout before the next.
func (e *StatementError) LockTimeout() bool { return e.Err.Code == lockNotAvailable }

// Error implements error. What to do stands on a line of its own. What a file raises by itself is meant for people: it is shown without
// the place in the file's code that raised it.
func (e *StatementError) Error() string {
	text := fmt.Sprintf("apply %s:%d:%d: %s", e.File, e.Line, e.Column, e.Err.Message)
	if e.Err.Code != raised {
		text += fmt.Sprintf(" (SQLSTATE %s)%s", e.Err.Code, e.circumstances())
	}
	return text + hintLine(e.Hint())
}

func (e *StatementError) circumstances() string {
	var text strings.Builder
	for _, part := range []struct{ name, value string }{
		{"at", e.Source}, {"detail", e.Err.Detail}, {"where", firstLine(e.Err.Where)}, {"in", firstLine(e.Err.InternalQuery)},
	} {
		if part.value != "" {
			fmt.Fprintf(&text, "; %s: %s", part.name, part.value)
		}
	}
	return text.String()
}

// Hint says in a sentence what to do, as far as anybody knows.
func (e *StatementError) Hint() string {
	switch {
	case e.Err.Hint != "":
		return e.Err.Hint
	case e.LockTimeout():
		return "A long transaction is using the table: look for the oldest xact_start in pg_stat_activity, end it or wait for it, and migrate again; nothing of this file was applied."
	case e.Err.Code == insufficientPrivilege && len(e.Grants) > 0:
		return ownerFix + " Or, as that owner: " + strings.Join(e.Grants, " ")
	case e.Err.Code == insufficientPrivilege:
		return ownerFix
	}
	return ""
}

const ownerFix = "Run the migrations as the owner of the database and of the app's tables (on Supabase: postgres)."

func hintLine(hint string) string {
	if hint == "" {
		return ""
	}
	return "\nhint: " + hint
}

// Unwrap gives errors.As the server's error.
func (e *StatementError) Unwrap() error { return e.Err }

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// hasCode reports whether err is the server's error with that SQLSTATE.
func hasCode(err error, code string) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == code
}
