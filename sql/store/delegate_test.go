package store_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/store"
)

var workspace = []string{"example.com", "example.net"}

// member makes a user with an address.
func (b *base) member(address string) uuid.UUID {
	b.t.Helper()
	return ask[uuid.UUID](b, `insert into auth.users (email) values (nullif($1, '')) returning id`, address)
}

func (b *base) tryDelegate(users ...uuid.UUID) ([]store.DelegateAccountsRow, error) {
	return b.q.DelegateAccounts(b.ctx(), store.DelegateAccountsParams{Users: users, Domains: workspace})
}

// delegate sees to users' accounts and returns those that stand, as subject and state.
func (b *base) delegate(users ...uuid.UUID) []string {
	b.t.Helper()
	rows, err := b.tryDelegate(users...)
	if err != nil {
		b.t.Fatal(err)
	}
	var stand []string
	for _, r := range rows {
		stand = append(stand, r.Subject+" "+r.State)
	}
	slices.Sort(stand)
	return stand
}

// account is how a user's row stands, empty if there is none.
func (b *base) account(user uuid.UUID) string {
	b.t.Helper()
	return ask[string](b, `select coalesce((select concat_ws(' ', state, nullif(refresh_token, ''), subject, reason)
		from reminder_worker.google_accounts where user_id = $1), '')`, user)
}

func (b *base) same(what string, want, got any) {
	b.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestWhoIsDelegated(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.exec(`alter table auth.users add column email_confirmed_at timestamptz`) // as Supabase has it
	confirm := func(user uuid.UUID) { b.exec(`update auth.users set email_confirmed_at = now() where id = $1`, user) }
	var all []uuid.UUID
	for _, tt := range []struct {
		address string
		want    string
	}{
		{"anna@example.com", "connected anna@example.com"},
		{"Ben.Upper@Example.COM", "connected ben.upper@example.com"},
		{"cleo+kids@example.net", "connected cleo+kids@example.net"},
		{"dora@sub.example.com", ""},
		{"emil@example.org", ""},
		{"example.com", ""},
		{"@example.com", ""},
		{"fay@example.com@example.org", ""},
		{"gus@example.org@example.com", ""},
		{"two words@example.com", ""},
		{"", ""},
	} {
		user := b.member(tt.address)
		all = append(all, user)
		if got := b.delegate(user); got != nil || b.account(user) != "" {
			t.Errorf("%s, not confirmed: %v", tt.address, got)
		}
		confirm(user)
		b.delegate(user)
		b.same(tt.address, tt.want, b.account(user))
	}
	b.same("all at once", []string{"anna@example.com connected", "ben.upper@example.com connected", "cleo+kids@example.net connected"},
		b.delegate(append(all, uuid.New())...))
	if got := b.delegate(); got != nil {
		t.Errorf("nobody: %v", got)
	}
}

// A plain Postgres does not tell whether an address is confirmed: whoever writes auth.users vouches for it.
func TestDelegatedOnPlainPostgres(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.same("stands", []string{"anna@example.com connected"}, b.delegate(b.member("anna@example.com"), b.member("ben@example.org")))
}

// A consent of the user's own counts, whatever becomes of it, and so does that they have turned their calendar off.
func TestOwnConsentComesFirst(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	own, lost, off, later, never := b.member("own@example.com"), b.member("lost@example.com"), b.member("off@example.com"),
		b.member("later@example.com"), b.member("never@example.com")
	for _, user := range []uuid.UUID{own, lost, off} {
		b.exec(`select reminder_worker.put_google_account($1, 'token')`, user)
	}
	b.exec(`update reminder_worker.google_accounts set state = 'needs_reconnect', updated_at = '2020-01-01' where user_id = $1`, lost)
	b.exec(`update reminder_worker.google_accounts set state = 'off' where user_id = $1`, off)
	b.as(never, `select public.disconnect_google_calendar()`)
	b.same("stands", []string{"later@example.com connected"}, b.delegate(own, lost, off, later, never))
	for user, want := range map[uuid.UUID]string{
		own: "connected token", lost: "needs_reconnect token", off: "off token", later: "connected later@example.com",
		never: "off disconnected in the app",
	} {
		b.same("account", want, b.account(user))
	}
	b.as(later, `select public.connect_google_calendar('hers')`)
	b.same("with a consent of her own", "connected hers", b.account(later))
	b.same("stands", []string(nil), b.delegate(later))
	b.exec(`update reminder_worker.google_accounts set state = 'needs_reconnect' where user_id = $1`, later)
	b.same("once that is withdrawn", []string(nil), b.delegate(later))
	b.same("once that is withdrawn", "needs_reconnect hers", b.account(later))
}

// as has a user call a function of the app's.
func (b *base) as(user uuid.UUID, sql string) {
	b.t.Helper()
	tx := b.begin()
	in(b.t, tx, `select set_config('request.jwt.claims', json_build_object('sub', $1::text)::text, true)`, user)
	in(b.t, tx, sql)
	if err := tx.Commit(b.ctx()); err != nil {
		b.t.Fatal(err)
	}
}

func TestDisconnectedStaysSo(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.member("anna@example.com")
	b.delegate(user)
	b.as(user, `select public.disconnect_google_calendar()`)
	b.same("stands", []string{"anna@example.com off"}, b.delegate(user))
	b.exec(`update auth.users set email = 'anna.new@example.com' where id = $1`, user)
	b.same("with another address", []string(nil), b.delegate(user))
	b.same("account", "off anna@example.com disconnected in the app", b.account(user))
	b.exec(`insert into events (user_id, title, start_ts, status) values ($1, 'Chess', now() + interval '1 day', 'scheduled')`, user)
	b.as(user, `select public.resume_google_calendar()`)
	b.same("account", "connected anna@example.com", b.account(user)) // it follows the address with the next claim
	b.same("event", "pending", ask[string](b, `select status from events`))
	b.same("stands", []string{"anna.new@example.com connected"}, b.delegate(user))
	own := b.member("own@example.com")
	b.exec(`select reminder_worker.put_google_account($1, 'token')`, own)
	b.as(own, `select public.disconnect_google_calendar(), public.resume_google_calendar()`)
	b.same("a consent is not resumed without a token", "off token disconnected in the app", b.account(own))
}

// An account is the address's. Who has another one now is not acted for by the old one, whatever domains this worker serves.
func TestDelegatedAccountFollowsTheAddress(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	b.exec(`alter table auth.users add column email_confirmed_at timestamptz default now()`)
	renamed, left, doubted, other := b.member("old@example.com"), b.member("left@example.com"), b.member("doubted@example.com"), b.member("other@example.org")
	if rows, err := b.q.DelegateAccounts(b.ctx(), store.DelegateAccountsParams{Users: []uuid.UUID{other}, Domains: []string{"example.org"}}); err != nil || len(rows) != 1 {
		t.Fatalf("%v: %v", rows, err)
	}
	b.delegate(renamed, left, doubted)
	b.exec(`update reminder_worker.google_accounts set connected_at = '2020-01-01', state = 'needs_reconnect', reason = 'unknown' where user_id = $1`, renamed)
	b.exec(`update auth.users set email = 'new@example.net' where id = $1`, renamed)
	b.exec(`update auth.users set email = 'left@example.org' where id = $1`, left)
	b.exec(`update auth.users set email_confirmed_at = null where id = $1`, doubted)
	b.same("stands", []string{"new@example.net connected"}, b.delegate(renamed, left, doubted, other))
	b.same("renamed", "connected new@example.net", b.account(renamed))
	if ask[bool](b, `select connected_at < now() - interval '1 day' from reminder_worker.google_accounts where user_id = $1`, renamed) {
		t.Error("another address is not another consent")
	}
	b.same("left", "", b.account(left))
	b.same("doubted", "", b.account(doubted))
	b.same("of a domain that another worker serves", "connected other@example.org", b.account(other))
}

func TestUnknownUserIsTriedAgainAfterADay(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.member("anna@example.com")
	first := must[[]store.DelegateAccountsRow](t)(b.tryDelegate(user))[0]
	park := func(subject string, row store.DelegateAccountsRow) int64 {
		t.Helper()
		return must[int64](t)(b.q.MarkReconnect(b.ctx(), store.MarkReconnectParams{
			UserIds: []uuid.UUID{user}, RefreshTokens: []string{""}, Subjects: []string{subject}, Consents: repeat(row.ConnectedAt, 1), Reasons: []string{"unknown"},
		}))
	}
	for _, subject := range []string{"", "old@example.com"} {
		if n := park(subject, first); n != 0 {
			t.Errorf("parked for the refusal of %q", subject)
		}
	}
	if n := park("anna@example.com", first); n != 1 {
		t.Fatalf("%d accounts parked, want 1", n)
	}
	if ask[bool](b, `select notice_due_at is not null from reminder_worker.google_accounts`) {
		t.Error("a user who has nothing to renew is to be told")
	}
	b.same("at once", []string{"anna@example.com needs_reconnect"}, b.delegate(user))
	b.exec(`update reminder_worker.google_accounts set updated_at = now() - interval '25 hours'`)
	b.same("after a day", []string{"anna@example.com connected"}, b.delegate(user))
	if n := park("anna@example.com", first); n != 0 {
		t.Error("parked for a refusal of before")
	}
}

// What waited for an account is taken up with it: events that are not over, unless the user has turned their calendar off, and removals.
func TestDelegationTakesUpWhatWaited(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user, quiet, other := b.member("anna@example.com"), b.member("ben@example.com"), b.member("cleo@example.org")
	b.exec(`insert into notification_settings (user_id, calendar_enabled) values ($1, false)`, quiet)
	b.exec(`insert into events (user_id, title, start_ts, status) select u, left(u::text, 0) || title, now() + at, status
		from unnest($1::uuid[]) u, (values ('waits', interval '1 day', 'scheduled'), ('over', interval '-1 day', 'scheduled'),
			('done', interval '1 day', 'synced'), ('cancelled', interval '1 day', 'cancelled')) v (title, at, status)`, []uuid.UUID{user, quiet, other})
	b.exec(`insert into reminder_worker.calendar_copies (event_id, user_id, google_event_id, tombstoned_at) values (gen_random_uuid(), $1, 'g', now())`, user)
	held := b.begin()
	in(t, held, `insert into events (user_id, title, start_ts, status) values ($1, 'held', now() + interval '1 day', 'scheduled')`, user)
	if err := held.Commit(b.ctx()); err != nil {
		t.Fatal(err)
	}
	held = b.begin()
	in(t, held, `update events set location = 'Field 3' where title = 'held'`)
	b.same("waiting users", 3, len(must[[]uuid.UUID](t)(b.q.WaitingUsers(b.ctx(), store.WaitingUsersParams{MaxRows: 10}))))
	b.delegate(user, quiet, other)
	b.same("due", []string{"waits of anna@example.com"},
		list[string](b, `select e.title || ' of ' || u.email from events e join auth.users u on u.id = e.user_id where e.status = 'pending' order by 1`))
	b.same("removals due", 1, ask[int](b, `select count(*)::int from reminder_worker.calendar_copies where due_at is not null`))
}

func TestWaitingUsersByPages(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	var all []uuid.UUID
	for range 7 {
		user := b.member("")
		all = append(all, user)
		b.exec(`insert into events (user_id, title, start_ts, status) select $1, 'Chess', now(), 'scheduled' from generate_series(1, 3)`, user)
	}
	slices.SortFunc(all, func(x, y uuid.UUID) int { return strings.Compare(x.String(), y.String()) })
	var found []uuid.UUID
	for after := uuid.Nil; ; {
		page := must[[]uuid.UUID](t)(b.q.WaitingUsers(b.ctx(), store.WaitingUsersParams{After: after, MaxRows: 3}))
		found = append(found, page...)
		if len(page) < 3 {
			break
		}
		after = page[2]
	}
	b.same("users", all, found)
}

// Two workers that make the same users' accounts at once, and an app's transaction that is left open, hold up nobody for long.
func TestDelegationWaitsForNobody(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	var users []uuid.UUID
	for i := range 50 {
		users = append(users, b.member("user"+string(rune('a'+i%26))+"@example.com"))
	}
	done := make(chan error, 4)
	for range cap(done) {
		go func() {
			_, err := b.tryDelegate(users...)
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	b.same("accounts", 50, ask[int](b, `select count(*)::int from reminder_worker.google_accounts`))

	moved := b.begin()
	in(t, moved, `update reminder_worker.google_accounts set updated_at = now() where user_id = $1`, users[0])
	b.exec(`update auth.users set email = 'moved@example.org' where id = $1`, users[0])
	b.same("while somebody is at the account of who moved away", 49, len(b.delegate(users...)))
	b.same("account", true, b.account(users[0]) != "")
	in(t, moved, `rollback`)
	b.delegate(users[0])
	b.same("afterwards", "", b.account(users[0]))

	connects := b.begin()
	late := b.member("late@example.com")
	in(t, connects, `select reminder_worker.put_google_account($1, 'hers')`, late)
	_, err := b.tryDelegate(late)
	if pe, ok := errors.AsType[*pgconn.PgError](err); !ok || pe.Code != "55P03" {
		t.Errorf("while the user connects: %v, want a wait given up", err)
	}
	in(t, connects, `commit`)
	b.same("stands", []string(nil), b.delegate(late))
	b.same("account", "connected hers", b.account(late))
}

// An account has a token or a subject, and a removed token column takes nothing from who has none.
func TestTokenOrSubject(t *testing.T) {
	t.Parallel()
	b := newBase(t)
	user := b.member("anna@example.com")
	b.delegate(user)
	_, err := b.db.Pool.Exec(b.ctx(), `update reminder_worker.google_accounts set refresh_token = 'token'`)
	if pe, ok := errors.AsType[*pgconn.PgError](err); !ok || pe.ConstraintName != "google_accounts_token_or_subject" {
		t.Errorf("both: %v", err)
	}
	b.exec(`update auth.users set google_refresh_token = ''`)
	b.same("no token is written", "connected anna@example.com", b.account(user))
	b.exec(`update auth.users set google_refresh_token = 'hers'`)
	b.same("one is", "connected hers", b.account(user))
	b.exec(`update auth.users set google_refresh_token = null`)
	b.same("and taken away", "off hers the token was removed from auth.users", b.account(user))
}

// The function reads a crowd by index, as the statements do.
func TestDelegationReadsByIndex(t *testing.T) {
	t.Parallel()
	db := newBase(t).db
	conn := db.Connect(t)
	if _, err := conn.Exec(t.Context(), crowd); err != nil {
		t.Fatal(err)
	}
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec(`delete from reminder_worker.google_accounts where user_id = any ($1)`, idsOf(t, conn, "u", 100, 50))
	exec(`update reminder_worker.google_accounts set refresh_token = '', subject = 'old@example.org' where user_id = any ($1)`, idsOf(t, conn, "u", 150, 50))
	for _, prepare := range []string{`select`, `analyze`} {
		exec(prepare)
		tx, err := db.Connect(t).Begin(t.Context()) // a session of its own: what this one has read may count still
		if err != nil {
			t.Fatal(err)
		}
		rows, err := store.New(tx).DelegateAccounts(t.Context(), store.DelegateAccountsParams{Users: idsOf(t, conn, "u", 0, 250), Domains: []string{"example.org"}})
		if err != nil || len(rows) != 100 {
			t.Fatalf("%d accounts stand, want 100: %v", len(rows), err)
		}
		var read []string
		err = tx.QueryRow(t.Context(), `select coalesce(array_agg(relname::text), '{}') from pg_stat_xact_all_tables where seq_scan > 0 and relname = any ($1)`, crowded).Scan(&read)
		if err != nil || len(read) > 0 {
			t.Errorf("after %s: reads all of %v: %v", prepare, read, err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
