package expofake

import (
	"compress/gzip"
	"crypto/subtle"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"
)

const (
	maxRecipients = 100
	maxIDs        = 1000
	// maxBody bounds a request after decompression. Expo's own bound is not documented.
	maxBody = 4 << 20
	// gzipAbove is the size of an answer above which it is compressed.
	gzipAbove = 1024
)

// reply is an answer before it is written.
type reply struct {
	status   int
	header   http.Header
	body     string
	accepted int // pushes that it tells the tickets of
}

func refusal(status int, code, message string, details any) reply {
	return reply{status: status, body: errorBody(code, message, details)}
}

// ServeHTTP answers both endpoints. It takes the time first, because latenesses
// are measured against it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	firstByte := time.Now()
	endpoint, ok := endpointOf(r.URL.Path)
	if !ok {
		write(w, r, refusal(http.StatusNotFound, "NOT_FOUND", "no such endpoint", nil))
		return
	}
	if r.Method != http.MethodPost {
		write(w, r, refusal(http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "use POST", nil))
		return
	}
	body, failed := readBody(r)
	if failed == nil {
		failed = s.authorize(r)
	}
	number, leave := s.enter(endpoint)
	defer leave()
	call := newCall(Request{Endpoint: endpoint, FirstByte: firstByte, Number: number, Header: r.Header}, body, failed)
	s.answer(w, r, call)
}

func endpointOf(path string) (Endpoint, bool) {
	switch path {
	case basePath + "/send":
		return SendEndpoint, true
	case basePath + "/getReceipts":
		return ReceiptsEndpoint, true
	}
	return 0, false
}

// enter counts the request; leave is to be called when it is over.
func (s *Server) enter(e Endpoint) (number int, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e == ReceiptsEndpoint {
		s.counts.ReceiptRequests++
		return s.counts.ReceiptRequests, func() {}
	}
	s.counts.Requests++
	s.sending++
	s.counts.Busiest = max(s.counts.Busiest, s.sending)
	return s.counts.Requests, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sending--
	}
}

// readBody reads the whole request, unpacked if it came packed.
func readBody(r *http.Request) ([]byte, *reply) {
	reader := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			failed := refusal(http.StatusBadRequest, "VALIDATION_ERROR", "the body is not gzip", nil)
			return nil, &failed
		}
		reader = unpacked
	}
	body, err := io.ReadAll(io.LimitReader(reader, maxBody+1))
	if err == nil && len(body) > maxBody {
		failed := refusal(http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE", "the body is too large", nil)
		return nil, &failed
	}
	if err != nil {
		failed := refusal(http.StatusBadRequest, "VALIDATION_ERROR", "the body cannot be read", nil)
		return nil, &failed
	}
	return body, nil
}

func (s *Server) authorize(r *http.Request) *reply {
	want := "Bearer " + s.cfg.AccessToken
	got := r.Header.Get("Authorization")
	if s.cfg.AccessToken == "" || subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1 {
		return nil
	}
	failed := refusal(http.StatusUnauthorized, "UNAUTHORIZED", "the access token is missing or wrong", nil)
	if s.cfg.OAuth && got != "" {
		failed = reply{status: http.StatusUnauthorized, body: oauthBody}
	}
	return &failed
}

// answer lets a fault have its way, then serves.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, c call) {
	fault := s.faultFor(c.request)
	var out reply
	if fault == nil || fault.Accept || fault.serves() {
		out = s.serveCall(c, fault)
	}
	delay := s.cfg.Latency
	if fault != nil {
		delay += fault.Delay
	}
	waited := s.wait(r, delay)
	if !waited || fault.hides() {
		s.count(func(n *Counts) { n.Unsure += out.accepted })
	}
	if !waited || fault != nil && fault.Drop {
		panic(http.ErrAbortHandler) // net/http's way of closing the connection
	}
	if fault != nil {
		out = fault.apply(out)
	}
	write(w, r, out)
}

func (s *Server) faultFor(r Request) *Fault {
	s.mu.Lock()
	fail := s.fail
	s.mu.Unlock()
	if fail == nil {
		return nil
	}
	fault := fail(r)
	if fault != nil {
		s.mu.Lock()
		s.counts.Faults++
		s.mu.Unlock()
	}
	return fault
}

// serves reports that the fault changes an otherwise proper answer.
func (f *Fault) serves() bool { return f.Status == 0 && !f.Drop }

// apply changes the answer as the fault says.
func (f *Fault) apply(out reply) reply {
	if f.Status != 0 {
		out = reply{status: f.Status, body: f.Body}
	}
	if f.Truncate {
		out.body = out.body[:len(out.body)/2]
	}
	out.header = f.Header
	return out
}

// wait reports whether the time passed before client or server went away.
func (s *Server) wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	case <-s.stopping:
		return false
	}
}

func (s *Server) serveCall(c call, fault *Fault) reply {
	switch {
	case c.failed != nil:
		s.count(func(n *Counts) {
			n.Rejected++
			if c.failed.status == http.StatusUnauthorized {
				n.Unauthorized++
			}
		})
		return *c.failed
	case c.request.Endpoint == ReceiptsEndpoint:
		return s.getReceipts(c)
	}
	extra := 0
	if fault != nil {
		extra = fault.Tickets
	}
	return s.send(c, extra)
}

func (s *Server) count(f func(*Counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.counts)
}

// write sends the answer, packed if that is worth it and the client takes it.
func write(w http.ResponseWriter, r *http.Request, out reply) {
	header := w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	maps.Copy(header, out.header)
	var body io.Writer = w
	if len(out.body) > gzipAbove && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		header.Set("Content-Encoding", "gzip")
		packer := gzipPool.Get().(*gzip.Writer)
		defer gzipPool.Put(packer)
		packer.Reset(w)
		defer packer.Close()
		body = packer
	}
	w.WriteHeader(out.status)
	_, _ = io.WriteString(body, out.body) // the client may have gone; nobody to tell
}
