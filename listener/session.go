package listener

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// ErrNoProof says that LISTEN was accepted and the listener's own NOTIFY did not
// come back: typically a pooler in transaction mode sits in between.
var ErrNoProof = errors.New("own proof did not arrive")

const (
	// proofPrefix marks the payload of a proof. Any other payload is a change.
	proofPrefix = "proof:"
	// closeGrace bounds how long a lost connection is waited for.
	closeGrace = time.Second
)

// session is one connection that listens. Only its owner's goroutine uses it.
type session struct {
	conn    *pgx.Conn
	channel string // quoted
	proof   string // the payload only this session sends
	proven  bool   // it has arrived since it was last sent
	heard   func() // called for every change
}

func newSession(conn *pgx.Conn, channel string, heard func()) *session {
	return &session{
		conn:    conn,
		channel: pgx.Identifier{channel}.Sanitize(),
		proof:   proofPrefix + rand.Text(),
		heard:   heard,
	}
}

// listen subscribes. The statement is a transaction of its own: it is committed
// when this returns.
func (s *session) listen(ctx context.Context) error {
	if err := s.exec(ctx, "LISTEN "+s.channel); err != nil {
		return fmt.Errorf("listen on %s: %w", s.channel, err)
	}
	return nil
}

// prove sends the session's own payload and waits until it arrives.
func (s *session) prove(ctx context.Context, timeout time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s.proven = false
	if err := s.exec(limited, fmt.Sprintf("NOTIFY %s, '%s'", s.channel, s.proof)); err != nil {
		return fmt.Errorf("send proof within %v: %w", timeout, err)
	}
	for !s.proven {
		_, err := s.receive(limited)
		if err != nil && ctx.Err() == nil && pgconn.Timeout(err) {
			err = ErrNoProof // the server answers, so the path is there: it swallows
		}
		if err != nil {
			return fmt.Errorf("wait %v for proof: %w", timeout, err)
		}
	}
	return nil
}

// follow hears changes until the deadline, which is no error, or a failure.
func (s *session) follow(ctx context.Context, until time.Time) error {
	limited, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for {
		_, err := s.receive(limited)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case pgconn.Timeout(err):
			return nil // pgx leaves a connection open whose read timed out
		default:
			return fmt.Errorf("wait for changes: %w", err)
		}
	}
}

// exec runs one statement that returns nothing of interest.
func (s *session) exec(ctx context.Context, sql string) error {
	_, err := s.query(ctx, sql)
	return err
}

// query runs one statement to its end, hears what arrives meanwhile, and returns
// the first value of the last row.
func (s *session) query(ctx context.Context, sql string) (value string, err error) {
	if err := s.send(ctx, sql); err != nil {
		return "", err
	}
	var refusal error
	for {
		msg, err := s.receive(ctx)
		if err != nil {
			return "", err
		}
		switch m := msg.(type) {
		case *pgproto3.DataRow:
			value = string(m.Values[0]) // the message is valid until the next one
		case *pgproto3.ErrorResponse:
			refusal = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			return value, refusal
		}
	}
}

// queueUsage returns how much of the server's queue of undelivered changes is in
// use, 0 to 1. When it is full, commits that notify fail.
func (s *session) queueUsage(ctx context.Context, timeout time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	text, err := s.query(ctx, "SELECT pg_catalog.pg_notification_queue_usage()")
	if err != nil {
		return 0, fmt.Errorf("read queue usage: %w", err)
	}
	usage, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("read queue usage: %w", err)
	}
	return usage, nil
}

// send writes one statement.
func (s *session) send(ctx context.Context, sql string) error {
	pc := s.conn.PgConn()
	deadline, _ := ctx.Deadline()
	if err := pc.Conn().SetWriteDeadline(deadline); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	pc.Frontend().SendQuery(&pgproto3.Query{String: sql})
	if err := pc.Frontend().Flush(); err != nil {
		return fmt.Errorf("write statement: %w", err)
	}
	return pc.Conn().SetWriteDeadline(time.Time{})
}

// receive reads one protocol message, and hears it if it is a change or a proof.
func (s *session) receive(ctx context.Context) (pgproto3.BackendMessage, error) {
	msg, err := s.conn.PgConn().ReceiveMessage(ctx)
	if err != nil {
		return nil, err
	}
	if m, ok := msg.(*pgproto3.NotificationResponse); ok {
		s.hear(m.Payload)
		// pgx keeps a copy until it is asked for, and its list would grow. Asked
		// with a context that has ended it hands out what it has and never waits.
		_, _ = s.conn.WaitForNotification(ended)
	}
	return msg, nil
}

// ended is a context that has ended.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// hear tells proofs from changes. The proofs of other workers prove nothing here.
func (s *session) hear(payload string) {
	switch {
	case payload == s.proof:
		s.proven = true
	case strings.HasPrefix(payload, proofPrefix):
	default:
		s.heard()
	}
}

// close ends the connection and waits, within bounds, until pgx is done with it.
func (s *session) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	_ = s.conn.Close(ctx) // whatever it says, the connection is gone
	select {
	case <-s.conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}
