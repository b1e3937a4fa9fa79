package wal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pglogrepl"
	"github.com/rs/zerolog"

	"github.com/parentpal/reminder-worker/listener"
)

// Connect makes a connection of replication: one with a configuration that
// [Config.Shape] has seen.
type Connect = listener.Connect

// Source hears what the triggers write into the log. Make it with [New].
type Source struct {
	connect Connect
	bell    listener.Bell
	cfg     Config
	log     zerolog.Logger
	metrics *Metrics
	ruined  atomic.Bool             // the permanent slot has failed in the stream
	last    atomic.Pointer[process] // that served this worker; nil: none
}

var _ listener.Source = (*Source)(nil)

// New returns a source over connections that connect makes. A nil m counts
// nowhere.
func New(connect Connect, bell listener.Bell, cfg Config, log zerolog.Logger, m *Metrics) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check replication settings: %w", err)
	}
	if m == nil {
		m = NewMetrics(nil)
	}
	return &Source{
		connect: connect, bell: bell, cfg: cfg, metrics: m,
		log: log.With().Str("component", "listener").Str("source", "wal").Logger(),
	}, nil
}

// Name implements [listener.Source].
func (*Source) Name() string { return "wal" }

// Bell implements [listener.Source].
func (s *Source) Bell() listener.Bell { return s.bell }

// opening is one connection on its way to become a path.
type opening struct {
	*Source
	*link
	seen survey
}

// Open implements [listener.Source].
func (s *Source) Open(ctx context.Context) (listener.Path, error) {
	l, err := dial(ctx, s.connect)
	if err != nil {
		return nil, err
	}
	p, err := (&opening{Source: s, link: l}).begin(ctx)
	if err != nil {
		l.close()
		return nil, err
	}
	return p, nil
}

// dial makes a connection and sees that it is one of replication.
func dial(ctx context.Context, connect Connect) (*link, error) {
	limited, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	conn, err := connect(limited)
	if err != nil {
		return nil, whyNoConnection(err)
	}
	conn.PgConn().Frontend().SetMaxBodyLen(longestMessage)
	l := &link{conn: conn}
	if _, err = l.query(ctx, "IDENTIFY_SYSTEM"); hasCode(err, syntaxError) {
		err = notDirect("this is an ordinary connection, though one of replication was asked for", err)
	} else if err == nil {
		err = l.configure(ctx)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// begin makes what is needed, and reads up to now.
func (o *opening) begin(ctx context.Context) (_ *path, err error) {
	if o.seen, err = o.look(ctx, o.cfg.Publication); err != nil {
		return nil, err
	}
	if err := errors.Join(o.seen.faults(o.cfg.Publication)...); err != nil {
		return nil, err
	}
	// Before the slot: the server looks for the publication as it was at the
	// moment that it decodes.
	if err := o.publish(ctx); err != nil {
		return nil, err
	}
	from, err := o.obtain(ctx)
	if err != nil {
		return nil, err
	}
	p, err := o.stream(ctx, from)
	if hasCode(err, notInThatState, undefined) && o.cfg.Slot != "" {
		if from, err = o.renew(ctx, from.slot); err != nil {
			return nil, err
		}
		p, err = o.stream(ctx, from)
	}
	if hasCode(err, inUse) {
		return nil, o.busy(ctx, from.slot)
	}
	if err != nil {
		return nil, err
	}
	return p, p.catchUp(ctx)
}

// served is the process that served this worker last.
func (s *Source) served() process {
	if last := s.last.Load(); last != nil {
		return *last
	}
	return process{}
}

// publish makes the publication, without a table, if it is missing.
func (o *opening) publish(ctx context.Context) error {
	if o.seen.publication {
		return nil
	}
	_, err := o.query(ctx, "CREATE PUBLICATION "+o.cfg.Publication)
	if err != nil && !hasCode(err, duplicate, duplicateRow) { // another worker may do the same
		return fmt.Errorf("make publication %q: %w", o.cfg.Publication, err)
	}
	return nil
}

// fence is a message that says: from here on.
type fence struct {
	text string
	at   uint64 // before its commit
}

// fence writes one.
func (o *opening) fence(ctx context.Context) (fence, error) {
	text := rand.Text()
	rows, err := o.query(ctx, "select pg_catalog.pg_logical_emit_message(true, '"+fencePrefix+"', '"+text+"')")
	if err != nil {
		return fence{}, fmt.Errorf("write fence: %w", err)
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return fence{}, errors.New("write fence: the answer is not one row")
	}
	at, err := pglogrepl.ParseLSN(rows[0][0])
	if err != nil {
		return fence{}, fmt.Errorf("write fence: %w", err)
	}
	return fence{text, uint64(at)}, nil
}

// stream starts the stream at a new fence.
func (o *opening) stream(ctx context.Context, from place) (*path, error) {
	f, err := o.fence(ctx)
	if err != nil {
		return nil, err
	}
	err = o.start(ctx, from.slot, o.cfg.Publication, f.at)
	if !hasCode(err, inUse) {
		o.last.Store(&o.seen.me)
	}
	if err != nil {
		return nil, fmt.Errorf("start to stream from slot %q: %w", from.slot, err)
	}
	return newPath(o.Source, o.link, from, f), nil
}
