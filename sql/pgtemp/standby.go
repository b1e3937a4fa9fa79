package pgtemp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Standby starts a second server that follows this one by streaming replication
// and answers questions meanwhile. It has a port and a directory of its own, the
// caller owes it a Stop, and `select pg_promote()` makes it a primary. Its data
// begins as a copy, for which this server is down for a moment: no program is
// needed but the server's own.
func (s *Server) Standby(ctx context.Context) (*Server, error) {
	cfg := s.cfg
	cfg.Port = 0
	standby := &Server{cfg: cfg, primary: s}
	return standby.bringUp(ctx)
}

// follow fills the data directory from the primary's, while that is down, and
// makes it that of a standby.
func (s *Server) follow(ctx context.Context) error {
	p := s.primary
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return ErrStopped
	}
	if p.proc != nil {
		p.bringDown(ctx, Fast)
	}
	_, copying := copyTree(ctx, p.dir.data(), s.dir.data(), s.account)
	if err := p.launch(ctx); err != nil {
		return errors.Join(copying, err)
	}
	if copying != nil {
		return &StepError{Step: "copy the primary", Err: copying}
	}
	return s.becomeStandby()
}

func (s *Server) becomeStandby() error {
	settings := fmt.Sprintf("primary_conninfo = 'host=127.0.0.1 port=%d user=postgres sslmode=disable application_name=standby'\n", s.primary.port)
	for name, text := range map[string]string{"standby.signal": "", "postgresql.auto.conf": settings} {
		path := filepath.Join(s.dir.data(), name)
		err := os.WriteFile(path, []byte(text), 0o600)
		if err == nil && s.account != nil {
			err = os.Chown(path, s.account.uid, s.account.gid)
		}
		if err != nil {
			return &StepError{Step: "make a standby of the copy", Err: err}
		}
	}
	return nil
}
