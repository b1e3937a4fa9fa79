package expo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// gzipAbove is the size of a request body, in bytes, above which it is compressed.
	gzipAbove = 1024
	// maxAnswer bounds what is read of an answer, after decompression.
	maxAnswer = 4 << 20
	// keptConns is the size of the pool of warm connections; Expo advises at
	// most six at once.
	keptConns = 8
)

// Client sends to one Expo project. It is safe for concurrent use.
type Client struct {
	send, receipts string
	accessToken    string
	timeout        time.Duration
	http           *http.Client
}

// New returns a client. It does not connect.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure expo: %w", err)
	}
	base := strings.TrimRight(cfg.URL, "/")
	return &Client{
		send:        base + "/send",
		receipts:    base + "/getReceipts",
		accessToken: cfg.AccessToken,
		timeout:     cfg.Timeout,
		http: &http.Client{
			Transport:     newTransport(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// newTransport speaks HTTP/1.1, in which a connection carries one request at a time: so a gate knows whose bytes it sees, and a request that
// hangs leaves no connection to hang the next.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         gated(dialer.DialContext),
		Protocols:           protocols,
		MaxIdleConns:        keptConns,
		MaxIdleConnsPerHost: keptConns,
		IdleConnTimeout:     5 * time.Minute,
		TLSHandshakeTimeout: 5 * time.Second,
	}
}

// Close gives back the idle connections. Requests in flight are not disturbed.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Send offers at most MaxMessages messages to Expo. On success there is exactly
// one ticket per message, in the same order; a message that could not be sent at
// all has a ticket with an error and does not keep the others from being sent.
// Any error is an *Error.
func (c *Client) Send(ctx context.Context, messages []Message) ([]Ticket, error) {
	return c.SendWith(ctx, messages, Leave{})
}

// Leave is the leave to write a request.
type Leave struct {
	// Before is a moment, by any clock, before which all of the request is written, or it is not accepted: then the error is of kind [Late].
	// Zero is no limit. The answer may come later.
	Before time.Time
	// Wrote is told when the last of the request was passed to the kernel, before SendWith returns; it is not called if nothing was. Nil: nobody
	// wants to know.
	Wrote func(time.Time)
}

// SendWith is Send with a leave.
func (c *Client) SendWith(ctx context.Context, messages []Message, leave Leave) ([]Ticket, error) {
	if len(messages) > MaxMessages {
		return nil, &Error{Kind: Split, Code: CodeTooManyMessages, Err: tooMany(len(messages), MaxMessages)}
	}
	b := newBatch(messages)
	if len(b.bodies) == 0 {
		return b.tickets, nil
	}
	body, err := encode(b.bodies)
	if err != nil {
		return nil, &Error{Kind: Split, Code: CodeInvalidMessage, Err: fmt.Errorf("encode messages: %w", err)}
	}
	data, failure := c.post(ctx, c.send, body, together(b.said, c.accessToken), leave)
	if failure != nil {
		return nil, failure
	}
	sent, failure := decodeTickets(data, b.said)
	if failure != nil {
		failure.Status = http.StatusOK
		return nil, failure
	}
	return b.merge(sent), nil
}

// Receipts asks for the verdicts on at most MaxReceipts tickets. An id without
// a verdict, or unknown to Expo, is absent from the map. Any error is an *Error.
func (c *Client) Receipts(ctx context.Context, ids []string) (map[string]Receipt, error) {
	if len(ids) > MaxReceipts {
		return nil, &Error{Kind: Split, Code: CodeTooManyReceipts, Err: tooMany(len(ids), MaxReceipts)}
	}
	if len(ids) == 0 {
		return map[string]Receipt{}, nil
	}
	body, err := encode(map[string][]string{"ids": ids})
	if err != nil {
		return nil, &Error{Kind: Permanent, Err: fmt.Errorf("encode ids: %w", err)}
	}
	data, failure := c.post(ctx, c.receipts, body, said{tokens: ids, texts: []string{c.accessToken}}, Leave{})
	if failure != nil {
		failure.Unsure = false // asking twice changes nothing
		return nil, failure
	}
	receipts, failure := decodeReceipts(data)
	if failure != nil {
		failure.Status, failure.Unsure = http.StatusOK, false
		return nil, failure
	}
	return receipts, nil
}

// Warm opens a connection, so that the next send finds one: name look-up and
// handshake are then not part of a reminder's lateness. Any answer will do.
func (c *Client) Warm(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var connected atomic.Bool
	req, err := http.NewRequestWithContext(limited(ctx, nil, &connected), http.MethodHead, c.send, nil)
	if err != nil {
		return fmt.Errorf("build request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return networkError("reach expo", err, false)
	}
	resp.Body.Close()
	return nil
}

func tooMany(n, limit int) error { return fmt.Errorf("%d at once, at most %d are allowed", n, limit) }

// post sends one body and returns the data of a good answer. About is what the
// body says; it does not appear in an error.
func (c *Client) post(ctx context.Context, to string, body []byte, about said, leave Leave) (json.RawMessage, *Error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	l := &limit{before: leave.Before, cancel: refuse}
	if leave.Wrote != nil {
		defer func() {
			if at := l.wrote.Load(); at != nil {
				leave.Wrote(*at)
			}
		}()
	}
	var connected atomic.Bool // before that, nothing can have been accepted
	req, err := c.request(limited(ctx, l, &connected), to, body)
	if err != nil {
		return nil, &Error{Kind: Project, Err: fmt.Errorf("build request: %w", err)}
	}
	if l.over(time.Now()) {
		refuse(errLate) // here already, so that a kept connection stays
	}
	resp, err := c.http.Do(req)
	if err != nil && errors.Is(context.Cause(ctx), errLate) {
		return nil, &Error{Kind: Late, Err: fmt.Errorf("post: %w", errLate)}
	}
	if err != nil {
		return nil, networkError("post", err, connected.Load())
	}
	defer resp.Body.Close()
	return readAnswer(resp, about)
}

func (c *Client) request(ctx context.Context, to string, body []byte) (*http.Request, error) {
	packed, err := pack(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "reminder-worker")
	if len(body) > gzipAbove {
		req.Header.Set("Content-Encoding", "gzip")
	}
	if c.accessToken != "" {
		req.Header.Set("Authorization", "Bearer "+c.accessToken)
	}
	return req, nil
}
