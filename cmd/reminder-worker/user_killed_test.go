package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// A user is forgotten though the command is killed again and again: between two steps in the database, between two removals at Google, and while the consent is
// being given back, before Google has done it and after. Whoever asks again has the rest done. Nothing is left, and no log names what there was.
func TestForgettingIsKilled(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	google, err := gcalfake.Start(gcalfake.Config{ClientID: "client", ClientSecret: "client-secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(google.Close)
	const events = 1200 // more than two steps
	var user uuid.UUID
	if err := db.Pool.QueryRow(t.Context(), `insert into auth.users (email) values ('parent@example.org') returning id`).Scan(&user); err != nil {
		t.Fatal(err)
	}
	for sql, args := range map[string][]any{
		`select reminder_worker.put_google_account($1, $2)`:                                                                                  {user, google.Grant(user.String())},
		`select reminder_worker.put_push_device($1, 'ExponentPushToken[one]', 'ios')`:                                                        {user},
		`insert into notification_settings (user_id, time_zone) values ($1, 'Europe/Berlin')`:                                                {user},
		`insert into events (user_id, title, start_ts) select $1, 'Secret rehearsal', now() + interval '2 days' from generate_series(1, $2)`: {user, events},
	} {
		if _, err := db.Pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	var said syncBuffer
	environ := []string{
		"DATABASE_URL=" + db.URLAs(runner), "GOOGLE_CLIENT_ID=client", "GOOGLE_CLIENT_SECRET=client-secret", "GOOGLE_CALENDAR_URL=" + google.CalendarURL(),
		"GOOGLE_TOKEN_URL=" + google.TokenURL(), "GOOGLE_REVOKE_URL=" + google.RevokeURL(), "CALENDAR_USER_RATE=0", "LEASE=1s", "LOG_LEVEL=debug",
	}
	run := func(args ...string) (kill func(when func() bool), end func() int) {
		t.Helper()
		cmd := prepared(t, args[0], environ...)
		cmd.Args = append(cmd.Args, args[1:]...)
		cmd.Stdout, cmd.Stderr = &said, &said
		begin(t, cmd)
		kill = func(when func() bool) {
			t.Helper()
			for deadline := time.After(patience); !when(); {
				select {
				case <-deadline:
					t.Fatalf("waited in vain to kill it\n%s", &said)
				case <-time.After(time.Millisecond):
				}
			}
			ends(t, cmd, syscall.SIGKILL)
			if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !s.Signaled() {
				t.Fatalf("it was not killed: %v\n%s", cmd.ProcessState, &said)
			}
		}
		return kill, func() int { t.Helper(); return ends(t, cmd) }
	}
	left := func() (n int) {
		t.Helper()
		if err := db.Pool.QueryRow(t.Context(), `select count(*)::int from events`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	live := func() (n int) {
		for _, e := range google.Events(user.String()) {
			if e.Status != "cancelled" {
				n++
			}
		}
		return n
	}

	_, end := run("once")
	if code := end(); code != 0 || live() != events {
		t.Fatalf("exit code %d, %d copies\n%s", code, live(), &said)
	}
	forget := []string{"user", "delete", user.String(), "--auth-user", "--yes"}
	kill, _ := run(forget...)
	kill(func() bool { return left() < events })
	for _, less := range []int{events / 4, events / 2} {
		before := live()
		kill, _ = run(forget...)
		kill(func() bool { return live() <= before-less })
		t.Logf("killed with %d events and %d copies left", left(), live())
	}
	for _, f := range []gcalfake.Fault{{Hang: true}, {Lose: true}} {
		asked := make(chan struct{}, 1)
		heal := google.Fail(func(r gcalfake.Request) *gcalfake.Fault {
			if r.Op != gcalfake.OpRevoke {
				return nil
			}
			select {
			case asked <- struct{}{}:
			default:
			}
			return &f
		})
		kill, _ = run(forget...)
		kill(func() bool { return len(asked) > 0 })
		heal()
		if left() > 0 || live() > 0 {
			t.Errorf("the consent is given back before %d events and %d copies are gone", left(), live())
		}
	}
	_, end = run(forget...)
	if code := end(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, &said)
	}
	for _, line := range []string{"1200  events", "1  devices", "1  settings", "1  accounts", "1200  copies removed from Google Calendar", "nothing is held about this user any more"} {
		if !strings.Contains(said.String(), line) {
			t.Errorf("it does not say %q:\n%s", line, &said)
		}
	}
	if found := pgtest.Traces(t, db.Pool, user.String(), strings.ReplaceAll(user.String(), "-", ""), "rehearsal", "ExponentPushToken"); len(found) > 0 {
		t.Errorf("traces are left: %v", found)
	}
	if n := live(); n > 0 {
		t.Errorf("%d copies are left", n)
	}
	if _, end = run("user", "export", user.String()); end() != exitFailed {
		t.Errorf("an export afterwards:\n%s", &said)
	}
	for _, text := range []string{"rehearsal", "ExponentPushToken", "parent@example.org"} {
		if strings.Contains(said.String(), text) {
			t.Errorf("it tells %q", text)
		}
	}
}
