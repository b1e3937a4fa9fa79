package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// tolerated is how often in a row a statement may fail before it is worth a word: an app that migrates its tables is soon done.
	tolerated = 2
	// forgotten is after how long a failure says nothing any more about a statement that was not tried again.
	forgotten = 10 * time.Minute
)

// pulse notes, from the statements that run anyway, whether the database answers and which statements it refuses.
type pulse struct {
	lost    atomic.Pointer[error] // nil while it answers
	mu      sync.Mutex            // guards failing
	failing map[string]failure    // by the name of the statement
}

// failure is the recent past of a statement that did not succeed when it last ran.
type failure struct {
	name  string
	times int // in a row
	last  time.Time
	err   error
}

var _ pgx.QueryTracer = (*pulse)(nil)

// statementKey is where a context keeps the name of the statement.
type statementKey struct{}

// rehearsalKey is where a context says that statements are run for nothing.
type rehearsalKey struct{}

// asideKey is where a context says that its statements are only to show something to a person, each within a short time: how they end says nothing of
// the program's work.
type asideKey struct{}

func isAside(ctx context.Context) bool { return ctx.Value(asideKey{}) != nil }

// aside is a context whose statements keep nobody from being served if they are refused: whoever runs them says so, and the program stays ready.
func aside(ctx context.Context) context.Context { return context.WithValue(ctx, rehearsalKey{}, true) }

// TraceQueryStart keeps the statement's name for the end. One that is run for nothing has none: if it is refused then, nothing may be left to be
// done by it for a long time, and so nothing to show that it is in order again.
func (p *pulse) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if ctx.Value(rehearsalKey{}) != nil || isAside(ctx) {
		return ctx
	}
	if name := statementName(data.SQL); name != "" {
		return context.WithValue(ctx, statementKey{}, name)
	}
	return ctx
}

// statementName reads the first line of a generated statement: "-- name: ClaimEvents :many". Others have no name.
func statementName(sql string) string {
	rest, ok := strings.CutPrefix(sql, "-- name: ")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, " ")
	return name
}

// TraceQueryEnd notes how a statement ended. What was called off says nothing.
func (p *pulse) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	if isAside(ctx) {
		return
	}
	name, _ := ctx.Value(statementKey{}).(string)
	var pe *pgconn.PgError
	switch err := data.Err; {
	case err == nil:
		p.answers()
		p.succeeds(name)
	case errors.As(err, &pe) && !goesAway(pe):
		p.answers()
		if !passing(pe) {
			p.fails(name, err)
		}
	case errors.Is(ctx.Err(), context.Canceled):
	case ctx.Err() != nil:
		err = fmt.Errorf("no answer to %s in time: %w", cmp.Or(name, "a statement"), err)
		p.lost.Store(&err)
		p.fails(name, err)
	case conn != nil && !conn.IsClosed(): // an answer that cannot be read
		p.fails(name, err)
	default:
		p.lost.Store(&err)
	}
}

// goesAway reports whether it is the connection that the server, or a pooler in front of it, speaks of. Some poolers give no code.
func goesAway(pe *pgconn.PgError) bool {
	return pe.Code == "" || inClass(pe, "08") || inClass(pe, "57") && pe.Code != queryCanceled
}

// passing reports whether it is the rows, or a lock on them, that the server speaks of: the statement itself is in order.
func passing(pe *pgconn.PgError) bool { return inClass(pe, "22", "23", "40", "55") }

// inClass reports whether the code, which may be of any length, belongs to one of the classes.
func inClass(pe *pgconn.PgError, classes ...string) bool {
	return slices.ContainsFunc(classes, func(class string) bool { return strings.HasPrefix(pe.Code, class) })
}

func (p *pulse) answers() { p.lost.Store(nil) }

func (p *pulse) succeeds(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.failing, name)
}

func (p *pulse) fails(name string, err error) {
	if name == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failing == nil {
		p.failing = map[string]failure{}
	}
	p.failing[name] = failure{name: name, times: p.failing[name].times + 1, last: time.Now(), err: err}
}

var _ pgxpool.AcquireTracer = (*pulse)(nil)

// TraceAcquireStart is of no interest.
func (p *pulse) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	return ctx
}

// TraceAcquireEnd notes a connection that could not be made, or was not free in time.
func (p *pulse) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	if data.Err == nil || errors.Is(ctx.Err(), context.Canceled) || isAside(ctx) {
		return
	}
	err := data.Err
	if ctx.Err() != nil {
		err = fmt.Errorf("no connection in time: %w", err)
	}
	p.lost.Store(&err)
}

// fault says why the database does not answer, if it does not.
func (p *pulse) fault() error {
	if err := p.lost.Load(); err != nil {
		return *err
	}
	return nil
}

// refused are the statements that have failed more often than is tolerated, by name.
func (p *pulse) refused() []failure {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []failure
	for _, name := range slices.Sorted(maps.Keys(p.failing)) {
		if f := p.failing[name]; f.times > tolerated && time.Since(f.last) < forgotten {
			found = append(found, f)
		}
	}
	return found
}

// text says what happened, in the server's words without their ornaments.
func (f failure) text() string {
	why := oneLine(f.err)
	if pe, ok := errors.AsType[*pgconn.PgError](f.err); ok {
		why = fmt.Sprintf("%s (SQLSTATE %s)", oneLine(errors.New(pe.Message)), pe.Code)
	}
	return fmt.Sprintf("%s has failed %d times in a row: %s", f.name, f.times, why)
}

// SQLSTATE codes that this package tells apart.
const (
	queryCanceled         = "57014"
	readOnly              = "25006"
	unknownStatement      = "26000"
	duplicateStatement    = "42P05"
	insufficientPrivilege = "42501"
	undefinedTable        = "42P01"
	undefinedColumn       = "42703"
	undefinedFunction     = "42883"
)

// toPrimary is what to do about a server that may not write.
const toPrimary = "Point DATABASE_URL at the primary: this is a standby, or default_transaction_read_only is on for the role or the database."

// fixOf says what to do about a statement that the server does not run.
func fixOf(err error) string {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		pe = &pgconn.PgError{}
	}
	switch {
	case pe.Code == insufficientPrivilege:
		return "Grant the worker's role what the message names, or connect as the owner of the app's tables: reminder-worker doctor lists what is missing."
	case pe.Code == readOnly:
		return toPrimary
	case pe.Code == undefinedTable, pe.Code == undefinedColumn, pe.Code == undefinedFunction:
		return "The schema is not complete: reminder-worker migrate up, then reminder-worker doctor."
	case pe.Code == queryCanceled:
		return "Raise statement_timeout for the worker's role, or look for what holds the statement up in pg_stat_activity."
	case inClass(pe, "53"):
		return "The server lacks disk, memory or connections: give it more."
	case errors.Is(err, context.DeadlineExceeded):
		return "Look for locks and long transactions in pg_stat_activity."
	}
	return "Ask reminder-worker doctor."
}
