package pgtemp

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// A killed parent leaves no server behind, and the next start removes the rest.
func TestKilledParent(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), actAsOrphan+"="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = parent.Process.Kill(); _ = parent.Wait() })
	var server int
	var left string
	if _, err := fmt.Fscan(out, &server, &left); err != nil {
		t.Fatalf("read where the server is: %v", err)
	}
	if removed := sweep(dir, time.Now()); len(removed) > 0 {
		t.Fatalf("swept %v under a living process", removed)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server of a killed process ends", func() bool {
		fields := statFields(server)
		return len(fields) == 0 || fields[0] == "Z"
	})
	_ = parent.Wait() // killed, as intended
	start(t, Config{Dir: dir})
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("directory %s after the next start: %v", left, err)
	}
}
