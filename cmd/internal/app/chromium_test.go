package app

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// requireBrowser makes a missing browser a failure.
const requireBrowser = "REMINDER_WORKER_REQUIRE_BROWSER"

// browser is a Chromium without a window, with one page, that obeys the DevTools protocol over two pipes.
type browser struct {
	t       *testing.T
	in      *os.File
	session string

	mu     sync.Mutex // guards the fields below
	next   int
	calls  map[int]chan reply // closed when the browser has ended
	ended  bool
	faults []string // what pages have complained of
}

// reply is what the browser says: an answer if it has an id, else an event.
type reply struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

// startBrowser returns nil, after a word in the test's log, if there is none.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	var program string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		if os.Getenv(requireBrowser) != "" {
			t.Fatal("chromium is not on PATH (package chromium)")
		}
		t.Log("did not run: chromium is not on PATH (package chromium)")
		return nil
	}
	theirs, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirsToo, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// No sandbox: root may have none, and what is visited is our own.
	cmd := exec.Command(program, "--headless=new", "--log-level=3", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, theirsToo} // 3 and 4, as the protocol has it
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var said bytes.Buffer
	cmd.Stderr, cmd.WaitDelay = &said, 10*time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirs.Close(), theirsToo.Close()
	b := &browser{t: t, in: in, calls: map[int]chan reply{}}
	read := make(chan struct{})
	go func() { defer close(read); b.listen(out) }()
	t.Cleanup(func() {
		_ = in.Close() // which ends it
		hung := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // it has no manners about exit codes
		hung.Stop()
		<-read
		_ = out.Close()
		if t.Failed() {
			t.Logf("the browser says:\n%s", &said)
		}
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, part := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(part+".enable", nil, nil)
	}
	return b
}

// listen hands on what the browser says until it has ended.
func (b *browser) listen(out *os.File) {
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadBytes(0)
		if err != nil {
			break
		}
		var r reply
		if json.Unmarshal(line[:len(line)-1], &r) != nil {
			continue
		}
		b.mu.Lock()
		switch {
		case r.ID != 0:
			if c := b.calls[r.ID]; c != nil {
				c <- r // there is room for one
				delete(b.calls, r.ID)
			}
		case r.Method == "Runtime.exceptionThrown", r.Method == "Log.entryAdded" && bytes.Contains(r.Params, []byte(`"level":"error"`)):
			b.faults = append(b.faults, string(r.Params))
		}
		b.mu.Unlock()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	for _, c := range b.calls {
		close(c)
	}
}

// call gives a command and decodes its answer.
func (b *browser) call(method string, params map[string]any, into any) {
	b.t.Helper()
	if err := b.try(method, params, into); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) try(method string, params map[string]any, into any) error {
	answer := make(chan reply, 1)
	b.mu.Lock()
	if b.ended {
		b.mu.Unlock()
		return fmt.Errorf("%s: the browser has ended", method)
	}
	b.next++
	id := b.next
	b.calls[id] = answer
	b.mu.Unlock()
	command := map[string]any{"id": id, "method": method, "params": params}
	if b.session != "" {
		command["sessionId"] = b.session
	}
	line, err := json.Marshal(command)
	if err != nil {
		return err
	}
	if _, err := b.in.Write(append(line, 0)); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case r, open := <-answer:
		switch {
		case !open:
			return fmt.Errorf("%s: the browser has ended", method)
		case r.Error != nil:
			return fmt.Errorf("%s: %s", method, r.Error.Message)
		case into != nil:
			return json.Unmarshal(r.Result, into)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s: no answer", method)
	}
}

// run has a page run a script, waits for what it promises, and decodes that.
func (b *browser) run(script string, into any) error {
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	if err := b.try("Runtime.evaluate", map[string]any{"expression": script, "awaitPromise": true, "returnByValue": true}, &answer); err != nil {
		return err
	}
	if e := answer.ExceptionDetails; e != nil {
		return fmt.Errorf("%s %s", e.Text, e.Exception.Description)
	}
	if into == nil || answer.Result.Value == nil {
		return nil
	}
	return json.Unmarshal(answer.Result.Value, into)
}

// holds reports whether a condition is true in the page, which may be on its way to another one.
func (b *browser) holds(condition string) bool {
	var is bool
	return b.run(condition, &is) == nil && is
}

// complaints are what pages have complained of since the last time.
func (b *browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.faults
	b.faults = nil
	return all
}
