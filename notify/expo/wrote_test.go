package expo

import (
	"net"
	"testing"
	"time"
)

// A request is written when the kernel has taken it, and not when it was handed on to be written.
func TestWroteIsWhenItWasTaken(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe() // a write ends when it is read
	t.Cleanup(func() { here.Close(); there.Close() })
	g, l := &gate{Conn: here}, &limit{}
	g.limit.Store(l)
	written := make(chan error, 1)
	go func() { _, err := g.Write([]byte("message")); written <- err }()
	b := make([]byte, 4)
	if _, err := there.Read(b); err != nil {
		t.Fatal(err)
	}
	if l.wrote.Load() != nil {
		t.Error("written although half of it is not taken")
	}
	taken := time.Now()
	if _, err := there.Read(b); err != nil {
		t.Fatal(err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	at := l.wrote.Load()
	if at == nil || at.Before(taken) {
		t.Errorf("written at %v, taken after %s", at, taken)
	}
	there.Close()
	if _, err := g.Write([]byte("nothing")); err == nil || l.wrote.Load() != at {
		t.Errorf("what was not taken counts as written: %v", err)
	}
}
