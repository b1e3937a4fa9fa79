package pgtemp

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
)

// initdbArguments are the same for every server, so that one template fits all.
// Authentication is trust: whoever reaches loopback on this machine gets in, to
// data that nobody minds losing.
func initdbArguments() []string {
	return []string{
		"-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
		"--no-sync", "--no-instructions",
	}
}

// runInitdb makes the data directory from nothing.
func (s *Server) runInitdb(ctx context.Context) error {
	s.cfg.progress("initialising PostgreSQL %s", s.install.Version)
	args := append(initdbArguments(), "-D", s.dir.data())
	cmd := exec.CommandContext(ctx, filepath.Join(s.install.Dir, "initdb"), args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = s.dir.path, environment(), attributes(s.account)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = killGrace // its children may hold the pipe open after a kill
	if err := cmd.Run(); err != nil {
		return &StepError{Step: "initdb", Log: lastLines(out.String()), Err: err}
	}
	return nil
}
