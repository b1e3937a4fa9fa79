package personal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sql/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// patience is how long a test waits for what must come.
const patience = 3 * time.Minute

// crowd is a user with more events than one step removes, and one beside them.
func crowd(t *testing.T, db *pgtest.DB) (user, other uuid.UUID) {
	t.Helper()
	user, other = uuid.New(), uuid.New()
	for _, sql := range []string{
		`insert into auth.users (id) values ($1), ($2)`,
		`insert into events (user_id, title, start_ts, status) select case when n % 2 = 0 then $1::uuid else $2::uuid end, 'Practice ' || n, now() + interval '1 day', 'scheduled' from generate_series(1, 2400) n`,
		`insert into reminders (event_id, user_id, notify_at_ts, status) select id, user_id, start_ts, 'skipped' from events where user_id in ($1, $2)`,
		// A reminder of the user's of somebody else's event, as an older app may have made it.
		`insert into reminders (event_id, user_id, notify_at_ts) select id, $1, start_ts - interval '1 hour' from events where user_id = $2 limit 3`,
	} {
		if _, err := db.Pool.Exec(t.Context(), sql, user, other); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	return user, other
}

// A worker that is told makes one step after the other, none of them larger than it may be, and tells what came of it by its number.
func TestRun(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	user, other := crowd(t, db)
	var told bytes.Buffer
	f := NewForgetter(store.New(db.Pool), time.Hour, zerolog.New(&told), NewMetrics(nil))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); f.Run(ctx) }()
	id, err := f.Ask(t.Context(), user, Wish{})
	if err != nil {
		t.Fatal(err)
	}
	f.Look()
	var s State
	for deadline := time.Now().Add(patience); !s.Ended; {
		if s, err = f.State(t.Context(), id); err != nil || time.Now().After(deadline) {
			t.Fatalf("%+v: %v", s, err)
		}
		<-time.After(time.Millisecond)
	}
	for deadline := time.Now().Add(patience); testutil.ToFloat64(f.m.forgotten) == 0 && time.Now().Before(deadline); {
		<-time.After(time.Millisecond)
	}
	stop()
	<-ended
	if s.Removed["events"] != 1200 || s.Removed["reminders"] != 1203 || s.Waits != "" {
		t.Errorf("%+v", s)
	}
	if h, err := Look(t.Context(), db.Pool, user); err != nil || !h.None() || !h.Known {
		t.Errorf("%+v: %v", h, err)
	}
	if h, err := Look(t.Context(), db.Pool, other); err != nil || h.Events != 1200 || h.Reminders != 1200 {
		t.Errorf("of another: %+v, %v", h, err)
	}
	if text := told.String(); !strings.Contains(text, id.String()) || strings.Contains(text, user.String()) || !strings.Contains(text, `"events":1200`) {
		t.Errorf("the log says:\n%s", text)
	}
}

// What is refused is written down and due later, ever later.
func TestRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	user, _ := crowd(t, db)
	for _, sql := range []string{
		`create function keep() returns trigger language plpgsql as $$ begin raise exception 'this event is kept'; end $$`,
		`create trigger keep before delete on events for each row execute function keep()`,
	} {
		if _, err := db.Pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	f := NewForgetter(store.New(db.Pool), time.Hour, zerolog.Nop(), NewMetrics(nil))
	id, err := f.Ask(t.Context(), user, Wish{})
	if err != nil {
		t.Fatal(err)
	}
	if ended, err := f.Step(t.Context(), id); err != nil || ended {
		t.Fatalf("ended %v: %v", ended, err)
	}
	s, err := f.State(t.Context(), id)
	if err != nil || s.Refused != 1 || s.Waits != "the database refuses: this event is kept (SQLSTATE P0001)" {
		t.Errorf("%+v: %v", s, err)
	}
	if until, err := f.take(t.Context()); err != nil || until <= 0 || until > time.Second {
		t.Errorf("tried again in %s: %v", until, err)
	}
	if err := f.refused(t.Context(), id, errors.New("no connection")); err == nil {
		t.Error("a database that is away is no refusal")
	}
}

// The document has every kind, and a writer that fails ends it.
func TestDocument(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	user, _ := crowd(t, db)
	var out bytes.Buffer
	rows, err := Export(t.Context(), db.Pool, user, &out)
	if err != nil || rows["events"] != 1200 || rows["reminders"] != 1203 {
		t.Fatalf("%v: %v", rows, err)
	}
	doc := struct {
		Format  string    `json:"format"`
		Version int       `json:"version"`
		At      time.Time `json:"exported_at"`
		User    uuid.UUID `json:"user_id"`
	}{}
	var kinds map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(out.Bytes(), &doc), json.Unmarshal(out.Bytes(), &kinds)); err != nil {
		t.Fatal(err)
	}
	if doc.Format != Format || doc.Version != Version || doc.User != user || doc.At.IsZero() || len(kinds) != 4+len(sections) {
		t.Errorf("%+v, %d members", doc, len(kinds))
	}
	if strings.Contains(out.String(), "changed_xid") || !strings.Contains(out.String(), "+00:00") {
		t.Error("holds what is nobody's, or times that are not in UTC")
	}
	if _, err := Export(t.Context(), db.Pool, user, deaf{}); !errors.Is(err, errDeaf) {
		t.Errorf("nobody reads: %v", err)
	}
	if _, err := Export(t.Context(), db.Pool, uuid.New(), &out); err == nil {
		t.Error("of nobody there is a document")
	}
}

var errDeaf = errors.New("nobody reads")

type deaf struct{}

func (deaf) Write([]byte) (int, error) { return 0, errDeaf }
