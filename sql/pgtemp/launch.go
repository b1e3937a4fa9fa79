package pgtemp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Ports are drawn from below the range that systems use for outgoing
// connections: no client, not even one that is reconnecting to us during a
// restart, can take ours away.
const (
	firstPort = 20000
	portCount = 12000
	portTries = 20
)

// startOnFreePort draws ports until the server comes up on one. Between our
// look at a port and the server's bind another process may take it.
func (s *Server) startOnFreePort(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.port = s.cfg.Port
	if s.port != 0 {
		return s.launch(ctx)
	}
	var err error
	for range portTries {
		s.port = firstPort + rand.IntN(portCount)
		if !portFree(s.port) {
			continue
		}
		if err = s.launch(ctx); err == nil || ctx.Err() != nil || portFree(s.port) {
			return err
		}
	}
	return errors.Join(err, &StepError{Step: "choose a port", Err: fmt.Errorf("%d tries found none free", portTries)})
}

func portFree(port int) bool {
	probe, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return probe.Close() == nil
}

// launch starts the postmaster and waits until it accepts connections. The
// caller holds s.mu.
func (s *Server) launch(ctx context.Context) error {
	log, err := os.OpenFile(s.dir.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return &StepError{Step: "open the log", Err: err}
	}
	defer log.Close() // the server has its own copy
	cmd := exec.Command(filepath.Join(s.install.Dir, "postgres"), s.arguments()...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.dir.path, environment(), serverAttributes(s.account)
	cmd.Stdout, cmd.Stderr = log, log
	proc, err := startProcess(cmd)
	if err != nil {
		return &StepError{Step: "start the server", Err: err}
	}
	s.proc = proc
	if err := s.awaitReady(ctx); err != nil {
		proc.kill()
		return &StepError{Step: "start the server", Log: s.LogTail(), Err: err}
	}
	return nil
}

// arguments is the command line of the postmaster, in a stable order.
func (s *Server) arguments() []string {
	args := []string{
		"-D", s.dir.data(),
		"-c", "listen_addresses=127.0.0.1",
		"-c", "port=" + strconv.Itoa(s.port),
		"-c", "unix_socket_directories=" + s.dir.path,
	}
	settings := s.cfg.settings()
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// environment is what the programs get to see of ours: nothing that changes
// what they do, such as PGDATA, PGPORT or a locale.
func environment() []string {
	env := []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "TMPDIR"} {
		if value, set := os.LookupEnv(name); set {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// awaitReady watches the status line of postmaster.pid, as pg_ctl does. It needs
// no client and, unlike a connection, leaves nothing in the log.
func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !s.ready() {
		select {
		case <-s.proc.done:
			return fmt.Errorf("exited before it was ready: %w", s.proc.err)
		case <-ctx.Done():
			return fmt.Errorf("wait until it is ready: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// ready reads the status. The process id tells this run from one that was
// killed before.
func (s *Server) ready() bool {
	lines := s.pidFile()
	return len(lines) >= 8 && lines[0] == strconv.Itoa(s.proc.cmd.Process.Pid) && strings.TrimSpace(lines[7]) == "ready"
}

// pidFile returns the lines of postmaster.pid, none when there is no such file:
// process id on the first, shared memory on the seventh, status on the eighth.
func (s *Server) pidFile() []string {
	text, err := os.ReadFile(filepath.Join(s.dir.data(), "postmaster.pid"))
	if err != nil {
		return nil
	}
	return strings.Split(string(text), "\n")
}

// forgetSegment removes the shared memory that a killed server could not remove
// itself; one that shut down has removed its postmaster.pid as well.
func (s *Server) forgetSegment() {
	lines := s.pidFile()
	if len(lines) < 7 {
		return
	}
	if fields := strings.Fields(lines[6]); len(fields) == 2 {
		if id, err := strconv.Atoi(fields[1]); err == nil {
			removeSegment(id)
		}
	}
}
