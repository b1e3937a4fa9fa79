package expofake

import (
	"fmt"
	"math"
	"net/http"
)

// project is an app as Expo knows it.
type project struct {
	rate   window
	counts ProjectCounts

	// What its pushes are refused with, and where; no code refuses none.
	code  string
	place Place
}

// RefuseProject gives this code to all further pushes of an Expo project, in the
// ticket or in the receipt, as when the credentials of its app are wrong; such a
// push is not shown. The latest call counts, and an empty code ends it. What a
// single device is refused with goes first.
func (s *Server) RefuseProject(project string, place Place, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.project(project)
	p.place, p.code = place, code
}

// project finds a project, or makes it known. The lock is held.
func (s *Server) project(name string) *project {
	p := s.projects[name]
	if p == nil {
		p = &project{}
		s.projects[name] = p
	}
	return p
}

// admit refuses a request as a whole. The lock is held.
func (s *Server) admit(r Request) *reply {
	n := len(r.Tokens)
	if n > maxRecipients {
		return s.reject(refusal(http.StatusBadRequest, "PUSH_TOO_MANY_NOTIFICATIONS",
			fmt.Sprintf("%d recipients, at most %d are allowed", n, maxRecipients), nil))
	}
	owners := s.owners(r.Tokens)
	if len(owners) > 1 {
		s.counts.Mixed++
		return s.reject(refusal(http.StatusBadRequest, "PUSH_TOO_MANY_EXPERIENCE_IDS",
			"all messages of a request must belong to one project", owners))
	}
	for name := range owners {
		if failed := s.admitTo(name, r, n); failed != nil {
			return failed
		}
	}
	return nil
}

// admitTo refuses a request of n pushes to a project's devices. The lock is held.
func (s *Server) admitTo(name string, r Request, n int) *reply {
	p := s.project(name)
	p.counts.Requests++
	if s.cfg.AccessToken != "" && name != DefaultProject {
		// Expo documents the code and no status. Reports of the sentence
		// "Insufficient permissions to send push ... to @owner/app" name 403.
		s.counts.Unauthorized++
		return s.reject(refusal(http.StatusUnauthorized, "UNAUTHORIZED",
			"insufficient permissions to push to "+name, nil))
	}
	limit := s.cfg.Rate
	if limit == 0 {
		limit = math.MaxInt
	}
	if !p.rate.allow(r.FirstByte, n, limit) {
		s.counts.Throttled++
		p.counts.Throttled++
		out := refusal(http.StatusTooManyRequests, "TOO_MANY_REQUESTS",
			fmt.Sprintf("more than %d pushes in a second", s.cfg.Rate), nil)
		return &out
	}
	p.counts.Peak = max(p.counts.Peak, p.rate.sum)
	return nil
}

func (s *Server) reject(out reply) *reply {
	s.counts.Rejected++
	return &out
}

// owners sorts the valid tokens by the project that they belong to.
func (s *Server) owners(tokens []string) map[string][]string {
	owners := map[string][]string{}
	for _, t := range tokens {
		if validToken(t) {
			name := s.phone(t).project
			owners[name] = append(owners[name], t)
		}
	}
	return owners
}

// verdicts finds the refusals that a message to this phone meets, if any. The
// first that says something about a place counts there: bad credentials keep Expo
// from learning that the app is gone.
func (s *Server) verdicts(p *phone, m message) (inTicket, inReceipt string) {
	inTicket, inReceipt = p.ticketCode, p.receiptCode
	put := func(place Place, code string) {
		if place == InTicket && inTicket == "" {
			inTicket = code
		} else if place == InReceipt && inReceipt == "" {
			inReceipt = code
		}
	}
	owner := s.project(p.project)
	put(owner.place, owner.code)
	if p.uninstalled {
		put(s.cfg.GoneIn, "DeviceNotRegistered")
	}
	if m.size > maxPayload {
		put(s.cfg.TooBigIn, "MessageTooBig")
	}
	return inTicket, inReceipt
}
