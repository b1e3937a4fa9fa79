package ops

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// serviceManager listens as systemd does, and has the environment lead to it.
func serviceManager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return conn
}

// hears returns the next message.
func hears(t *testing.T, manager *net.UnixConn) string {
	t.Helper()
	if err := manager.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := manager.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// supervise runs Supervise until stop is called, or the test ends.
func supervise(t *testing.T, checks ...Check) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { Supervise(ctx, checks, zerolog.Nop()); close(ended) }()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

func TestSupervise(t *testing.T) {
	manager := serviceManager(t)
	var now atomic.Pointer[Finding]
	now.Store(&gone)
	stop := supervise(t, Check{Name: "database", Required: true, Probe: func() Finding { return *now.Load() }})
	got := []string{hears(t, manager)}
	for _, f := range []*Finding{&slow, &fine, &gone} {
		now.Store(f)
		got = append(got, hears(t, manager))
	}
	stop()
	got = append(got, hears(t, manager))
	want := []string{
		"STATUS=failed; database: the database cannot be reached",
		"READY=1\nSTATUS=degraded; database: sends later",
		"STATUS=ok",
		"STATUS=failed; database: the database cannot be reached",
		"STOPPING=1\nSTATUS=stopping",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The manager's watchdog is fed while the probes return, and starves when one does not.
func TestSuperviseFeedsTheWatchdog(t *testing.T) {
	manager := serviceManager(t)
	t.Setenv("WATCHDOG_USEC", "30000")
	t.Setenv("WATCHDOG_PID", "")
	held, stuck := make(chan struct{}), make(chan struct{})
	var hold atomic.Bool
	supervise(t, Check{Name: "wheel", Required: true, Probe: func() Finding {
		if hold.Load() {
			close(stuck)
			<-held
		}
		return fine
	}})
	t.Cleanup(func() { hold.Store(false); close(held) })
	if got, want := hears(t, manager), "WATCHDOG=1\nREADY=1\nSTATUS=ok"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	for range 3 {
		if got := hears(t, manager); got != "WATCHDOG=1" {
			t.Errorf("heard %q, want a sign of life", got)
		}
	}
	hold.Store(true)
	<-stuck
	b := make([]byte, 4096)
	read := func() (err error) { // within many times what a sign takes to come
		if err := manager.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err = manager.Read(b)
		return err
	}
	for before := 0; read() == nil; before++ { // what was said before
		if before > 10 {
			t.Fatal("signs of life although a probe does not return")
		}
	}
}

func TestSuperviseWithoutAManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	Supervise(t.Context(), []Check{{Name: "wheel", Probe: always(gone)}}, zerolog.Nop())
}

func TestStatusIsOneLine(t *testing.T) {
	t.Parallel()
	long := Examine([]Check{{Name: "a", Probe: always(Finding{Reason: "two\nlines\x00" + strings.Repeat("ä", longestStatus)})}})
	line := long.line()
	if strings.ContainsAny(line, "\n\x00") || len(line) > longestStatus+len(" ...") || !strings.HasPrefix(line, "degraded; a: two lines ä") {
		t.Errorf("%q", line)
	}
}
