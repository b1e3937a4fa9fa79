package pgtemp

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestStart(t *testing.T) {
	t.Parallel()
	s := start(t, Config{Settings: map[string]string{"Work_Mem": "3MB"}})
	conn := connect(t, s.URL("postgres"))
	for query, want := range map[string]string{
		"show wal_level":       "logical",
		"show max_connections": "200",
		"show fsync":           "off",
		"show work_mem":        "3MB",
		"show timezone":        "UTC",
		"show server_encoding": "UTF8",
		"select current_user":  "postgres",
	} {
		if got := ask(t, conn, query); got != want {
			t.Errorf("%s is %q, want %q", query, got, want)
		}
	}
	if got := ask(t, conn, "show server_version"); !strings.HasPrefix(got, s.Version()) {
		t.Errorf("server version is %q, installation says %q", got, s.Version())
	}
	overSocket := connect(t, "postgres:///postgres?user=postgres&host="+s.SocketDir()+"&port="+strconv.Itoa(s.Port()))
	if got := ask(t, overSocket, "select 'here'"); got != "here" {
		t.Errorf("over the socket came %q", got)
	}
}

func TestURLQuotesTheDatabase(t *testing.T) {
	t.Parallel()
	s := &Server{port: 20001}
	want := "postgres://postgres@127.0.0.1:20001/a%20b%3F?sslmode=disable"
	if got := s.URL("a b?"); got != want {
		t.Errorf("URL is %s, want %s", got, want)
	}
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	connect(t, s.URL("postgres")) // a client does not delay it
	pid, dir := s.PID(), s.SocketDir()
	if pid == 0 {
		t.Fatal("a running server has no process id")
	}
	for range 2 {
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s.PID() != 0 {
		t.Error("a stopped server has a process id")
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory %s after Stop: %v", dir, err)
	}
	if !portFree(s.Port()) {
		t.Error("the port is still taken")
	}
	if err := s.Restart(t.Context(), Fast); !errors.Is(err, ErrStopped) {
		t.Errorf("Restart after Stop: %v, want ErrStopped", err)
	}
}

func TestStopWithoutTimeKills(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if s.PID() != 0 {
		t.Error("the server survived Stop")
	}
}

func TestRestartKeepsWhatWasCommitted(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	url := s.URL("postgres")
	if _, err := connect(t, url).Exec(t.Context(), "create table kept (mode text)"); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []Mode{Fast, Immediate, Crash} {
		conn := connect(t, url)
		if _, err := conn.Exec(t.Context(), "insert into kept values ($1)", mode.String()); err != nil {
			t.Fatal(err)
		}
		before := s.PID()
		if err := s.Restart(t.Context(), mode); err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		if err := conn.Ping(t.Context()); err == nil {
			t.Errorf("%s: the old connection survived", mode)
		}
		if s.PID() == before || s.URL("postgres") != url {
			t.Errorf("%s: process %d and %s, want another process than %d and %s", mode, s.PID(), s.URL("postgres"), before, url)
		}
	}
	if got := ask(t, connect(t, url), "select string_agg(mode, ' ' order by mode) from kept"); got != "crash fast immediate" {
		t.Errorf("kept %q", got)
	}
}

func TestKillEndsEveryProcess(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	conn := connect(t, s.URL("postgres"))
	pid := s.PID()
	family := children(pid)
	s.Kill()
	if s.PID() != 0 || conn.Ping(t.Context()) == nil {
		t.Error("something survived")
	}
	for _, child := range family {
		awaitGone(child, time.Second)
	}
	if left := children(pid); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
	if err := s.Restart(t.Context(), Fast); err != nil {
		t.Fatal(err)
	}
	connect(t, s.URL("postgres"))
}

func TestStartSaysWhichStepFailedAndQuotesTheLog(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Config{Cache: testCache, Settings: map[string]string{"shared_buffers": "plenty"}})
	step, ok := errors.AsType[*StepError](err)
	if !ok {
		t.Fatalf("error is %v, want a StepError", err)
	}
	if step.Step != "start the server" || !strings.Contains(err.Error(), "shared_buffers") {
		t.Errorf("error does not tell what was wrong: %v", err)
	}
}

func TestStartOnATakenPort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = Start(t.Context(), Config{Cache: testCache, Port: taken.Addr().(*net.TCPAddr).Port})
	if err == nil || !strings.Contains(err.Error(), "bind") {
		t.Errorf("error is %v, want one that quotes the failed bind", err)
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := openDir(t)
	_, err := Start(ctx, Config{Cache: testCache, Dir: dir})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v, want canceled", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%d entries are left", len(left))
	}
}

func TestServersAtOnce(t *testing.T) {
	t.Parallel()
	for range 3 {
		t.Run("one", func(t *testing.T) {
			t.Parallel()
			connect(t, start(t, Config{}).URL("postgres"))
		})
	}
}
