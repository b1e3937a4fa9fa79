package migrations_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// schema is a database with the embedded migrations, and two families in it.
type schema struct {
	t    *testing.T
	conn *pgx.Conn
}

// The users of a schema, by their ids.
const (
	anna = "aaaaaaaa-0000-0000-0000-000000000001"
	ben  = "bbbbbbbb-0000-0000-0000-000000000002"
)

func newSchema(t *testing.T) *schema {
	t.Helper()
	s := &schema{t: t, conn: pgtest.New(t).Connect(t)}
	s.exec(`insert into auth.users (id, email) values ('` + anna + `', 'anna@example.org'), ('` + ben + `', 'ben@example.org')`)
	return s
}

func (s *schema) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.conn.Exec(s.t.Context(), sql, args...); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

// lines are the rows of a query that answers one text column.
func (s *schema) lines(sql string, args ...any) []string {
	s.t.Helper()
	rows, err := s.conn.Query(s.t.Context(), sql, args...)
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return found
}

func (s *schema) line(sql string, args ...any) string {
	s.t.Helper()
	return strings.Join(s.lines(sql, args...), "\n")
}

// refused runs a statement that must fail with the code and with the words in its message or hint.
func (s *schema) refused(code, words, sql string, args ...any) {
	s.t.Helper()
	_, err := s.conn.Exec(s.t.Context(), sql, args...)
	var pe *pgconn.PgError
	switch {
	case err == nil:
		s.t.Errorf("%s: was not refused", sql)
	case !errors.As(err, &pe) || pe.Code != code || !strings.Contains(pe.Message+" "+pe.Hint, words):
		s.t.Errorf("%s: refused with %v, want %s and %q", sql, err, code, words)
	}
}

// as runs what follows as an API role with the JWT of a user, the way PostgREST does.
func (s *schema) as(role, user string) {
	s.t.Helper()
	claims := `{}`
	if user != "" {
		claims = `{"sub": "` + user + `", "role": "` + role + `"}`
	}
	s.exec(`set role ` + role)
	s.exec(`select set_config('request.jwt.claims', $1, false)`, claims)
}

func (s *schema) same(what string, want, got []string) {
	s.t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		s.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// upErr migrates and expects a refusal by the database.
func upErr(t *testing.T, conn *pgx.Conn) *pgconn.PgError {
	t.Helper()
	_, err := migrator(t, migrations.Options{}).Up(t.Context(), conn)
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		t.Fatalf("migrate up: %v, want a refusal by the database", err)
	}
	return pe
}

// doorbell listens on the channel of the schema.
type doorbell struct {
	t      *testing.T
	listen *pgx.Conn
	ring   *pgx.Conn
}

func newDoorbell(t *testing.T, listen, ring *pgx.Conn) *doorbell {
	t.Helper()
	exec(t, listen, `listen reminder_worker`)
	return &doorbell{t: t, listen: listen, ring: ring}
}

// rings counts what has arrived since the last call. A change of its own is the fence: what was committed before comes before it.
func (d *doorbell) rings() (n int) {
	d.t.Helper()
	exec(d.t, d.ring, `select pg_notify('reminder_worker', 'fence')`)
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	for {
		change, err := d.listen.WaitForNotification(ctx)
		if err != nil {
			d.t.Fatal(err)
		}
		if change.Payload == "fence" {
			return n
		}
		n++
	}
}
