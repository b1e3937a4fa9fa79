package listener

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// shared is the server of all tests that do not stop theirs.
var shared *server

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "listener-test-")
	if err != nil {
		return fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if shared, err = newServer(dir); err != nil {
		return fatal(err)
	}
	code := m.Run()
	if err := shared.stop(); err != nil {
		return fatal(err)
	}
	if err := goleak.Find(); err != nil && code == 0 {
		return fatal(err)
	}
	return code
}

func fatal(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}
