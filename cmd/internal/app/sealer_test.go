package app

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
	"github.com/parentpal/reminder-worker/sync/seal"
)

// stored is a user's refresh token as its row has it.
func (w *world) stored(user uuid.UUID) string {
	w.t.Helper()
	return one[string](w, `select refresh_token from reminder_worker.google_accounts where user_id = $1`, user)
}

// keyOf is the fingerprint of the first key of a list.
func keyOf(t *testing.T, keys string) string {
	t.Helper()
	k, err := seal.Parse(keys)
	if err != nil {
		t.Fatal(err)
	}
	return k.KeyID()
}

// What the app stores in plain text is sealed: what was there before, and what comes while the worker runs. Copies are written all the same.
func TestTokensAreSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.TokenEncryptionKey = seal.NewKey()
	prefix := "sealed:v1:" + keyOf(t, w.cfg.TokenEncryptionKey) + ":"
	before, _ := w.user()
	w.start()
	during, _ := w.user()
	for _, user := range []uuid.UUID{before, during} {
		w.untilStatus(w.event(user, "Choir", 48*time.Hour), "synced")
		w.until("sealed", func() bool { return strings.HasPrefix(w.stored(user), prefix) })
		w.untilStatus(w.event(user, "Choir", 72*time.Hour), "synced")
	}
	// Connecting again stores another token in plain text.
	w.exec(`select reminder_worker.put_google_account($1, $2)`, before, w.google.Grant(before.String()))
	w.until("sealed again", func() bool { return strings.HasPrefix(w.stored(before), prefix) })
	// A grant that is withdrawn is found out, and parked, as without a seal.
	w.google.RevokeUser(during.String())
	w.google.ExpireAccessTokens()
	w.untilStatus(w.event(during, "Judo", 48*time.Hour), "scheduled")
	if state := one[string](w, `select state from reminder_worker.google_accounts where user_id = $1`, during); state != "needs_reconnect" {
		t.Errorf("the account is %s", state)
	}
}

// A token that Google has put in the place of a sealed one is stored sealed.
func TestRotatedTokenIsSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	google, err := gcalfake.Start(gcalfake.Config{ClientID: "client", ClientSecret: "client-secret", RotateTokens: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(google.Close)
	w.google = google
	w.cfg.GoogleCalendarURL, w.cfg.GoogleTokenURL, w.cfg.GoogleRevokeURL = google.CalendarURL(), google.TokenURL(), google.RevokeURL()
	w.cfg.TokenEncryptionKey = seal.NewKey()
	user, _ := w.user()
	w.start()
	w.until("sealed", func() bool { return strings.HasPrefix(w.stored(user), seal.Prefix) })
	given := w.stored(user)
	w.untilStatus(w.event(user, "Choir", 48*time.Hour), "synced")
	keys, err := w.cfg.Keys()
	if err != nil {
		t.Fatal(err)
	}
	was, err := keys.Open(user, given)
	if err != nil {
		t.Fatal(err)
	}
	if is, err := keys.Open(user, w.stored(user)); err != nil || is == was || w.stored(user) == is {
		t.Errorf("stored is %q, which opens as %q, %v", w.stored(user), is, err)
	}
}

// Without the key nobody is marked and no request is made; with it all goes on. A token that is another user's helps nobody.
func TestKeyIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	his, other := seal.NewKey(), seal.NewKey()
	user, _ := w.user()
	thief, _ := w.user()
	w.cfg.TokenEncryptionKey = his
	_, stop := w.start()
	for _, u := range []uuid.UUID{user, thief} {
		w.until("sealed", func() bool { return strings.HasPrefix(w.stored(u), seal.Prefix) })
	}
	stop()

	w.cfg.TokenEncryptionKey = other
	a, stop := w.start()
	event := w.event(user, "Choir", 48*time.Hour)
	message := fmt.Sprintf("the user's refresh token cannot be read: the token is sealed with key %s, which is not among the given ones", keyOf(t, his))
	w.until("word of the key", func() bool {
		return one[string](w, `select concat_ws(' ', status, sync_attempts, error_message) from events where id = $1`, event) == "pending 0 "+message
	})
	if f := a.checkGoogle(); !f.Degraded || !strings.Contains(f.Reason, keyOf(t, his)) {
		t.Errorf("readiness: %+v", f)
	}
	stop()
	if n := len(w.google.Log()); n != 0 {
		t.Errorf("%d requests to Google", n)
	}

	w.exec(`update reminder_worker.google_accounts set refresh_token = (select refresh_token from reminder_worker.google_accounts where user_id = $1) where user_id = $2`, user, thief)
	w.exec(`update events set sync_due_at = now() where id = $1`, event)
	w.cfg.TokenEncryptionKey = other + "," + his
	w.start()
	w.untilStatus(event, "synced")
	w.untilStatus(w.event(thief, "Choir", 48*time.Hour), "scheduled")
	got := one[string](w, `select concat_ws(' ', state, reason) from reminder_worker.google_accounts where user_id = $1`, thief)
	if got != "needs_reconnect "+seal.ErrDamaged.Error() {
		t.Errorf("account: %s", got)
	}
}

// The key is replaced, and sealing is ended, beside what is there.
func TestReseal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second, lost := seal.NewKey(), seal.NewKey(), seal.NewKey()
	const users = 1200 // more than two batches
	w.exec(`with u as (insert into auth.users (email) select 'parent@example.org' from generate_series(1, $1) returning id)
		insert into reminder_worker.google_accounts (user_id, refresh_token) select id, 'token of ' || id from u`, users)
	stranger, _ := w.user()
	w.exec(`update reminder_worker.google_accounts set refresh_token = $2 where user_id = $1`, stranger, mustParse(t, lost).Seal(stranger, "token"))
	reseal := func(keys string, plain bool, changed, kept int64) {
		t.Helper()
		w.cfg.TokenEncryptionKey = keys
		conn, err := w.db.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
		got, err := Reseal(t.Context(), w.cfg, conn.Conn(), plain)
		if err != nil {
			t.Fatal(err)
		}
		unread := map[string]int64{"sealed with key " + keyOf(t, lost) + ", which TOKEN_ENCRYPTION_KEY lacks": 1}
		if diff := cmp.Diff(Resealed{Changed: changed, Kept: kept, Unread: unread}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	sealedWith := func(key string) int {
		return one[int](w, `select count(*)::int from reminder_worker.google_accounts where refresh_token like 'sealed:v1:' || $1 || ':%'`, keyOf(t, key))
	}
	reseal(first, false, users, 0)
	reseal(first, false, 0, users)
	reseal(second+","+first, false, users, 0)
	if n := sealedWith(second); n != users {
		t.Errorf("%d are sealed with the second key, want %d", n, users)
	}
	expect(t, diagnosis(t, w.cfg, nil), map[string]Verdict{"sealed_tokens": Fail})
	w.exec(`delete from reminder_worker.google_accounts where user_id = $1`, stranger)
	expect(t, diagnosis(t, w.cfg, nil), nil)
	w.cfg.TokenEncryptionKey = first + "," + second
	expect(t, diagnosis(t, w.cfg, nil), map[string]Verdict{"sealed_tokens": Warn})
	w.exec(`insert into reminder_worker.google_accounts (user_id, refresh_token) values ($1, $2)`, stranger, mustParse(t, lost).Seal(stranger, "token"))
	reseal(second, true, users, 0)
	if n := one[int](w, `select count(*)::int from reminder_worker.google_accounts where refresh_token = 'token of ' || user_id`); n != users {
		t.Errorf("%d are in plain text as they were, want %d", n, users)
	}
}

func mustParse(t *testing.T, text string) *seal.Keys {
	t.Helper()
	k, err := seal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Keys and tokens stay out of what the program prints.
func TestKeyIsNotPrinted(t *testing.T) {
	t.Parallel()
	c := Config{TokenEncryptionKey: seal.NewKey()}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s", c, c, c, c)
	for _, f := range remarks(c) {
		fmt.Fprintf(&out, "%+v", f)
	}
	if strings.Contains(out.String(), c.TokenEncryptionKey) {
		t.Error("the key is printed")
	}
	if _, err := (Config{TokenEncryptionKey: c.TokenEncryptionKey[:40]}).Keys(); err == nil || strings.Contains(err.Error(), c.TokenEncryptionKey[:20]) {
		t.Errorf("half a key: %v", err)
	}
}
