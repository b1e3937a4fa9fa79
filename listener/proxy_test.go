package listener

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// proxy is a network between a listener and its server that can fail in the ways
// networks do. The mutex guards the fields below it.
type proxy struct {
	ln     net.Listener
	server *pgx.ConnConfig
	wg     sync.WaitGroup

	mu       sync.Mutex
	refusing bool              // closes what connects
	swallow  chan struct{}     // closed: bytes flow; open: they wait for ever
	rewrite  map[string]string // in what the client sends; both of equal length
	conns    map[net.Conn]bool
	sent     bytes.Buffer // what clients have sent
}

// newProxy stands before the server of a connection string until the test ends.
func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	cfg, err := pgx.ParseConfig(server)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, server: cfg, swallow: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(p.swallow)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		p.flow()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		network, addr := pgconn.NetworkAddress(p.server.Host, p.server.Port)
		server, err := net.Dial(network, addr)
		if err != nil || !p.adopt(client, server) {
			_ = client.Close()
			continue
		}
		p.wg.Go(func() { p.copy(server, client, p.record) })
		p.wg.Go(func() { p.copy(client, server, nil) })
	}
}

// adopt keeps both ends, or closes the server's when the proxy is refusing.
func (p *proxy) adopt(client, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusing {
		_ = server.Close()
		return false
	}
	p.conns[client], p.conns[server] = true, true
	return true
}

func (p *proxy) copy(dst, src net.Conn, edit func([]byte) []byte) {
	defer func() { _, _ = dst.Close(), src.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		gate := p.swallow
		p.mu.Unlock()
		<-gate
		out := buf[:n]
		if edit != nil {
			out = edit(out)
		}
		if _, err := dst.Write(out); err != nil {
			return
		}
	}
}

func (p *proxy) record(b []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent.Write(b)
	for from, to := range p.rewrite {
		b = bytes.ReplaceAll(b, []byte(from), []byte(to))
	}
	return b
}

// replace changes what clients send from now on.
func (p *proxy) replace(from, to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rewrite = map[string]string{from: to}
}

// refuse says whether new connections are closed at once.
func (p *proxy) refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = yes
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

// hold lets nothing through any more, and closes nothing: a black hole.
func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow = make(chan struct{})
}

// flow ends hold.
func (p *proxy) flow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.swallow:
	default:
		close(p.swallow)
	}
}

// said returns what clients have sent so far.
func (p *proxy) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent.String()
}

// source returns a source that hears through the proxy, and whose bell does not go through it.
func (p *proxy) source(t *testing.T) Source {
	t.Helper()
	return over(t, p.url(), p.server.ConnString())
}

// url returns a connection string that leads through the proxy.
func (p *proxy) url() string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(p.server.User, p.server.Password),
		Host: p.ln.Addr().String(), Path: p.server.Database, RawQuery: "sslmode=disable"}
	return u.String()
}
