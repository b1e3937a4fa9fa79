package app

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
	"github.com/parentpal/reminder-worker/sync/seal"
)

// hidden are the words that may show nowhere, by what they are.
type hidden map[string]string

// found looks for them in a text, as they are and as they might be quoted.
func (h hidden) found(t *testing.T, where, text string) {
	t.Helper()
	if text == "" {
		t.Errorf("%s: there is nothing to search", where)
	}
	for what, word := range h {
		for _, form := range []string{word, url.QueryEscape(word), base64.StdEncoding.EncodeToString([]byte(word))} {
			if at := strings.Index(text, form); at >= 0 {
				t.Errorf("%s shows the %s: ...%s...", where, what, text[max(0, at-200):min(len(text), at+len(form)+50)])
				break
			}
		}
	}
}

// mark is a word that cannot be there by chance. It is of letters, as people's words are: ids and numbers are left out of reasons in any case.
func mark(what string) string {
	return what + "-" + strings.Map(func(r rune) rune { return 'g' + r%16 }, strings.ReplaceAll(uuid.NewString(), "-", ""))
}

// TestSecretsAreNowhere seeds a worker and its database with secrets and with what families would not like to be read, has all kinds of things go
// wrong while it serves, with services that repeat in their errors what they were sent, and searches all that it says, at its most talkative.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secrets := hidden{
		"client secret": mark("client"), "access token for Expo": mark("expo"), "service role key": mark("role"),
		"password of the database": mark("password"),
	}
	texts := hidden{
		"title": mark("Title"), "place": mark("Place"), "item": mark("Item"), "child": mark("Child"),
		"address": mark("parent") + "@example.org", "text of a reminder": mark("Text"), "data of a push": mark("Data"),
	}
	google, err := gcalfake.Start(gcalfake.Config{ClientID: "client", ClientSecret: secrets["client secret"]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(google.Close)
	w.google = google
	secrets["sealing key"] = seal.NewKey()
	private, public := keyPair(t)
	secrets["private key"] = strings.Split(private, "\n")[3]
	w.google.AddServiceAccount("worker@project.example.org", public)

	users, child := w.seed(secrets, texts)
	all := hidden{}
	maps.Copy(all, secrets)
	maps.Copy(all, texts)
	var asked, early atomic.Int64
	w.google.Fail(func(r gcalfake.Request) *gcalfake.Fault {
		echo := "you sent " + texts["title"] + " at " + texts["place"]
		if r.Op == gcalfake.OpToken || r.Op == gcalfake.OpRevoke {
			echo = "you sent " + secrets["client secret"] + " and " + secrets["grant of "+r.User]
		}
		switch n := asked.Add(1); {
		case r.Op != gcalfake.OpToken && early.Add(1) <= 12: // of several users, one after the other: an outage
			return &gcalfake.Fault{Status: 500, Reason: "backendError", Message: echo}
		case r.User == users[0].String() && r.Op != gcalfake.OpToken:
			return &gcalfake.Fault{Status: 400, Reason: "invalid", Message: echo}
		case n%11 == 3:
			return &gcalfake.Fault{Status: 500, Reason: "backendError", Message: echo}
		case n%11 == 5 && r.Op != gcalfake.OpToken: // there it stops all calendars for a minute
			return &gcalfake.Fault{Status: 403, Reason: "rateLimitExceeded", Message: echo}
		case n%11 == 7:
			return new(gcalfake.Page(502))
		case n%11 == 9:
			return &gcalfake.Fault{Drop: true}
		}
		return nil
	})
	w.google.RevokeUser(users[1].String())
	var sent atomic.Int64
	w.expo.Fail(func(expofake.Request) *expofake.Fault {
		echo := fmt.Sprintf(`{"errors":[{"code":"UNAUTHORIZED","message":"%s %s"}]}`, secrets["access token for Expo"], texts["text of a reminder"])
		switch sent.Add(1) {
		case 1:
			return expofake.Status(401, echo)
		case 2:
			return expofake.Status(500, echo)
		case 3:
			return expofake.Status(400, strings.ReplaceAll(echo, "UNAUTHORIZED", "VALIDATION_ERROR"))
		case 4:
			return expofake.Drop()
		}
		return nil
	})
	address, err := url.Parse(w.cfg.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword(address.User.Username(), secrets["password of the database"])
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	settings := []string{
		"DATABASE_URL=" + address.String(), "HTTP_ADDR=" + addr, "LOG_LEVEL=debug",
		"GOOGLE_CLIENT_ID=client", "GOOGLE_CLIENT_SECRET=" + secrets["client secret"], "TOKEN_ENCRYPTION_KEY=" + secrets["sealing key"],
		"GOOGLE_CALENDAR_URL=" + google.CalendarURL(), "GOOGLE_TOKEN_URL=" + google.TokenURL(), "GOOGLE_REVOKE_URL=" + google.RevokeURL(),
		"GOOGLE_CLIENT_EMAIL=worker@project.example.org", "GOOGLE_PRIVATE_KEY=" + private, "GOOGLE_WORKSPACE_DOMAIN=example.org",
		"EXPO_ACCESS_TOKEN=" + secrets["access token for Expo"], "EXPO_PUSH_URL=" + w.cfg.ExpoPushURL,
		"SUPABASE_SERVICE_ROLE_KEY=" + secrets["service role key"], "AUDIT_INTERVAL=1m", "SWEEP_INTERVAL=1s", "RETRY_BASE=50ms",
	}
	p := w.spawn(settings...)
	w.until("events and reminders have come to rest", func() bool {
		return one[bool](w, `select not exists (select from events where status = 'pending' and sync_attempts < 2)
			and not exists (select from reminders where status in ('pending', 'sending') and notify_at_ts < now())`)
	})
	w.exec(`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
		and application_name like 'reminder-worker%'`)
	event := w.event(users[2], texts["title"]+" once more", 48*time.Hour)
	w.until("served again", func() bool { return one[string](w, `select status from events where id = $1`, event) != "pending" })
	w.exec(`alter table reminder_worker.deliveries rename column token to tokens`)
	w.exec(`update events set title = title || ' changed', child_id = $1`, child)
	w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) values ($1, $2, now(), $3)`, event, users[2], texts["text of a reminder"])
	w.until("a statement is refused", func() bool {
		_, body := getFrom(t.Context(), addr, "/readyz?verbose")
		return strings.Contains(body, `"failed"`)
	})

	w.until("failures tell what Google says of an event", func() bool {
		_, body := getFrom(t.Context(), addr, "/failures")
		return strings.Contains(body, "you sent [...] at [...]")
	})
	for _, path := range []string{
		"/livez", "/readyz", "/readyz?verbose", "/metrics", "/", "/failures", "/connections", "/devices", "/system", "/events/" + event.String(),
		"/api/v1/overview", "/api/v1/failures", "/api/v1/connections", "/api/v1/devices", "/api/v1/system", "/api/v1/events/" + event.String(),
	} {
		_, body := getFrom(t.Context(), addr, path)
		all.found(t, path, body)
	}
	if command, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(p.cmd.Process.Pid), "cmdline")); err == nil {
		all.found(t, "the process listing", string(command))
	} else if !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	w.exec(`alter table reminder_worker.deliveries rename column tokens to token`)
	p.end(syscall.SIGTERM)
	if !strings.Contains(p.log.String(), "Google fails for everybody") {
		t.Error("there was no outage to be told")
	}
	all.found(t, "the log", p.log.String())
	// What the app, and through it users, may read; each user's own texts are no secret there.
	said := one[string](w, `select coalesce(string_agg(m, e'\n'), '') from (
		select error_message as m from events union all select error_message from reminders union all select error_message from reminder_worker.calendar_copies
		union all select error_message from reminder_worker.deliveries union all select reason from reminder_worker.google_accounts
		union all select application_name || ' ' || coalesce(query, '') from pg_stat_activity where application_name like 'reminder-worker%') s`)
	secrets.found(t, "the rows' messages", said)
	all.found(t, "the doctor", w.diagnosis(settings))
	standing, err := json.Marshal(w.status())
	if err != nil {
		t.Fatal(err)
	}
	all.found(t, "the status", string(standing))
	audited, err := json.Marshal(w.audit(AuditOptions{Google: true}))
	if err != nil {
		t.Fatal(err)
	}
	all.found(t, "the audit", string(audited))
}

// seed makes users with events, reminders and devices that hold what is hidden, and adds their tokens to it.
func (w *world) seed(secrets, texts hidden) (users []uuid.UUID, child uuid.UUID) {
	w.t.Helper()
	for n := range 5 {
		user, phone := w.user()
		users = append(users, user)
		secrets[fmt.Sprint("push token ", n)] = strings.TrimSuffix(strings.TrimPrefix(phone, "ExponentPushToken["), "]") + "-phone"
		secrets["grant of "+user.String()] = w.google.Grant(user.String())
		w.exec(`select reminder_worker.put_google_account($1, $2)`, user, secrets["grant of "+user.String()])
		// The token of a phone that is gone, apart from the user's id, which may be told.
		gone := "ExponentPushToken[" + user.String() + "-phone]"
		w.exec(`select reminder_worker.put_push_device($1, $2, 'ios')`, user, gone)
		for range 3 {
			event := one[uuid.UUID](w, `insert into events (user_id, title, start_ts, end_ts, location, prep_items, push_data)
				values ($1, $2, now() + interval '2 days', now() + interval '50 hours', $3, array[$4], jsonb_build_object('note', $5::text)) returning id`,
				user, texts["title"], texts["place"], texts["item"], texts["data of a push"])
			w.exec(`insert into reminders (event_id, user_id, notify_at_ts, message) values ($1, $2, now() + interval '1 second', $3)`,
				event, user, texts["text of a reminder"])
		}
	}
	w.exec(`update auth.users set email = $1 where id = $2`, texts["address"], users[3])
	child = one[uuid.UUID](w, `insert into children (user_id, name) values ($1, $2) returning id`, users[2], texts["child"])
	return users, child
}

// diagnosis is all that the doctor says.
func (w *world) diagnosis(settings []string) string {
	w.t.Helper()
	cfg, err := Load(settings, "")
	if err != nil {
		w.t.Fatal(err)
	}
	said, err := json.Marshal(Diagnose(w.t.Context(), cfg, nil))
	if err != nil {
		w.t.Fatal(err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%v\n%+v\n%#v", said, cfg, cfg, cfg)
	return b.String()
}
