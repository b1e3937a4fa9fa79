package wal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// heard is what one step has brought.
type heard struct {
	any    bool // anything at all
	pong   bool
	ended  bool // a transaction
	commit commit
}

// step tells the server what it is to be told, and reads one message of the
// protocol, or none when it is time to tell the server again.
func (p *path) step(ctx context.Context) (heard, error) {
	if err := ctx.Err(); err != nil {
		return heard{}, err
	}
	if err := p.tell(time.Now()); err != nil {
		return heard{}, err
	}
	if err := p.arm(); err != nil {
		return heard{}, err
	}
	msg, err := p.link.conn.PgConn().Frontend().Receive()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return heard{}, nil // and not any timeout: a dead connection's error is one, too
	}
	if long, ok := errors.AsType[*pgproto3.ExceededMaxBodyLenErr](err); ok {
		return heard{}, &MalformedError{fmt.Sprintf("it has %d bytes, more than the limit of %d", long.ActualBodyLen, long.MaxExpectedBodyLen)}
	}
	if err != nil {
		return heard{}, err
	}
	h, err := p.take(msg)
	h.any = true
	return h, err
}

// arm has the next read end when the server is to be told again.
func (p *path) arm() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	until := p.report
	if p.nudged {
		until, p.nudged = past, false
	}
	return p.link.conn.PgConn().Conn().SetReadDeadline(until)
}

// past is a deadline that interrupts at once.
var past = time.Unix(1, 0)

// nudge interrupts a read, or the next one.
func (p *path) nudge() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nudged = true
	_ = p.link.conn.PgConn().Conn().SetReadDeadline(past) // a closed connection waits for nothing
}

// take reads one message of the protocol.
func (p *path) take(msg pgproto3.BackendMessage) (heard, error) {
	switch m := msg.(type) {
	case *pgproto3.CopyData:
		return p.data(m.Data)
	case *pgproto3.ErrorResponse:
		err := pgconn.ErrorResponseToPgError(m)
		if hasCode(err, notInThatState, undefined) {
			p.source.ruined.Store(true) // only a permanent slot is asked for that
		}
		return heard{}, err
	case *pgproto3.CopyDone, *pgproto3.CommandComplete, *pgproto3.ReadyForQuery:
		return heard{}, errors.New("the server has ended the stream")
	}
	return heard{}, nil // what the server may say at any time
}

// data reads one message of the replication protocol.
func (p *path) data(b []byte) (heard, error) {
	if len(b) == 0 {
		return heard{}, &MalformedError{"it has no bytes"}
	}
	switch b[0] {
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		k, err := pglogrepl.ParsePrimaryKeepaliveMessage(b[1:])
		if err != nil {
			return heard{}, &MalformedError{err.Error()}
		}
		return p.keepalive(k), nil
	case pglogrepl.XLogDataByteID:
		x, err := pglogrepl.ParseXLogData(b[1:])
		if err != nil {
			return heard{}, &MalformedError{err.Error()}
		}
		c, ended, err := p.stream.take(x.WALData)
		if ended && c.word.count == 0 {
			p.passed(c.end)
		}
		return heard{ended: ended, commit: c}, err
	}
	return heard{}, nil
}

// keepalive notes how far the server has read, which is how far we have received
// unless it is in the middle of a transaction.
func (p *path) keepalive(k pglogrepl.PrimaryKeepaliveMessage) heard {
	if !p.stream.inside {
		p.passed(uint64(k.ServerWALEnd))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if lag := int64(k.ServerWALEnd) - int64(p.progress.settled); lag >= 0 {
		p.source.metrics.lag.Set(float64(lag))
	}
	if k.ReplyRequested {
		p.report = time.Time{}
		return heard{}
	}
	pong := p.awaited
	p.awaited = false
	return heard{pong: pong}
}

func (p *path) passed(end uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.progress.pass(end)
}

// tell sends a sign of life and how far the log has been dealt with, if it is time
// to, or wanted.
func (p *path) tell(now time.Time) error {
	p.mu.Lock()
	ask, due := p.ping, !now.Before(p.report)
	if !ask && !due {
		p.mu.Unlock()
		return nil
	}
	p.ping, p.awaited = false, p.awaited || ask
	p.report = now.Add(p.source.cfg.StatusInterval)
	at := p.progress
	p.mu.Unlock()
	p.source.metrics.reports.Inc()
	return p.send(at, ask, p.source.cfg.SenderTimeout)
}

// send writes a status update. All three positions are set: the library takes a
// missing one from another.
func (p *path) send(at progress, ask bool, limit time.Duration) error {
	pc := p.link.conn.PgConn()
	if err := pc.Conn().SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	err := pglogrepl.SendStandbyStatusUpdate(context.Background(), pc, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: pglogrepl.LSN(at.received),
		WALFlushPosition: pglogrepl.LSN(at.settled),
		WALApplyPosition: pglogrepl.LSN(at.settled),
		ReplyRequested:   ask,
	})
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return pc.Conn().SetWriteDeadline(time.Time{})
}
