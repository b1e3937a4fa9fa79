package demo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// The whole demo, as a program reads it, with a visitor who pastes the SQL it prints. Lateness is not asked for: the machine may be busy.
func TestRun(t *testing.T) {
	t.Parallel()
	var out, errs output
	cfg := DefaultConfig()
	cfg.For, cfg.JSON, cfg.Out, cfg.Errs = time.Second, true, &out, &errs
	ctx, leave := context.WithCancel(t.Context())
	visited := make(chan error, 1)
	started := out.came(`"try_sql"`)
	go func() { visited <- visit(ctx, started, &out) }()
	v, err := Run(ctx, cfg)
	leave() // also a visitor whom nobody has let in
	if err := cmp.Or(err, <-visited); err != nil {
		t.Fatalf("%v\n%s%s", err, &out, &errs)
	}
	v.Late = nil
	if !v.Good() {
		t.Errorf("verdict %+v\n%s%s", v, &out, &errs)
	}
	want := map[kind]int{kindRow: 13, kindWritten: 7, kindUpdated: 2, kindRemoved: 2, kindNoCopy: 1, kindRefused: 1, kindPushed: 10, "started": 1, "summary": 1}
	got := kinds(t, &out)
	for k := range got {
		if want[k] == 0 {
			delete(got, k) // scenes, notes, and plans, which may be shown in one line or two
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("happenings (-want +got):\n%s\n%s%s", diff, &out, &errs)
	}
	a, err := readAddresses(&out)
	if err != nil {
		t.Fatal(err)
	}
	mustBeGone(t, a.Postgres)
}

// visit does what a visitor is asked to do.
func visit(ctx context.Context, started <-chan struct{}, out *output) error {
	select {
	case <-started:
	case <-ctx.Done():
		return ctx.Err()
	}
	a, err := readAddresses(out)
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, a.Postgres)
	if err != nil {
		return err
	}
	defer closeAll([]*pgx.Conn{conn})
	_, err = conn.Exec(ctx, a.Try)
	return err
}

// readAddresses finds the line that tells what was started.
func readAddresses(out *output) (a addresses, err error) {
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, `"kind":"started"`) {
			return a, json.Unmarshal([]byte(line), &a)
		}
	}
	return a, errors.New("nothing was started")
}

func kinds(t *testing.T, out *output) map[kind]int {
	t.Helper()
	got := map[kind]int{}
	for line := range strings.Lines(out.String()) {
		var h struct{ Kind kind }
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got[h.Kind]++
	}
	return got
}

// A stop in the middle of the story is no error, ends in a summary, and leaves nothing behind. It is not parallel: a program's log has
// settings that all programs of a process share.
func TestStopInTheMiddle(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out output
	cfg := DefaultConfig()
	cfg.Out = &out
	written := out.came(string(kindWritten))
	go func() {
		select {
		case <-written:
		case <-ctx.Done():
		}
		stop()
	}()
	v, err := Run(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	v.Late = nil
	if text := out.String(); !v.Good() || !strings.Contains(text, "Verdict: ") {
		t.Errorf("verdict %+v\n%s", v, text)
	}
	_, rest, _ := strings.Cut(out.String(), "postgres://")
	address, _, _ := strings.Cut(rest, "\n")
	mustBeGone(t, "postgres://"+address)
}

func TestStopBeforeItBegins(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out output
	cfg := DefaultConfig()
	cfg.Out = &out
	if _, err := Run(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "stopped before it had begun") {
		t.Error(text)
	}
}

// mustBeGone checks that no server answers any more.
func mustBeGone(t *testing.T, address string) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		t.Fatalf("address %q: %v", address, err)
	}
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", u.Host)
	if err == nil {
		t.Errorf("%s still answers", u.Host)
		_ = c.Close()
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := DefaultConfig()
	cfg.PostgresPort = l.Addr().(*net.TCPAddr).Port
	_, err = Run(t.Context(), cfg)
	if err == nil || !strings.HasPrefix(err.Error(), "--postgres-port ") || !strings.Contains(err.Error(), "taken by another program; choose another") {
		t.Errorf("error %v", err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	cfg := Config{For: -time.Second, GooglePort: 70000, ExpoPort: 9, HTTPPort: 9, Out: new(bytes.Buffer)}
	err := cfg.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		"--for -1s: is negative",
		"--google-port 70000: is not between 1 and 65535, nor 0 for a free port",
		"--http-port 9: is the same as --expo-port",
		"out or errs: missing",
	}
	if diff := gocmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}
