package bench

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// standin answers requests at once, and remembers when the first byte of each was there. It speaks as much HTTP as a client needs that sends one
// request after the other: a whole server would take a good part of the machine that is measured.
type standin struct {
	listener net.Listener
	answer   func(path string, body []byte, at time.Time, out *bytes.Buffer)
	serving  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu; nil: closed
}

func newStandin(answer func(path string, body []byte, at time.Time, out *bytes.Buffer)) (*standin, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a stand-in: %w", err)
	}
	s := &standin{listener: l, answer: answer, conns: map[net.Conn]bool{}}
	s.serving.Go(s.accept)
	return s, nil
}

func (s *standin) url() string { return "http://" + s.listener.Addr().String() }

func (s *standin) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil || !s.track(conn, true) {
			return
		}
		s.serving.Go(func() {
			defer s.track(conn, false)
			_ = s.serve(conn) // the client has gone
		})
	}
}

// track keeps or closes a connection. It reports false if the stand-in is closed.
func (s *standin) track(conn net.Conn, open bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if open && s.conns != nil {
		s.conns[conn] = true
		return true
	}
	delete(s.conns, conn)
	_ = conn.Close() // nothing is lost with it
	return false
}

// close ends all connections and waits for their goroutines.
func (s *standin) close() {
	_ = s.listener.Close() // nobody else has closed it
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.serving.Wait()
}

// maxRequest bounds what is read of one, in bytes.
const maxRequest = 32 << 20

func (s *standin) serve(conn net.Conn) error {
	in, out := bufio.NewReaderSize(conn, 32<<10), bufio.NewWriterSize(conn, 32<<10)
	var body, answer bytes.Buffer
	for {
		if _, err := in.Peek(1); err != nil {
			return err
		}
		at := time.Now()
		req, err := http.ReadRequest(in)
		if err != nil {
			return err
		}
		body.Reset()
		answer.Reset()
		if err := readBody(req, &body); err != nil {
			return err
		}
		s.answer(req.URL.Path, body.Bytes(), at, &answer)
		fmt.Fprintf(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", answer.Len())
		if _, err := answer.WriteTo(out); err != nil {
			return err
		}
		if err := out.Flush(); err != nil || req.Close {
			return err
		}
	}
}

func readBody(req *http.Request, into *bytes.Buffer) error {
	r := io.LimitReader(req.Body, maxRequest)
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		r = io.LimitReader(z, maxRequest)
	}
	_, err := into.ReadFrom(r)
	return errors.Join(err, req.Body.Close())
}

// call is one piece of work that has reached a service.
type call struct {
	id uuid.UUID
	at time.Time // first byte of the request
}

// ledger keeps what a service was asked for.
type ledger struct {
	mu      sync.Mutex
	calls   []call             // guarded by mu, in order of the answers
	seen    map[uuid.UUID]bool // guarded by mu
	repeats int                // guarded by mu
	wanted  int                // guarded by mu; 0: nobody waits
	reached chan struct{}      // guarded by mu
}

func newLedger(expected int) *ledger {
	return &ledger{calls: make([]call, 0, expected), seen: make(map[uuid.UUID]bool, expected)}
}

func (l *ledger) note(id uuid.UUID, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[id] {
		l.repeats++
		return
	}
	l.seen[id] = true
	l.calls = append(l.calls, call{id, at})
	if l.wanted > 0 && len(l.calls) >= l.wanted {
		close(l.reached)
		l.wanted = 0
	}
}

// forget makes room for another measurement: what has been asked for may not come again, and counts no more.
func (l *ledger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = make([]call, 0, cap(l.calls))
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.calls)
}

// await waits until so many different ones have been seen, and returns all.
func (l *ledger) await(ctx context.Context, n int) ([]call, error) {
	l.mu.Lock()
	done := make(chan struct{})
	if len(l.calls) >= n {
		close(done)
	} else {
		l.wanted, l.reached = n, done
	}
	l.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%d of %d have arrived: %w", l.count(), n, context.Cause(ctx))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.repeats > 0 {
		return nil, fmt.Errorf("%d of %d came more than once", l.repeats, n)
	}
	return slices.Clip(l.calls), nil
}

// google answers like the Calendar API and its token endpoint to a client that inserts.
func (l *ledger) google(path string, body []byte, at time.Time, out *bytes.Buffer) {
	if strings.HasSuffix(path, "/token") {
		out.WriteString(`{"access_token":"access","expires_in":3600,"token_type":"Bearer"}`)
		return
	}
	start, raw := bytes.IndexByte(body, '{'), field(body, []byte(`"id":"`))
	if id, err := hex.DecodeString(string(raw)); err == nil && len(id) == len(uuid.UUID{}) {
		l.note(uuid.UUID(id), at)
	}
	if start < 0 {
		out.WriteString("{}")
		return
	}
	out.WriteString(`{"kind":"calendar#event","etag":"\"1\"","status":"confirmed",`)
	out.Write(body[start+1:])
}

var collapse = []byte(`"collapseId":"`)

// expo answers like the push API: everything is taken, and has arrived.
func (l *ledger) expo(path string, body []byte, at time.Time, out *bytes.Buffer) {
	if strings.HasSuffix(path, "/getReceipts") {
		out.WriteString(`{"data":{}}`)
		return
	}
	out.WriteString(`{"data":[`)
	for n := 0; ; n++ {
		raw := field(body, collapse)
		if raw == nil {
			break
		}
		if id, err := uuid.ParseBytes(raw); err == nil {
			l.note(id, at)
		}
		if n > 0 {
			out.WriteByte(',')
		}
		out.WriteString(`{"status":"ok","id":"` + strconv.Itoa(n) + "-")
		out.Write(raw)
		out.WriteString(`"}`)
		_, body, _ = bytes.Cut(body, collapse)
	}
	out.WriteString(`]}`)
}

// field is the text behind key, up to the next quotation mark; nil: there is none.
func field(body, key []byte) []byte {
	_, rest, found := bytes.Cut(body, key)
	value, _, closed := bytes.Cut(rest, []byte{'"'})
	if !found || !closed {
		return nil
	}
	return value
}
