package gcal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/oauth2"
	"google.golang.org/api/calendar/v3"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

// Client writes copies for any number of accounts over one pool of connections. It is safe for concurrent use.
type Client struct {
	config Config
	base   *http.Transport
	token  *http.Client      // for the token and revoke endpoints
	api    *calendar.Service // for every account: the access token travels in the request's context
	grants *grants
	robot  *service // nil: there is no service account
	pace   *governor
	note   NoteFunc
	now    func() time.Time
}

// NoteFunc is told under which id a copy of an event is about to be written, where that is another one than the caller knows. An error ends the
// call. Without it a caller that dies at that moment could neither find the copy nor remove it.
type NoteFunc func(ctx context.Context, a Account, event uuid.UUID, is Copy) error

// Noting returns the same client with a NoteFunc.
func (c *Client) Noting(note NoteFunc) *Client {
	noting := *c
	noting.note = note
	return &noting
}

// New checks c and makes the client. It opens no connection.
func New(c Config) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("check google configuration: %w", err)
	}
	base := newTransport(c)
	client := &Client{
		config: c,
		base:   base,
		token:  newHTTPClient(c, limited{base}),
		grants: newGrants(c.MaxAccounts),
		pace:   &governor{now: time.Now},
		now:    time.Now,
	}
	if c.ServiceKey.Given() {
		client.robot = newService(c, client.token)
	}
	api, err := calendar.NewService(context.Background(),
		option.WithHTTPClient(newHTTPClient(c, bearer{limited{base}})),
		option.WithEndpoint(c.CalendarURL),
		// The generated client can be told by environment to log whole requests. They hold people's appointments.
		option.WithLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		return nil, fmt.Errorf("make calendar service: %w", err)
	}
	api.UserAgent = "reminder-worker"
	client.api = api
	return client, nil
}

// Close closes the connections that are idle. Calls under way are the callers' to end.
func (c *Client) Close() { c.base.CloseIdleConnections() }

// Forget drops what is remembered of a user's consent: the next call exchanges the refresh token anew.
func (c *Client) Forget(userID uuid.UUID) { c.grants.forget(userID) }

// Remembered is how many accounts' access tokens are held in memory, at most Config.MaxAccounts.
func (c *Client) Remembered() int {
	c.grants.mu.Lock()
	defer c.grants.mu.Unlock()
	return c.grants.order.Len()
}

// OwnGrants reports whether accounts with a refresh token are served: there is an OAuth client. Calls for one that is not fail, and ask nobody.
func (c *Client) OwnGrants() bool { return c.config.ClientID != "" }

// Delegates reports likewise whether accounts without one are served that have a subject: there is a service account.
func (c *Client) Delegates() bool { return c.robot != nil }

// CheckService asks for an access token of the service account's own. It tells whether Google knows the account and takes its key, not for
// which users it may act.
func (c *Client) CheckService(ctx context.Context) error {
	if c.robot == nil {
		return unserved(Account{Subject: "@"})
	}
	if e := c.robot.check(ctx, c.now()); e != nil {
		return e
	}
	return nil
}

// unserved is the fault of our configuration that nobody can be asked for an account.
func unserved(a Account) *Error {
	e := &Error{Kind: Project, Op: OpToken, Reason: "no_client", Note: "no OAuth client is configured"}
	if a.Delegated() {
		e.Service, e.Reason, e.Note = true, "no_service_account", "no service account is configured"
	}
	return e
}

// Delete removes a copy. One that is gone already is no error, and neither is a Copy that names none.
func (c *Client) Delete(ctx context.Context, a Account, known Copy) error {
	if known.GoogleID == "" {
		return nil
	}
	err := c.do(ctx, a, OpDelete, func(ctx context.Context) error {
		return c.api.Events.Delete(a.calendar(), known.GoogleID).SendUpdates("none").Context(ctx).Do()
	})
	if gone(err) {
		return nil
	}
	return err
}

// Revoke gives a consent back. One that Google no longer knows is no error, and neither is an empty one.
func (c *Client) Revoke(ctx context.Context, refreshToken string) error {
	if refreshToken == "" {
		return nil
	}
	form := url.Values{"token": {refreshToken}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.RevokeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return classify(OpRevoke, err, c.now())
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := c.token.Do(req)
	if err != nil {
		return classify(OpRevoke, err, c.now())
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return classify(OpRevoke, err, c.now())
	}
	return c.judgeRevoke(res, body)
}

func (c *Client) judgeRevoke(res *http.Response, body []byte) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	code := revokeCode(body)
	if res.StatusCode == http.StatusBadRequest && (code == "invalid_token" || code == "invalid_grant") {
		return nil
	}
	return classify(OpRevoke, &oauth2.RetrieveError{Response: res, ErrorCode: code}, c.now())
}

// maxRefusals is how often one request is made that is refused because too many are made.
const maxRefusals = 5

// do makes one exchange for an account: obtains an access token, lends it to call, and classifies what comes back. A token that
// Google refuses although it should be good is renewed once. A request that is refused because all workers together make too many is made
// again when its turn comes.
func (c *Client) do(ctx context.Context, a Account, op string, call func(context.Context) error) error {
	switch {
	case a.RefreshToken == "" && a.Subject == "":
		return &Error{Kind: Reconnect, Op: OpToken, Reason: "missing"}
	case a.Delegated() && !c.Delegates(), !a.Delegated() && !c.OwnGrants():
		return unserved(a)
	}
	g := c.grants.get(a, func() *grant { return c.newGrant(a) })
	waited := time.Duration(0)
	for renewed, refusals := false, 0; ; {
		token, err := g.accessToken(ctx)
		if err != nil {
			return classify(OpToken, err, c.now())
		}
		began := c.now()
		done, err := c.admit(ctx, a.UserID)
		if err != nil {
			return classify(op, err, c.now())
		}
		waited += c.now().Sub(began)
		err = call(context.WithValue(ctx, tokenKey{}, token))
		if err == nil {
			done(accepted)
			return nil
		}
		e := classify(op, err, c.now())
		e.Service = e.Kind == Project && a.Delegated()
		again := done(verdictOf(e))
		switch {
		case again && !e.asked && refusals < maxRefusals:
			refusals++
		case unauthorized(err) && !renewed:
			renewed = true
			g.discard(token)
		default:
			e.Waited = waited
			return e
		}
	}
}

// admit asks whether one more request may be made: Google first, as far as is known what it takes, then the caller.
func (c *Client) admit(ctx context.Context, user uuid.UUID) (done func(verdict) (again bool), err error) {
	done, err = c.pace.admit(ctx, user)
	if err != nil || c.config.Admit == nil {
		return done, err
	}
	if err := c.config.Admit(ctx, user); err != nil {
		done(neutral)
		return nil, err
	}
	return done, nil
}

func (c *Client) newGrant(a Account) *grant {
	g := &grant{
		account:  a,
		given:    a.proof(),
		refresh:  a.RefreshToken,
		exchange: c.exchange,
		onRotate: c.config.OnRotate,
	}
	if a.Delegated() {
		g.exchange = func(ctx context.Context, _ string) (*oauth2.Token, error) { return c.robot.exchange(ctx, a.Subject) }
	}
	return g
}

// exchange makes the one token request. The source is made for this request only, so that its context may be the caller's.
func (c *Client) exchange(ctx context.Context, refreshToken string) (*oauth2.Token, error) {
	config := oauth2.Config{
		ClientID:     c.config.ClientID,
		ClientSecret: c.config.ClientSecret,
		Endpoint:     oauth2.Endpoint{TokenURL: c.config.TokenURL, AuthStyle: oauth2.AuthStyleInParams},
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, c.token)
	return config.TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken}).Token()
}

func unauthorized(err error) bool {
	g, ok := errors.AsType[*googleapi.Error](err)
	return ok && g.Code == http.StatusUnauthorized
}

// newTransport is the one pool. Pings find a connection whose other end has silently gone.
func newTransport(c Config) *http.Transport {
	dialer := &net.Dialer{Timeout: c.Timeout, KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 5 * time.Second},
		MaxConnsPerHost:     c.MaxConnsPerHost,
		MaxIdleConns:        2 * c.MaxConnsPerHost,
		MaxIdleConnsPerHost: c.MaxConnsPerHost,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: c.Timeout,
	}
}

// newHTTPClient follows no redirect: tokens go to the addresses that were configured and nowhere else.
func newHTTPClient(c Config, t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     t,
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
