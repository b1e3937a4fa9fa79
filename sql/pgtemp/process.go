package pgtemp

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// killGrace is how long a server may take to obey a signal before it is killed.
const killGrace = 15 * time.Second

// process is one run of the postmaster.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed after the process is gone
	err  error         // its exit status, valid after done
}

// startProcess starts cmd from a goroutine that keeps its operating system
// thread until the process is gone. On Linux the death signal of a child is tied
// to the thread that started it: were that thread handed back to the runtime,
// which ends idle threads as it likes, the server would be shot while we live.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.own(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) own(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.err = p.cmd.Wait()
	}
}

// alive reports whether the process still runs.
func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop sends sig and waits. When ctx ends or the grace time passes first the
// whole family is killed: after stop nothing runs.
func (p *process) stop(ctx context.Context, sig os.Signal) {
	if !p.alive() {
		return
	}
	_ = p.cmd.Process.Signal(sig) // gone already is what we want
	grace := time.NewTimer(killGrace)
	defer grace.Stop()
	select {
	case <-p.done:
	case <-ctx.Done():
		p.kill()
	case <-grace.C:
		p.kill()
	}
}

// kill ends the postmaster and its children as a power cut would. The
// postmaster is frozen first, so that it neither starts more children nor
// reacts to losing them.
func (p *process) kill() {
	if !p.alive() {
		return
	}
	pid := p.cmd.Process.Pid
	freeze(pid)
	family := children(pid)
	for _, child := range family {
		killHard(child)
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	for _, child := range family {
		awaitGone(child, killGrace)
	}
}
