package gcal_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parentpal/reminder-worker/sync/gcal"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

const robot = "robot@family.iam.gserviceaccount.com"

// robotKey takes a moment to make.
var robotKey = sync.OnceValue(func() *rsa.PrivateKey { return newKey(2048) })

func newKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func pemOf(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// newRobot is a client with a service account as well, which may act for users of example.com.
func newRobot(t *testing.T, c gcalfake.Config, change ...func(*gcal.Config)) *fixture {
	t.Helper()
	f := newFixture(t, c, append([]func(*gcal.Config){func(c *gcal.Config) {
		key, err := gcal.ParseServiceKey(pemOf(t, robotKey()))
		if err != nil {
			t.Fatal(err)
		}
		c.ServiceEmail, c.ServiceKey, c.ServicePause = robot, key, time.Second
	}}, change...)...)
	f.google.AddServiceAccount(robot, &robotKey().PublicKey)
	f.google.Delegate(robot, "example.com", gcal.Scope)
	return f
}

// delegated are accounts of so many users of a domain, whom Google knows.
func (f *fixture) delegated(domain string, n int) (accounts []gcal.Account) {
	for i := range n {
		a := gcal.Account{UserID: uuid.New(), Subject: fmt.Sprintf("user%d@%s", i, domain)}
		f.google.AddUser(a.Subject)
		accounts = append(accounts, a)
	}
	return accounts
}

// writeAll writes an event for each account at once, and returns the errors.
func (f *fixture) writeAll(accounts []gcal.Account) (faults []*gcal.Error) {
	f.Helper()
	var mu sync.Mutex
	var calls sync.WaitGroup
	for _, a := range accounts {
		calls.Go(func() {
			_, err := f.client.Upsert(f.Context(), a, newEvent("Football"), gcal.Copy{})
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			e, ok := errors.AsType[*gcal.Error](err)
			if !ok {
				f.Errorf("%v is no *gcal.Error", err)
				return
			}
			faults = append(faults, e)
		})
	}
	calls.Wait()
	return faults
}

// untilWritten writes for an account as soon as that is possible.
func (f *fixture) untilWritten(a gcal.Account) {
	f.Helper()
	deadline := time.After(time.Minute)
	for {
		_, err := f.client.Upsert(f.Context(), a, newEvent("Chess"), gcal.Copy{})
		if err == nil {
			return
		}
		select {
		case <-deadline:
			f.Fatalf("waited in vain: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestDelegatedAccounts(t *testing.T) {
	t.Parallel()
	f := newRobot(t, gcalfake.Config{})
	users := f.delegated("example.com", 20)
	for range 3 {
		if faults := f.writeAll(users); len(faults) != 0 {
			t.Errorf("%d faults, the first %v", len(faults), faults[0])
		}
	}
	for _, a := range users {
		if n := len(f.google.Events(a.Subject)); n != 3 {
			t.Errorf("%s has %d events, want 3", a.Subject, n)
		}
	}
	if n := f.google.Count(gcalfake.OpToken, -1); n != 20 {
		t.Errorf("%d token requests for 20 users, want 20", n)
	}
	f.upsert(newEvent("Hers"), gcal.Copy{}) // who has consented herself
	if n := len(f.live()); n != 1 {
		t.Errorf("Anna has %d events, want 1", n)
	}
}

// One user, whose address changes, must not be served with the access token of the old one; nor by the service account once they consent
// themselves.
func TestDelegatedAccountsAreToldApart(t *testing.T) {
	t.Parallel()
	f := newRobot(t, gcalfake.Config{})
	a := f.delegated("example.com", 1)[0]
	f.account = a
	f.upsert(newEvent("Football"), gcal.Copy{})
	f.account.Subject = "new.name@example.com"
	f.google.AddUser(f.account.Subject)
	f.upsert(newEvent("Chess"), gcal.Copy{})
	f.account.RefreshToken = f.google.Grant(anna)
	f.upsert(newEvent("Swimming"), gcal.Copy{})
	for who, want := range map[string]string{a.Subject: "Football", f.account.Subject: "Chess", anna: "Swimming"} {
		if got := f.google.Events(who); len(got) != 1 || got[0].Summary != want {
			t.Errorf("%s has %v, want %s", who, got, want)
		}
	}
}

// A delegation that is missing is found out by two requests, whoever asks, and stops nobody else.
func TestMissingDelegation(t *testing.T) {
	t.Parallel()
	f := newRobot(t, gcalfake.Config{}, func(c *gcal.Config) { c.ServicePause = time.Hour })
	theirs := f.delegated("example.org", 40)
	faults := f.writeAll(theirs)
	if len(faults) != 40 {
		t.Fatalf("%d calls failed, want all 40", len(faults))
	}
	for _, e := range faults {
		advice := e.Advice()
		if e.Kind != gcal.Project || !e.Service || e.Shared() || e.Domain != "example.org" || e.Reason != "unauthorized_client" ||
			e.RetryAfter <= 59*time.Minute || e.RetryAfter > time.Hour || !strings.Contains(e.Error(), robot) ||
			!strings.Contains(advice, "Admin console of example.org") || !strings.Contains(advice, gcal.Scope) {
			t.Fatalf("fault %+v: %s. %s", e, e, advice)
		}
	}
	if n := f.google.Count(gcalfake.OpToken, -1); n != 2 {
		t.Errorf("%d token requests for 40 users, want 2", n)
	}
	if faults := f.writeAll(f.delegated("example.com", 10)); len(faults) != 0 {
		t.Errorf("users of another domain: %v", faults[0])
	}
	f.upsert(newEvent("Hers"), gcal.Copy{})
	f.google.Delegate(robot, "example.org", "https://www.googleapis.com/auth/calendar.readonly")
	f.client.Forget(theirs[0].UserID)
	if faults := f.writeAll(theirs); len(faults) != 40 {
		t.Errorf("%d calls failed during the pause, want all 40", len(faults))
	}
	if n := f.google.Count(gcalfake.OpToken, http.StatusForbidden); n != 0 {
		t.Errorf("%d token requests during the pause", n)
	}
}

func TestDelegationComes(t *testing.T) {
	t.Parallel()
	f := newRobot(t, gcalfake.Config{})
	users := f.delegated("example.org", 10)
	f.google.Delegate(robot, "example.org", "https://www.googleapis.com/auth/calendar.readonly")
	for _, e := range f.writeAll(users) {
		if e.Reason != "access_denied" || e.Domain != "example.org" || !e.Service {
			t.Fatalf("fault %+v", e)
		}
	}
	f.google.Delegate(robot, "example.org", gcal.Scope)
	for _, a := range users {
		f.untilWritten(a)
	}
}

// A new delegation reaches some users later than others.
func TestDelegationReachesOneUserLater(t *testing.T) {
	t.Parallel()
	f := newRobot(t, gcalfake.Config{}, func(c *gcal.Config) { c.ServicePause = time.Hour })
	users := f.delegated("example.com", 20)
	late := gcalfake.ForUser(users[0].Subject, gcalfake.Always(gcalfake.OpToken, gcalfake.Status(http.StatusUnauthorized, "unauthorized_client")))
	f.google.Fail(late)
	first := f.writeAll(users[:1])
	if len(first) != 1 || first[0].Domain != "example.com" {
		t.Fatalf("faults %v", first)
	}
	if faults := f.writeAll(users[1:]); len(faults) != 0 {
		t.Errorf("the others: %v", faults[0])
	}
	if faults := f.writeAll(users[:1]); len(faults) != 1 {
		t.Errorf("%d faults, want the one", len(faults))
	}
	more := f.delegated("example.com", 40)[20:]
	if faults := f.writeAll(more); len(faults) != 0 {
		t.Errorf("others after that: %v", faults[0])
	}
}

// That a user is not known is told from a key that is not.
func TestUnknownUser(t *testing.T) {
	t.Parallel()
	f := newRobot(t, gcalfake.Config{})
	nobody := gcal.Account{UserID: uuid.New(), Subject: "nobody@example.com"}
	_, err := f.client.Upsert(t.Context(), nobody, newEvent("Football"), gcal.Copy{})
	e := ofKind(t, err, gcal.Reconnect)
	if e.Reason != "invalid_grant" || e.Service || !strings.Contains(e.Error(), "no such user in example.com") || strings.Contains(e.Error(), nobody.Subject) {
		t.Errorf("fault %+v: %v", e, e)
	}
	if n := f.google.Count(gcalfake.OpToken, -1); n != 2 {
		t.Errorf("%d token requests, want 2: for the user and for the service account itself", n)
	}
	if faults := f.writeAll(f.delegated("example.com", 5)); len(faults) != 0 {
		t.Errorf("users who are known: %v", faults[0])
	}
	f.google.ResetLog()
	_, err = f.client.Upsert(t.Context(), nobody, newEvent("Football"), gcal.Copy{})
	wantKind(t, err, gcal.Reconnect)
	if n := f.google.Count(gcalfake.OpToken, -1); n != 2 {
		t.Errorf("%d token requests, want 2: the key may have been deleted a moment ago", n)
	}
	f.google.AddUser(nobody.Subject)
	f.untilWritten(nobody)
}

func TestWrongServiceKey(t *testing.T) {
	t.Parallel()
	f := newRobot(t, gcalfake.Config{})
	other := newKey(2048)
	f.google.AddServiceAccount(robot, &other.PublicKey)
	f.google.Delegate(robot, "example.com", gcal.Scope)
	f.google.Delegate(robot, "example.org", gcal.Scope)
	users := append(f.delegated("example.com", 20), f.delegated("example.org", 20)...)
	faults := f.writeAll(users)
	if len(faults) != len(users) {
		t.Fatalf("%d calls failed, want all %d", len(faults), len(users))
	}
	for _, e := range faults {
		if e.Kind != gcal.Project || !e.Service || e.Shared() || e.Domain != "" || !strings.Contains(e.Advice(), "GOOGLE_PRIVATE_KEY") {
			t.Fatalf("fault %+v: %s. %s", e, e, e.Advice())
		}
	}
	// One for a user of each domain, and one or two for the service account itself.
	if n := f.google.Count(gcalfake.OpToken, -1); n > 4 {
		t.Errorf("%d token requests for %d users, want at most 4", n, len(users))
	}
	f.upsert(newEvent("Hers"), gcal.Copy{})
	if err := f.client.CheckService(t.Context()); err == nil {
		t.Error("the wrong key passes the check")
	}
	f.google.AddServiceAccount(robot, &robotKey().PublicKey) // it is the right one by now
	f.google.Delegate(robot, "example.com", gcal.Scope)
	f.untilWritten(users[0])
	f.must(f.client.CheckService(t.Context()))
}

// A key that is deleted while the worker runs is nobody's fault, however well it has worked until then.
func TestServiceKeyIsDeleted(t *testing.T) {
	t.Parallel()
	f := newRobot(t, gcalfake.Config{})
	users := f.delegated("example.com", 20)
	if faults := f.writeAll(users[:10]); len(faults) != 0 {
		t.Fatal(faults[0])
	}
	other := newKey(2048)
	f.google.AddServiceAccount(robot, &other.PublicKey)
	faults := f.writeAll(users[10:])
	if len(faults) != 10 {
		t.Errorf("%d calls failed, want all 10", len(faults))
	}
	for _, e := range faults {
		if e.Kind != gcal.Project || !e.Service {
			t.Errorf("fault %+v", e)
		}
	}
}

func TestServiceTokenFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		fault   gcalfake.Fault
		want    gcal.Kind
		service bool
		domain  string
	}{
		{"no such client", gcalfake.Status(http.StatusUnauthorized, "invalid_client"), gcal.Project, true, ""},
		{"disabled", gcalfake.Status(http.StatusUnauthorized, "disabled_client"), gcal.Project, true, ""},
		{"policy", gcalfake.Status(http.StatusBadRequest, "admin_policy_enforced"), gcal.Project, true, "example.com"},
		{"outage", gcalfake.Page(http.StatusServiceUnavailable), gcal.Retry, false, ""},
		{"too many", gcalfake.Status(http.StatusTooManyRequests, "rate_limit_exceeded"), gcal.Retry, false, ""},
		{"not json", gcalfake.Page(http.StatusOK), gcal.Retry, false, ""},
		{"redirect", gcalfake.Page(http.StatusTemporaryRedirect), gcal.Retry, false, ""},
		{"dropped", gcalfake.Fault{Drop: true}, gcal.Retry, false, ""},
	} {
		f := newRobot(t, gcalfake.Config{})
		f.google.Fail(gcalfake.Always(gcalfake.OpToken, tt.fault))
		a := f.delegated("example.com", 1)[0]
		_, err := f.client.Upsert(t.Context(), a, newEvent("Football"), gcal.Copy{})
		if got := ofKind(t, err, tt.want); got.Op != gcal.OpToken || got.Service != tt.service || got.Domain != tt.domain {
			t.Errorf("%s: fault %+v", tt.name, got)
		}
		f.google.Heal()
		f.untilWritten(a)
	}
}

// The Calendar API's refusals of our project are the service account's project's when they are met in its name.
func TestProjectOfTheServiceAccount(t *testing.T) {
	t.Parallel()
	f := newRobot(t, gcalfake.Config{})
	a := f.delegated("example.com", 1)[0]
	f.google.Fail(gcalfake.ForUser(a.Subject, gcalfake.Always(gcalfake.OpInsert, gcalfake.Status(http.StatusForbidden, "accessNotConfigured"))))
	_, err := f.client.Upsert(t.Context(), a, newEvent("Football"), gcal.Copy{})
	if e := ofKind(t, err, gcal.Project); !e.Service || e.Shared() {
		t.Errorf("fault %+v", e)
	}
	f.google.Heal()
	f.google.Fail(gcalfake.Always(gcalfake.OpInsert, gcalfake.Status(http.StatusForbidden, "accessNotConfigured")))
	_, err = f.client.Upsert(t.Context(), f.account, newEvent("Football"), gcal.Copy{})
	if e := ofKind(t, err, gcal.Project); e.Service || !e.Shared() {
		t.Errorf("fault %+v", e)
	}
}

// Whoever goes first and gives up holds up nobody; when Google is away nobody waits for their turn for ever.
func TestFirstExchangeOfADomain(t *testing.T) {
	t.Parallel()
	f := newRobot(t, gcalfake.Config{})
	users := f.delegated("example.com", 10)
	arrived, first := make(chan struct{}), gcalfake.Next(1, gcalfake.OpToken, gcalfake.Fault{Hang: true})
	f.google.Fail(func(r gcalfake.Request) *gcalfake.Fault {
		fault := first(r)
		if fault != nil {
			close(arrived)
		}
		return fault
	})
	ctx, cancel := context.WithCancel(t.Context())
	led := make(chan error, 1)
	go func() {
		_, err := f.client.Upsert(ctx, users[0], newEvent("Football"), gcal.Copy{})
		led <- err
	}()
	<-arrived
	var others sync.WaitGroup
	others.Go(func() {
		if faults := f.writeAll(users[1:]); len(faults) != 0 {
			t.Errorf("those who waited: %v", faults[0])
		}
	})
	cancel()
	others.Wait()
	if err := <-led; !errors.Is(err, context.Canceled) {
		t.Errorf("the cancelled call ends with %v", err)
	}

	f = newRobot(t, gcalfake.Config{})
	f.google.Fail(gcalfake.Always(gcalfake.OpToken, gcalfake.Page(http.StatusServiceUnavailable)))
	if faults := f.writeAll(f.delegated("example.com", 10)); len(faults) != 10 {
		t.Errorf("%d calls failed while Google is away, want all 10", len(faults))
	}
}

func TestServes(t *testing.T) {
	t.Parallel()
	own, theirs := gcal.Account{RefreshToken: "1//token", Subject: anna}, gcal.Account{Subject: anna}
	both := newRobot(t, gcalfake.Config{})
	oauth := newFixture(t, gcalfake.Config{})
	robotOnly := newRobot(t, gcalfake.Config{}, func(c *gcal.Config) { c.ClientID, c.ClientSecret = "", "" })
	for _, tt := range []struct {
		name        string
		f           *fixture
		own, theirs bool
	}{{"both", both, true, true}, {"OAuth client", oauth, true, false}, {"service account", robotOnly, false, true}} {
		if tt.f.client.OwnGrants() != tt.own || tt.f.client.Delegates() != tt.theirs {
			t.Errorf("%s: serves own consents %v, delegated %v", tt.name, tt.f.client.OwnGrants(), tt.f.client.Delegates())
		}
		for a, served := range map[gcal.Account]bool{own: tt.own, theirs: tt.theirs} {
			if served {
				continue
			}
			_, err := tt.f.client.Upsert(t.Context(), a, newEvent("Football"), gcal.Copy{})
			if e := ofKind(t, err, gcal.Project); e.Service != a.Delegated() {
				t.Errorf("%s: fault %+v", tt.name, e)
			}
		}
		if n := tt.f.google.Count("", -1); n != 0 {
			t.Errorf("%s: %d requests for accounts that cannot be served", tt.name, n)
		}
	}
	if err := oauth.client.CheckService(t.Context()); err == nil {
		t.Error("a service account that is not there passes the check")
	}
	f := robotOnly
	if faults := f.writeAll(f.delegated("example.com", 3)); len(faults) != 0 {
		t.Errorf("with a service account only: %v", faults[0])
	}
}

// A stand-alone stand-in takes the assertions of anybody.
func TestServiceAccountOfAStandIn(t *testing.T) {
	t.Parallel()
	google, err := gcalfake.Start(gcalfake.Config{OpenGrants: true})
	if err != nil {
		t.Fatal(err)
	}
	defer google.Close()
	c := configFor(google)
	if c.ServiceKey, err = gcal.ParseServiceKey(pemOf(t, robotKey())); err != nil {
		t.Fatal(err)
	}
	c.ServiceEmail = robot
	client, err := gcal.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Upsert(t.Context(), gcal.Account{UserID: uuid.New(), Subject: anna}, newEvent("Football"), gcal.Copy{}); err != nil {
		t.Fatal(err)
	}
	if n := len(google.Events(anna)); n != 1 {
		t.Errorf("Anna has %d events, want 1", n)
	}
}

// tooShort was made for this test.
const tooShort = `-----BEGIN RSA PRIVATE KEY-----
MIIBOgIBAAJBANuJpKdm+Bw3FCokD01P3QG9rqlS5rpdnujVl7tZfCmXvkJQUffB
5Iwr/jd8qk9w5AoGWS84e+Ta0GhwnT5Ci5cCAwEAAQJAPmJDnqo88M+Z9Eug6Yg7
NiZvfoAnPmgiIumnHz7TcIG+fBpXVvg3GphQrUyTSAQnsVmDE50PXrNoJzaHA8Kd
YQIhAO2bBN6+UNZlzbIaUsh734cHerEokGXVL71kplyHXjBxAiEA7IiL3B6EubVF
RmoZVlHElikkidZLcvoI0DLVs1CHAIcCICuiExPgeTHWAh8ZzGf6r4K5ceOEonfA
3YJ3MEG/riFRAiB6H4H+k285puLumScdzzftw65O0GrCIWBdhnGZlHEvjwIhAOj0
jTF6gi5GPAEfxXXKevcXhS28TdKkmiNNN0z+rcTK
-----END RSA PRIVATE KEY-----
`

func TestParseServiceKey(t *testing.T) {
	t.Parallel()
	key := pemOf(t, robotKey())
	pkcs1 := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(robotKey())}))
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	escaped := strings.ReplaceAll(key, "\n", `\n`)
	lines := strings.Split(strings.TrimSpace(key), "\n")
	for _, tt := range []struct{ name, text, fault string }{
		{"as it is", key, ""},
		{"PKCS 1", pkcs1, ""},
		{"with \\n", escaped, ""},
		{"with \\r\\n", strings.ReplaceAll(key, "\n", `\r\n`), ""},
		{"with line breaks of Windows", strings.ReplaceAll(key, "\n", "\r\n"), ""},
		{"quoted", `"` + escaped + `"`, ""},
		{"quoted, with line breaks", " '" + key + "'\n", ""},
		{"with one quote", `"` + escaped, ""},
		{"without breaks", strings.ReplaceAll(key, "\n", " "), "not a PEM block"},
		{"empty", "", "not a PEM block"},
		{"base64 only", strings.Join(lines[1:len(lines)-1], ""), "not a PEM block"},
		{"cut", lines[0] + "\n" + lines[1] + "\n" + lines[len(lines)-1] + "\n", "holds no private key"},
		{"of a curve", pemOf(t, curve), "not an RSA key"},
		{"too short", tooShort, "an RSA key of 512 bits"},
	} {
		k, err := gcal.ParseServiceKey(tt.text)
		if (err == nil) != (tt.fault == "") || err != nil && !strings.Contains(err.Error(), tt.fault) || k.Given() != (err == nil) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err != nil && strings.Contains(err.Error(), lines[1][:20]) {
			t.Errorf("%s: shows the key: %v", tt.name, err)
		}
	}
}

func TestServiceKeyPrintsAsNothing(t *testing.T) {
	t.Parallel()
	c := gcal.DefaultConfig()
	key, err := gcal.ParseServiceKey(pemOf(t, robotKey()))
	if err != nil {
		t.Fatal(err)
	}
	c.ServiceEmail, c.ServiceKey = robot, key
	if err := c.Validate(); err != nil {
		t.Errorf("a service account alone is refused: %v", err)
	}
	text, err := json.Marshal(map[string]any{"config": c, "key": key})
	if err != nil {
		t.Fatal(err)
	}
	secret := robotKey().D.String()
	for _, got := range []string{fmt.Sprint(key), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", []any{key, &c}), string(text), key.String()} {
		if strings.Contains(got, secret[:20]) || strings.Contains(got, "{") && strings.Contains(got, "Primes") {
			t.Errorf("prints as %s", got)
		}
	}
	for _, broken := range []func(*gcal.Config){
		func(c *gcal.Config) { c.ServiceEmail = "" }, func(c *gcal.Config) { c.ServiceKey = gcal.ServiceKey{} },
		func(c *gcal.Config) { c.ClientID = "client" }, func(c *gcal.Config) { c.ServicePause = 0 },
	} {
		wrong := c
		if broken(&wrong); wrong.Validate() == nil {
			t.Errorf("accepted: %v", wrong)
		}
	}
}
