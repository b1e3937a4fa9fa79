package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/store"
)

// ended tells the pulse of the end of a statement.
func ended(p *pulse, sql string, err error) {
	ctx := p.TraceQueryStart(context.Background(), nil, pgx.TraceQueryStartData{SQL: sql})
	p.TraceQueryEnd(ctx, nil, pgx.TraceQueryEndData{Err: err})
}

func refusal(code string) error {
	return fmt.Errorf("claim events: %w", &pgconn.PgError{Code: code, Message: "words of\nthe server"})
}

func TestStatementName(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		store.ClaimEvents: "ClaimEvents", "select 1": "", "": "", "-- name: ": "", "-- name: Alone": "Alone",
	} {
		if got := statementName(sql); got != want {
			t.Errorf("%.40q: %q, want %q", sql, got, want)
		}
	}
}

func TestPulse(t *testing.T) {
	t.Parallel()
	const claim = "ClaimEvents has failed 3 times in a row: words of the server (SQLSTATE %s)"
	for _, c := range []struct {
		name string
		errs []error
		lost bool
		want string
	}{
		{"well", []error{nil}, false, ""},
		{"refused twice", []error{refusal("42501"), refusal("42501")}, false, ""},
		{"refused three times", []error{refusal("42501"), refusal("42501"), refusal("42501")}, false, fmt.Sprintf(claim, "42501")},
		{"refused for other reasons", []error{refusal("42501"), refusal("42P01"), refusal("25006")}, false, fmt.Sprintf(claim, "25006")},
		{"a success in between", []error{refusal("42501"), refusal("42501"), nil, refusal("42501")}, false, ""},
		{"a success at last", []error{refusal("42501"), refusal("42501"), refusal("42501"), nil}, false, ""},
		{"bad rows", []error{refusal("22001"), refusal("23505"), refusal("22P02")}, false, ""},
		{"locks", []error{refusal("40P01"), refusal("40001"), refusal("55P03")}, false, ""},
		{"bad rows in between", []error{refusal("42501"), refusal("22001"), refusal("42501"), refusal("42501")}, false, fmt.Sprintf(claim, "42501")},
		{"too slow for the server", []error{refusal("57014"), refusal("57014"), refusal("57014")}, false, fmt.Sprintf(claim, "57014")},
		{"shut down", []error{refusal("57P01")}, true, ""},
		{"a pooler's refusal without a code", []error{refusal(""), refusal(""), refusal("")}, true, ""},
		{"a code that is cut", []error{refusal("4"), refusal("5")}, false, ""},
		{"connection lost", []error{errors.New("unexpected EOF")}, true, ""},
		{"connection back", []error{errors.New("unexpected EOF"), refusal("42501")}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := &pulse{}
			for _, err := range c.errs {
				ended(p, store.ClaimEvents, err)
			}
			var got []string
			for _, f := range p.refused() {
				got = append(got, f.text())
			}
			if text := strings.Join(got, "; "); text != c.want {
				t.Errorf("refused: %q, want %q", text, c.want)
			}
			if lost := p.fault() != nil; lost != c.lost {
				t.Errorf("lost %v, want %v", lost, c.lost)
			}
		})
	}
}

// What one statement can do says nothing about another, and statements without a name are not counted.
func TestPulseTellsStatementsApart(t *testing.T) {
	t.Parallel()
	p := &pulse{}
	for range 3 {
		ended(p, store.WindowPage, refusal("42P01"))
		ended(p, store.ClaimEvents, refusal("42501"))
		ended(p, store.DatabaseNow, nil)
		ended(p, "select 1", refusal("42501"))
	}
	got := p.refused()
	if len(got) != 2 || got[0].name != "ClaimEvents" || got[1].name != "WindowPage" {
		t.Errorf("%+v", got)
	}
}

func TestPulseForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &pulse{}
		for range 3 {
			ended(p, store.PauseAccount, refusal("42501"))
		}
		if n := len(p.refused()); n != 1 {
			t.Fatalf("%d findings", n)
		}
		time.Sleep(forgotten)
		if n := len(p.refused()); n != 0 {
			t.Errorf("%d findings about what was not tried for %s", n, forgotten)
		}
	})
}

func TestFixes(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"42501": "Grant the worker's role", "25006": "Point DATABASE_URL at the primary", "42P01": "migrate up", "42703": "migrate up",
		"42883": "migrate up", "57014": "statement_timeout", "53100": "disk", "": "doctor", "XX000": "doctor",
	} {
		if got := fixOf(refusal(code)); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q in it", code, got, want)
		}
	}
	if got := fixOf(context.DeadlineExceeded); !strings.Contains(got, "pg_stat_activity") {
		t.Errorf("out of time: %q", got)
	}
	if got := listenerFix(refusal("25006")); got != toPrimary {
		t.Errorf("a standby's listener: %q", got)
	}
	if got := listenerFix(&ReadOnlyError{Standby: true}); !strings.Contains(got, "promoted") {
		t.Errorf("no listener on a standby: %q", got)
	}
	if got := listenerFix(fmt.Errorf("wait 5s for proof: %w", listener.ErrNoProof)); !strings.Contains(got, "a pooler in transaction mode delivers no changes") {
		t.Errorf("nothing came back: %q", got)
	}
	if got := listenerFix(refusal("")); !strings.Contains(got, "doctor") {
		t.Errorf("refused: %q", got)
	}
}

// A migration that the server refuses is not tried again; one that a pooler or a shutdown cut off is.
func TestHopeless(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{"42501": true, "42P07": true, "4": true, "": false, "57P01": false, "40P01": false, "53300": false, "55P03": false, "08006": false, "25006": false} {
		err := fmt.Errorf("migrate database: %w", &migrations.StatementError{File: "0001_app_tables.sql", Err: &pgconn.PgError{Code: code}})
		if got := hopeless(err); got != want {
			t.Errorf("%q: %v, want %v", code, got, want)
		}
	}
}

// restarted makes the worker's sessions begin anew, as a setting of the role asks for.
const restarted = ` do $$ begin perform pg_terminate_backend(pid) from pg_stat_activity where usename = 'limited_worker'; end $$`

// A database that answers and refuses to serve is not ready, says which statement and what to do, and is ready again once that is mended.
func TestRefusedStatements(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, spoil, mend string
		says              []string
	}{
		{"a missing grant", `revoke select on children from limited_worker`, `grant select on children to limited_worker`,
			[]string{"statements: failed: ", "ClaimEvents has failed ", "permission denied for table children (SQLSTATE 42501)", "fix: Grant the worker's role"}},
		{"a missing column", `alter table children rename id to key`, `alter table children rename key to id`,
			[]string{"ClaimEvents has failed ", "(SQLSTATE 42703)", "fix: The schema is not complete"}},
		{"read only", `alter role limited_worker set default_transaction_read_only = on;` + restarted, `alter role limited_worker reset default_transaction_read_only;` + restarted,
			[]string{"database: failed: ", "takes no writes: default_transaction_read_only is on", "fix: Turn it off for this role"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.narrow("limited_worker", "bypassrls")
			a, _ := w.start()
			w.until("ready", func() bool { status, _ := get(t.Context(), a, "/readyz"); return status == http.StatusOK })
			user, _ := w.user()
			w.exec(c.spoil)
			event := w.event(user, "Fencing", 48*time.Hour)
			var body string
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("/readyz said last:\n%s", body)
				}
			})
			w.until("the finding", func() (failed bool) {
				var status int
				status, body = get(t.Context(), a, "/readyz")
				return status == http.StatusServiceUnavailable && !slices.ContainsFunc(c.says, func(words string) bool { return !strings.Contains(body, words) })
			})
			w.exec(c.mend)
			w.untilStatus(event, "synced")
			w.until("ready again", func() bool { status, _ := get(t.Context(), a, "/readyz"); return status == http.StatusOK })
		})
	}
}
