package expofake

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// basePath is where Expo keeps its push interface.
const basePath = "/--/api/v2/push"

// Server is a running stand-in for Expo.
type Server struct {
	cfg      Config
	url      string
	http     *http.Server
	done     chan struct{} // closed when the serving goroutine has ended
	stopping chan struct{} // closed by Close; ends every wait of a handler
	closing  sync.Once

	mu       sync.Mutex // guards everything below
	fail     func(Request) *Fault
	onPush   func(Push)
	pushes   []Push
	counts   Counts
	phones   map[string]*phone
	projects map[string]*project
	receipts map[string]*verdict
	codes    map[string]int // refusals in tickets and receipts
	ticket   uint64
	sending  int // sends that are being served
}

// verdict is a receipt and the time from which it can be seen.
type verdict struct {
	from   time.Time
	answer status
	given  bool
}

// Start listens and serves until Close.
func Start(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure stand-in for expo: %w", err)
	}
	listener, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for expo requests: %w", err)
	}
	s := &Server{
		cfg:      cfg,
		url:      "http://" + listener.Addr().String() + basePath,
		done:     make(chan struct{}),
		stopping: make(chan struct{}),
	}
	s.Reset()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go s.serve(listener)
	return s, nil
}

func (s *Server) serve(listener net.Listener) {
	defer close(s.done)
	_ = s.http.Serve(listener) // always an error; Close is the only way here
}

// URL is the address to give to the client: /send and /getReceipts are below it.
func (s *Server) URL() string { return s.url }

// Close stops listening, lets requests in flight finish for a moment, cuts off
// the rest, and waits for the serving goroutine. It may be called again.
func (s *Server) Close() error {
	s.closing.Do(func() { close(s.stopping) })
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.done
	if err != nil {
		return fmt.Errorf("stop stand-in for expo: %w", err)
	}
	return nil
}

// Fail asks f before every request is served; a nil Fault serves it properly.
// A nil f ends all faults.
func (s *Server) Fail(f func(Request) *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

// OnPush calls f for every accepted push, before the answer is written.
func (s *Server) OnPush(f func(Push)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onPush = f
}

// Register installs the app on these devices, again if it was uninstalled.
func (s *Server) Register(tokens ...string) {
	s.change(tokens, func(p *phone) { p.uninstalled = false })
}

// Uninstall removes the app from these devices and all that they showed.
func (s *Server) Uninstall(tokens ...string) {
	s.change(tokens, func(p *phone) { p.uninstalled, p.shown = true, nil })
}

// Assign moves devices to another Expo project.
func (s *Server) Assign(project string, tokens ...string) {
	s.change(tokens, func(p *phone) { p.project = project })
}

// RefuseTicket answers further pushes to a device with this code instead of an
// accepting ticket; an empty code ends it.
func (s *Server) RefuseTicket(token, code string) {
	s.change([]string{token}, func(p *phone) { p.ticketCode = code })
}

// RefuseReceipt gives this code in the receipts of further pushes to a device,
// which does not show them; an empty code ends it.
func (s *Server) RefuseReceipt(token, code string) {
	s.change([]string{token}, func(p *phone) { p.receiptCode = code })
}

func (s *Server) change(tokens []string, f func(*phone)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range tokens {
		f(s.phone(t))
	}
}

// phone finds a device, or makes it known. The lock is held.
func (s *Server) phone(token string) *phone {
	p := s.phones[token]
	if p == nil {
		p = &phone{project: DefaultProject}
		s.phones[token] = p
	}
	return p
}

// Pushes returns the accepted pushes in the order of their acceptance.
func (s *Server) Pushes() []Push {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.pushes
	if keep := s.cfg.Keep; keep > 0 && len(kept) > keep {
		kept = kept[len(kept)-keep:]
	}
	return append([]Push(nil), kept...)
}

// Shown returns what the device shows, oldest first: repeats are folded, what
// had expired or was refused in the receipt never arrived.
func (s *Server) Shown(token string) []Push {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.phones[token]; p != nil {
		return append([]Push(nil), p.shown...)
	}
	return nil
}

// Reset forgets pushes, counts, receipts, devices, and what projects are refused
// with. Faults and hooks stay.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushes, s.counts = nil, Counts{}
	s.phones = map[string]*phone{}
	s.projects = map[string]*project{}
	s.receipts = map[string]*verdict{}
	s.codes = map[string]int{}
}
