package listener

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Listener hears committed changes and hands them on. Make it with [New], run it
// once with [Listener.Run].
type Listener struct {
	source  Source
	cfg     Config
	log     zerolog.Logger
	metrics *Metrics

	board *board
	box   *mailbox
	paced chan struct{} // room for one: the sweep's pace may have changed
	tells chan struct{} // room for one: the other workers are to be told
}

// New returns a listener that hears through source; a nil source makes one that
// only sweeps, at the degraded pace. A nil m counts nowhere.
func New(source Source, cfg Config, log zerolog.Logger, m *Metrics) *Listener {
	if m == nil {
		m = NewMetrics(nil)
	}
	start, name := Connecting, "poll"
	if source == nil {
		start = Polling
	} else {
		name = source.Name()
	}
	return &Listener{
		source:  source,
		cfg:     cfg,
		log:     log.With().Str("component", "listener").Str("source", name).Logger(),
		metrics: m,
		board:   newBoard(start, name),
		box:     newMailbox(),
		paced:   make(chan struct{}, 1),
		tells:   make(chan struct{}, 1),
	}
}

// Run hands changes to handle, one call at a time, until ctx ends, which is no
// error. A call under way is waited for. No failure of the database ends it; the
// only error is a configuration that is not valid.
func (l *Listener) Run(ctx context.Context, handle func(Change)) error {
	if err := l.cfg.Validate(); err != nil {
		return fmt.Errorf("check listener configuration: %w", err)
	}
	var owner sync.WaitGroup
	if l.source != nil {
		owner.Go(func() { l.stayConnected(ctx) })
	}
	l.deliver(ctx, handle)
	owner.Wait()
	return nil
}

// Status returns a snapshot for health checks and pages.
func (l *Listener) Status() Status { return l.board.read() }

// Tell has the other workers look at the tables, soon: this worker has written what
// no trigger announces. It never blocks; several calls may become one.
func (l *Listener) Tell() {
	select {
	case l.tells <- struct{}{}:
	default: // they are about to be told
	}
}

// busyPause is the longest pause before a source that another worker has is asked
// for again.
const busyPause = 3 * time.Second

// stayConnected owns the path: it makes it, reads it, and when it is lost makes the
// next one, until ctx ends.
func (l *Listener) stayConnected(ctx context.Context) {
	pauses := backoff{min: l.cfg.BackoffMin, max: l.cfg.BackoffMax, jitter: l.cfg.Jitter}
	var grumble complaints
	for {
		listened, err := l.listenOnce(ctx)
		if ctx.Err() != nil {
			return
		}
		if listened > 0 && listened >= l.cfg.HealthyAfter {
			pauses.reset()
			grumble = complaints{}
		}
		pause := pauses.pause()
		if errors.Is(err, ErrBusy) {
			pause = min(pause, l.cfg.Jitter(busyPause)) // the other worker may be gone any moment
		}
		l.complain(&grumble, err, pause)
		if !l.rest(ctx, pause) {
			return
		}
	}
}

// rest waits for d, and has the other workers told meanwhile: the bell may work
// although nothing is heard. It reports whether ctx was still alive then.
func (l *Listener) rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	words := newSpeaker()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
			return true
		case <-l.tells:
			limited, cancel := context.WithTimeout(ctx, l.cfg.ProofTimeout)
			_, err := l.source.Bell().Send(limited, words.say(toldWord).String())
			cancel()
			if err != nil {
				l.log.Debug().Err(redact(err)).Msg("other workers not told")
			}
			if !sleep(ctx, l.cfg.TellInterval) {
				return false
			}
		}
	}
}

// listenOnce makes one path and hears changes until it is lost. It returns for how
// long it heard, and why it no longer does, without secrets.
func (l *Listener) listenOnce(ctx context.Context) (time.Duration, error) {
	l.board.enter(Connecting, nil)
	path, err := l.source.Open(ctx)
	if err != nil {
		return 0, l.stopped(ctx, err)
	}
	defer path.Close()
	listened, err := l.follow(ctx, path)
	// Before the close, which may take a moment: the sweep is to begin at once.
	return listened, l.stopped(ctx, err)
}

// follow does all that is done with one path: one goroutine reads it, this one
// keeps the bell.
func (l *Listener) follow(ctx context.Context, path Path) (time.Duration, error) {
	l.board.enter(Proving, nil)
	ctx, cancel := context.WithCancelCause(ctx)
	k := newKeeper(l, l.source.Bell(), path)
	var reader sync.WaitGroup
	reader.Go(func() { cancel(l.read(ctx, path, k)) })
	cancel(k.run(ctx))
	reader.Wait()
	if k.began.IsZero() {
		return 0, context.Cause(ctx)
	}
	return time.Since(k.began), context.Cause(ctx)
}

// read hears one path until it fails. It never waits for anything else.
func (l *Listener) read(ctx context.Context, path Path, k *keeper) error {
	done := &acks{path: path}
	rush := newStorm(l.cfg.StormCommits, l.cfg.StormWithin)
	for {
		m, err := path.Receive(ctx)
		if err != nil {
			return err
		}
		if m.Pong {
			k.inbox.leavePong()
			continue
		}
		w, isWord := parseWord(m.Payload)
		if m.Early && (!isWord || w.kind == toldWord) {
			k.inbox.leaveEarly()
		}
		switch mine := w.owner == k.words.name; {
		case !isWord:
			if l.heard(done, m); rush.note(time.Now()) {
				rush.reset()
				k.inbox.leaveStorm()
			}
			continue
		case mine:
			k.inbox.leaveOwn(w)
		case w.kind == toldWord:
			done.commit(m.Position)
			l.box.put(Change{Cause: Look, At: time.Now(), acks: done, upto: m.Position})
			continue
		case w.kind == hushWord:
			k.inbox.leaveHush()
		}
		done.other(m.Position)
	}
}

// proved notes that the path has brought back a word.
func (l *Listener) proved(took time.Duration) {
	now := time.Now()
	l.board.noteProof(now, took)
	l.metrics.roundTrip.Observe(took.Seconds())
	l.metrics.lastProof.Set(seconds(now))
}

// heard takes in one committed change.
func (l *Listener) heard(done *acks, m Message) {
	now := time.Now()
	done.commit(m.Position)
	l.board.noteChange(now)
	l.metrics.heard.Inc()
	l.metrics.lastChange.Set(seconds(now))
	l.box.put(Change{Cause: Committed, At: now, Count: 1, OnlyEvents: m.Payload == eventsPayload, acks: done, upto: m.Position})
}

// look has the handler look for commits that nobody announces.
func (l *Listener) look() { l.box.put(Change{Cause: Look, At: time.Now()}) }

// gap notes that commits may have gone unannounced while we believed to hear.
func (l *Listener) gap() {
	l.metrics.gaps.Inc()
	l.log.Warn().Msg("commits were not announced for a while, reading the backlog")
	l.box.put(Change{Cause: Backlog, At: time.Now()})
}

// began enters the listening state; everything before it is backlog.
func (l *Listener) began() {
	before := l.board.read()
	again := l.board.begin()
	if again {
		l.metrics.reconnects.Inc()
	}
	l.metrics.connected.Set(1)
	l.repace()
	l.box.put(Change{Cause: Backlog, At: time.Now()})
	e := l.log.Info().Dur("round_trip", l.board.read().RoundTrip)
	if before.Err != nil {
		e = e.Dur("deaf_for", time.Since(before.Since))
	}
	e.Msg("listening")
}

// stopped leaves the listening state, if it was in it, and returns the reason
// without secrets. An end that was asked for is no failure.
func (l *Listener) stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = nil
	}
	err = redact(err)
	state := Deaf
	if errors.Is(err, ErrNoProof) && l.board.read().State != Listening || errors.Is(err, ErrBusy) {
		state = Polling // there is nothing to be mended on the way there
	}
	l.board.enter(state, err)
	l.metrics.connected.Set(0)
	if err != nil {
		l.metrics.failures.Inc()
	}
	l.repace()
	return err
}

// complain logs a failure, unless it has been logged often enough.
func (l *Listener) complain(g *complaints, err error, pause time.Duration) {
	log, times := g.worth(err)
	if !log {
		return
	}
	e := l.log.Warn().Err(err).Uint("times", times).Dur("retry_in", pause).Dur("sweep_every", l.cfg.SweepDegraded)
	if errors.Is(err, ErrNoProof) && l.board.read().State == Polling {
		e = e.Str("hint", "a pooler in transaction mode accepts to listen and never delivers; use a direct or session-mode connection")
	}
	e.Msg("cannot hear changes, sweeping instead")
}
