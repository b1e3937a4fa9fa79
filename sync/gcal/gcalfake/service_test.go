package gcalfake_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

const robot = "robot@family.iam.gserviceaccount.com"

// robotKey takes a moment to make.
var robotKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func pemOf(t *testing.T, key *rsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// signedBy is an assertion as a careful client makes it, but for changes, which may remove (nil).
func signedBy(t *testing.T, f *fixture, key *rsa.PrivateKey, changes object) string {
	t.Helper()
	now := time.Now().Unix()
	claims := object{"iss": robot, "aud": f.google.TokenURL(), "scope": gcalfake.Scope, "iat": now, "exp": now + 3600, "sub": anna}
	for name, v := range changes {
		if claims[name] = v; v == nil {
			delete(claims, name)
		}
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(body)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(signature)
}

func (f *fixture) assert(assertion string) reply {
	f.Helper()
	return f.form(f.google.TokenURL(), url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}})
}

// robots is a fixture with a service account that may act for users of example.com.
func robots(t *testing.T, c gcalfake.Config) *fixture {
	t.Helper()
	f := newFixture(t, c)
	f.google.AddServiceAccount(robot, &robotKey().PublicKey)
	f.google.Delegate(robot, "example.com", gcalfake.Scope)
	return f
}

func TestAssertions(t *testing.T) {
	t.Parallel()
	f := robots(t, gcalfake.Config{OpenGrants: true}) // who is known is looked at closely, whoever else is accepted
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	const events = "https://www.googleapis.com/auth/calendar.events"
	now := time.Now().Unix()
	for _, tt := range []struct {
		name      string
		key       *rsa.PrivateKey
		changes   object
		status    int
		code, why string
	}{
		{"for a user", robotKey(), nil, 200, "", ""},
		{"for itself", robotKey(), object{"sub": nil}, 200, "", ""},
		{"to Google's own address", robotKey(), object{"aud": "https://oauth2.googleapis.com/token"}, 200, "", ""},
		{"another key", other, nil, 400, "invalid_grant", "Invalid JWT Signature."},
		{"another audience", robotKey(), object{"aud": "https://example.com/token"}, 400, "invalid_grant", "Failed audience check"},
		{"no audience", robotKey(), object{"aud": nil}, 400, "invalid_grant", "Failed audience check"},
		{"over", robotKey(), object{"iat": now - 7200, "exp": now - 3600}, 400, "invalid_grant", "short-lived token"},
		{"of tomorrow", robotKey(), object{"iat": now + 86400, "exp": now + 90000}, 400, "invalid_grant", "short-lived token"},
		{"for a day", robotKey(), object{"exp": now + 86400}, 400, "invalid_grant", "short-lived token"},
		{"without times", robotKey(), object{"iat": nil, "exp": nil}, 400, "invalid_grant", "short-lived token"},
		{"without a scope", robotKey(), object{"scope": nil}, 400, "invalid_scope", "Invalid OAuth scope"},
		{"more than is delegated", robotKey(), object{"scope": gcalfake.Scope + " " + events}, 403, "access_denied", "not authorized"},
		{"for a user of another domain", robotKey(), object{"sub": "anna@example.org"}, 401, "unauthorized_client", "Client is unauthorized"},
		{"for nobody's address", robotKey(), object{"sub": "anna"}, 401, "unauthorized_client", "Client is unauthorized"},
		{"for a user whom nobody knows", robotKey(), object{"sub": "nobody@example.com"}, 400, "invalid_grant", "Invalid email or User ID"},
	} {
		r := f.assert(signedBy(t, f, tt.key, tt.changes))
		code, _ := r.at("error").(string)
		why, _ := r.at("error_description").(string)
		if r.status != tt.status || code != tt.code || !strings.Contains(why, tt.why) {
			t.Errorf("%s: answered %d %s", tt.name, r.status, r.raw)
		}
		if access, _ := r.at("access_token").(string); (access != "") != (tt.status == 200) || tt.status == 200 && r.at("scope") != gcalfake.Scope {
			t.Errorf("%s: answered %s", tt.name, r.raw)
		}
	}
	f = newFixture(t, gcalfake.Config{})
	f.google.Delegate(robot, "example.com", gcalfake.Scope)
	f.wantGrantError(f.assert(signedBy(t, f, robotKey(), nil)), http.StatusBadRequest, "invalid_grant")
}

// An administrator lets a service account act, and takes it back; users are made, and consent to nothing.
func TestDelegation(t *testing.T) {
	t.Parallel()
	f := robots(t, gcalfake.Config{})
	const ben = "ben@example.com"
	f.wantGrantError(f.assert(signedBy(t, f, robotKey(), object{"sub": ben})), http.StatusBadRequest, "invalid_grant")
	f.google.AddUser(ben)
	f.access, _ = f.assert(signedBy(t, f, robotKey(), object{"sub": ben})).at("access_token").(string)
	f.insert(nil)
	if hers, his := len(f.google.Events(anna)), len(f.google.Events(ben)); hers != 0 || his != 1 {
		t.Errorf("Anna has %d events, Ben %d", hers, his)
	}
	f.google.Delegate(robot, "example.com")
	f.wantGrantError(f.assert(signedBy(t, f, robotKey(), object{"sub": ben})), http.StatusUnauthorized, "unauthorized_client")
	f.wantReply(f.call("GET", events, nil), http.StatusUnauthorized, "authError")
	f.access = f.exchange(f.google.Grant(ben)) // his own consent is another matter
	f.wantReply(f.call("GET", events, nil), http.StatusOK, "")
}

// Google's official client for Go makes assertions of its own.
func TestAssertionsOfTheOfficialClient(t *testing.T) {
	t.Parallel()
	f := robots(t, gcalfake.Config{})
	config := jwt.Config{Email: robot, PrivateKey: pemOf(t, robotKey()), Subject: anna, Scopes: []string{gcalfake.Scope}, TokenURL: f.google.TokenURL()}
	token, err := config.TokenSource(context.WithValue(t.Context(), oauth2.HTTPClient, f.http)).Token()
	if err != nil {
		t.Fatal(err)
	}
	f.access = token.AccessToken
	f.insert(nil)
	config.Subject = "nobody@example.com"
	_, err = config.TokenSource(context.WithValue(t.Context(), oauth2.HTTPClient, f.http)).Token()
	refused, _ := errors.AsType[*oauth2.RetrieveError](err)
	if refused == nil || !strings.Contains(string(refused.Body), `"invalid_grant"`) {
		t.Errorf("a user whom nobody knows: %v", err)
	}
}
