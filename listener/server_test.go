package listener

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience bounds every wait for something that must happen. It is never reached
// unless something is broken.
const patience = 30 * time.Second

// server is a private Postgres whose life the test controls.
type server struct {
	bin, dir string
	port     int
	cred     *syscall.Credential
	cmd      *exec.Cmd
}

// newServer makes and starts a server below dir.
func newServer(dir string) (*server, error) {
	bin, err := findPostgres()
	if err != nil {
		return nil, err
	}
	s := &server{bin: bin, dir: filepath.Join(dir, "data")}
	if err := s.becomeUser(dir); err != nil {
		return nil, err
	}
	initdb := s.command("initdb", "-D", s.dir, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	return s, s.start()
}

// findPostgres returns the folder of the newest installed server.
func findPostgres() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		path, err = filepath.EvalSymlinks(path)
		return filepath.Dir(path), err
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("find postgres: none installed (%w)", os.ErrNotExist)
	}
	slices.Sort(found)
	return found[len(found)-1], nil
}

// becomeUser gives dir to an unprivileged user when the tests run as root, because
// Postgres refuses to.
func (s *server) becomeUser(dir string) error {
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u = &user.User{Uid: "65534", Gid: "65534"}
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	s.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(dir, uid, gid)
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = filepath.Dir(s.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	return cmd
}

// start starts the server and waits until it answers.
func (s *server) start() error {
	s.cmd = s.command("postgres", "-D", s.dir, "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "max_connections=200")
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		if !sleep(ctx, 10*time.Millisecond) {
			return fmt.Errorf("wait for postgres: %w", err)
		}
	}
}

// stop ends the server at once, as a restart of the machine would end its clients.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return fmt.Errorf("stop postgres: %w", err)
	}
	_ = s.cmd.Wait() // its exit code says nothing we need
	return nil
}

func (s *server) url(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

func (s *server) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

var databases atomic.Int64

// newDatabase creates a database of the test's own, as a change is heard by all
// who listen in the same one, and returns its name.
func newDatabase(t *testing.T, s *server) string {
	t.Helper()
	name := fmt.Sprintf("listener_%d", databases.Add(1))
	execute(t, s.url("postgres"), "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, s.url("postgres"), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return name
}

// execute runs statements on a connection of their own.
func execute(t *testing.T, url string, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}
