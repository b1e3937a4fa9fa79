package ops

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Server answers the operator. Make it with [New], run it once with [Server.Run].
type Server struct {
	cfg    Config
	checks []Check
	reg    *prometheus.Registry
	log    zerolog.Logger

	mu sync.Mutex // guards ln
	ln net.Listener
}

// New returns a server and registers its metrics with reg. It panics, as
// MustRegister does, when two checks have one name or reg has those series already.
func New(cfg Config, reg *prometheus.Registry, checks []Check, log zerolog.Logger) *Server {
	register(reg, cfg.Build, checks)
	return &Server{cfg: cfg, checks: checks, reg: reg, log: log.With().Str("component", "ops").Logger()}
}

// Listen binds the address, so that a caller can tell a bad one before it starts
// anything else. Run does it when it has not been done.
func (s *Server) Listen(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ln != nil {
		return nil
	}
	if err := s.cfg.Validate(); err != nil {
		return fmt.Errorf("check HTTP configuration: %w", err)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.cfg.Addr, err)
	}
	s.ln = ln
	return nil
}

// Addr returns the address that is bound, or "" before [Server.Listen].
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ln == nil {
		return ""
	}
	return s.ln.Addr().String()
}

// Run answers requests until ctx ends, which is no error.
func (s *Server) Run(ctx context.Context) error {
	// A stop that comes this early is still no error.
	if err := s.Listen(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	srv := s.server()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(s.ln) }()
	s.log.Info().Str("addr", s.Addr()).Msg("answering health and metrics")
	select {
	case err := <-served:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	err := s.shutdown(srv)
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve HTTP: %w", end))
	}
	return err
}

// shutdown lets requests under way end within the grace, then cuts them.
func (s *Server) shutdown(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.ShutdownGrace)
	defer cancel()
	err := srv.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn().Msg("requests were still under way and have been cut")
		err = srv.Close()
	}
	if err != nil {
		return fmt.Errorf("close HTTP server: %w", err)
	}
	return nil
}

func (s *Server) server() *http.Server {
	return &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		ReadTimeout:       s.cfg.HeaderTimeout, // a body, of the page's, is small
		WriteTimeout:      s.cfg.WriteTimeout,
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    s.cfg.MaxHeaderBytes,
		ErrorLog:          stdlog.New(errorLog{s.log}, "", 0),
	}
}

// errorLog writes what net/http and promhttp have to say about single requests.
type errorLog struct{ log zerolog.Logger }

func (e errorLog) Write(p []byte) (int, error) {
	e.log.Warn().Str("detail", string(p)).Msg("HTTP request failed")
	return len(p), nil
}
