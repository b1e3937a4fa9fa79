package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/listener"
	"github.com/parentpal/reminder-worker/sql/pgtemp"
	"github.com/parentpal/reminder-worker/sql/pgtest"
)

// pair is a primary and a standby that follows it.
type pair struct{ primary, standby *pgtemp.Server }

func newPair(t *testing.T) pair {
	t.Helper()
	primary := pgtest.NewServer(t)
	standby, err := primary.Standby(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := standby.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return pair{primary, standby}
}

// several is a connection string of several hosts.
func several(servers ...*pgtemp.Server) string {
	places := make([]string, len(servers))
	for i, s := range servers {
		places[i] = fmt.Sprintf("127.0.0.1:%d", s.Port())
	}
	return "postgres://postgres@" + strings.Join(places, ",") + "/postgres?sslmode=disable"
}

// poolOn is the tests' own way to a server, past the program's.
func poolOn(t *testing.T, address string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// settled waits until the standby has everything that is committed on the primary.
func (p pair) settled(w *world) {
	w.t.Helper()
	there := one[string](w, "select pg_current_wal_lsn()::text")
	on := *w
	on.db = poolOn(w.t.(*testing.T), p.standby.URL("postgres"))
	w.until("the standby to catch up", func() bool {
		return one[bool](&on, "select pg_last_wal_replay_lsn() >= $1::text::pg_lsn", there)
	})
}

// A worker that is pointed at a standby says so and waits; once that is promoted it goes on by itself.
func TestStandbyIsWaitedFor(t *testing.T) {
	t.Parallel()
	servers := newPair(t)
	w := newWorldOn(t, poolOn(t, servers.standby.URL("postgres")), servers.standby.URL("postgres"))
	says := fmt.Sprintf("127.0.0.1:%d is a standby: nothing can be written to it", servers.standby.Port())
	judged(t, diagnosis(t, w.cfg, nil)["writable"], Fail, says)
	var log journal
	a, _ := w.startLogging(&log)
	w.until("the reason at /readyz", func() bool {
		status, body := get(t.Context(), a, "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, says) && strings.Contains(body, "fix: Point DATABASE_URL at the primary")
	})
	w.until("the reason in the log", func() bool { return strings.Contains(log.String(), says) })
	w.exec("select pg_promote()")
	w.until("ready", func() bool { status, _ := get(t.Context(), a, "/readyz"); return status == http.StatusOK && a.Ready() })
	w.serveMany(2)
}

// The primary dies while the worker serves, and the standby is promoted: a worker that knows both hosts follows, and misses nothing that is
// committed on the new primary, not even what was before it came.
func TestFailover(t *testing.T) {
	t.Parallel()
	servers := newPair(t)
	w := newWorldOn(t, poolOn(t, servers.primary.URL("postgres")), several(servers.primary, servers.standby))
	var log journal
	a, _ := w.startLogging(&log)
	w.until("ready", a.Ready)
	w.serveMany(2)
	user, _ := w.user()
	before := w.event(user, "Known to both", 48*time.Hour)
	w.untilStatus(before, "synced")
	servers.settled(w)
	follower := *w
	follower.cfg.DatabaseURL = servers.standby.URL("postgres")
	if s := follower.status(); !s.Standby || s.Accounts.Connected != 3 || s.Schema.Fault != "" {
		t.Errorf("status by the standby: %+v", s)
	}

	servers.primary.Kill()
	w.db = poolOn(t, servers.standby.URL("postgres"))
	w.until("the loss at /readyz", func() bool {
		status, _ := get(t.Context(), a, "/readyz")
		return status == http.StatusServiceUnavailable
	})
	w.exec("select pg_promote()")
	at := time.Now()
	early := w.event(user, "Before the worker is there", 48*time.Hour)
	w.until("ready again", func() bool { status, _ := get(t.Context(), a, "/readyz"); return status == http.StatusOK })
	w.untilStatus(early, "synced")
	t.Logf("served again %s after the promotion", time.Since(at).Round(time.Millisecond))
	w.serveMany(2)
	w.until("listening on the new primary", func() bool { return a.listener.Status().State == listener.Listening })
	if got := len(w.live(user)); got != 2 {
		t.Errorf("%d copies, want 2", got)
	}
	w.exec(`update events set title = 'Moved', start_ts = start_ts + interval '1 hour' where id = $1`, before)
	w.until("the new title", func() bool { return w.titled(user, "Moved") })
}

// titled reports whether a user's calendar has a copy of that title.
func (w *world) titled(user uuid.UUID, title string) bool {
	for _, c := range w.live(user) {
		if c.Summary == title {
			return true
		}
	}
	return false
}

// The order of the hosts does not matter, and none that is down costs more than its share of the time.
func TestHostsInAnyOrder(t *testing.T) {
	t.Parallel()
	servers := newPair(t)
	address := several(servers.standby, servers.primary)
	w := newWorldOn(t, poolOn(t, servers.primary.URL("postgres")), address)
	conn, err := Connect(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(t.Context(), conn)
	if got := remote(conn.PgConn()); got != fmt.Sprintf("127.0.0.1:%d", servers.primary.Port()) {
		t.Errorf("connected to %s, want the primary", got)
	}
	a, _ := w.start()
	w.until("ready", a.Ready)
	w.serveMany(1)
	servers.primary.Kill()
	w.until("the reason at /readyz", func() bool {
		status, body := get(t.Context(), a, "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "none takes writes") && strings.Contains(body, "is a standby")
	})
	judged(t, diagnosis(t, w.cfg, nil)["writable"], Fail, "none takes writes")
}

// What the operator says with target_session_attrs does not keep the reason from being told.
func TestTargetSessionAttrs(t *testing.T) {
	t.Parallel()
	address := pgtest.New(t).URL()
	const readOnly = "&default_transaction_read_only=on"
	for attrs, want := range map[string][2]string{ // what is said of a server that takes writes, and of one that does not
		"any":            {"", "default_transaction_read_only is on"},
		"read-write":     {"", "default_transaction_read_only is on"},
		"primary":        {"", "default_transaction_read_only is on"},
		"prefer-standby": {"", "default_transaction_read_only is on"},
		"standby":        {"asks for a server that takes no writes", "default_transaction_read_only is on"},
		"read-only":      {"asks for a server that takes no writes", "default_transaction_read_only is on"},
	} {
		for i, setting := range []string{"", readOnly} {
			a := wired(t, address+"&target_session_attrs="+attrs+setting)
			switch err := a.prepare(t.Context()); {
			case want[i] == "" && err != nil, want[i] != "" && (err == nil || !strings.Contains(err.Error(), want[i])):
				t.Errorf("%s%s: %v, want %q", attrs, setting, err, want[i])
			}
		}
		conn, err := Connect(t.Context(), Config{DatabaseURL: address + "&target_session_attrs=" + attrs + readOnly})
		if err != nil {
			t.Errorf("%s: %v", attrs, err)
			continue
		}
		judged(t, examineWritable(t.Context(), &patient{conn: conn}), Fail, "default_transaction_read_only is on")
		hangUp(t.Context(), conn)
	}
}

// A host that swallows everything leaves time for the next one.
func TestSilentHost(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel connects, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	u, err := url.Parse(pgtest.New(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Host = silent.Addr().String() + "," + u.Host
	conn, err := Connect(t.Context(), Config{DatabaseURL: u.String()})
	if err != nil {
		t.Fatal(err)
	}
	hangUp(t.Context(), conn)
	a := wired(t, u.String())
	ctx, cancel := context.WithTimeout(t.Context(), statementLimit)
	defer cancel()
	if err := a.pool.Ping(ctx); err != nil {
		t.Error(err)
	}
}

func TestHostLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		set   time.Duration
		hosts int
		want  time.Duration
	}{{0, 1, 10 * time.Second}, {0, 3, 2500 * time.Millisecond}, {2 * time.Second, 1, 2 * time.Second}, {2 * time.Second, 3, 2 * time.Second}, {time.Hour, 1, 10 * time.Second}} {
		if got := hostLimit(c.set, c.hosts); got != c.want {
			t.Errorf("%s set, %d hosts: %s, want %s", c.set, c.hosts, got, c.want)
		}
	}
}

// A server that is set to read-only while the worker serves is waited for, with one word in the log, and served again when that ends.
func TestReadOnlyForAWhile(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	w := newWorldOn(t, poolOn(t, db.URL()+"&default_transaction_read_only=off"), db.URL())
	var log journal
	a, _ := w.startLogging(&log)
	w.until("ready", a.Ready)
	const anew = ` do $$ begin perform pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'reminder-worker%'; end $$`
	w.exec(fmt.Sprintf("alter database %s set default_transaction_read_only = on;", db.Name) + anew)
	const says = "takes no writes: default_transaction_read_only is on"
	w.until("the reason at /readyz", func() bool {
		status, body := get(t.Context(), a, "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, says)
	})
	user, _ := w.user()
	event := w.event(user, "Choir", 48*time.Hour)
	w.until("the word in the log", func() bool {
		return strings.Contains(log.String(), "waiting for a database that takes writes")
	})
	w.exec(fmt.Sprintf("alter database %s reset default_transaction_read_only", db.Name))
	w.untilStatus(event, "synced")
	w.until("the end of it in the log", func() bool { return strings.Contains(log.String(), "the database takes writes again") })
	if n := strings.Count(log.String(), "waiting for a database that takes writes"); n > 3 {
		t.Errorf("said %d times", n)
	}
}

// A pooler turns from the primary to the standby and back while its clients stay connected, as some do when they fail over: the worker sees
// it by the first write that is refused, waits, and goes on.
func TestPoolerTurnsToStandby(t *testing.T) {
	t.Parallel()
	program := findPgBouncer(t)
	if program == "" {
		return
	}
	servers := newPair(t)
	p := startPooler(t, program, servers.primary.URL("postgres"), "transaction", 4)
	w := newWorldOn(t, poolOn(t, servers.primary.URL("postgres")), p.address())
	var log journal
	a, _ := w.startLogging(&log)
	w.until("ready", a.Ready)
	w.serveMany(2)
	servers.settled(w)

	p.turn(servers.standby.URL("postgres"))
	user, _ := w.user()
	event := w.event(user, "Swimming", 48*time.Hour)
	w.until("the reason at /readyz", func() bool {
		status, body := get(t.Context(), a, "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "leads to a standby: nothing can be written to it")
	})
	w.until("the word in the log", func() bool {
		return strings.Contains(log.String(), "waiting for a database that takes writes")
	})
	p.turn(servers.primary.URL("postgres"))
	w.untilStatus(event, "synced")
	w.until("ready again", func() bool { status, _ := get(t.Context(), a, "/readyz"); return status == http.StatusOK })
}
