package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/notify"
	"github.com/parentpal/reminder-worker/notify/expo"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// beWorker makes the test binary run as the program itself, so that it can be killed.
const beWorker = "REMINDER_WORKER_TEST_PROCESS"

func workerMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM) // first of all, as the program does
	defer stop()
	cfg, err := Load(os.Environ(), "")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	a, err := New(cfg, ops.Build{Version: "test"}, NewLog(cfg, os.Stderr))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := a.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process is a worker in a process of its own.
type process struct {
	t   testing.TB
	cmd *exec.Cmd
	log bytes.Buffer
}

// spawn starts one, with settings beside the world's; of two of one name the later holds.
func (w *world) spawn(settings ...string) *process {
	w.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	p := &process{t: w.t, cmd: exec.Command(exe)}
	p.cmd.Env = append(os.Environ(), beWorker+"=1",
		"DATABASE_URL="+w.cfg.DatabaseURL, "MIGRATE_ON_START="+strconv.FormatBool(w.cfg.MigrateOnStart), "HTTP_ADDR=off", "LOG_FORMAT=json",
		"GOOGLE_CLIENT_ID="+w.cfg.GoogleClientID, "GOOGLE_CLIENT_SECRET="+w.cfg.GoogleClientSecret,
		"CALENDAR_USER_RATE=0", "GOOGLE_CALENDAR_URL="+w.cfg.GoogleCalendarURL, "GOOGLE_TOKEN_URL="+w.cfg.GoogleTokenURL, "GOOGLE_REVOKE_URL="+w.cfg.GoogleRevokeURL,
		"EXPO_PUSH_URL="+w.cfg.ExpoPushURL, "SWEEP_INTERVAL=1s", "RETRY_BASE=50ms", "SHUTDOWN_GRACE=30s")
	p.cmd.Env = append(p.cmd.Env, settings...)
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
		if w.t.Failed() {
			w.t.Logf("worker's log:\n%s", tail(p.log.String(), 40))
		}
	})
	return p
}

func tail(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// end sends sig and waits; it returns the exit code, -1 if the process was killed.
func (p *process) end(sig os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// resident is the memory the process holds, in KB.
func (p *process) resident() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Logf("memory is not measured: %v", err)
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb
		}
	}
	return 0
}

// crowd makes users with connected calendars and one phone each.
func (w *world) crowd(n int) []uuid.UUID {
	w.t.Helper()
	users := make([]uuid.UUID, n)
	for i := range users {
		users[i], _ = w.user()
	}
	return users
}

// midway prepares 20 pending events for each user, and as many reminders of other events that fall due while those are being served.
func (w *world) midway(users []uuid.UUID) {
	w.t.Helper()
	w.google.Fail(gcalfake.Always(gcalfake.OpInsert, gcalfake.Fault{Delay: 60 * time.Millisecond})) // the copies take a few seconds
	w.exec(`insert into events (user_id, title, start_ts, status)
		select u, 'Told already ' || n, now() + interval '5 hours', 'synced' from unnest($1::uuid[]) u, generate_series(1, 20) n`, users)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message)
		select id, user_id, now() + interval '1500 milliseconds', 'Pack the bag' from events`)
	w.exec(`insert into events (user_id, title, start_ts)
		select u, 'Practice ' || n, now() + interval '3 days' from unnest($1::uuid[]) u, generate_series(1, 20) n`, users)
}

func (w *world) copies(users []uuid.UUID) int {
	n := 0
	for _, u := range users {
		n += len(w.live(u))
	}
	return n
}

// untilServed waits until every event is synced and every reminder is settled.
func (w *world) untilServed() {
	w.t.Helper()
	w.until("every event synced", func() bool {
		return one[int](w, `select count(*)::int from events where status <> 'synced'`) == 0
	})
	w.until("every due reminder settled", func() bool {
		return one[int](w, `select count(*)::int from reminders where status in ('pending', 'sending') and notify_at_ts < now()`) == 0
	})
}

// pushed counts accepted pushes per reminder, and checks that all pushes of one carry its id.
func (w *world) pushed() map[string]int {
	w.t.Helper()
	count := map[string]int{}
	for _, p := range w.expo.Pushes() {
		var data struct{ ReminderID string }
		if err := json.Unmarshal(p.Data, &data); err != nil {
			w.t.Fatal(err)
		}
		if p.CollapseID != data.ReminderID || p.Tag != data.ReminderID {
			w.t.Errorf("push of reminder %s has collapse id %s, tag %s", data.ReminderID, p.CollapseID, p.Tag)
		}
		count[data.ReminderID]++
	}
	return count
}

func (w *world) checkServed(users []uuid.UUID) (repeats int) {
	w.t.Helper()
	if got, want := w.copies(users), one[int](w, `select count(*)::int from events where title like 'Practice%'`); got != want {
		w.t.Errorf("%d copies for %d events", got, want)
	}
	count := w.pushed()
	if want := one[int](w, `select count(*)::int from reminders where message = 'Pack the bag'`); len(count) != want {
		w.t.Errorf("%d of %d reminders were pushed", len(count), want)
	}
	for _, n := range count {
		repeats += n - 1
	}
	return repeats
}

// Killed in the middle of everything and started again: nothing is lost, no copy has a twin, and only what was on the wire is pushed again.
func TestKilled(t *testing.T) { // not parallel: an answer that comes too late on a busy machine is a repeat by right
	eachSource(t, testKilled)
}

func testKilled(t *testing.T, s source) {
	w := s.world(t)
	users := w.crowd(s.of(100))
	w.midway(users)
	p := w.spawn(s.settings...)
	w.until("the middle", func() bool { return len(w.expo.Pushes()) > 3*len(users) })
	if code := p.end(syscall.SIGKILL); code != -1 {
		t.Fatalf("killed worker exited with %d", code)
	}
	claimed := one[int](w, `select count(*)::int from reminders where status = 'sending'`)
	done := one[int](w, `select count(*)::int from events where title like 'Practice%' and status = 'synced'`)
	sent := one[int](w, `select count(*)::int from reminders where status = 'sent'`)
	t.Logf("killed with %d of %d events synced, %d of as many reminders sent", done, 20*len(users), sent)
	w.spawn(s.settings...)
	w.untilServed()
	repeats := w.checkServed(users)
	t.Logf("%d reminders were claimed and not recorded, %d pushes were repeated", claimed, repeats)
	if repeats > claimed {
		t.Errorf("%d pushes were repeated, of %d that were on the wire", repeats, claimed)
	}
	// One batch is on the wire while Expo answers within the time that the pace leaves between two. A machine that is slower than that has more.
	if most := expo.MaxMessages * notify.DefaultConfig().Connections; claimed > most {
		t.Errorf("%d reminders were on the wire, at most %d may be", claimed, most)
	}
}

// Asked to stop in the same place: no push is repeated.
func TestStopped(t *testing.T) { // not parallel: an answer that comes too late on a busy machine is a repeat by right
	eachSource(t, testStopped)
}

func testStopped(t *testing.T, s source) {
	w := s.world(t)
	users := w.crowd(s.of(100))
	w.midway(users)
	p := w.spawn(s.settings...)
	w.until("the middle", func() bool { return len(w.expo.Pushes()) > 3*len(users) })
	asked := time.Now()
	if code := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("stopped worker exited with %d", code)
	}
	t.Logf("stopped with %d of %d events synced",
		one[int](w, `select count(*)::int from events where title like 'Practice%' and status = 'synced'`), 20*len(users))
	t.Logf("stopped in %s", time.Since(asked).Round(time.Millisecond))
	if n := one[int](w, `select count(*)::int from reminders where status = 'sending'`); n != 0 {
		t.Errorf("%d reminders are still claimed", n)
	}
	if n := one[int](w, `select count(*)::int from events where sync_lease_until is not null`); n != 0 {
		t.Errorf("%d events are still claimed", n)
	}
	w.spawn(s.settings...)
	w.untilServed()
	if repeats := w.checkServed(users); repeats != 0 {
		t.Errorf("%d pushes were repeated", repeats)
	}
}
