package pgtemp

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func TestStandby(t *testing.T) {
	t.Parallel()
	primary := start(t, Config{})
	change(t, primary, "create table marks as select 1 as mark")
	standby, err := primary.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := standby.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	change(t, primary, "insert into marks values (2)")
	conn := connect(t, standby.URL("postgres"))
	eventually(t, "what is committed on the primary", func() bool { return ask(t, conn, "select sum(mark)::text from marks") == "3" })
	_, err = conn.Exec(t.Context(), "insert into marks values (3)")
	if pe, ok := errors.AsType[*pgconn.PgError](err); !ok || pe.Code != "25006" {
		t.Errorf("a standby took a write: %v", err)
	}
	primary.Kill()
	if got := ask(t, conn, "select pg_promote()::text"); got != "true" {
		t.Fatalf("not promoted: %s", got)
	}
	change(t, standby, "insert into marks values (3)")
}

func TestStandbyOfAStoppedServer(t *testing.T) {
	t.Parallel()
	primary := start(t, Config{})
	if err := primary.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := primary.Standby(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("%v, want ErrStopped", err)
	}
}

// change runs a statement on a server.
func change(t *testing.T, s *Server, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
