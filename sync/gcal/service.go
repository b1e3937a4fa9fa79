package gcal

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"google.golang.org/api/calendar/v3"
)

// Scope is what a service account asks for in a user's name, and what their administrator has to delegate, to the letter: the events of
// the user's own calendars. It is what the app asks users themselves for.
const Scope = calendar.CalendarEventsOwnedScope

// jwtBearer is the grant of whoever proves by a signature who they are.
const jwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// service is a service account at work: it signs for a user and gets an access token.
//
// What stands in its way is rarely the user's affair. A delegation is by domain, a key is everybody's. So what Google has refused to the
// service account is not asked again for a while, for nobody whom it concerns. And until a delegation has been seen to work, exchanges for
// its domain go one at a time: that it is missing is found out by two requests, not by one for each user. Two, because Google may take a day
// to let a new delegation reach the last user, and one who is late says nothing about the others.
//
// The exchange is made by package clientcredentials, as those of refresh tokens are made by its parent: package jwt would hide what a failed
// request failed for, and Google's code for a refusal.
type service struct {
	email    string
	key      *rsa.PrivateKey
	tokenURL string
	http     *http.Client
	rest     time.Duration
	now      func() time.Time

	checking chan struct{} // capacity 1: whoever asks for the service account itself

	mu      sync.Mutex
	domains map[string]*delegation
	proven  time.Time // when Google last gave a token for what the key has signed
	refusal           // of the service account as such
}

// delegation is what is known of a domain.
type delegation struct {
	works   bool   // the last exchange that told anything went well
	late    string // the user who was refused last, since anybody was not
	probe   *probe // the exchange that goes alone; nil: none does
	refusal        // of all users of the domain
}

// probe is an exchange whose outcome others wait for. err is written before done is closed.
type probe struct {
	done chan struct{}
	err  *Error // that of all who wait; nil: they go on
}

// refusal is what is not asked again before a time.
type refusal struct {
	err   *Error
	until time.Time
}

func (r *refusal) set(e *Error, now time.Time) { r.err, r.until = e, now.Add(e.RetryAfter) }

// stands is the refusal as it is at this moment, nil if there is none.
func (r *refusal) stands(now time.Time) *Error {
	if r.err == nil || !now.Before(r.until) {
		return nil
	}
	e := *r.err
	e.RetryAfter = r.until.Sub(now)
	return &e
}

func newService(c Config, h *http.Client) *service {
	return &service{
		email: c.ServiceEmail, key: c.ServiceKey.rsa, tokenURL: c.TokenURL, http: h, rest: c.ServicePause, now: time.Now,
		checking: make(chan struct{}, 1), domains: make(map[string]*delegation),
	}
}

// exchange gets an access token for a user. Its errors are *Error, or the end of ctx.
func (s *service) exchange(ctx context.Context, subject string) (*oauth2.Token, error) {
	d, alone, err := s.enter(ctx, domainOf(subject))
	if err != nil {
		return nil, err
	}
	began := s.now()
	token, err := s.ask(ctx, subject)
	var fault *Error
	if err != nil {
		fault = s.judge(ctx, subject, began, err)
	}
	s.leave(d, alone, subject, fault, ctx.Err() != nil)
	if fault != nil {
		return nil, fault
	}
	return token, nil
}

// enter waits until an exchange for a domain may be made. alone is nil if others may be made meanwhile.
func (s *service) enter(ctx context.Context, domain string) (d *delegation, alone *probe, err error) {
	for {
		d, alone, wait, refused := s.turn(domain)
		if refused != nil {
			return nil, nil, refused
		}
		if wait == nil {
			return d, alone, nil
		}
		select {
		case <-wait.done:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
		if wait.err != nil {
			return nil, nil, wait.err
		}
	}
}

func (s *service) turn(domain string) (d *delegation, alone, wait *probe, refused *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d = s.domains[domain]; d == nil {
		d = &delegation{}
		s.domains[domain] = d
	}
	now := s.now()
	if refused = s.stands(now); refused == nil {
		refused = d.stands(now)
	}
	switch {
	case refused != nil, d.works:
	case d.probe != nil:
		wait = d.probe
	default:
		d.probe = &probe{done: make(chan struct{})}
		alone = d.probe
	}
	return d, alone, wait, refused
}

// leave notes what an exchange has told.
func (s *service) leave(d *delegation, alone *probe, subject string, fault *Error, abandoned bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	switch {
	case fault == nil:
		s.proven, d.works, d.late = now, true, ""
	case fault.Service && fault.Domain == "":
		d.works = false
		s.set(fault, now)
	case fault.Service:
		if d.late != "" && d.late != subject {
			d.set(fault, now)
		}
		d.works, d.late = false, subject
	}
	if alone == nil {
		return
	}
	// That Google is away is known to all who wait; what is one user's is not theirs.
	if fault != nil && fault.Kind == Retry && !abandoned {
		alone.err = fault
	}
	d.probe = nil
	close(alone.done)
}

// judge says what a failed exchange means: for the user, for all of the domain, or for the service account.
func (s *service) judge(ctx context.Context, subject string, began time.Time, err error) *Error {
	e := classify(OpToken, err, s.now())
	switch {
	case e.Reason == "invalid_grant" && e.Kind == Reconnect:
		return s.blame(ctx, subject, began, e)
	case e.Kind == Reconnect, e.Kind == Project && e.Reason == "unauthorized_client":
		e.Kind, e.Domain = Project, domainOf(subject)
		e.Note = fmt.Sprintf("%s may not act for users of %s", s.email, e.Domain)
	case e.Kind == Project:
		e.Note = s.email + " is refused"
	}
	return s.own(e)
}

// own marks a fault of the service account's registration. Nobody with a consent of their own meets it.
func (s *service) own(e *Error) *Error {
	if e.Kind == Project {
		e.Service, e.RetryAfter = true, max(e.RetryAfter, s.rest)
	}
	return e
}

// blame finds out whose fault an invalid grant is. Google says the same of a user whom it does not know, of a signature by another key and
// of a clock that is wrong; the latter two it also says when the service account asks for itself.
// That it was given a token before says nothing: a key can be deleted at any moment, and no user is to be marked for that.
func (s *service) blame(ctx context.Context, subject string, began time.Time, e *Error) *Error {
	own := s.check(ctx, began)
	switch {
	case own == nil:
		e.Note = "no such user in " + domainOf(subject) + ", or one who is suspended"
		return e
	case own.Kind == Project:
		return own
	}
	return &Error{Kind: Retry, Op: OpToken, Status: e.Status, Reason: e.Reason, Note: "whose fault it is could not be found out", Err: own.Err}
}

// check asks for a token of the service account's own, unless Google has given one for its signature since. What it is refused for is its
// key, its state or the clock.
func (s *service) check(ctx context.Context, since time.Time) *Error {
	select {
	case s.checking <- struct{}{}:
		defer func() { <-s.checking }()
	case <-ctx.Done():
		return classify(OpToken, ctx.Err(), s.now())
	}
	s.mu.Lock()
	fresh, refused := s.proven.After(since), s.stands(s.now())
	s.mu.Unlock()
	switch {
	case refused != nil:
		return refused
	case fresh:
		return nil
	}
	_, err := s.ask(ctx, "")
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.proven = s.now()
		return nil
	}
	e := classify(OpToken, err, s.now())
	if e.Kind != Reconnect && e.Kind != Project {
		return e
	}
	e.Kind = Project
	e.Note = "the key of " + s.email + ", or the clock of this machine, is refused"
	s.set(s.own(e), s.now())
	return e
}

// ask makes one token request, for a user or, if that is empty, for the service account itself.
func (s *service) ask(ctx context.Context, subject string) (*oauth2.Token, error) {
	assertion, err := s.sign(subject)
	if err != nil {
		return nil, err
	}
	config := clientcredentials.Config{
		TokenURL: s.tokenURL, AuthStyle: oauth2.AuthStyleInParams,
		EndpointParams: url.Values{"grant_type": {jwtBearer}, "assertion": {assertion}},
	}
	return config.Token(context.WithValue(ctx, oauth2.HTTPClient, s.http))
}

// claims are what the service account signs.
type claims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub,omitempty"`
	Scope    string `json:"scope"`
	Audience string `json:"aud"`
	Issued   int64  `json:"iat"`
	Expires  int64  `json:"exp"`
}

// sign makes an assertion, good for an hour. It is issued a little earlier, for a clock that is ahead of Google's.
func (s *service) sign(subject string) (string, error) {
	issued := s.now().Add(-10 * time.Second)
	body, err := json.Marshal(claims{s.email, subject, Scope, s.tokenURL, issued.Unix(), issued.Add(time.Hour).Unix()})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(body)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, s.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return text + "." + encode(signature), nil
}
