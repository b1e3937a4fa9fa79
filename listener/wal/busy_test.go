package wal

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/parentpal/reminder-worker/listener"
)

// reported is how often the server has been told.
func (p *path) reported() float64 { return testutil.ToFloat64(p.source.metrics.reports) }

// pause stops the server's process that serves the rig's slot, until resume: it says
// nothing, as one that decodes a large transaction.
func (r *rig) pause() (resume func()) {
	r.t.Helper()
	pid, err := strconv.Atoi(ask[string](r, `select active_pid::text from pg_replication_slots where slot_name = $1`, r.cfg.Slot))
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGSTOP)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	resume = func() { _ = syscall.Kill(pid, syscall.SIGCONT) }
	r.t.Cleanup(resume)
	return resume
}

// alone has a server of its own: others wait for a process that is stopped.
func alone(t *testing.T) *rig {
	_, pool, url := ownServer(t, nil)
	return rigOn(t, pool, url)
}

// distant is a fence that is not written yet.
const distant = "distant"

// begun is an opening that streams, and has yet to catch up with a distant fence.
func (r *rig) begun(s *Source) *path {
	r.t.Helper()
	l, err := dial(r.t.Context(), s.connect)
	if err != nil {
		r.t.Fatal(err)
	}
	o := &opening{Source: s, link: l}
	r.t.Cleanup(l.close)
	if o.seen, err = o.look(r.t.Context(), o.cfg.Publication); err != nil {
		r.t.Fatal(err)
	}
	from, err := o.obtain(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	p, err := o.stream(r.t.Context(), from)
	if err != nil {
		r.t.Fatal(err)
	}
	p.fence.text = distant
	return p
}

// A server that is busy for longer than it would wait for us is waited for.
func TestABusyServerIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := alone(t).permanent()
	r.cfg.SenderTimeout = time.Second
	r.open("").Close()
	r.free()
	p := r.begun(r.source(""))
	resume := r.pause()
	caught := make(chan error, 1)
	go func() { caught <- p.catchUp(t.Context()) }()
	twice := float64(2 * r.cfg.SenderTimeout / r.cfg.StatusInterval)
	r.until("it has been told in vain for long", func() bool { return p.reported() > twice })
	select {
	case err := <-caught:
		t.Fatalf("given up: %v", err)
	default:
	}
	r.exec(`select pg_logical_emit_message(true, $1, $2)`, fencePrefix, distant)
	resume()
	if err := <-caught; err != nil {
		t.Fatal(err)
	}
	r.say("later")
	for r.next(p).Payload != "later" {
	}
}

func TestABusyServerIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	r := alone(t).permanent()
	r.cfg.SenderTimeout, r.cfg.CatchUpTimeout = time.Second, time.Second
	r.open("").Close()
	r.free()
	p := r.begun(r.source(""))
	resume := r.pause()
	if err := p.catchUp(t.Context()); !errors.Is(err, errSilent) {
		t.Errorf("got %v, want %v", err, errSilent)
	}
	resume()
}

func TestCatchingUpEndsWithItsContext(t *testing.T) {
	t.Parallel()
	r := alone(t).permanent()
	r.open("").Close()
	r.free()
	p := r.begun(r.source(""))
	defer r.pause()()
	ctx, cancel := context.WithCancel(t.Context())
	caught := make(chan error, 1)
	go func() { caught <- p.catchUp(ctx) }()
	reports := p.reported()
	r.until("it waits", func() bool { return p.reported() > reports+3 })
	cancel()
	select {
	case err := <-caught:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("still waiting")
	}
}

// A slot that the server still holds for our own last connection is not another
// worker's.
func TestAnAbandonedSlotIsNotAnotherWorkers(t *testing.T) {
	t.Parallel()
	r := alone(t).permanent()
	s := r.source("")
	p, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pid := ask[string](r, `select active_pid::text from pg_replication_slots where slot_name = $1`, r.cfg.Slot)
	resume := r.pause()
	p.Close()
	_, err = s.Open(t.Context())
	held, ok := errors.AsType[*HeldError](err)
	if !ok || errors.Is(err, listener.ErrBusy) || held.PID != pid {
		t.Errorf("got %v, want a HeldError that names %s", err, pid)
	}
	if _, err := r.source("").Open(t.Context()); !errors.Is(err, listener.ErrBusy) {
		t.Errorf("another worker gets %v", err)
	}
	resume()
	r.until("it is free", func() bool {
		p, err = s.Open(t.Context())
		return err == nil
	})
	p.Close()
}

// rewrites are 300,000 rows that a change of type writes anew: nothing of it is
// published, and the server decodes all of it before it says a word.
var rewrites = []string{
	`create table wide (n int, filler text)`,
	`insert into wide select n, repeat('x', 20) from generate_series(1, 300000) n`,
	`alter table wide alter column n type bigint`,
}

// A path is given up behind a large transaction, or in the middle of it, and opened
// again. What the server sends and what it passes over shows elsewhere.
func TestAPathIsOpenedAgainBehindALargeTransaction(t *testing.T) {
	t.Parallel()
	r := newRig(t).permanent()
	s := r.source("")
	p, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stop := r.serve(p)
	for _, sql := range rewrites {
		r.exec(sql)
	}
	stop()
	r.say("behind it")
	began := time.Now()
	r.gaveUp(p, 100*time.Millisecond)
	t.Logf("given up %v after the commit", time.Since(began))
	p.Close()
	r.until("it is open again", func() bool {
		p, err = s.Open(t.Context())
		if _, held := errors.AsType[*HeldError](err); err != nil && !held {
			t.Fatal(err)
		}
		return err == nil
	})
	t.Logf("open again after %v", time.Since(began))
	t.Cleanup(p.Close)
	if m := r.next(p); m.Payload != "" {
		t.Errorf("heard %+v, want a commit that stands for what was missed", m)
	}
	r.say("later")
	if m := r.next(p); m.Payload != "later" {
		t.Errorf("heard %+v", m)
	}
}

// gaveUp receives until a pong takes longer than a limit, or the message behind a
// large transaction has come.
func (r *rig) gaveUp(p listener.Path, limit time.Duration) {
	r.t.Helper()
	for {
		if err := p.Ping(); err != nil {
			r.t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(r.t.Context(), limit)
		m, err := p.Receive(ctx)
		cancel()
		if err != nil || m.Payload == "behind it" {
			r.t.Logf("%+v, %v", m, err)
			return
		}
	}
}

// What others write into the log is bounded: it costs a path at most.
func TestAMessageOfOthersThatIsTooLong(t *testing.T) {
	t.Parallel()
	r := newRig(t).permanent()
	p := r.open("")
	r.exec(`select pg_logical_emit_message(true, 'somebody else', repeat('x', $1))`, longestMessage+1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := p.Receive(ctx)
	if bad, ok := errors.AsType[*MalformedError](err); !ok || !strings.Contains(bad.Fault, strconv.Itoa(longestMessage)) {
		t.Errorf("got %v, want a MalformedError that names the limit", err)
	}
	p.Close()
	p = r.reopen("") // the slot still has it, and the server passes it over
	if m := r.next(p); m.Payload != "" {
		t.Errorf("heard %+v, want a commit that stands for what was missed", m)
	}
	r.say("later")
	if m := r.next(p); m.Payload != "later" {
		t.Errorf("heard %+v", m)
	}
}

// free waits until nobody reads the rig's slot.
func (r *rig) free() {
	r.t.Helper()
	r.until("the slot is free", func() bool {
		return !ask[bool](r, `select active from pg_replication_slots where slot_name = $1`, r.cfg.Slot)
	})
}
