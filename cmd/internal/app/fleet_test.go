package app

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// fleet is several workers in processes of their own on one database. In the ledger each has the name of its connections.
type fleet struct {
	w        *world
	settings []string
	workers  []*member
	started  int
}

type member struct {
	*process
	name string
}

// newFleet starts n workers with settings beside the world's, and waits until all are connected.
func (w *world) newFleet(n int, settings ...string) *fleet {
	w.t.Helper()
	f := &fleet{w: w, settings: settings, workers: make([]*member, n)}
	for i := range f.workers {
		f.start(i)
	}
	w.until("all workers at work", func() bool {
		return one[int](w, `select count(distinct application_name)::int from pg_stat_activity
			where datname = current_database() and application_name like 'worker %'`) == n
	})
	return f
}

// start puts a new worker into place i.
func (f *fleet) start(i int) {
	f.w.t.Helper()
	f.started++
	name := fmt.Sprintf("worker %d", f.started)
	u, err := url.Parse(f.w.cfg.DatabaseURL)
	if err != nil {
		f.w.t.Fatal(err)
	}
	q := u.Query()
	q.Set("application_name", name)
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	settings := append(slices.Clone(f.settings), "DATABASE_URL="+u.String())
	f.workers[i] = &member{process: f.w.spawn(settings...), name: name}
}

// restart ends the worker in place i by sig, and starts another. One that is asked to stop is at work: before the program has begun, no signal can
// be more than its end.
func (f *fleet) restart(i int, sig syscall.Signal) {
	f.w.t.Helper()
	want := 0
	if sig == syscall.SIGKILL {
		want = -1
	} else {
		f.w.until(f.workers[i].name+" at work", func() bool {
			return one[bool](f.w, `select exists (select from pg_stat_activity where datname = current_database() and application_name = $1)`, f.workers[i].name)
		})
	}
	if code := f.workers[i].end(sig); code != want {
		f.w.t.Errorf("%s ended with %d after %s", f.workers[i].name, code, sig)
	}
	f.start(i)
}

// suspend stops the worker where it is, and returns the reminders that it holds: claimed, committed, and not recorded.
func (f *fleet) suspend(i int) (held []uuid.UUID) {
	f.w.t.Helper()
	m := f.workers[i]
	if err := m.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		f.w.t.Fatal(err)
	}
	f.w.until(m.name+" to stand still", func() bool { return m.state(f.w.t) == 'T' })
	f.w.until("the end of its last statements", func() bool {
		return one[int](f.w, `select count(*)::int from pg_stat_activity where application_name = $1 and state = 'active'`, m.name) == 0
	})
	return one[[]uuid.UUID](f.w, `select coalesce(array_agg(id), '{}') from reminders r where status = 'sending' and $1 = (
		select worker from reminder_ledger l where l.reminder_id = r.id order by nr desc limit 1)`, m.name)
}

// resume lets it go on.
func (f *fleet) resume(i int) {
	f.w.t.Helper()
	if err := f.workers[i].cmd.Process.Signal(syscall.SIGCONT); err != nil {
		f.w.t.Fatal(err)
	}
}

// state is the letter by which the kernel tells what the process does: T while it is stopped.
func (m *member) state(t testing.TB) byte {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // behind the name
	return rest[0]
}

// slowly makes the answers of Expo and Google take a while, so that there is always something on the wire.
func (w *world) slowly(push, calendar time.Duration) {
	w.expo.Fail(func(expofake.Request) *expofake.Fault { return expofake.Slow(push) })
	w.google.Fail(gcalfake.Always("", gcalfake.Fault{Delay: calendar}))
}

// What Expo and Google allow one project.
const (
	pushesPerSecond       = 600
	calendarCallsOfMinute = 10_000
)

// rememberCalls replaces Google by one that remembers as many requests, before there are users.
func (w *world) rememberCalls(calls int) {
	w.t.Helper()
	google, err := gcalfake.Start(gcalfake.Config{ClientID: "client", ClientSecret: "client-secret", LogSize: calls})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(google.Close)
	w.google = google
	w.cfg.GoogleCalendarURL, w.cfg.GoogleTokenURL, w.cfg.GoogleRevokeURL = google.CalendarURL(), google.TokenURL(), google.RevokeURL()
}

// checkQuotas counts at the stand-ins how much was asked of Expo in the busiest second, and of Google in the busiest minute.
func (w *world) checkQuotas() {
	w.t.Helper()
	var pushes, calls []time.Time
	for _, p := range w.expo.Pushes() {
		pushes = append(pushes, p.FirstByte)
	}
	for _, r := range w.google.Log() {
		if r.Op != gcalfake.OpToken && r.Op != gcalfake.OpRevoke {
			calls = append(calls, r.At)
		}
	}
	second, minute := busiest(pushes, time.Second), busiest(calls, time.Minute)
	w.t.Logf("%d pushes in the busiest second, %d calendar calls in the busiest minute", second, minute)
	if n := w.expo.Counts().Throttled; n > 0 || second > pushesPerSecond {
		w.t.Errorf("%d pushes in one second, %d requests refused: Expo takes %d", second, n, pushesPerSecond)
	}
	if minute > calendarCallsOfMinute {
		w.t.Errorf("%d calendar calls in one minute: Google takes %d", minute, calendarCallsOfMinute)
	}
	if n := w.google.Count("", http.StatusTooManyRequests) + w.google.Count("", http.StatusForbidden); n > 0 {
		w.t.Errorf("Google has refused %d calls", n)
	}
}

// busiest is the greatest number of instants in any window of time.
func busiest(at []time.Time, window time.Duration) (most int) {
	slices.SortFunc(at, time.Time.Compare)
	first := 0
	for i := range at {
		for at[i].Sub(at[first]) >= window {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
