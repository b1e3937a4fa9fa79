package audit

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
	"github.com/parentpal/reminder-worker/sync/reconcile"
)

func TestMain(m *testing.M) {
	code := pgtest.Run(m)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// world is a database, a Google, and families.
type world struct {
	t      testing.TB
	pool   *pgxpool.Pool
	url    string
	google *gcalfake.Server
	gcal   gcal.Config
	client *gcal.Client
	plan   reconcile.Config
	asked  statements
}

func newWorld(t testing.TB) *world {
	t.Helper()
	db := pgtest.New(t)
	google, err := gcalfake.Start(gcalfake.Config{ClientID: "client", ClientSecret: "client-secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(google.Close)
	c := gcal.DefaultConfig()
	c.CalendarURL, c.TokenURL, c.RevokeURL = google.CalendarURL(), google.TokenURL(), google.RevokeURL()
	c.ClientID, c.ClientSecret = "client", "client-secret"
	t.Cleanup(func() {
		for _, v := range google.Violations() {
			t.Errorf("request violates Google's description: %s: %s", v.Op, v.Problem)
		}
	})
	w := &world{t: t, pool: db.Pool, url: db.URL(), google: google, gcal: c, plan: reconcile.DefaultConfig()}
	w.connect()
	return w
}

// connect makes the client that gcal describes.
func (w *world) connect() {
	w.t.Helper()
	client, err := gcal.New(w.gcal)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.Close)
	w.client = client
}

// statements counts what an auditor asks of the database.
type statements struct{ n atomic.Int64 }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.n.Add(1)
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// auditor makes one that looks twice without a pause.
func (w *world) auditor(change ...func(*Config)) *Auditor {
	w.t.Helper()
	pc, err := pgxpool.ParseConfig(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	pc.ConnConfig.Tracer = &w.asked
	pool, err := pgxpool.NewWithConfig(context.Background(), pc)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(pool.Close)
	c := DefaultConfig()
	c.Grace, c.Plan = 0, w.plan
	for _, f := range change {
		f(&c)
	}
	a, err := New(store.New(pool), w.client, nil, c, zerolog.Nop(), NewMetrics(nil))
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// serve serves what is due, as a worker does.
func (w *world) serve(ctx context.Context) error {
	r, err := reconcile.New(store.New(w.pool), w.client, w.plan, zerolog.Nop(), reconcile.NewMetrics(nil), func([]reconcile.Armed) {})
	if err != nil {
		return err
	}
	return r.Drain(ctx, ctx)
}

func (w *world) served() {
	w.t.Helper()
	if err := w.serve(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) audit(s Scope) Report {
	w.t.Helper()
	report, err := w.auditor().Audit(w.t.Context(), s)
	if err != nil {
		w.t.Fatal(err)
	}
	return report
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.pool.Exec(context.Background(), sql, args...); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

func one[T any](w *world, sql string, args ...any) (v T) {
	w.t.Helper()
	if err := w.pool.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// user makes a user with a connected calendar.
func (w *world) user() uuid.UUID {
	w.t.Helper()
	id := one[uuid.UUID](w, `insert into auth.users (email) values ('parent@example.org') returning id`)
	w.exec(`select reminder_worker.put_google_account($1, $2)`, id, w.google.Grant(id.String()))
	return id
}

// employ has a service account act for all users of a domain.
func (w *world) employ(domain string) {
	w.t.Helper()
	const robot = "robot@family.iam.gserviceaccount.com"
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		w.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.gcal.ServiceKey, err = gcal.ParseServiceKey(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))); err != nil {
		w.t.Fatal(err)
	}
	w.gcal.ServiceEmail, w.plan.Domains = robot, append(w.plan.Domains, domain)
	w.google.AddServiceAccount(robot, &key.PublicKey)
	w.google.Delegate(robot, domain, gcal.Scope)
	w.connect()
}

func (w *world) event(user uuid.UUID) uuid.UUID {
	w.t.Helper()
	return one[uuid.UUID](w, `insert into events (user_id, title, start_ts) values ($1, 'Practice', now() + interval '2 days') returning id`, user)
}

func (w *world) live(user uuid.UUID) (entries []gcalfake.Event) {
	for _, e := range w.google.Events(user.String()) {
		if e.Status != "cancelled" {
			entries = append(entries, e)
		}
	}
	return entries
}

func sumOf(r Report, k Kind) Sum {
	if i := slices.IndexFunc(r.Sums, func(s Sum) bool { return s.Kind == k }); i >= 0 {
		return r.Sums[i]
	}
	return Sum{Kind: k}
}

func wantFound(t testing.TB, what string, r Report, want map[Kind]int) {
	t.Helper()
	got := map[Kind]int{}
	for _, s := range r.Sums {
		got[s.Kind] = s.Found
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: kinds (-want +got):\n%s\n%+v", what, diff, r.Sums)
	}
}
