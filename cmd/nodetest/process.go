package nodetest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// maxLine bounds an answer.
const maxLine = 4 << 20

// Process is a client that runs and takes commands, one after the other.
type Process struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

// Start runs the client with this environment, each entry written NAME=value, until
// the test ends.
func (i *Installed) Start(t *testing.T, env ...string) *Process {
	t.Helper()
	dir := t.TempDir()
	copyFile(t, dir, "client.mjs")
	if err := os.Symlink(filepath.Join(i.folder, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // a client that hangs is killed, and the test sees its end
	cmd := exec.CommandContext(ctx, i.node, "client.mjs")
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	cmd.Env = append([]string{}, env...) // nil would be the test's own
	stderr := &bytes.Buffer{}
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		err := cmd.Wait()
		cancel()
		if err != nil {
			t.Errorf("node: %v\n%s", err, stderr)
		}
	})
	p := &Process{t: t, in: in, out: bufio.NewScanner(out)}
	p.out.Buffer(nil, maxLine)
	return p
}

// Ask gives a command and decodes what came of it into answer.
func (p *Process) Ask(command string, args map[string]any, answer any) {
	p.t.Helper()
	line := map[string]any{"command": command}
	maps.Copy(line, args)
	raw, err := json.Marshal(line)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.in.Write(append(raw, '\n')); err != nil {
		p.t.Fatalf("give a command to the client: %v", err)
	}
	if !p.out.Scan() {
		p.t.Fatalf("the client has ended: %v", p.out.Err())
	}
	if err := json.Unmarshal(p.out.Bytes(), answer); err != nil {
		p.t.Fatalf("%v in %s", err, p.out.Bytes())
	}
}
