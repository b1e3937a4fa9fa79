package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// stuck starts the program and has it wait for an answer of Expo that does not come. The lease bounds how long it waits.
func stuck(t *testing.T, lease string) (worker *exec.Cmd, log *bytes.Buffer) {
	t.Helper()
	push, err := expofake.Start(expofake.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = push.Close() })
	asked := make(chan struct{}, 100)
	push.Fail(func(expofake.Request) *expofake.Fault {
		asked <- struct{}{}
		return &expofake.Fault{Delay: time.Hour}
	})
	db := pgtest.New(t)
	_, err = db.Pool.Exec(t.Context(), `
		with parent as (insert into auth.users (email) values ('parent@example.org') returning id),
		device as (insert into reminder_worker.push_devices (token, user_id) select 'ExponentPushToken[one]', id from parent),
		event as (insert into events (user_id, title, start_ts) select id, 'Recital', now() + interval '2 days' from parent returning id, user_id)
		insert into reminders (event_id, user_id, notify_at_ts, message) select id, user_id, now(), 'Pack the violin' from event`)
	if err != nil {
		t.Fatal(err)
	}
	worker, log = program(t, "run", "DATABASE_URL="+db.URLAs(runner), "EXPO_PUSH_URL="+push.URL(), "HTTP_ADDR=off", "SHUTDOWN_GRACE=1h", "LEASE="+lease)
	select {
	case <-asked:
	case <-time.After(patience):
		t.Fatalf("waited in vain for a push\n%s", log)
	}
	return worker, log
}

// program starts a command in a process of its own. The test binary is the program when it is called by its name.
func program(t *testing.T, command string, environ ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	cmd := prepared(t, command, environ...)
	cmd.Stderr = &log
	begin(t, cmd)
	return cmd, &log
}

// prepared is a command that is not started yet. It is killed in the end, should it hang.
func prepared(t *testing.T, command string, environ ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe)
	cmd.Args = []string{"reminder-worker", command}
	cmd.Dir, cmd.Env = t.TempDir(), environ
	return cmd
}

func begin(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // if the test has not seen its end
		_ = cmd.Wait()         // again, if the test has; it says so then
	})
}

// ends sends signals and waits for the exit code.
func ends(t *testing.T, cmd *exec.Cmd, signals ...os.Signal) int {
	t.Helper()
	for _, s := range signals {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	_ = cmd.Wait() // the code says it
	return cmd.ProcessState.ExitCode()
}

// The first signal ends the intake and waits for what is on the wire; the second ends the program.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	worker, log := stuck(t, "1h")
	// Two of a kind may reach a process as one.
	if code := ends(t, worker, syscall.SIGTERM, os.Interrupt); code != exitSecondSignal {
		t.Errorf("exit code %d, want %d\n%s", code, exitSecondSignal, log)
	}
}

// One signal is enough: what is on the wire has the time that a request may take, then the program ends well.
func TestFirstSignal(t *testing.T) {
	t.Parallel()
	worker, log := stuck(t, "1s") // a request may take two thirds of it
	if code := ends(t, worker, syscall.SIGTERM); code != 0 || !strings.Contains(log.String(), `"message":"stopped"`) {
		t.Errorf("exit code %d\n%s", code, log)
	}
}

// What a watchdog or a panic ends dies by a signal: exit code 2 is for wrong configuration, and a supervisor would not start it again.
func TestAbortIsNoWrongConfiguration(t *testing.T) {
	t.Parallel()
	worker, _ := stuck(t, "1h")
	ends(t, worker, syscall.SIGABRT)
	status, ok := worker.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGABRT || status.CoreDump() {
		t.Errorf("ended by %v", worker.ProcessState)
	}
}

// hears has the programs that are started hear a signal though it was turned off for this one, as nohup does: what is ignored stays so in a child, what is
// handled does not.
func hears(t *testing.T, s os.Signal) {
	t.Helper()
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, s)
	t.Cleanup(func() { signal.Stop(heard) })
}

// A terminal that is closed is a signal like the others, and may come more than once.
func TestHangup(t *testing.T) {
	t.Parallel()
	hears(t, syscall.SIGHUP)
	worker, log := stuck(t, "1s")
	if code := ends(t, worker, syscall.SIGHUP, syscall.SIGHUP); code != 0 || !strings.Contains(log.String(), `"message":"stopped"`) {
		t.Errorf("exit code %d\n%s", code, log)
	}
}

// A log that nobody reads any more does not end the program.
func TestClosedLog(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	worker := prepared(t, "run", "DATABASE_URL="+pgtest.New(t).URLAs(runner), "HTTP_ADDR="+address)
	log, err := worker.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, worker)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if !answers("http://" + address + "/readyz") {
		t.Error("waited in vain for the program to be ready")
	}
	if code := ends(t, worker, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A demo that nobody looks at any more, and one whose terminal is closed, take their server with them.
func TestDemoLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(t *testing.T, demo *exec.Cmd, out io.Closer)
		code int
		says string
	}{
		{"closed pipe", func(t *testing.T, _ *exec.Cmd, out io.Closer) { _ = out.Close() }, exitFailed, "what it shows cannot be written"},
		{"hangup", func(t *testing.T, demo *exec.Cmd, _ io.Closer) { _ = demo.Process.Signal(syscall.SIGHUP) }, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			hears(t, syscall.SIGHUP)
			var errs bytes.Buffer
			demo := prepared(t, "demo", append(os.Environ(), "DATABASE_URL=")...)
			demo.Stderr = &errs
			out, err := demo.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			begin(t, demo)
			var server string
			lines := bufio.NewScanner(out)
			for server == "" && lines.Scan() {
				server = regexp.MustCompile(`postgres://[^/@]*@?([^/]+)/`).FindString(lines.Text())
			}
			c.end(t, demo, out)
			go func() { _, _ = io.Copy(io.Discard, out) }()
			_ = demo.Wait() // the code says it
			if code := demo.ProcessState.ExitCode(); code != c.code || !strings.Contains(errs.String(), c.says) {
				t.Errorf("exit code %d\n%s", code, &errs)
			}
			u, err := url.Parse(server)
			if err != nil || u.Host == "" {
				t.Fatalf("server %q: %v", server, err)
			}
			if conn, err := net.Dial("tcp", u.Host); err == nil {
				_ = conn.Close()
				t.Errorf("%s still answers", u.Host)
			}
		})
	}
}
