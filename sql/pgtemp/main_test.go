package pgtemp

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// actAsOrphan is an environment variable: with it, this test binary starts a server
// below the directory it names and waits to be killed.
const actAsOrphan = "PGTEMP_TEST_ORPHAN"

// testCache is shared by the tests of one run, so that initdb runs once.
var testCache string

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(actAsOrphan) != "":
		beOrphan(os.Getenv(actAsOrphan))
	case filepath.Base(os.Args[0]) == "npm":
		beNPM()
	default:
		os.Exit(run(m))
	}
}

func run(m *testing.M) int {
	if memory := MemoryDir(); memory != "" {
		os.Setenv("TMPDIR", memory) // some twenty starts, each of a thousand files
	}
	dir, err := os.MkdirTemp("", "pgtemp-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	testCache = filepath.Join(dir, "cache")
	return m.Run()
}

// start brings up a server for one test.
func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	if cfg.Cache == "" {
		cfg.Cache = testCache
	}
	if cfg.Dir == "" {
		cfg.Dir = MemoryDir()
	}
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// connect opens a connection for one test.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be gone
	return conn
}

// ask returns the answer to a query of one text value.
func ask(t *testing.T, conn *pgx.Conn, query string) (answer string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

// openDir is a temporary directory that other users may enter, down from the root.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgtemp-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// eventually waits for something that another process does.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

// beOrphan starts a server, tells where, and waits for the end.
func beOrphan(dir string) {
	s, err := Start(context.Background(), Config{Dir: dir, Cache: filepath.Join(dir, "cache")})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(s.PID(), s.SocketDir())
	select {}
}
