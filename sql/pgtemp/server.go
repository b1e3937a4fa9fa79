package pgtemp

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// readyLimit bounds the wait for a server that neither answers nor exits.
const readyLimit = time.Minute

// Mode is how Restart brings the server down.
type Mode int

// The modes of Restart.
const (
	Fast      Mode = iota // clients are told, a checkpoint is written
	Immediate             // clients are cut off, the next start recovers
	Crash                 // every process is killed, the next start recovers
)

// String names the mode.
func (m Mode) String() string {
	switch m {
	case Fast:
		return "fast"
	case Immediate:
		return "immediate"
	default:
		return "crash"
	}
}

// Server is a running private server. Its methods may be called from any
// goroutine.
type Server struct {
	cfg     Config
	install Installation
	account *identity
	dir     *runDir
	port    int
	primary *Server // the one it follows; nil for a server of its own

	mu      sync.Mutex // guards the fields below; held while the server comes up or down
	proc    *process
	stopped bool
}

// Start brings up a server and returns when it accepts connections. The caller
// owes it a Stop; ctx bounds the start only.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check configuration of the private PostgreSQL: %w", err)
	}
	if !supported {
		return nil, &StepError{Step: "start", Err: errors.ErrUnsupported}
	}
	s := &Server{cfg: cfg}
	return s.bringUp(ctx)
}

// bringUp starts a server of which nothing is there yet but what it is to be.
func (s *Server) bringUp(ctx context.Context) (*Server, error) {
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	if err := s.startOnFreePort(ctx); err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// prepare does everything that comes before the server process.
func (s *Server) prepare(ctx context.Context) (err error) {
	if s.account, err = runAs(); err != nil {
		return &StepError{Step: "choose an account", Err: err}
	}
	if s.cfg.host == nil {
		s.cfg.host = thisHost(s.account)
	}
	if s.cfg.Dir == "" {
		s.cfg.Dir = s.cfg.host.tempRoot
	}
	sweep(s.cfg.Dir, time.Now())
	if s.install, err = s.cfg.installation(ctx); err != nil {
		return &StepError{Step: "find the programs", Err: err}
	}
	if s.dir, err = newRunDir(s.cfg.Dir, s.account); err != nil {
		return &StepError{Step: "make a directory", Err: err}
	}
	if s.primary != nil {
		return s.follow(ctx)
	}
	return s.initialise(ctx)
}

// URL returns a connection string for a database, over TCP so that it can be
// pasted into any client on this machine. It contains no secret.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User("postgres"),
		Host:     "127.0.0.1:" + strconv.Itoa(s.port),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Port returns the TCP port, the same for the whole life of the server.
func (s *Server) Port() int { return s.port }

// SocketDir returns the directory of the Unix socket.
func (s *Server) SocketDir() string { return s.dir.path }

// BinDir returns the directory of the programs in use.
func (s *Server) BinDir() string { return s.install.Dir }

// Version returns the version of the server, such as "15.18".
func (s *Server) Version() string { return s.install.Version }

// PID returns the process id of the postmaster, or 0 while it is down.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc == nil || !s.proc.alive() {
		return 0
	}
	return s.proc.cmd.Process.Pid
}

// LogTail returns the last lines of the server's log.
func (s *Server) LogTail() string {
	return tail(s.dir.log())
}

// Stop ends the server and removes its directory. Data that is thrown away needs
// no farewell, so the shutdown is the immediate one; when ctx ends first, the
// processes are killed. Stop may be called again, and does nothing then.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true
	if s.proc != nil {
		s.proc.stop(ctx, syscall.SIGQUIT)
	}
	if s.dir == nil {
		return nil
	}
	s.forgetSegment()
	if err := s.dir.remove(); err != nil {
		return &StepError{Step: "remove the directory", Err: err}
	}
	return nil
}

// Kill ends every process of the server as a power cut would, and keeps data and
// port for a later Restart.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proc != nil {
		s.proc.kill()
	}
}

// Restart brings the server down in the given mode, unless it is down already,
// and up again on the same port with the same data.
func (s *Server) Restart(ctx context.Context, mode Mode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return ErrStopped
	}
	if s.proc != nil {
		s.bringDown(ctx, mode)
	}
	return s.launch(ctx)
}

func (s *Server) bringDown(ctx context.Context, mode Mode) {
	switch mode {
	case Fast:
		s.proc.stop(ctx, os.Interrupt)
	case Immediate:
		s.proc.stop(ctx, syscall.SIGQUIT)
	default:
		s.proc.kill()
	}
}
