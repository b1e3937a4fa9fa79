package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// Main is the whole TestMain of a package that uses this one: it runs the tests,
// ends the server if a test started it, and exits.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main without the exit, for a TestMain that has more to check.
func Run(m *testing.M) int {
	code := m.Run()
	if !started.Load() {
		return code
	}
	c, err := sharedCluster()
	if err != nil {
		return code // the tests have reported it
	}
	if c.kept.Load() && c.server != nil && os.Getenv(keepDatabases) == "1" {
		waitForInterrupt(c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTime)
	defer cancel()
	if err := c.stop(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "stop the test server: %v\n", err)
		return max(code, 1)
	}
	return code
}

// waitForInterrupt keeps the server up until somebody has seen enough.
func waitForInterrupt(c *cluster) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	fmt.Fprintf(os.Stderr, "databases of failed tests are kept on %s; end with Ctrl-C\n", c.url)
	<-ctx.Done()
}
