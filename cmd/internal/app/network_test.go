package app

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	toxiclient "github.com/Shopify/toxiproxy/v2/client"
	"github.com/rs/zerolog"
)

// beNetwork makes the test binary run as a network that can fail. In a process of its own it may be left in any state: connections
// that hang in the middle of a fault are no leak of the tests.
const beNetwork = "REMINDER_WORKER_TEST_NETWORK"

// networkMain serves toxiproxy's interface, says where, and ends with whoever started it.
func networkMain() int {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(ln.Addr())
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	go func() { _ = http.Serve(ln, server.Routes()) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// network lies between a worker and its database. What the app and the test write goes past it.
type network struct {
	w              *world
	listen, server string // addresses: where it is entered, and where it leads

	cmd    *exec.Cmd
	in     io.Closer
	client *toxiclient.Client
	proxy  *toxiclient.Proxy
}

// behindNetwork puts one before the world's database, for the workers that are started from now on.
func (w *world) behindNetwork() *network {
	w.t.Helper()
	u, err := url.Parse(w.cfg.DatabaseURL)
	if err != nil {
		w.t.Fatal(err)
	}
	n := &network{w: w, server: u.Host}
	w.t.Cleanup(n.tearDown)
	n.start()
	for range 100 { // below the ports that outgoing connections get, so that it can be had again
		n.listen = fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000))
		if err = n.lay(); err == nil {
			break
		}
	}
	if err != nil {
		w.t.Fatalf("lay line: %v", err)
	}
	u.Host = n.listen
	w.cfg.DatabaseURL = u.String()
	return n
}

// start starts the process.
func (n *network) start() {
	n.w.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		n.w.t.Fatal(err)
	}
	n.cmd = exec.Command(exe)
	n.cmd.Env = append(os.Environ(), beNetwork+"=1")
	in, err := n.cmd.StdinPipe()
	if err != nil {
		n.w.t.Fatal(err)
	}
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		n.w.t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		n.w.t.Fatal(err)
	}
	n.in = in
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		n.w.t.Fatalf("start network: %v", err)
	}
	n.client = toxiclient.NewClient(strings.TrimSpace(address))
}

// lay opens the line.
func (n *network) lay() (err error) {
	n.proxy, err = n.client.CreateProxy("database", n.listen, n.server)
	return err
}

func (n *network) tearDown() {
	if n.in == nil {
		return
	}
	_ = n.in.Close()
	_ = n.cmd.Process.Kill()
	_ = n.cmd.Wait()
	n.in = nil
	http.DefaultTransport.(*http.Transport).CloseIdleConnections() // those to the interface
}

// renew is the end of faults that connections do not survive.
func (n *network) renew() {
	n.w.t.Helper()
	n.tearDown()
	n.start()
	n.w.until("the line", func() bool { return n.lay() == nil })
}

// toxic is one fault.
type toxic struct {
	kind string
	with toxiclient.Attributes
}

var directions = []string{"upstream", "downstream"}

// suffer begins faults in both directions, for the connections that there are and those to come.
func (n *network) suffer(toxics ...toxic) {
	n.w.t.Helper()
	for _, x := range toxics {
		for _, direction := range directions {
			n.sufferOneWay(direction, x)
		}
	}
}

func (n *network) sufferOneWay(direction string, x toxic) {
	n.w.t.Helper()
	if _, err := n.proxy.AddToxic(x.kind+"_"+direction, x.kind, direction, 1, x.with); err != nil {
		n.w.t.Fatalf("begin %s: %v", x.kind, err)
	}
}

// cut ends all connections and refuses new ones until join.
func (n *network) cut() {
	n.w.t.Helper()
	if err := n.proxy.Disable(); err != nil {
		n.w.t.Fatalf("cut: %v", err)
	}
}

func (n *network) join() {
	n.w.t.Helper()
	if err := n.proxy.Enable(); err != nil {
		n.w.t.Fatalf("join: %v", err)
	}
}

// pass lets time go by: the length of a fault, which is no measure of anything.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	select {
	case <-time.After(d):
	case <-w.t.Context().Done():
		w.t.FailNow()
	}
}
