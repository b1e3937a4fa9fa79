package expofake

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
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

// send takes the messages of a call.
func (s *Server) send(c call, extra int) reply {
	tickets, accepted, hook, failed := s.accept(c)
	if failed != nil {
		return *failed
	}
	taken := 0
	for _, t := range tickets {
		if t.Status == "ok" {
			taken++
		}
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
	out := good(tickets)
	if c.single && len(tickets) == 1 {
		out = good(tickets[0])
	}
	out.accepted = taken
	return out
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

// deliver decides about one recipient. The lock is held.
func (s *Server) deliver(r Request, m message, token string) (status, *Push) {
	if !validToken(token) {
		s.refuse("DeviceNotRegistered")
		return refused("DeviceNotRegistered", token), nil
	}
	p := s.phone(token)
	inTicket, inReceipt := s.verdicts(p, m)
	if inTicket != "" {
		s.refuse(inTicket)
		s.project(p.project).counts.Refused++
		answer := relayed(inTicket, token, r.FirstByte)
		if numbered(inTicket) {
			answer.ID = s.nextTicket()
		}
		return answer, nil
	}
	push := pushOf(r, m, token, s.nextTicket())
	if s.cfg.Weigh {
		push.Size = m.size
	}
	s.take(&push, p, inReceipt)
	s.record(push)
	return status{Status: "ok", ID: push.TicketID}, &push
}

// take makes the receipt of an accepted push and shows the push, unless the
// receipt refuses it with a code or it came too late.
func (s *Server) take(push *Push, p *phone, code string) {
	v := &verdict{from: push.FirstByte.Add(s.cfg.ReceiptDelay), answer: status{Status: "ok"}}
	s.receipts[push.TicketID] = v
	owner := s.project(p.project)
	owner.counts.Accepted++
	switch {
	case code != "":
		v.answer = relayed(code, push.Token, push.FirstByte)
		s.codes[code]++
		s.counts.Failed++
		owner.counts.Failed++
	case expired(*push, push.FirstByte):
		s.counts.Expired++
	default:
		push.Repeat = p.show(*push)
		s.counts.Shown++
		owner.counts.Shown++
	}
}

// refuse counts a refusing ticket.
func (s *Server) refuse(code string) {
	s.counts.Refused++
	s.codes[code]++
}

// nextTicket is the id of a ticket.
func (s *Server) nextTicket() string {
	s.ticket++
	return fmt.Sprintf("01960000-0000-7000-8000-%012x", s.ticket)
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
		s.counts.Asked++
		v, ok := s.receipts[id]
		if !ok || v.from.After(c.request.FirstByte) {
			continue
		}
		found[id] = v.answer
		s.counts.Given++
		if v.given {
			s.counts.Again++
		}
		v.given = true
	}
	return good(found)
}
