package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/cmd/internal/ops"
	"github.com/parentpal/reminder-worker/sql/personal"
	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// book is a log that a test reads.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// logged makes the program with a log at its most talkative.
func (w *world) logged() (*App, *book) {
	w.t.Helper()
	var b book
	a, err := New(w.cfg, ops.Build{Version: "test"}, zerolog.New(&b).Level(zerolog.DebugLevel))
	if err != nil {
		w.t.Fatal(err)
	}
	return a, &b
}

// parent makes a user of whom there is something in every table: events with copies, one with a push that was delivered, a child, settings, devices.
func (w *world) parent() uuid.UUID {
	w.t.Helper()
	_, stop := w.start()
	defer stop()
	user, token := w.user()
	w.exec(`insert into notification_settings (user_id, time_zone) values ($1, 'Europe/Berlin')`, user)
	w.exec(`insert into children (user_id, name) values ($1, 'Kim')`, user)
	w.exec(`select reminder_worker.put_push_device($1, $2, 'ios')`, user, "ExponentPushToken[old "+user.String()[:8]+"]")
	w.exec(`update reminder_worker.push_devices set retired_at = now() where user_id = $1 and token <> $2`, user, token)
	for i := range 5 {
		w.event(user, fmt.Sprintf("Secret rehearsal %d", i), 48*time.Hour)
	}
	w.exec(`update events set child_id = (select id from children where user_id = $1) where user_id = $1`, user)
	w.until("copies", func() bool { return len(w.live(user)) == 5 })
	w.until("served", func() bool {
		return one[bool](w, `select count(*) = 5 from events where user_id = $1 and status = 'synced' and sync_due_at is null`, user)
	})
	w.exec(`update reminders set notify_at_ts = now() where id = (select id from reminders where user_id = $1 and status = 'pending' limit 1)`, user)
	w.until("a delivery", func() bool {
		return one[bool](w, `select exists (select from reminder_worker.deliveries d join reminders r on r.id = d.reminder_id where r.user_id = $1 and r.status = 'sent')`, user)
	})
	return user
}

func patiently(user uuid.UUID) DeleteOptions {
	return DeleteOptions{User: user, Confirm: func(Holdings) error { return nil }, Patience: patience}
}

// A user is forgotten by the command alone, by a worker that nobody helps, and by both: nothing is left of them in any column of any table, nor in their
// calendar, and the consent is given back. Others are left alone, and no log tells what was forgotten.
func TestUserIsForgotten(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]struct{ worker, command bool }{"command": {false, true}, "worker": {true, false}, "both": {true, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			user, other := w.parent(), w.parent()
			if found := pgtest.Traces(t, w.db, user.String()); len(found) < 9 {
				t.Fatalf("there is little to forget: %v", found)
			}
			before := pgtest.Traces(t, w.db, other.String())
			w.exec(`update reminder_worker.audits set part = 'accounts', after = $1`, user.String())
			w.google.ResetLog()
			a, told := w.logged()
			if how.worker {
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- a.Run(ctx) }()
				defer func() {
					cancel()
					if err := <-ended; err != nil {
						t.Error(err)
					}
				}()
			}
			if how.command {
				o := patiently(user)
				o.AuthUser = true
				command := a
				if how.worker {
					command = w.quiet()
				}
				d, err := command.DeleteUser(t.Context(), o)
				if err != nil || !d.Ended {
					t.Fatalf("%+v: %v", d, err)
				}
				want := map[string]int64{"events": 5, "reminders": 15, "deliveries": 1, "devices": 2, "children": 1, "settings": 1, "accounts": 1}
				if diff := cmp.Diff(want, d.Removed); diff != "" {
					t.Errorf("removed (-want +got):\n%s", diff)
				}
				if d.Copies != 5 || d.CopiesLeft != 0 || !d.HadGrant || !d.GivenBack {
					t.Errorf("%+v", d)
				}
			} else {
				w.exec(`select reminder_worker.forget_user($1, false, true)`, user)
				w.until("the end", func() bool {
					return one[bool](w, `select ended_at is not null and given_back from reminder_worker.user_deletions`)
				})
			}
			if found := pgtest.Traces(t, w.db, user.String(), strings.ReplaceAll(user.String(), "-", "")); len(found) > 0 {
				t.Errorf("traces are left: %v", found)
			}
			if n := len(w.live(user)); n > 0 {
				t.Errorf("%d copies stand in the calendar", n)
			}
			if n := w.google.Count(gcalfake.OpRevoke, 200); n != 1 {
				t.Errorf("the consent was given back %d times", n)
			}
			if diff := cmp.Diff(before, pgtest.Traces(t, w.db, other.String())); diff != "" || len(w.live(other)) != 5 {
				t.Errorf("of another user (-before +after):\n%s\n%d copies", diff, len(w.live(other)))
			}
			for _, text := range []string{"rehearsal", "example.org", "ExponentPushToken", "Kim"} {
				if strings.Contains(told.String(), text) {
					t.Errorf("the log tells %q:\n%s", text, told)
				}
			}
			_, err := w.quiet().ExportUser(t.Context(), user, new(bytes.Buffer))
			if _, unknown := errors.AsType[*UnknownUserError](err); !unknown {
				t.Errorf("an export afterwards: %v", err)
			}
		})
	}
}

// The row of auth.users is the app's, and stays unless it is asked for; then nothing is held about the user, and an export says so.
func TestForgottenUserMayStayWithTheApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.parent()
	if d, err := w.quiet().DeleteUser(t.Context(), patiently(user)); err != nil || !d.Ended {
		t.Fatalf("%+v: %v", d, err)
	}
	if diff := cmp.Diff([]string{"auth.users: " + user.String()}, pgtest.Traces(t, w.db, user.String())); diff != "" {
		t.Errorf("traces (-want +got):\n%s", diff)
	}
	rows, err := w.quiet().ExportUser(t.Context(), user, new(bytes.Buffer))
	if err != nil || len(rows) > 0 {
		t.Errorf("an export afterwards: %v, %v", rows, err)
	}
	// What the app writes from now on is a new beginning.
	w.start()
	w.untilStatus(w.event(user, "Practice", 48*time.Hour), "scheduled")
}

// What the app writes while a user is being forgotten goes as well, unserved: no device, no account.
func TestWrittenWhileBeingForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.parent()
	pushes := len(w.expo.Pushes())
	heal := w.google.Fail(gcalfake.Always(gcalfake.OpDelete, gcalfake.Status(503, "backendError")))
	w.start()
	w.exec(`select reminder_worker.forget_user($1, false, true)`, user)
	gone := func() bool { return one[bool](w, `select not exists (select from events where user_id = $1)`, user) }
	w.until("events gone", gone)
	id := w.event(user, "Late", time.Hour)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts) select id, user_id, now() from events where id = $1 on conflict do nothing`, id)
	w.until("the late event gone", gone)
	w.exec(`select reminder_worker.put_google_account($1, $2), reminder_worker.put_push_device($1, 'ExponentPushToken[late]', 'ios')`, user, w.google.Grant(user.String()))
	w.until("let go again", func() bool {
		return one[bool](w, `select state = 'leaving' from reminder_worker.google_accounts where user_id = $1`, user)
	})
	heal()
	w.until("the end", func() bool {
		return one[bool](w, `select ended_at is not null and given_back and copies_left = 0 from reminder_worker.user_deletions`)
	})
	if found := pgtest.Traces(t, w.db, user.String()); len(found) > 0 || len(w.live(user)) > 0 {
		t.Errorf("traces are left: %v, %d copies", found, len(w.live(user)))
	}
	if n := len(w.expo.Pushes()); n != pushes {
		t.Errorf("%d pushes meanwhile", n-pushes)
	}
}

// Stopped anywhere, it goes on when it is asked for again, and what was done counts once.
func TestForgettingGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.parent()
	heal := w.google.Fail(gcalfake.Always(gcalfake.OpRevoke, gcalfake.Status(503, "")))
	ctx, stop := context.WithCancel(t.Context())
	o := patiently(user)
	o.Progress = func(d Deletion) {
		if d.Removed["events"] == 5 {
			stop()
		}
	}
	first, err := w.quiet().DeleteUser(ctx, o)
	if !errors.Is(err, context.Canceled) || first.Ended {
		t.Fatalf("%+v: %v", first, err)
	}
	heal()
	second, err := w.quiet().DeleteUser(t.Context(), patiently(user))
	if err != nil || !second.Ended || second.ID != first.ID {
		t.Fatalf("%+v: %v", second, err)
	}
	if second.Removed["events"] != 5 || second.Copies != 5 || second.CopiesLeft != 0 || !second.GivenBack {
		t.Errorf("%+v", second)
	}
}

// Copies may stay; the consent is given back all the same.
func TestForgottenWithoutCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.parent()
	o := patiently(user)
	o.KeepCopies, o.AuthUser = true, true
	d, err := w.quiet().DeleteUser(t.Context(), o)
	if err != nil || !d.Ended || !d.GivenBack {
		t.Fatalf("%+v: %v", d, err)
	}
	if n := len(w.live(user)); n != 5 {
		t.Errorf("%d copies are left", n)
	}
	if found := pgtest.Traces(t, w.db, user.String()); len(found) > 0 {
		t.Errorf("traces are left: %v", found)
	}
}

// Where access has ended nothing can be removed any more, and that is told. Where Google does not answer it is waited for, and in the end no more.
func TestForgottenWithoutGoogle(t *testing.T) {
	t.Parallel()
	t.Run("access ended", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		user := w.parent()
		w.exec(`update reminder_worker.google_accounts set state = 'needs_reconnect', reason = 'invalid_grant'`)
		d, err := w.quiet().DeleteUser(t.Context(), patiently(user))
		if err != nil || !d.Ended || d.CopiesLeft != 5 || d.HadGrant {
			t.Errorf("%+v: %v", d, err)
		}
	})
	t.Run("access ends meanwhile", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		user := w.parent()
		w.google.RevokeUser(user.String())
		w.google.Fail(gcalfake.ForUser(user.String(), gcalfake.Always(gcalfake.OpDelete, gcalfake.Status(401, "authError"))))
		d, err := w.quiet().DeleteUser(t.Context(), patiently(user))
		if err != nil || !d.Ended || d.CopiesLeft != 5 {
			t.Errorf("%+v: %v", d, err)
		}
	})
	t.Run("away", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		user := w.parent()
		w.google.Fail(gcalfake.Always(gcalfake.OpDelete, gcalfake.Status(503, "backendError")))
		w.google.Fail(gcalfake.Always(gcalfake.OpRevoke, gcalfake.Status(503, "")))
		o := patiently(user)
		o.Patience = time.Millisecond
		d, err := w.quiet().DeleteUser(t.Context(), o)
		if err != nil || d.Ended || !strings.Contains(d.Waits, "being removed") {
			t.Fatalf("%+v: %v", d, err)
		}
		w.exec(`update reminder_worker.user_deletions set until = now() - interval '1 second', due_at = now()`)
		w.start()
		w.until("the end", func() bool {
			return one[bool](w, `select ended_at is not null from reminder_worker.user_deletions`)
		})
		if got := one[string](w, `select concat_ws(' ', copies_left, had_grant, given_back, reason = '') from reminder_worker.user_deletions`); got != "5 t f t" {
			t.Errorf("the row says %q", got)
		}
	})
}

// What a table of the app's refers to is not removed by force: the row says what stands in the way, and it goes on when that is gone. Workers stay
// ready.
func TestForgettingThatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.parent()
	w.exec(`create table photos (event_id uuid references events (id))`)
	w.exec(`insert into photos select id from events limit 1`)
	d, err := w.quiet().DeleteUser(t.Context(), patiently(user))
	if err != nil || d.Ended || !strings.Contains(d.Waits, `"photos"`) {
		t.Fatalf("%+v: %v", d, err)
	}
	a, _ := w.start()
	for n := range 5 {
		w.until("another try", func() bool {
			return one[bool](w, `update reminder_worker.user_deletions set due_at = least(due_at, now()) returning attempts > $1`, n+1)
		})
	}
	if f := a.checkStatements(); !f.OK {
		t.Errorf("statements: %+v", f)
	}
	w.exec(`drop table photos`)
	w.exec(`update reminder_worker.user_deletions set due_at = now()`)
	w.until("the end", func() bool { return one[bool](w, `select ended_at is not null from reminder_worker.user_deletions`) })
}

// The narrow role may do it, and what a user has is one's own business: an adopted table of children need not say whose they are.
func TestForgottenByTheNarrowRole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.parent()
	w.exec(`alter table children drop column user_id cascade`)
	w.narrow("narrow_forgetter", "bypassrls")
	o := patiently(user)
	o.AuthUser = true
	if d, err := w.quiet().DeleteUser(t.Context(), o); err != nil || !d.Ended {
		t.Errorf("%+v: %v", d, err)
	}
	_, err := w.quiet().DeleteUser(t.Context(), patiently(user))
	if _, unknown := errors.AsType[*UnknownUserError](err); !unknown {
		t.Errorf("a second time: %v", err)
	}
}

// An app that deletes the row of auth.users itself takes all rows with it, and with them what is known of the copies: they stay in the calendar, and
// so does the consent. One that was being forgotten is done with.
func TestUserDeletedByTheApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user := w.parent()
	w.exec(`select reminder_worker.forget_user($1, false, false)`, user)
	w.exec(`delete from auth.users where id = $1`, user)
	w.start()
	w.until("the end", func() bool { return one[bool](w, `select ended_at is not null from reminder_worker.user_deletions`) })
	if found := pgtest.Traces(t, w.db, user.String()); len(found) > 0 {
		t.Errorf("traces are left: %v", found)
	}
	if n := len(w.live(user)); n != 5 {
		t.Errorf("%d copies stand in the calendar", n)
	}
	if got := one[string](w, `select concat_ws(' ', copies, copies_left, had_grant, given_back) from reminder_worker.user_deletions`); got != "5 5 t f" {
		t.Errorf("the row says %q", got)
	}
}

// All that is held is in the document, under its name, but for the refresh token; nothing of anybody else is.
func TestExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, other := w.parent(), w.parent()
	token := one[string](w, `select refresh_token from reminder_worker.google_accounts where user_id = $1`, user)
	w.narrow("narrow_exporter", "bypassrls")
	var out bytes.Buffer
	rows, err := w.quiet().ExportUser(t.Context(), user, &out)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"settings": 1, "google_accounts": 1, "children": 1, "devices": 2, "events": 5, "reminders": 15, "deliveries": 1, "copies": 5}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		t.Fatalf("%v:\n%s", err, &out)
	}
	if string(doc["format"]) != `"`+personal.Format+`"` || string(doc["version"]) != "1" || string(doc["user_id"]) != `"`+user.String()+`"` {
		t.Errorf("begins with %.200s", &out)
	}
	for kind, n := range want {
		var found []map[string]any
		if err := json.Unmarshal(doc[kind], &found); err != nil || int64(len(found)) != n {
			t.Errorf("%s: %d rows, want %d: %v", kind, len(found), n, err)
		}
	}
	for text, want := range map[string]bool{
		"Secret rehearsal 3": true, `"has_refresh_token": true`: true, "ExponentPushToken[" + user.String(): true, "Kim": true, "Europe/Berlin": true,
		token: false, other.String(): false, `"refresh_token":`: false,
	} {
		if strings.Contains(out.String(), text) != want {
			t.Errorf("holds %q: %v", text, !want)
		}
	}
	_, err = w.quiet().ExportUser(t.Context(), uuid.New(), &out)
	if _, unknown := errors.AsType[*UnknownUserError](err); !unknown {
		t.Errorf("of nobody: %v", err)
	}
}

// slow reads a document by and by, and has something happen in between.
type slow struct {
	bytes.Buffer
	between func()
	once    sync.Once
}

func (s *slow) Write(p []byte) (int, error) {
	s.once.Do(s.between)
	return s.Buffer.Write(p)
}

// A document is of one instant, whatever is written while it is read, and it is written before all of it has been read.
func TestExportIsOfOneInstant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, _ := w.user()
	w.exec(`insert into events (user_id, title, start_ts, status, location) select $1, 'Practice ' || n, now(), 'cancelled', repeat('far away ', 20) from generate_series(1, 3000) n`, user)
	out := slow{between: func() {
		w.exec(`delete from events`)
		w.exec(`delete from auth.users`)
	}}
	rows, err := w.quiet().ExportUser(t.Context(), user, &out)
	if err != nil || rows["events"] != 3000 || rows["devices"] != 1 {
		t.Errorf("%v: %v", rows, err)
	}
	if !json.Valid(out.Bytes()) {
		t.Error("not JSON")
	}
}
