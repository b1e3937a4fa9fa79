package wal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync/atomic"

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
	ruined  atomic.Bool // the permanent slot has failed in the stream
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
	name, at, err := o.obtain(ctx)
	if err != nil {
		return nil, err
	}
	fence, err := o.fence(ctx)
	if err != nil {
		return nil, err
	}
	if at, err = o.stream(ctx, name, at); err != nil {
		return nil, err
	}
	p := newPath(o.Source, o.link, at)
	return p, p.catchUp(ctx, fence)
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

// fence writes a message that says: up to here.
func (o *opening) fence(ctx context.Context) (string, error) {
	text := rand.Text()
	_, err := o.query(ctx, "select pg_catalog.pg_logical_emit_message(true, '"+fencePrefix+"', '"+text+"')")
	if err != nil {
		return "", fmt.Errorf("write fence: %w", err)
	}
	return text, nil
}

// stream starts the stream, with a slot made anew if this one cannot be read. It
// returns where the stream begins.
func (o *opening) stream(ctx context.Context, name string, at uint64) (uint64, error) {
	err := o.start(ctx, name, o.cfg.Publication)
	if hasCode(err, notInThatState, undefined) && o.cfg.Slot != "" {
		if name, at, err = o.renew(ctx, name); err != nil {
			return 0, err
		}
		err = o.start(ctx, name, o.cfg.Publication)
	}
	if hasCode(err, inUse) {
		return 0, o.busy(ctx, name)
	}
	if err != nil {
		return 0, fmt.Errorf("start to stream from slot %q: %w", name, err)
	}
	return at, nil
}
