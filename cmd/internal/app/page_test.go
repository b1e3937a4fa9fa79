package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/cmd/internal/page"
	"github.com/parentpal/reminder-worker/sql/store"
)

const pagePassword = "correct horse"

// visitor asks the live page of a program that runs, as somebody who knows the password.
type visitor struct {
	*world
	root   string
	client http.Client
}

func (w *world) visit(a *App) *visitor {
	w.until("an address", func() bool { return a.Addr() != "" && a.Ready() })
	return &visitor{world: w, root: "http://" + a.Addr(), client: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// ask returns the answer to a request, with its body read.
func (v *visitor) ask(method, path, kind, body string) (int, string) {
	v.t.Helper()
	r, err := http.NewRequestWithContext(v.t.Context(), method, v.root+path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	if v.cfg.PagePassword != "" {
		r.SetBasicAuth("whoever", v.cfg.PagePassword)
	}
	r.Header.Set("Content-Type", kind)
	resp, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		v.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// read asks for a view until it is one: a machine that stands still may take longer than a reading has.
func (v *visitor) read(path string, into any) {
	v.t.Helper()
	v.until(path, func() bool {
		code, text := v.ask("GET", "/api/v1/"+path, "", "")
		if code != http.StatusOK {
			v.t.Logf("%s: %d %s", path, code, text)
			return false
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			v.t.Fatalf("%s: %v in %s", path, err, text)
		}
		return true
	})
}

// post asks for a change until it is made.
func (v *visitor) post(path, body string) (text string) {
	v.t.Helper()
	v.until(path, func() bool {
		code := 0
		if code, text = v.ask("POST", "/api/v1/"+path, "application/json", body); code != http.StatusOK && code != http.StatusServiceUnavailable {
			v.t.Fatalf("%s %s: %d %s", path, body, code, text)
		}
		return code == http.StatusOK
	})
	return text
}

func (v *visitor) stage(name string) (found page.Stage) {
	v.t.Helper()
	var o page.Overview
	v.read("overview", &o)
	for _, s := range o.Stages {
		if s.Name == name {
			found = s
		}
	}
	return found
}

func TestPageTellsAStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.PagePassword = pagePassword
	a, _ := w.start()
	v := w.visit(a)
	user, token := w.user()
	event := w.event(user, "Swimming lesson", 48*time.Hour)
	w.untilStatus(event, "synced")
	w.exec(`update reminders set notify_at_ts = now() where event_id = $1 and lead_seconds = 1800`, event)
	var told page.Story
	w.until("a receipt", func() bool {
		v.read("events/"+event.String(), &told)
		return len(told.Reminders) == 3 && strings.Contains(moments(told), "Push delivered")
	})
	for _, want := range []string{"Event written", "Copy written to Google", "Reminders planned", "Push accepted by Expo", "Push delivered, says its receipt", "Event begins"} {
		if !strings.Contains(moments(told), want) {
			t.Errorf("the story lacks %q: %s", want, moments(told))
		}
	}
	text, _ := json.Marshal(told)
	if strings.Contains(string(text), "Swimming") || strings.Contains(string(text), token) {
		t.Errorf("the story tells what it should not: %s", text)
	}
	reminder := one[uuid.UUID](w, `select id from reminders where event_id = $1 and status = 'sent'`, event)
	var same page.Story
	v.read("events/"+reminder.String()+"?show=texts", &same)
	if same.ID != event || same.Asked != reminder || same.Event.Title != "Swimming lesson" {
		t.Errorf("by its reminder: %+v", same)
	}
	w.exec(`delete from events where id = $1`, event)
	w.until("a forgotten event", func() bool {
		code, text := v.ask("GET", "/api/v1/events/"+event.String(), "", "")
		return code == 404 && strings.Contains(text, "Nothing is known")
	})
	var s page.System
	v.read("system", &s)
	if s.Version != "test" || s.Database.Version == "" || s.Database.Schema == 0 || len(s.Settings) == 0 {
		t.Errorf("system: %+v", s)
	}
	for _, setting := range s.Settings {
		if setting.Name == "EXPO_PUSH_URL" && setting.Source != "environment" || setting.Name == "LEASE" && setting.Source != "default" {
			t.Errorf("setting: %+v", setting)
		}
		if setting.Name == "PAGE_PASSWORD" && setting.Value != redacted || strings.Contains(setting.Value, pagePassword) {
			t.Errorf("setting: %+v", setting)
		}
	}
}

// moments are the words of a story.
func moments(s page.Story) string {
	var b strings.Builder
	for _, m := range s.Moments {
		b.WriteString(m.What + "; ")
	}
	return b.String()
}

func TestPageRetriesAndPauses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.PagePassword = pagePassword
	a, _ := w.start()
	v := w.visit(a)
	user := one[uuid.UUID](w, `insert into auth.users (email) values ('parent@example.org') returning id`)
	event := w.event(user, "Choir", 2*time.Hour)
	w.untilStatus(event, "scheduled")
	w.exec(`update reminders set notify_at_ts = now() where event_id = $1 and status = 'pending'`, event)
	w.until("a failure", func() bool { return one[int](w, `select count(*)::int from reminders where status = 'failed'`) == 1 })
	var f page.Failures
	w.until("the failure on the page", func() bool { v.read("failures", &f); return len(f.Groups) == 1 })
	if g := f.Groups[0]; g.Kind != page.KindReminder || g.Count.N != 1 || !strings.Contains(g.Reason, "no push token") || g.Examples[0].EventID != event || g.Examples[0].Title != "" {
		t.Errorf("failures: %+v", f)
	}
	w.until("the failure in the overview", func() bool { var o page.Overview; v.read("overview", &o); return o.FailedReminders.N == 1 })

	v.post("pause", `{"part":"push","reason":"new phones"}`)
	w.until("the pause", func() bool { s := v.stage(page.StagePush); return s.Pause != nil && s.Pause.Reason == "new phones" })
	token := "ExponentPushToken[" + user.String() + "]"
	w.expo.Register(token)
	w.exec(`select reminder_worker.put_push_device($1, $2, 'ios')`, user, token)
	reason, _ := json.Marshal(f.Groups[0].Reason)
	var res page.RetryResult
	if err := json.Unmarshal([]byte(v.post("retry", `{"reason":`+string(reason)+`}`)), &res); err != nil || res.Reminders != 1 {
		t.Errorf("retried %+v, %v", res, err)
	}
	w.until("what waits for the end of the pause", func() bool { s := v.stage(page.StagePush); return s.Waiting != nil && s.Waiting.N == 1 })
	if n := len(w.expo.Pushes()); n != 0 {
		t.Errorf("%d pushes while they are paused", n)
	}
	v.post("resume", `{"part":"push"}`)
	w.until("the push", func() bool { return len(w.expo.Pushes()) == 1 })
	w.until("no pause", func() bool { s := v.stage(page.StagePush); return s.Name != "" && s.Pause == nil })
}

func TestPageTellsWhatTheCommandsTell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.start()
	v := w.visit(a)
	user := one[uuid.UUID](w, `insert into auth.users (email) values ('parent@example.org') returning id`)
	w.exec(`insert into events (user_id, title, start_ts, status, error_message)
		select $1, 'Practice', now() + n * interval '1 hour', 'failed', 'end_ts is ' || n || ' h before start_ts: an event ends after it begins' from generate_series(1, 7) n`, user)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, status, error_message)
		select id, user_id, start_ts - interval '30 minutes', 'failed', 'no device: ExponentPushToken[abc…] ' || id from events`)
	w.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, tombstoned_at, due_at, error_message)
		select gen_random_uuid(), $1, 'g' || n, now(), now() + interval '1 hour', 'status 500' from generate_series(1, 2) n`, user)
	want, err := a.Failures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var f page.Failures
	v.read("failures?show=texts", &f)
	got := map[string]int{}
	for _, g := range f.Groups {
		got[g.Kind+": "+g.Reason] = g.Count.N
		if len(g.Examples) != min(g.Count.N, 5) || g.Oldest.IsZero() || g.Newest.Before(g.Oldest) {
			t.Errorf("group: %+v", g)
		}
	}
	told := map[string]int{"copy: status 500": 2}
	for _, x := range want.Events {
		told["event: "+x.Reason] = x.Count
	}
	for _, x := range want.Reminders {
		told["reminder: "+x.Reason] = x.Count
	}
	if diff := cmp.Diff(told, got); diff != "" || len(got) != 3 {
		t.Errorf("groups (-commands +page):\n%s", diff)
	}
	if title := f.Groups[0].Examples[0].Title; title != "Practice" {
		t.Errorf("title %q", title)
	}
}

// What an app may have in its tables, and Go or JSON can not hold, is shown all the same.
func TestPageTellsOfOddRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`set session_replication_role = replica`)
	user := one[uuid.UUID](w, `insert into auth.users (email) values ('parent@example.org') returning id`)
	for _, at := range []string{"infinity", "-infinity", "0044-03-15 BC", "29999-01-01", "1969-07-20"} {
		w.exec(`insert into events (user_id, title, start_ts, end_ts, created_at, status, error_message) values ($1, $2, $3::text::timestamptz, $3::text::timestamptz, $3::text::timestamptz, 'failed', 'odd')`, user, at, at)
	}
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, status) select id, user_id, start_ts, case when isfinite(start_ts) then 'failed' else 'pending' end from events`)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, status) select id, user_id, start_ts - interval '1 hour', 'pending' from events where isfinite(start_ts) and start_ts > now()`)
	a, _ := w.start()
	v := w.visit(a)
	rows, err := w.db.Query(t.Context(), `select id from events`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		var s page.Story
		v.read("events/"+id.String(), &s)
		if s.Event == nil || len(s.Reminders) == 0 {
			t.Errorf("story: %+v", s)
		}
	}
	var o page.Overview
	var f page.Failures
	v.until("an overview", func() bool { v.read("overview", &o); return o.Stale == "" })
	v.read("failures", &f)
	if len(f.Groups) == 0 {
		t.Errorf("overview: %+v, failures: %+v", o, f)
	}
}

func TestPageAnswersWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.DatabaseURL = "postgresql://nobody@127.0.0.1:1/none"
	a, _ := w.start()
	w.until("an address", func() bool { return a.Addr() != "" })
	v := &visitor{world: w, root: "http://" + a.Addr(), client: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	if code, text := v.ask("GET", "/", "", ""); code != 200 || !strings.Contains(text, "has not been reached") || !strings.Contains(text, `data-status="failed"`) {
		t.Errorf("%d %s", code, text)
	}
	if code, _ := v.ask("GET", "/failures", "", ""); code != 503 {
		t.Errorf("failures: %d", code)
	}
}

func TestPageIsClosedElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.HTTPAddr = "0.0.0.0:0"
	a, _ := w.start()
	v := w.visit(a)
	for path, want := range map[string]int{"/": 403, "/api/v1/overview": 403, "/live": 403, "/readyz": 200, "/livez": 200, "/metrics": 200} {
		v.until(path, func() bool {
			code, text := v.ask("GET", path, "", "")
			if want == 403 && !strings.Contains(text, "PAGE_PASSWORD") {
				t.Errorf("%s: %d %s", path, code, text)
			}
			return code == want
		})
	}
}

// A stream ends with the program, which does not wait for it.
func TestStreamsEndWithTheProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, stop := w.start()
	v := w.visit(a)
	r, err := http.NewRequestWithContext(t.Context(), "GET", v.root+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := v.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	stop()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Contains(text, []byte("event: end")) {
		t.Errorf("%v after %q", err, text)
	}
}

// Reading for the page says nothing of readiness, however it ends.
func TestWhatIsShownSaysNothingOfReadiness(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.start()
	w.visit(a)
	s := &pageSource{app: a, turn: make(chan struct{}, 1)}
	err := s.read(t.Context(), func(ctx context.Context, _ *store.Queries) error {
		for range 5 {
			_, err := a.pool.Exec(ctx, "-- name: Broken :one\nselect 1/0")
			if pe, ok := errors.AsType[*pgconn.PgError](err); !ok || pe.Code != "22012" {
				return err
			}
			if _, err := a.pool.Exec(ctx, "-- name: Missing :one\nselect nothing"); err == nil {
				return errors.New("there is a column nothing")
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if f := a.checkStatements(); !f.OK {
		t.Errorf("statements: %+v", f)
	}
	err = s.read(t.Context(), func(ctx context.Context, db *store.Queries) error {
		_, err := db.PausePart(ctx, store.PausePartParams{Part: PartPush})
		return err
	})
	if pe, ok := errors.AsType[*pgconn.PgError](err); !ok || pe.Code != readOnly {
		t.Errorf("a reading may write: %v", err)
	}
	s.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.read(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("two readings at once: %v", err)
	}
}

func TestPageFormsRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.PagePassword = pagePassword
	user := one[uuid.UUID](w, `insert into auth.users (email) values ('parent@example.org') returning id`)
	event := one[uuid.UUID](w, `insert into events (user_id, title, start_ts, status, error_message) values ($1, 'Recital', now() + interval '1 day', 'failed', 'gave up') returning id`, user)
	a, _ := w.start()
	v := w.visit(a)
	v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if code, text := v.ask("POST", "/retry", "application/x-www-form-urlencoded", url.Values{"event": {event.String()}}.Encode()); code != http.StatusSeeOther {
		t.Fatalf("%d %s", code, text)
	}
	w.untilStatus(event, "scheduled")
}
