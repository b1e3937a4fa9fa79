package gcalfake_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

func (f *fixture) wantGrantError(r reply, status int, code string) {
	f.Helper()
	if r.status != status || r.at("error") != code {
		f.Errorf("answered %d %s, want %d %s", r.status, r.raw, status, code)
	}
}

func TestTokenEndpoint(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{ClientID: "", TokenLifetime: 30 * time.Minute})
	token := f.google.Grant(anna)
	r := f.refresh(token)
	if r.status != http.StatusOK || r.at("token_type") != "Bearer" || r.at("expires_in") != 1800.0 || r.at("refresh_token") != nil {
		t.Errorf("answered %d %s", r.status, r.raw)
	}
	f.wantGrantError(f.refresh("1//unknown"), http.StatusBadRequest, "invalid_grant")
	f.wantGrantError(f.refresh(""), http.StatusBadRequest, "invalid_request")
	f.wantGrantError(f.form(f.google.TokenURL(), url.Values{"grant_type": {"password"}}), http.StatusBadRequest, "unsupported_grant_type")
	f.wantGrantError(f.form(f.google.TokenURL(), url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion(`{"iss":"robot@example.com"}`)},
	}), http.StatusBadRequest, "invalid_grant")
	if n := len(f.google.Violations()); n != 0 {
		t.Errorf("the token endpoint counts %d violations", n)
	}
}

func TestOnlyOurClientIsAccepted(t *testing.T) {
	t.Parallel()
	google, err := gcalfake.Start(gcalfake.Config{ClientID: "client", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	defer google.Close()
	f := &fixture{T: t, google: google, http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	token := google.Grant(anna)
	f.wantGrantError(f.refresh(token), http.StatusUnauthorized, "invalid_client")
	for _, tt := range []struct {
		id, secret string
		status     int
		wrong      any
	}{
		{"client", "secret", http.StatusOK, nil},
		{"client", "wrong", http.StatusUnauthorized, "The provided client secret is invalid."},
		{"unknown", "secret", http.StatusUnauthorized, "The OAuth client was not found."},
	} {
		r := f.form(google.TokenURL(), url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {tt.id}, "client_secret": {tt.secret},
		})
		if r.status != tt.status || r.at("error_description") != tt.wrong {
			t.Errorf("%s with %s is answered %d %s, want %d %v", tt.id, tt.secret, r.status, r.raw, tt.status, tt.wrong)
		}
	}
}

func TestAccessTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{TokenLifetime: time.Nanosecond})
	f.wantReply(f.call("GET", events, nil), http.StatusUnauthorized, "authError")
	if got := f.google.Log()[0].User; got != anna {
		t.Errorf("an expired token is %q's, want Anna's", got)
	}
	f = newFixture(t, gcalfake.Config{})
	f.wantReply(f.call("GET", events, nil), http.StatusOK, "")
	f.google.ExpireAccessTokens()
	f.wantReply(f.call("GET", events, nil), http.StatusUnauthorized, "authError")
	f.access = ""
	r := f.call("GET", events, nil)
	f.wantReply(r, http.StatusUnauthorized, "authError")
	if r.at("error", "status") != "UNAUTHENTICATED" || r.at("error", "code") != 401.0 {
		t.Errorf("the error is shaped %s", r.raw)
	}
}

func TestRevokedConsent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{})
	for _, revoke := range []func(token string){
		f.google.Revoke,
		func(string) { f.google.RevokeUser(anna) },
		func(token string) {
			if r := f.form(f.google.RevokeURL(), url.Values{"token": {token}}); r.status != http.StatusOK {
				t.Errorf("revoke answered %d %s", r.status, r.raw)
			}
		},
		func(string) { // an access token takes its refresh token with it
			if r := f.form(f.google.RevokeURL(), url.Values{"token": {f.access}}); r.status != http.StatusOK {
				t.Errorf("revoke answered %d %s", r.status, r.raw)
			}
		},
	} {
		token := f.google.Grant(anna)
		f.access = f.exchange(token)
		revoke(token)
		f.wantGrantError(f.refresh(token), http.StatusBadRequest, "invalid_grant")
		f.wantReply(f.call("GET", events, nil), http.StatusUnauthorized, "authError")
	}
	f.wantGrantError(f.form(f.google.RevokeURL(), url.Values{"token": {"1//unknown"}}), http.StatusBadRequest, "invalid_token")
	f.google.RevokeUser("nobody")
}

func TestRotation(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{RotateTokens: true})
	first := f.google.Grant(anna)
	second, _ := f.refresh(first).at("refresh_token").(string)
	f.wantGrantError(f.refresh(first), http.StatusBadRequest, "invalid_grant")
	last := f.refresh(second)
	access, _ := last.at("access_token").(string)
	rotated, _ := last.at("refresh_token").(string)
	if r := f.form(f.google.RevokeURL(), url.Values{"token": {access}}); r.status != http.StatusOK {
		t.Errorf("revoke answered %d %s", r.status, r.raw)
	}
	f.wantGrantError(f.refresh(rotated), http.StatusBadRequest, "invalid_grant")
}

// A stand-alone server does not know the tokens that its clients bring.
func TestOpenGrants(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{OpenGrants: true})
	f.access = f.exchange("1//from-a-database")
	f.insert(nil)
	f.access = f.exchange("1//from-a-database")
	f.wantReply(f.call("GET", events+"/football", nil), http.StatusOK, "")
	if n := len(f.google.Events("1//from-a-database")); n != 1 {
		t.Errorf("the stranger has %d events, want 1", n)
	}
	f.access = f.exchange("1//another")
	f.wantReply(f.call("GET", events+"/football", nil), http.StatusNotFound, "notFound")
}

func assertion(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return strings.Join([]string{encode([]byte(`{"alg":"RS256"}`)), encode([]byte(claims)), encode([]byte("unsigned"))}, ".")
}

func TestServiceAccounts(t *testing.T) {
	t.Parallel()
	f := newFixture(t, gcalfake.Config{OpenGrants: true})
	for jwt, user := range map[string]string{
		assertion(`{"iss":"robot@example.com"}`):                          "robot@example.com",
		assertion(`{"iss":"robot@example.com","sub":"cleo@example.com"}`): "cleo@example.com",
		assertion(`{}`):     "",
		assertion(`[`):      "",
		"not.an.assertion!": "",
		"not one":           "",
	} {
		r := f.form(f.google.TokenURL(), url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {jwt},
		})
		if user == "" {
			f.wantGrantError(r, http.StatusBadRequest, "invalid_grant")
			continue
		}
		f.access, _ = r.at("access_token").(string)
		f.insert(nil)
		if n := len(f.google.Events(user)); n != 1 {
			t.Errorf("%s has %d events, want 1", user, n)
		}
	}
}

func TestStartRefusesABadConfiguration(t *testing.T) {
	t.Parallel()
	_, err := gcalfake.Start(gcalfake.Config{Latency: -1, TokenLifetime: -1, ClientSecret: "secret"})
	for _, want := range []string{"latency", "token lifetime", "client secret"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name the %s", err, want)
		}
	}
	if _, err := gcalfake.Start(gcalfake.Config{Addr: "127.0.0.1:no-port"}); err == nil {
		t.Error("an address without a port is accepted")
	}
}
