package expofake

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxPayload is what Apple and Google take.
const maxPayload = 4096

var gzipPool = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed) // the level is valid, so there is no error
	return w
}}

// call is a request that has been read.
type call struct {
	request  Request
	messages []message
	single   bool
	failed   *reply // why it cannot be served
}

// newCall decodes the body. What is wrong with it is kept for later, since a
// fault may come first.
func newCall(r Request, body []byte, failed *reply) call {
	c := call{request: r, failed: failed}
	if failed != nil {
		return c
	}
	var err error
	if r.Endpoint == ReceiptsEndpoint {
		c.request.IDs, err = decodeIDs(body)
	} else {
		c.messages, c.single, err = decodeMessages(body)
		for _, m := range c.messages {
			c.request.Tokens = append(c.request.Tokens, m.To...)
		}
		if err == nil && len(c.messages) == 0 {
			err = errNoMessages
		}
	}
	if err != nil {
		failed := refusal(http.StatusBadRequest, "VALIDATION_ERROR", err.Error(), nil)
		c.failed = &failed
	}
	return c
}

// status is a ticket or a receipt on the wire.
type status struct {
	Status  string         `json:"status"`
	ID      string         `json:"id,omitempty"`
	Message string         `json:"message,omitempty"`
	Details map[string]any `json:"details,omitempty"`
}

func refused(code, token string) status {
	details := map[string]any{"error": code}
	if code == "DeviceNotRegistered" {
		details["expoPushToken"] = token
	}
	return status{Status: "error", Message: fmt.Sprintf("%q was refused: %s", token, code), Details: details}
}

// send takes the messages of a call.
func (s *Server) send(c call, extra int) reply {
	tickets, accepted, hook, failed := s.accept(c)
	if failed != nil {
		return *failed
	}
	if hook != nil {
		for _, p := range accepted {
			hook(p)
		}
	}
	for ; extra > 0; extra-- {
		tickets = append(tickets, status{Status: "ok", ID: "surplus-" + strconv.Itoa(extra)})
	}
	tickets = tickets[:max(0, len(tickets)+extra)]
	if c.single && len(tickets) == 1 {
		return good(tickets[0])
	}
	return good(tickets)
}

// good wraps what a request was answered with.
func good(data any) reply {
	raw, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return refusal(http.StatusInternalServerError, "API_ERROR", "the answer cannot be written", nil)
	}
	return reply{status: http.StatusOK, body: string(raw)}
}

// accept decides about every recipient under one hold of the lock.
func (s *Server) accept(c call) (tickets []status, accepted []Push, hook func(Push), failed *reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if failed = s.admit(c.request); failed != nil {
		return nil, nil, nil, failed
	}
	tickets = make([]status, 0, len(c.request.Tokens))
	for _, m := range c.messages {
		for _, token := range m.To {
			ticket, push := s.deliver(c.request, m, token)
			tickets = append(tickets, ticket)
			if push != nil && s.onPush != nil {
				accepted = append(accepted, *push)
			}
		}
	}
	return tickets, accepted, s.onPush, nil
}

// admit refuses a request as a whole. The lock is held.
func (s *Server) admit(r Request) *reply {
	n := len(r.Tokens)
	if n > maxRecipients {
		return s.reject(refusal(http.StatusBadRequest, "PUSH_TOO_MANY_NOTIFICATIONS",
			fmt.Sprintf("%d recipients, at most %d are allowed", n, maxRecipients), nil))
	}
	projects := s.projects(r.Tokens)
	if len(projects) > 1 {
		return s.reject(refusal(http.StatusBadRequest, "PUSH_TOO_MANY_EXPERIENCE_IDS",
			"all messages of a request must belong to one project", projects))
	}
	for project := range projects {
		if !s.inRate(project, r.FirstByte, n) {
			s.counts.Throttled++
			out := refusal(http.StatusTooManyRequests, "TOO_MANY_REQUESTS",
				fmt.Sprintf("more than %d pushes in a second", s.cfg.Rate), nil)
			return &out
		}
	}
	return nil
}

func (s *Server) reject(out reply) *reply {
	s.counts.Rejected++
	return &out
}

// projects sorts the valid tokens by the project that they belong to.
func (s *Server) projects(tokens []string) map[string][]string {
	projects := map[string][]string{}
	for _, t := range tokens {
		if validToken(t) {
			name := s.phone(t).project
			projects[name] = append(projects[name], t)
		}
	}
	return projects
}

func (s *Server) inRate(project string, now time.Time, n int) bool {
	if s.cfg.Rate == 0 {
		return true
	}
	w := s.rates[project]
	if w == nil {
		w = &window{}
		s.rates[project] = w
	}
	return w.allow(now, n, s.cfg.Rate)
}

// deliver decides about one recipient. The lock is held.
func (s *Server) deliver(r Request, m message, token string) (status, *Push) {
	if !validToken(token) {
		s.counts.Refused++
		return refused("DeviceNotRegistered", token), nil
	}
	p := s.phone(token)
	inTicket, inReceipt := s.verdicts(p, m)
	if inTicket != "" {
		s.counts.Refused++
		return refused(inTicket, token), nil
	}
	s.ticket++
	push := pushOf(r, m, token, fmt.Sprintf("01960000-0000-7000-8000-%012x", s.ticket))
	s.receipts[push.TicketID] = verdict{from: r.FirstByte.Add(s.cfg.ReceiptDelay), code: inReceipt, token: token}
	if inReceipt == "" && !expired(push, r.FirstByte) {
		push.Repeat = p.show(push)
	}
	s.record(push)
	return status{Status: "ok", ID: push.TicketID}, &push
}

// verdicts finds the refusals that a message to this phone meets, if any.
func (s *Server) verdicts(p *phone, m message) (inTicket, inReceipt string) {
	inTicket, inReceipt = p.ticketCode, p.receiptCode
	put := func(place Place, code string) {
		if place == InTicket && inTicket == "" {
			inTicket = code
		} else if place == InReceipt && inReceipt == "" {
			inReceipt = code
		}
	}
	if p.uninstalled {
		put(s.cfg.GoneIn, "DeviceNotRegistered")
	}
	if m.size > maxPayload {
		put(s.cfg.TooBigIn, "MessageTooBig")
	}
	return inTicket, inReceipt
}

// record remembers an accepted push. The lock is held.
func (s *Server) record(p Push) {
	s.counts.Accepted++
	if p.Repeat {
		s.counts.Repeats++
	}
	s.pushes = append(s.pushes, p)
	if keep := s.cfg.Keep; keep > 0 && len(s.pushes) >= 2*keep {
		s.pushes = append([]Push(nil), s.pushes[len(s.pushes)-keep:]...)
	}
}

// getReceipts answers with the verdicts that exist by now.
func (s *Server) getReceipts(c call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(c.request.IDs); n > maxIDs {
		return *s.reject(refusal(http.StatusBadRequest, "PUSH_TOO_MANY_RECEIPTS",
			fmt.Sprintf("%d ids, at most %d are allowed", n, maxIDs), nil))
	}
	found := make(map[string]status, len(c.request.IDs))
	for _, id := range c.request.IDs {
		v, ok := s.receipts[id]
		switch {
		case !ok || v.from.After(c.request.FirstByte):
		case v.code == "":
			found[id] = status{Status: "ok"}
		default:
			found[id] = refused(v.code, v.token)
		}
	}
	return good(found)
}
