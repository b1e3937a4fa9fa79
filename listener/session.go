package listener

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// closeGrace bounds how long a lost connection is waited for.
const closeGrace = time.Second

// session is one connection that LISTENs. Once it has begun it is only read: a
// session that does not drain its socket holds back vacuum for the whole cluster.
type session struct {
	conn    *pgx.Conn
	channel string // quoted
	heard   []string
	count   uint64 // messages received
}

func newSession(conn *pgx.Conn, channel string) *session {
	return &session{conn: conn, channel: pgx.Identifier{channel}.Sanitize()}
}

// begin subscribes. LISTEN is a transaction of its own: it is committed when this
// returns.
func (s *session) begin(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := s.configure(ctx); err != nil {
		return err
	}
	if err := s.exec(ctx, "LISTEN "+s.channel); err != nil {
		return fmt.Errorf("listen on %s: %w", s.channel, err)
	}
	return nil
}

// Receive implements [Path].
func (s *session) Receive(ctx context.Context) (Message, error) {
	for len(s.heard) == 0 {
		msg, err := s.read(ctx)
		if err != nil {
			return Message{}, fmt.Errorf("wait for changes: %w", err)
		}
		if _, ready := msg.(*pgproto3.ReadyForQuery); ready {
			return Message{Pong: true}, nil
		}
	}
	s.count++
	m := Message{Payload: s.heard[0], Position: s.count}
	s.heard = s.heard[:copy(s.heard, s.heard[1:])]
	return m, nil
}

// Acknowledge implements [Path]. The server forgets what it has sent.
func (s *session) Acknowledge(uint64) {}

// Ping implements [Path]. It writes beside the goroutine that reads, and so past
// pgx, which knows of one at a time.
func (s *session) Ping() error {
	sync, err := (&pgproto3.Sync{}).Encode(nil)
	if err != nil {
		return fmt.Errorf("encode ping: %w", err)
	}
	if _, err := s.conn.PgConn().Conn().Write(sync); err != nil {
		return fmt.Errorf("write ping: %w", err)
	}
	return nil
}

// exec runs one statement that returns nothing of interest, and keeps what is heard
// meanwhile.
func (s *session) exec(ctx context.Context, sql string) error {
	if err := s.send(ctx, sql); err != nil {
		return err
	}
	return s.answer(ctx)
}

// answer reads what one statement is answered with, to its end.
func (s *session) answer(ctx context.Context) error {
	var refusal error
	for {
		msg, err := s.read(ctx)
		if err != nil {
			return err
		}
		switch m := msg.(type) {
		case *pgproto3.ErrorResponse:
			refusal = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			return refusal
		}
	}
}

// send writes statements, each a transaction of its own.
func (s *session) send(ctx context.Context, statements ...string) error {
	pc := s.conn.PgConn()
	deadline, _ := ctx.Deadline()
	if err := pc.Conn().SetWriteDeadline(deadline); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	for _, sql := range statements {
		pc.Frontend().SendQuery(&pgproto3.Query{String: sql})
	}
	if err := pc.Frontend().Flush(); err != nil {
		return fmt.Errorf("write statements: %w", err)
	}
	return pc.Conn().SetWriteDeadline(time.Time{})
}

// read reads one protocol message, and keeps its payload if it has one.
func (s *session) read(ctx context.Context) (pgproto3.BackendMessage, error) {
	msg, err := s.conn.PgConn().ReceiveMessage(ctx)
	if err != nil {
		return nil, err
	}
	if m, ok := msg.(*pgproto3.NotificationResponse); ok {
		s.heard = append(s.heard, m.Payload)
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

// Close ends the connection and waits, within bounds, until pgx is done with it.
// A pooler may keep the server's end: that is asked to listen no more.
func (s *session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if !s.conn.IsClosed() {
		_ = s.exec(ctx, "UNLISTEN *")
	}
	_ = s.conn.Close(ctx) // whatever it says, the connection is gone
	select {
	case <-s.conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}
