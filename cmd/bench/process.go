package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is the worker's, under way.
type process struct {
	cmd   *exec.Cmd
	began time.Time
	ended chan struct{} // closed when the program and the reading of its output have ended, with err

	err  error
	mu   sync.Mutex
	tail []string // guarded by mu: the last lines it wrote
	told bool     // guarded by mu: it said that it is ready
}

// keptLines are as many as are shown of a program that failed, and searched for what it said.
const keptLines = 200

// startProcess starts a worker's program, and returns at once.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, began: time.Now(), ended: make(chan struct{})}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { p.read(r) })
	go func() {
		defer close(p.ended)
		p.err = cmd.Wait()
		_ = w.Close() // a pipe in memory
		reading.Wait()
	}()
	return p, nil
}

func (p *process) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		p.mu.Lock()
		p.told = p.told || lines.Text() == "ready"
		if p.tail = append(p.tail, lines.Text()); len(p.tail) > keptLines {
			p.tail = p.tail[1:]
		}
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r) // a line too long; the program is not to wait
}

func (p *process) ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told
}

// said returns the last line that holds text; empty: none does.
func (p *process) said(text string) (line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.tail {
		if strings.Contains(l, text) {
			line = l
		}
	}
	return line
}

// failure says why the program ended, if it was not asked to.
func (p *process) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Errorf("%s ended by itself: %w; its last words:\n%s", p.cmd.Path, errors.Join(p.err, errEnded), strings.Join(p.tail[max(0, len(p.tail)-10):], "\n"))
}

var errEnded = errors.New("nobody had asked it to")

// stopLimit is how long a program may take to end.
const stopLimit = 30 * time.Second

// stop asks the program to end, and kills it if it does not.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopLimit):
	}
	err := p.cmd.Process.Kill()
	<-p.ended
	return errors.Join(fmt.Errorf("%s did not end within %s", p.cmd.Path, stopLimit), err)
}

// until waits for a condition that is asked for again and again, as long as the program runs.
func (p *process) until(ctx context.Context, pause time.Duration, holds func() bool) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for !holds() {
		select {
		case <-p.ended:
			return p.failure()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}
