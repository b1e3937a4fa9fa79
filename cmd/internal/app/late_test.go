package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/pgtemp"
)

// journal keeps what is logged.
type journal struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// freePort is a port below those that systems hand out, so that nothing takes it by chance before a server does.
func freePort(t *testing.T) int {
	t.Helper()
	for port := 20_000 + os.Getpid()%10_000; port < 32_000; port++ {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// get reads a page of the program, empty if it does not answer.
func get(ctx context.Context, a *App, path string) (status int, body string) {
	return getFrom(ctx, a.Addr(), path)
}

func getFrom(ctx context.Context, addr, path string) (status int, body string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return 0, ""
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	raw, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(raw)
}

// The program starts before its database: it lives, says what it waits for, and serves as soon as the database is there.
func TestDatabaseComesLate(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	address := fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)
	pool, err := pgxpool.New(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w := newWorldOn(t, pool, address)
	var log journal
	a, err := New(w.cfg, ops.Build{Version: "test"}, NewLog(w.cfg, &log))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	defer func() { // before the server goes
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if t.Failed() {
			t.Log(log.String())
		}
	}()

	missing := fmt.Sprintf("nothing listens at 127.0.0.1:%d (connection refused)", port)
	w.until("the reason at /readyz", func() bool {
		status, body := get(ctx, a, "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, missing)
	})
	if status, body := get(ctx, a, "/livez"); status != http.StatusOK {
		t.Errorf("/livez %d %s", status, body)
	}
	w.until("the reason in the log, again", func() bool { return strings.Count(log.String(), missing) >= 2 })
	for _, word := range []string{`"level":"error"`, `"retry_in_ms":`, "Start the server, or correct host and port in DATABASE_URL."} {
		if !strings.Contains(log.String(), word) {
			t.Errorf("the log lacks %s", word)
		}
	}

	startServer(t, port)
	w.until("ready", func() bool { status, _ := get(ctx, a, "/readyz"); return status == http.StatusOK && a.Ready() })
	user, _ := w.user()
	w.untilStatus(w.event(user, "First lesson", 48*time.Hour), "synced")
}

// startServer brings up a server of this test's own.
func startServer(t *testing.T, port int) {
	t.Helper()
	server, err := pgtemp.Start(t.Context(), pgtemp.Config{
		BinDir: os.Getenv("REMINDER_WORKER_PG_BIN"), Port: port, Dir: pgtemp.MemoryDir(),
		Cache: filepath.Join(os.TempDir(), fmt.Sprintf("reminder-worker-tests-%d", os.Geteuid())),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// A migration that found its table in use lets the app's reads pass before it queues in front of them again.
func TestBeforeRetry(t *testing.T) {
	t.Parallel()
	refused := func(code string) error {
		return fmt.Errorf("migrate database: %w", &migrations.StatementError{File: "0001_app_tables.sql", Err: &pgconn.PgError{Code: code}})
	}
	for _, c := range []struct {
		err         error
		pause, want time.Duration
		says        string
	}{
		{refused("55P03"), 250 * time.Millisecond, 20 * time.Second, "the app's reads queue behind each try"},
		{refused("55P03"), time.Minute, time.Minute, "the app's reads queue behind each try"},
		{refused("40P01"), 250 * time.Millisecond, 250 * time.Millisecond, "database not ready"},
		{io.ErrUnexpectedEOF, time.Second, time.Second, "database not ready"},
	} {
		if wait, why := beforeRetry(c.err, c.pause); wait != c.want || !strings.Contains(why, c.says) {
			t.Errorf("%v: %s, %q; want %s, %q", c.err, wait, why, c.want, c.says)
		}
	}
}
