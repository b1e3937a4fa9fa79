package listener

import (
	"sync"
	"time"
)

// State says what the listener is doing about hearing changes.
type State uint8

const (
	// Connecting says a connection is being made.
	Connecting State = iota + 1
	// Proving says LISTEN and the first proof are under way.
	Proving
	// Listening says changes are heard as they are committed.
	Listening
	// Deaf says there is no connection, and a pause before the next attempt.
	Deaf
	// Polling says that the sweep is all there is: no source was asked for, or the
	// one there is cannot be heard (Status.Err says why), which is tried again.
	Polling
)

// String returns the state as it stands in logs and on pages.
func (s State) String() string {
	switch s {
	case Connecting:
		return "connecting"
	case Proving:
		return "proving"
	case Listening:
		return "listening"
	case Deaf:
		return "deaf"
	case Polling:
		return "polling"
	default:
		return "unknown"
	}
}

// Status is a snapshot of the listener for health checks and pages.
type Status struct {
	// Source names the way it hears: notify, wal or poll.
	Source string
	// State is what it is doing now.
	State State
	// Since is when it last began to hear or, if it does not hear, when it last
	// stopped. Attempts in between do not move it.
	Since time.Time
	// LastChange is when a commit was last heard; zero before the first.
	LastChange time.Time
	// LastProof is when the path was last proven; zero before the first.
	LastProof time.Time
	// RoundTrip is how long that proof took.
	RoundTrip time.Duration
	// Reconnects counts the times it began to hear again after it had stopped.
	Reconnects int
	// Err is why it does not hear, without secrets; nil while it does.
	Err error
}

// board holds the status that others read while the owner writes it. The mutex
// guards all fields below it.
type board struct {
	mu     sync.Mutex
	status Status
	heard  bool // it has listened before
}

func newBoard(s State, source string) *board {
	return &board{status: Status{Source: source, State: s, Since: time.Now()}}
}

// read returns a copy of the status.
func (b *board) read() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

// listening reports whether changes are heard now.
func (b *board) listening() bool { return b.read().State == Listening }

// enter moves to a state, with the reason when there is one, and reports whether
// it was listening before.
func (b *board) enter(s State, err error) (was bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was = b.status.State == Listening
	if b.status.State == Polling && (s == Connecting || s == Proving) {
		return was // an attempt to hear again is not yet a change
	}
	if was != (s == Listening) {
		b.status.Since = time.Now()
	}
	b.status.State = s
	if err != nil || s == Listening {
		b.status.Err = err
	}
	return was
}

// begin enters [Listening] and reports whether it had listened before.
func (b *board) begin() (again bool) {
	b.enter(Listening, nil)
	b.mu.Lock()
	defer b.mu.Unlock()
	again, b.heard = b.heard, true
	if again {
		b.status.Reconnects++
	}
	return again
}

func (b *board) noteChange(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status.LastChange = at
}

func (b *board) noteProof(at time.Time, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status.LastProof, b.status.RoundTrip = at, took
}
