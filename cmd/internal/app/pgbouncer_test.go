package app

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// requirePgBouncer makes a missing PgBouncer a failure.
const requirePgBouncer = "REMINDER_WORKER_REQUIRE_PGBOUNCER"

// pooler is a PgBouncer between the program and a server.
type pooler struct {
	t       *testing.T
	program string
	dir     string
	account *syscall.Credential
	server  *url.URL
	mode    string
	size    int
	port    int
	running *exec.Cmd
	log     *journal // of the present process
	ended   chan struct{}
}

// findPgBouncer returns the program, or "" after a word in the test's log.
func findPgBouncer(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer", "/opt/homebrew/bin/pgbouncer"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	const missing = "did not run: PgBouncer is not installed (package pgbouncer of Debian, Ubuntu, Fedora, Alpine and Homebrew)"
	if os.Getenv(requirePgBouncer) != "" {
		t.Fatal(missing)
	}
	t.Log(missing)
	return ""
}

// startPooler puts a PgBouncer in front of the server of address. Its pools hold size server connections.
func startPooler(t *testing.T, program, address, mode string, size int) *pooler {
	t.Helper()
	server, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	p := &pooler{t: t, program: program, server: server}
	if p.dir, err = os.MkdirTemp("", "reminder-pooler-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(p.dir) })
	if os.Geteuid() == 0 {
		p.account = lesser(t)
	}
	p.write("users.txt", `"postgres" ""`+"\n"+`"`+runner+`" ""`+"\n")
	t.Cleanup(p.stop)
	for range 20 { // somebody else may take a port that was free
		p.port = 20_000 + rand.IntN(12_000)
		p.configure(mode, size)
		if p.start() {
			return p
		}
	}
	t.Fatalf("no pgbouncer starts; the last says:\n%s", p.log)
	return nil
}

// lesser is an account other than root, as which PgBouncer refuses to run.
func lesser(t *testing.T) *syscall.Credential {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
			gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
			if err := errors.Join(uidErr, gidErr); err != nil {
				t.Fatal(err)
			}
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	t.Fatal("there is neither an account postgres nor nobody")
	return nil
}

// write puts a file where the account can read it.
func (p *pooler) write(name, text string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if p.account == nil {
		return
	}
	for _, owned := range []string{p.dir, path} {
		if err := os.Chown(owned, int(p.account.Uid), int(p.account.Gid)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// configure writes the configuration, as it comes out of the box but for the mode. It takes effect at the next start or reload.
func (p *pooler) configure(mode string, size int) {
	p.t.Helper()
	p.mode, p.size = mode, size
	p.write("pgbouncer.ini", fmt.Sprintf(`[databases]
* = host=%s port=%s

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = trust
auth_file = %s
admin_users = postgres
max_client_conn = 200
pool_mode = %s
default_pool_size = %d
server_login_retry = 0.2
`, p.server.Hostname(), p.server.Port(), p.port, filepath.Join(p.dir, "users.txt"), mode, size))
}

// start returns when clients are let in, or false when it did not come up.
func (p *pooler) start() (up bool) {
	p.t.Helper()
	cmd := exec.Command(p.program, filepath.Join(p.dir, "pgbouncer.ini"))
	p.log = &journal{}
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.account, Setpgid: true}
	p.running, p.ended = cmd, make(chan struct{})
	started := make(chan error, 1)
	go own(cmd, started, p.ended)
	if err := <-started; err != nil {
		p.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if strings.Contains(p.log.String(), "process up") { // it listens by now
			return true
		}
		select {
		case <-p.ended:
			return false
		case <-time.After(5 * time.Millisecond):
		}
	}
	return false
}

// own keeps its thread until the process has ended: on Linux a child dies with the thread that started it, so that it does not outlive
// a test that was killed, nor die before.
func own(cmd *exec.Cmd, started chan<- error, ended chan<- struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(ended)
	dieWithParent(cmd.SysProcAttr)
	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait() // it is ended by a signal
	}
}

// stop cuts all clients off.
func (p *pooler) stop() {
	if p.running == nil {
		return
	}
	_ = p.running.Process.Kill() // gone already is what is wanted
	<-p.ended
	if p.t.Failed() {
		p.t.Logf("pgbouncer says:\n%s", p.log)
	}
}

// reload has the configuration read again while clients stay connected.
func (p *pooler) reload() {
	p.t.Helper()
	if err := p.running.Process.Signal(syscall.SIGHUP); err != nil {
		p.t.Fatal(err)
	}
}

// turn leads the connections of all clients, who notice nothing, to another server.
func (p *pooler) turn(address string) {
	p.t.Helper()
	server, err := url.Parse(address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.server = server
	p.configure(p.mode, p.size)
	p.reload()
}

func (p *pooler) host() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)) }

// address is that of the same database through the pooler.
func (p *pooler) address() string {
	u := *p.server
	u.Host = p.host()
	return u.String()
}
