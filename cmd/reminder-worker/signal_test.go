package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
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
	worker, log = program(t, "run", "DATABASE_URL="+db.URL(), "EXPO_PUSH_URL="+push.URL(), "HTTP_ADDR=off", "SHUTDOWN_GRACE=1h", "LEASE="+lease)
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
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, exe)
	cmd.Args = []string{"reminder-worker", command}
	cmd.Dir, cmd.Env, cmd.Stderr = t.TempDir(), environ, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // again, if the test has; it says so then
	})
	return cmd, &log
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
