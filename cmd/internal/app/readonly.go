package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
)

// ReadOnlyError says that a server answers and takes no writes, so that there is nothing to do but wait.
type ReadOnlyError struct {
	Address string // host and port, or a socket
	Standby bool   // in recovery; else default_transaction_read_only is on
	Pooled  bool   // the address is that of a pooler in front of it
}

// Error implements error.
func (e *ReadOnlyError) Error() string {
	switch {
	case e.Standby && e.Pooled:
		return e.Address + " leads to a standby: nothing can be written to it, and it cannot LISTEN"
	case e.Standby:
		return e.Address + " is a standby: nothing can be written to it, and it cannot LISTEN"
	}
	return e.Address + " takes no writes: default_transaction_read_only is on"
}

// Fix says what to do about it.
func (e *ReadOnlyError) Fix() string {
	if e.Standby {
		return "Point DATABASE_URL at the primary, or list all hosts in it (host=a,b); once this server is promoted the worker goes on by itself."
	}
	return "Turn it off for this role or database; on Supabase free disk space first, as a full disk turns it on. The worker then goes on by itself."
}

// The pauses between two remarks about a server that takes no writes.
const (
	firstRemark = 15 * time.Second
	lastRemark  = 10 * time.Minute
)

// vigil tells the log, while the program runs, that it waits for a server that takes writes: at once, then ever more rarely, and once
// when the wait is over. Until the program has started, its start says so.
type vigil struct {
	log     zerolog.Logger
	started func() bool

	mu    sync.Mutex // guards the fields below
	since time.Time  // zero: not waiting
	next  time.Time  // when to say it again
	pause time.Duration
}

var _ pgxpool.AcquireTracer = (*vigil)(nil)

// TraceAcquireStart is of no interest.
func (v *vigil) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	return ctx
}

// TraceAcquireEnd sees whether there is a connection.
func (v *vigil) TraceAcquireEnd(_ context.Context, _ *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	if !v.started() {
		return
	}
	refusal, refused := errors.AsType[*ReadOnlyError](data.Err)
	switch {
	case refused:
		v.waits(refusal, time.Now())
	case data.Err == nil:
		v.ends(time.Now())
	}
}

func (v *vigil) waits(refusal *ReadOnlyError, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.since.IsZero() {
		v.since, v.next, v.pause = now, now, firstRemark
	}
	if now.Before(v.next) {
		return
	}
	v.next, v.pause = now.Add(v.pause), min(2*v.pause, lastRemark)
	v.log.Error().Err(refusal).Dur("for_ms", now.Sub(v.since)).Str("hint", refusal.Fix()).Msg("waiting for a database that takes writes")
}

func (v *vigil) ends(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.since.IsZero() {
		return
	}
	v.log.Info().Dur("waited_ms", now.Sub(v.since)).Msg("the database takes writes again")
	v.since = time.Time{}
}
