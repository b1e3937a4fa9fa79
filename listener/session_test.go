package listener

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// open returns a session of the test's own, and the count of what it hears.
func open(t *testing.T) (*session, *int) {
	t.Helper()
	conn := pgtest.NewEmpty(t).Connect(t)
	heard := new(int)
	return newSession(conn, "reminder_worker", func() { *heard++ }), heard
}

func TestARefusedStatementLeavesTheSessionUsable(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	err := s.exec(t.Context(), "SET no_such_setting_here = 1")
	var answer *pgconn.PgError
	if !errors.As(err, &answer) || !refused(err) {
		t.Fatalf("got %v, want the server's refusal", err)
	}
	if err := errors.Join(s.configure(t.Context()), s.listen(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := s.prove(t.Context(), patience); err != nil {
		t.Error(err)
	}
}

func TestTheSessionCannotBeTimedOutByTheServer(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	if err := s.configure(t.Context()); err != nil {
		t.Fatal(err)
	}
	var name, idle string
	err := s.conn.QueryRow(t.Context(), `SELECT current_setting('application_name'), current_setting('idle_session_timeout')`).Scan(&name, &idle)
	if err != nil || name != "reminder-worker listener" || idle != "0" {
		t.Errorf("name %q, idle_session_timeout %q: %v", name, idle, err)
	}
}

func TestHeardPayloadsAreNotKept(t *testing.T) {
	t.Parallel()
	s, heard := open(t)
	if err := s.listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := s.exec(t.Context(), notify); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.prove(t.Context(), patience); err != nil || *heard != 100 {
		t.Errorf("heard %d of 100: %v", *heard, err)
	}
	if n := pending(s); n != 0 {
		t.Errorf("pgx still keeps %d payloads", n)
	}
}

// pending counts what pgx has kept: it hands that out even when ctx has ended.
func pending(s *session) int {
	for n := 0; ; n++ {
		if _, err := s.conn.WaitForNotification(ended); err != nil {
			return n
		}
	}
}

func TestAnOwnHandlerInPgxDoesNotStopTheReads(t *testing.T) {
	t.Parallel()
	cfg, err := pgx.ParseConfig(pgtest.NewEmpty(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	cfg.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) {} // pgx then keeps no list
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := newSession(conn, "reminder_worker", func() {})
	t.Cleanup(s.close)
	for _, err := range []error{s.listen(t.Context()), s.prove(t.Context(), patience)} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestQueueUsage(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	if usage, err := s.queueUsage(t.Context(), patience); err != nil || usage < 0 || usage > 1 {
		t.Errorf("got %v, %v", usage, err)
	}
}

func FuzzHear(f *testing.F) {
	for _, p := range []string{"", "proof:", "proof:MINE", "proof:MINE ", "PROOF:MINE", "7", `{"id":1}`, "\x00", strings.Repeat("x", 7999)} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		heard := 0
		s := &session{proof: "proof:MINE", heard: func() { heard++ }}
		s.hear(payload)
		proof := strings.HasPrefix(payload, "proof:")
		if s.proven != (payload == "proof:MINE") || (heard == 1) == proof {
			t.Errorf("payload %q: proven %v, heard %d", payload, s.proven, heard)
		}
	})
}
