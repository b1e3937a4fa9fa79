package listener

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// open returns a session of the test's own.
func open(t *testing.T) *session {
	t.Helper()
	return newSession(pgtest.NewEmpty(t).Connect(t), "reminder_worker")
}

func TestARefusedStatementLeavesTheSessionUsable(t *testing.T) {
	t.Parallel()
	s := open(t)
	err := s.exec(t.Context(), "SET no_such_setting_here = 1")
	var answer *pgconn.PgError
	if !errors.As(err, &answer) || !refused(err) {
		t.Fatalf("got %v, want the server's refusal", err)
	}
	if err := s.begin(t.Context(), patience); err != nil {
		t.Fatal(err)
	}
	if err := s.exec(t.Context(), notify); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Receive(t.Context()); err != nil || m.Payload != "" || m.Position != 1 {
		t.Errorf("received %+v, %v", m, err)
	}
}

func TestTheSessionCannotBeTimedOutByTheServer(t *testing.T) {
	t.Parallel()
	s := open(t)
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
	s := open(t)
	if err := s.begin(t.Context(), patience); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := s.exec(t.Context(), "NOTIFY reminder_worker, '"+strconv.Itoa(i)+"'"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 100 {
		if m, err := s.Receive(t.Context()); err != nil || m.Payload != strconv.Itoa(i) {
			t.Fatalf("received %+v, %v: want %d", m, err, i)
		}
	}
	if n := pending(s); n != 0 || len(s.heard) != 0 {
		t.Errorf("pgx still keeps %d payloads, the session %d", n, len(s.heard))
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

func TestAPingIsAnsweredAmongChanges(t *testing.T) {
	t.Parallel()
	s := open(t)
	if err := s.begin(t.Context(), patience); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.Ping(); err != nil {
			t.Fatal(err)
		}
		if m, err := s.Receive(t.Context()); err != nil || !m.Pong {
			t.Fatalf("received %+v, %v: want a pong", m, err)
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
	s := newSession(conn, "reminder_worker")
	t.Cleanup(s.Close)
	if err := errors.Join(s.begin(t.Context(), patience), s.exec(t.Context(), notify)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Receive(t.Context()); err != nil {
		t.Error(err)
	}
}

func FuzzParseWord(f *testing.F) {
	for _, p := range []string{"", "proof:", "proof:MINE", "proof:MINE:1", "proof:MINE:1:2", "PROOF:MINE:1", "told::", "hush:a:b", "7", `{"id":1}`, "\x00", strings.Repeat("x", 7999)} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		w, ok := parseWord(payload)
		if ok && w.String() != payload {
			t.Errorf("payload %q was read as %q", payload, w)
		}
		if known := w.kind == proofWord || w.kind == hushWord || w.kind == toldWord; ok && !known {
			t.Errorf("payload %q was taken for a word", payload)
		}
	})
}
