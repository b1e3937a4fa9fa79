package gcalfake

import (
	"slices"
	"sync"
	"time"
)

// The operations a Record and a Request may name.
const (
	OpInsert         = "insert"
	OpGet            = "get"
	OpList           = "list"
	OpUpdate         = "update"
	OpPatch          = "patch"
	OpDelete         = "delete"
	OpCalendarGet    = "calendar-get"
	OpCalendarInsert = "calendar-insert"
	OpCalendarList   = "calendar-list"
	OpToken          = "token"
	OpRevoke         = "revoke"
	OpUnknown        = "unknown"
)

// Record is one request and what became of it.
type Record struct {
	At       time.Time // when its first bytes had been read
	Op       string
	User     string // who the access or refresh token belongs to, if anybody
	Calendar string // as the client named it
	ID       string // the event's id
	Status   int    // of the answer, 0 if the connection was dropped
}

// Violation is a request that Google's description of the API does not allow.
type Violation struct {
	Op, Problem string
}

const maxViolations = 1000

// journal remembers what was asked: counts for ever, records as many as were wished.
type journal struct {
	onRequest func(Record)
	size      int

	mu         sync.Mutex
	log        []Record // a ring once it is full
	next       int
	counts     map[tally]int
	violations []Violation
}

type tally struct {
	op     string
	status int
}

func newJournal(c Config) journal {
	return journal{onRequest: c.OnRequest, size: c.LogSize, counts: make(map[tally]int)}
}

func (j *journal) add(r Record) {
	j.mu.Lock()
	j.counts[tally{r.Op, r.Status}]++
	switch {
	case len(j.log) < j.size:
		j.log = append(j.log, r)
	case j.size > 0:
		j.log[j.next] = r
		j.next = (j.next + 1) % j.size
	}
	j.mu.Unlock()
	if j.onRequest != nil {
		j.onRequest(r)
	}
}

func (j *journal) violate(op, problem string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.violations) < maxViolations {
		j.violations = append(j.violations, Violation{op, problem})
	}
}

// Log returns the newest requests, the oldest of them first.
func (s *Server) Log() []Record {
	j := &s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Concat(j.log[j.next:], j.log[:j.next])
}

// Count is how many requests of an operation were answered with a status. An empty op means all operations, status -1 all
// statuses, and status 0 those whose connection was dropped.
func (s *Server) Count(op string, status int) int {
	j := &s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for t, c := range j.counts {
		if (op == "" || op == t.op) && (status == -1 || status == t.status) {
			n += c
		}
	}
	return n
}

// ResetLog forgets the requests so far, counts and violations included.
func (s *Server) ResetLog() {
	j := &s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	j.log, j.next, j.violations = nil, 0, nil
	clear(j.counts)
}

// Violations are the requests so far that the API's description does not allow. A correct client causes none.
func (s *Server) Violations() []Violation {
	j := &s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.violations)
}
