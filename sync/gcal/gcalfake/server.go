package gcalfake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Server is a running fake. It is safe for concurrent use.
type Server struct {
	config Config
	api    *discovery
	url    string
	http   *http.Server
	served chan struct{} // closed when the accept loop has ended

	done    chan struct{} // closed by Close: ends every delay
	gate    sync.RWMutex  // held for reading by each request; Close takes it for writing
	closing sync.Once

	world   world
	journal journal
	faults  faults
}

// Start checks c, listens and serves until Close.
func Start(c Config) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("check configuration of fake google: %w", err)
	}
	c = c.withDefaults()
	api, err := loadDiscovery()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for fake google: %w", err)
	}
	s := &Server{
		config: c, api: api, url: "http://" + l.Addr().String(),
		served: make(chan struct{}), done: make(chan struct{}),
		world:   newWorld(c),
		journal: newJournal(c),
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(l) // ends with ErrServerClosed, by Close
	}()
	return s, nil
}

// Close drops all connections and returns when no request is being answered any more.
func (s *Server) Close() {
	s.closing.Do(func() {
		close(s.done)
		_ = s.http.Close()
		<-s.served
		s.gate.Lock()
		defer s.gate.Unlock()
	})
}

// URL is the server's address without a path.
func (s *Server) URL() string { return s.url }

// CalendarURL is what a client of the Calendar API is configured with.
func (s *Server) CalendarURL() string { return s.url + s.api.BasePath }

// TokenURL is the token endpoint.
func (s *Server) TokenURL() string { return s.url + tokenPath }

// RevokeURL is the revoke endpoint.
func (s *Server) RevokeURL() string { return s.url + revokePath }

const (
	tokenPath  = "/token"
	revokePath = "/revoke"
)

// ServeHTTP answers one request. It is exported by being a handler, so that a program may put the fake behind a server of its own.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	arrived := time.Now()
	c, early := s.read(r)
	c.record.At = arrived
	a := s.decide(r.Context(), c, early)
	c.record.Status = a.status
	s.journal.add(c.record)
	a.write(w)
}

// decide is where faults come between a request and its answer.
func (s *Server) decide(ctx context.Context, c *call, early *answer) answer {
	f := s.faults.match(Request{Op: c.record.Op, User: c.record.User, Calendar: c.record.Calendar, ID: c.record.ID})
	if s.wait(ctx, c.record.Op, f) != nil {
		return dropped
	}
	switch {
	case f != nil && f.Drop:
		return dropped
	case f != nil && f.Status != 0:
		if f.Done && early == nil {
			s.perform(c)
		}
		return f.answer(c.record.Op)
	case early != nil:
		return *early
	}
	a := s.perform(c)
	if f != nil && f.Lose {
		return dropped
	}
	a.broken = f != nil && f.Break
	return a
}

var errGone = errors.New("client or server is gone")

// wait takes the time that latency and a fault ask for.
func (s *Server) wait(ctx context.Context, op string, f *Fault) error {
	var d time.Duration
	var hang bool
	if op != OpToken && op != OpRevoke {
		d = s.config.Latency
	}
	if f != nil {
		d, hang = d+f.Delay, f.Hang
	}
	if d == 0 && !hang {
		return nil
	}
	var alarm <-chan time.Time
	if !hang {
		t := time.NewTimer(d)
		defer t.Stop()
		alarm = t.C
	}
	select {
	case <-alarm:
		return nil
	case <-ctx.Done():
	case <-s.done:
	}
	return errGone
}

// perform does what the request asks for.
func (s *Server) perform(c *call) answer {
	switch c.record.Op {
	case OpToken:
		return s.world.exchange(c.form, s.TokenURL())
	case OpRevoke:
		return s.world.revoke(c.form.Get("token"))
	}
	if problem := s.api.check(c); problem != "" {
		s.journal.violate(c.record.Op, problem)
		return failure(http.StatusBadRequest, "invalid", problem)
	}
	return s.world.serve(c).narrowed(c.query.Get("fields"))
}

// call is one request, read.
type call struct {
	record Record
	method string // id of the API method, as calendar.events.insert
	access string
	header http.Header
	query  url.Values
	form   url.Values
	body   map[string]any
}

// read makes a call of a request, and the answer if the request is not even readable.
func (s *Server) read(r *http.Request) (*call, *answer) {
	switch r.URL.Path {
	case tokenPath:
		return s.readForm(r, OpToken)
	case revokePath:
		return s.readForm(r, OpRevoke)
	}
	return s.readCalendar(r)
}

func (s *Server) readForm(r *http.Request, op string) (*call, *answer) {
	c := &call{record: Record{Op: op}}
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		return c, new(grantFailure(http.StatusBadRequest, "invalid_request", "A form sent by POST is expected."))
	}
	c.form = r.Form
	c.record.User = s.world.owner(c.form)
	return c, nil
}

func (s *Server) readCalendar(r *http.Request) (*call, *answer) {
	c := &call{header: r.Header, query: r.URL.Query()}
	c.access, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	params, ok := s.api.route(r.Method, r.URL.EscapedPath(), c)
	if !ok {
		problem := fmt.Sprintf("No method of the Calendar API answers %s there.", r.Method)
		s.journal.violate(OpUnknown, problem)
		c.record.Op = OpUnknown
		return c, new(failure(http.StatusNotFound, "notFound", problem))
	}
	c.record.Calendar, c.record.ID = params["calendarId"], params["eventId"]
	user, known := s.world.bearer(c.access)
	c.record.User = user
	if !known {
		return c, new(unauthenticated())
	}
	problem := s.readBody(r, c)
	if c.record.Op == OpInsert {
		c.record.ID = text(c.body["id"])
	}
	return c, problem
}
