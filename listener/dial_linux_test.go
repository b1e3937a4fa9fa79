package listener

import (
	"context"
	"net"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestDialedSocketsNoticeAVanishedPeer(t *testing.T) {
	t.Parallel()
	conn := dialTo(t, "tcp", "127.0.0.1:0")
	got := map[string]int{
		"keepalive": option(t, conn, unix.SOL_SOCKET, unix.SO_KEEPALIVE),
		"idle":      option(t, conn, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE),
		"interval":  option(t, conn, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL),
		"count":     option(t, conn, unix.IPPROTO_TCP, unix.TCP_KEEPCNT),
		"user":      option(t, conn, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT),
	}
	want := map[string]int{"keepalive": 1, "idle": 5, "interval": 2, "count": 3, "user": 10_000}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUnixSocketsAreDialedToo(t *testing.T) {
	t.Parallel()
	dialTo(t, "unix", t.TempDir()+"/s")
}

// dialTo opens a listening socket and dials it through DialFunc.
func dialTo(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	conn, err := DialFunc()(context.Background(), network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func option(t *testing.T, conn net.Conn, level, name int) (value int) {
	t.Helper()
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { value, failed = unix.GetsockoptInt(int(fd), level, name) })
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return value
}
