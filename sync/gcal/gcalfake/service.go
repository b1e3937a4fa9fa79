package gcalfake

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Scope is what consents given by Grant allow, and what a client should ask for.
const Scope = "https://www.googleapis.com/auth/calendar.events.owned"

const (
	// googleAudience is Google's own token endpoint: what official clients write into an assertion, wherever they are made to send it.
	googleAudience = "https://oauth2.googleapis.com/token"
	// mostLifetime is the longest that an assertion may be good for, mostSkew how far clocks may differ.
	mostLifetime = time.Hour
	mostSkew     = 5 * time.Minute
)

// serviceAccount is what Google knows of one: its key, and the scopes that administrators of domains have delegated to it.
type serviceAccount struct {
	key       *rsa.PublicKey
	delegated map[string][]string // by domain
}

// AddServiceAccount makes a service account known, by the public half of its key. What it asserts is looked at as closely as Google
// does; assertions of others are refused, or with Config.OpenGrants accepted as they come.
func (s *Server) AddServiceAccount(email string, key *rsa.PublicKey) {
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	w.services[email] = &serviceAccount{key: key, delegated: make(map[string][]string)}
}

// Delegate is what a domain's administrator does: the service account may act for all users of the domain, within these scopes and no
// others. Without scopes it may not any more, and the access tokens that were given end.
func (s *Server) Delegate(email, domain string, scopes ...string) {
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	account := w.services[email]
	if account == nil {
		account = &serviceAccount{delegated: make(map[string][]string)}
		w.services[email] = account
	}
	account.delegated[domain] = slices.Clone(scopes)
	for token, given := range w.access {
		if given.service == email && domainOf(given.person.name) == domain && len(scopes) == 0 {
			delete(w.access, token)
		}
	}
}

// AddUser makes users known who have given no consent: an administrator has made their accounts.
func (s *Server) AddUser(users ...string) {
	w := &s.world
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, user := range users {
		w.person(user)
	}
}

// assertion is a signed statement of a service account.
type assertion struct {
	Alg       string
	Iss       string
	Sub       string
	Aud       string
	Scope     string
	Iat, Exp  int64
	signed    string // header and claims, as they were signed
	signature []byte
}

// readAssertion takes an assertion apart, without looking at its signature.
func readAssertion(signed string) (a assertion, ok bool) {
	parts := strings.Split(signed, ".")
	if len(parts) != 3 {
		return a, false
	}
	for _, part := range parts[:2] {
		raw, err := decodePart(part)
		if err != nil || json.Unmarshal(raw, &a) != nil {
			return a, false
		}
	}
	signature, err := decodePart(parts[2])
	a.signed, a.signature = parts[0]+"."+parts[1], signature
	return a, err == nil
}

func decodePart(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
}

// speaksFor is the user it asks an access token for: the service account itself, where it names nobody.
func (a assertion) speaksFor() string {
	if a.Sub != "" {
		return a.Sub
	}
	return a.Iss
}

// subject reads whom an assertion speaks for, empty if it is none.
func subject(signed string) string {
	a, _ := readAssertion(signed)
	return a.speaksFor()
}

// asserted is the token endpoint's answer to a service account. The lock is held.
func (w *world) asserted(signed, tokenURL string) answer {
	a, ok := readAssertion(signed)
	if !ok || a.Iss == "" {
		return badAssertion("Invalid JWT.")
	}
	account := w.services[a.Iss]
	if account == nil || account.key == nil {
		if w.config.OpenGrants {
			return w.session(a.speaksFor(), "")
		}
		return badAssertion("Invalid grant: account not found")
	}
	if problem := account.judge(a, tokenURL); problem != nil {
		return *problem
	}
	if a.Sub != "" && w.people[a.Sub] == nil {
		return badAssertion("Invalid email or User ID")
	}
	given := w.session(a.speaksFor(), "")
	body := given.body.(map[string]any)
	body["scope"] = a.Scope
	access := text(body["access_token"])
	opened := w.access[access]
	opened.service = a.Iss
	w.access[access] = opened
	return given
}

// judge says what is wrong with an assertion, nil if nothing is.
func (s *serviceAccount) judge(a assertion, tokenURL string) *answer {
	now := time.Now()
	issued, expires := time.Unix(a.Iat, 0), time.Unix(a.Exp, 0)
	digest := sha256.Sum256([]byte(a.signed))
	var problem answer
	switch {
	case a.Alg != "RS256", rsa.VerifyPKCS1v15(s.key, crypto.SHA256, digest[:], a.signature) != nil:
		problem = badAssertion("Invalid JWT Signature.")
	case a.Aud != tokenURL && a.Aud != googleAudience:
		problem = badAssertion("Invalid JWT: Failed audience check.")
	case issued.After(now.Add(mostSkew)), expires.Before(now.Add(-mostSkew)), expires.Sub(issued) > mostLifetime, !expires.After(issued):
		problem = badAssertion("Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. " +
			"Check your iat and exp values in the JWT claim.")
	case len(strings.Fields(a.Scope)) == 0:
		problem = grantFailure(http.StatusBadRequest, "invalid_scope", "Invalid OAuth scope or ID token audience provided.")
	default:
		return s.allows(a)
	}
	return &problem
}

// allows says what keeps a service account from acting for the user it names, nil if it may. For itself it always may.
func (s *serviceAccount) allows(a assertion) *answer {
	if a.Sub == "" {
		return nil
	}
	scopes := s.delegated[domainOf(a.Sub)]
	if len(scopes) == 0 {
		return new(grantFailure(http.StatusUnauthorized, "unauthorized_client",
			"Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."))
	}
	for wanted := range strings.FieldsSeq(a.Scope) {
		if !slices.Contains(scopes, wanted) {
			return new(grantFailure(http.StatusForbidden, "access_denied", "Requested client not authorized."))
		}
	}
	return nil
}

func badAssertion(description string) answer {
	return grantFailure(http.StatusBadRequest, "invalid_grant", description)
}

func domainOf(address string) string {
	_, domain, _ := strings.Cut(address, "@")
	return strings.ToLower(domain)
}
