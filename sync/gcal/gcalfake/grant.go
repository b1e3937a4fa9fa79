package gcalfake

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"time"
)

const (
	grantRefresh   = "refresh_token"
	grantAssertion = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// Grant is a user's consent: it returns a new refresh token. A user may give several.
func (s *Server) Grant(user string) (refreshToken string) {
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	token := newRefreshToken()
	w.refresh[token] = w.person(user)
	return token
}

// Revoke ends a consent, by its refresh token: the user removes the app in their Google account. Access tokens end with it.
func (s *Server) Revoke(token string) { s.world.revoke(token) }

// RevokeUser ends all consents of a user.
func (s *Server) RevokeUser(user string) {
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.people[user]; p != nil {
		w.dropTokens(p)
	}
}

// ExpireAccessTokens makes every access token given so far worthless, whatever its clients believe.
func (s *Server) ExpireAccessTokens() {
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.access)
}

func (w *world) dropTokens(p *person) {
	for token, owner := range w.refresh {
		if owner == p {
			delete(w.refresh, token)
		}
	}
	w.dropAccess(p)
}

func (w *world) dropAccess(p *person) {
	for token, session := range w.access {
		if session.person == p {
			delete(w.access, token)
		}
	}
}

// bearer returns who an access token belongs to, and whether it is still good.
func (w *world) bearer(access string) (user string, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.access[access]
	if !ok {
		return "", false
	}
	return s.person.name, time.Now().Before(s.expires)
}

// owner returns whose consent a token request names, empty if nobody's.
func (w *world) owner(form url.Values) string {
	if form.Get("grant_type") == grantAssertion {
		return subject(form.Get("assertion"))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.refresh[cmp.Or(form.Get("refresh_token"), form.Get("token"))]; p != nil {
		return p.name
	}
	return ""
}

// exchange is the token endpoint, at the address tokenURL.
func (w *world) exchange(form url.Values, tokenURL string) answer {
	assertion := form.Get("grant_type") == grantAssertion
	if wrong := w.wrongClient(form); wrong != "" && !assertion {
		return grantFailure(http.StatusUnauthorized, "invalid_client", wrong)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case assertion:
		return w.asserted(form.Get("assertion"), tokenURL)
	case form.Get("grant_type") != grantRefresh:
		return grantFailure(http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: "+form.Get("grant_type"))
	case form.Get("refresh_token") == "":
		return grantFailure(http.StatusBadRequest, "invalid_request", "Missing required parameter: refresh_token")
	}
	return w.refreshed(form.Get("refresh_token"))
}

// wrongClient says what is wrong with the OAuth client, empty if nothing is.
func (w *world) wrongClient(form url.Values) string {
	switch {
	case w.config.ClientID == "":
		return ""
	case form.Get("client_id") != w.config.ClientID:
		return "The OAuth client was not found."
	case form.Get("client_secret") != w.config.ClientSecret:
		return "The provided client secret is invalid."
	}
	return ""
}

func (w *world) refreshed(token string) answer {
	p := w.refresh[token]
	if p == nil && w.config.OpenGrants {
		p = w.person(strangerName(token))
		w.refresh[token] = p
	}
	if p == nil {
		return grantFailure(http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked.")
	}
	if !w.config.RotateTokens {
		return w.session(p.name, token)
	}
	delete(w.refresh, token)
	rotated := newRefreshToken()
	w.refresh[rotated] = p
	a := w.session(p.name, rotated)
	a.body.(map[string]any)["refresh_token"] = rotated
	return a
}

// session gives out an access token for a refresh token, or for an assertion, which has none.
func (w *world) session(user, refresh string) answer {
	if user == "" {
		return grantFailure(http.StatusBadRequest, "invalid_grant", "Invalid JWT.")
	}
	access := "ya29.fake-" + randomText()
	w.access[access] = session{person: w.person(user), refresh: refresh, expires: time.Now().Add(w.config.TokenLifetime)}
	return success(map[string]any{
		"access_token": access, "expires_in": int(w.config.TokenLifetime.Seconds()), "scope": Scope, "token_type": "Bearer",
	})
}

// revoke is the revoke endpoint. It takes either kind of token; an access token takes its refresh token with it.
func (w *world) revoke(token string) answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	p, given := w.refresh[token], w.access[token]
	if p == nil {
		p = given.person
	}
	if p == nil {
		return grantFailure(http.StatusBadRequest, "invalid_token", "Token expired or revoked")
	}
	delete(w.refresh, token)
	delete(w.refresh, given.refresh)
	w.dropAccess(p)
	return success(map[string]any{})
}

func newRefreshToken() string { return "1//fake-" + randomText() }

func randomText() string { return rand.Text() }

// strangerName names whoever brings a token that was never given here, the same one each time.
func strangerName(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "user-" + hex.EncodeToString(sum[:6]) + "@example.com"
}
