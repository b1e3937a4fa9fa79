package wal

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/migrations"
)

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// migrate brings a database up to date.
func migrate(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	m, err := migrations.New(migrations.Options{})
	if err == nil {
		_, err = m.Up(ctx, conn)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// proxy is a network that can cut and swallow. The mutex guards what is below it.
type proxy struct {
	ln     net.Listener
	server *pgx.ConnConfig
	wg     sync.WaitGroup

	mu       sync.Mutex
	refusing bool
	gate     chan struct{} // closed: bytes flow; open: they wait for ever
	conns    map[net.Conn]bool
}

// newProxy stands before a server until the test ends.
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
	p := &proxy{ln: ln, server: cfg, gate: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(p.gate)
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
		p.wg.Go(func() { p.copy(server, client) })
		p.wg.Go(func() { p.copy(client, server) })
	}
}

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

func (p *proxy) copy(dst, src net.Conn) {
	defer func() { _, _ = dst.Close(), src.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		gate := p.gate
		p.mu.Unlock()
		<-gate
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
	}
}

// refuse says whether new connections are closed at once.
func (p *proxy) refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = yes
}

// cut closes all connections, without a word.
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
	p.gate = make(chan struct{})
}

// flow ends hold.
func (p *proxy) flow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// url returns a connection string that leads through the proxy.
func (p *proxy) url() string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(p.server.User, p.server.Password),
		Host: p.ln.Addr().String(), Path: p.server.Database, RawQuery: "sslmode=disable"}
	return u.String()
}
