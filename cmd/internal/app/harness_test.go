package app

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

func TestMain(m *testing.M) {
	if os.Getenv(beWorker) != "" {
		os.Exit(workerMain())
	}
	if os.Getenv(beNetwork) != "" {
		os.Exit(networkMain())
	}
	role, err := os.ReadFile("../../../deploy/database/role.sql")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pgtest.Also(string(role) + rolesOfTests)
	code := pgtest.Run(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// runner is the role of deploy/database/role.sql. The workers of newWorld run as it unless a test says otherwise; what the app does is the owner's.
const runner = "reminder_runner"

// walRunner is the same for a worker that reads the log.
const walRunner = "reminder_runner_wal"

const rolesOfTests = `
create publication reminder_worker;
do $$
begin
  create role ` + walRunner + ` login replication in role ` + runner + `;
exception
  when duplicate_object then null;
end
$$`

// patience is how long a test waits for what must come. It is no measure of speed: a broken program is told by it, not a slow machine.
const patience = 3 * time.Minute

// world is a database and the stand-ins, with families in it.
type world struct {
	t      testing.TB
	db     *pgxpool.Pool
	google *gcalfake.Server
	expo   *expofake.Server
	cfg    Config
}

func newWorld(t testing.TB) *world {
	t.Helper()
	db := pgtest.New(t)
	w := newWorldOn(t, db.Pool, db.URLAs(runner))
	w.cfg.MigrateOnStart = false
	return w
}

// runsAs has workers run as another role.
func (w *world) runsAs(role string) {
	w.cfg.DatabaseURL = pgtest.As(w.cfg.DatabaseURL, role)
}

func newWorldOn(t testing.TB, pool *pgxpool.Pool, address string) *world {
	t.Helper()
	google, err := gcalfake.Start(gcalfake.Config{ClientID: "client", ClientSecret: "client-secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(google.Close)
	ec := expofake.DefaultConfig()
	ec.ReceiptDelay = 0
	push, err := expofake.Start(ec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { push.Close() })
	w := &world{t: t, db: pool, google: google, expo: push}
	w.cfg, err = Load([]string{
		"DATABASE_URL=" + address, "HTTP_ADDR=127.0.0.1:0",
		"GOOGLE_CLIENT_ID=client", "GOOGLE_CLIENT_SECRET=client-secret",
		"GOOGLE_CALENDAR_URL=" + google.CalendarURL(), "GOOGLE_TOKEN_URL=" + google.TokenURL(), "GOOGLE_REVOKE_URL=" + google.RevokeURL(),
		"EXPO_PUSH_URL=" + push.URL(),
		"CALENDAR_USER_RATE=0", // few users do what in life many do
		"RETRY_BASE=50ms", "SWEEP_INTERVAL=1s", "RECEIPT_DELAY=50ms",
		"DATABASE_POOL_SIZE=3", // dozens of workers at once, on whatever machine there is
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// start runs the program until stop is called, or the test ends.
func (w *world) start() (a *App, stop func()) {
	w.t.Helper()
	log := zerolog.New(zerolog.NewTestWriter(w.t)).Level(zerolog.InfoLevel)
	a, err := New(w.cfg, ops.Build{Version: "test"}, log)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("run: %v", err)
		}
	}
	w.t.Cleanup(stop)
	return a, stop
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Exec(context.Background(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

func one[T any](w *world, sql string, args ...any) T {
	w.t.Helper()
	var v T
	if err := w.db.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// user makes a user with a connected calendar and one phone.
func (w *world) user() (id uuid.UUID, token string) {
	w.t.Helper()
	id = one[uuid.UUID](w, `insert into auth.users (email) values ('parent@example.org') returning id`)
	token = "ExponentPushToken[" + id.String() + "]"
	w.expo.Register(token)
	w.exec(`select reminder_worker.put_google_account($1, $2)`, id, w.google.Grant(id.String()))
	w.exec(`select reminder_worker.put_push_device($1, $2, 'ios')`, id, token)
	return id, token
}

func (w *world) event(user uuid.UUID, title string, in time.Duration) uuid.UUID {
	w.t.Helper()
	return one[uuid.UUID](w, `insert into events (user_id, title, start_ts, end_ts, location, prep_items)
		values ($1, $2, now() + $3, now() + $3 + interval '1 hour', 'Field 3', '{cleats,water}') returning id`, user, title, in)
}

// until waits for what must come, asking again whenever something may have happened.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain for %s", what)
		}
		select {
		case <-w.t.Context().Done():
			w.t.FailNow()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (w *world) untilStatus(event uuid.UUID, status string) {
	w.t.Helper()
	w.until("status "+status, func() bool {
		return one[string](w, `select status from events where id = $1`, event) == status
	})
}

// live are the copies in a user's calendar that are not cancelled.
func (w *world) live(user uuid.UUID) (events []gcalfake.Event) {
	for _, e := range w.google.Events(user.String()) {
		if e.Status != "cancelled" {
			events = append(events, e)
		}
	}
	return events
}
