package listener

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
)

// Connect makes the listener's connection: a dedicated one, never one of a pool,
// which would recycle it. It is called again after every loss.
type Connect func(ctx context.Context) (*pgx.Conn, error)

// Listener hears committed changes and hands them on. Make it with [New], run it
// once with [Listener.Run].
type Listener struct {
	connect Connect
	cfg     Config
	log     zerolog.Logger
	metrics *Metrics

	board *board
	box   *mailbox
	paced chan struct{} // room for one: the sweep's pace may have changed
}

// New returns a listener that connects through connect; a nil connect makes one
// that only sweeps, at the degraded pace. A nil m counts nowhere.
func New(connect Connect, cfg Config, log zerolog.Logger, m *Metrics) *Listener {
	if m == nil {
		m = NewMetrics(nil)
	}
	start := Connecting
	if connect == nil {
		start = Polling
	}
	return &Listener{
		connect: connect,
		cfg:     cfg,
		log:     log.With().Str("component", "listener").Logger(),
		metrics: m,
		board:   newBoard(start),
		box:     newMailbox(),
		paced:   make(chan struct{}, 1),
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
	if l.connect != nil {
		owner.Go(func() { l.stayConnected(ctx) })
	}
	l.deliver(ctx, handle)
	owner.Wait()
	return nil
}

// Status returns a snapshot for health checks and pages.
func (l *Listener) Status() Status { return l.board.read() }

// stayConnected owns the connection: it makes it, reads it, and when it is lost
// makes the next one, until ctx ends.
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
		l.complain(&grumble, err, pause)
		if !sleep(ctx, pause) {
			return
		}
	}
}

// listenOnce makes one connection and hears changes until it is lost. It returns
// for how long it heard, and why it no longer does, without secrets.
func (l *Listener) listenOnce(ctx context.Context) (time.Duration, error) {
	l.board.enter(Connecting, nil)
	conn, err := l.dial(ctx)
	if err != nil {
		return 0, l.stopped(ctx, err)
	}
	s := newSession(conn, l.cfg.Channel, l.heard)
	defer s.close()
	listened, err := l.serve(ctx, s)
	// Before the close, which may take a moment: the sweep is to begin at once.
	return listened, l.stopped(ctx, err)
}

// serve does all that is done with one connection.
func (l *Listener) serve(ctx context.Context, s *session) (time.Duration, error) {
	l.board.enter(Proving, nil)
	if err := l.subscribe(ctx, s); err != nil {
		return 0, err
	}
	since := time.Now()
	l.began()
	err := l.follow(ctx, s)
	return time.Since(since), err
}

func (l *Listener) dial(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ConnectTimeout)
	defer cancel()
	conn, err := l.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// subscribe does what must be done before anything may be trusted: LISTEN,
// committed, then the proof that what is sent arrives.
func (l *Listener) subscribe(ctx context.Context, s *session) error {
	limited, cancel := context.WithTimeout(ctx, l.cfg.ConnectTimeout)
	defer cancel()
	if err := s.configure(limited); err != nil {
		return err
	}
	if err := s.listen(limited); err != nil {
		return err
	}
	return l.prove(ctx, s)
}

// follow hears changes and proves the path now and then, until one of them fails.
func (l *Listener) follow(ctx context.Context, s *session) error {
	for {
		if err := s.follow(ctx, time.Now().Add(l.cfg.ProofInterval)); err != nil {
			return err
		}
		if err := l.prove(ctx, s); err != nil {
			return err
		}
		if err := l.measureQueue(ctx, s); err != nil {
			return err
		}
	}
}

func (l *Listener) prove(ctx context.Context, s *session) error {
	sent := time.Now()
	if err := s.prove(ctx, l.cfg.ProofTimeout); err != nil {
		return err
	}
	took := time.Since(sent)
	l.board.noteProof(sent.Add(took), took)
	l.metrics.roundTrip.Observe(took.Seconds())
	l.metrics.lastProof.Set(seconds(sent.Add(took)))
	return nil
}

// measureQueue shows how full the server's queue is. A listener that does not read
// fills it for everybody, so whoever listens should be able to tell.
func (l *Listener) measureQueue(ctx context.Context, s *session) error {
	usage, err := s.queueUsage(ctx, l.cfg.ProofTimeout)
	if err != nil && !refused(err) {
		return err
	}
	l.metrics.queueUsage.Set(usage)
	return nil
}

// heard takes in one committed change.
func (l *Listener) heard() {
	now := time.Now()
	l.board.noteChange(now)
	l.metrics.heard.Inc()
	l.metrics.lastChange.Set(seconds(now))
	l.box.put(Change{Cause: Committed, At: now, Count: 1})
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
	e := l.log.Info().Str("channel", l.cfg.Channel).Dur("round_trip", l.board.read().RoundTrip)
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
	l.board.enter(Deaf, err)
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
	if errors.Is(err, ErrNoProof) {
		e = e.Str("hint", "a pooler in transaction mode never delivers; use a direct or session-mode connection")
	}
	e.Msg("cannot hear changes, sweeping instead")
}
