package wal

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	// openTimeout bounds connecting, and every question before the stream.
	openTimeout = 10 * time.Second
	// closeGrace bounds how long a connection that is given up is waited for.
	closeGrace = time.Second
	// longestMessage is how many bytes one message of the server may have. Ours are
	// short, but those of others, who may write up to 1 GB, are read first and passed
	// over then.
	longestMessage = 16 << 20
)

// link is a connection of replication before it streams. One goroutine uses it. It
// is read and written one protocol message at a time, as listener's own is.
type link struct {
	conn  *pgx.Conn
	asked bool // a command is under way

	rows    [][]string // of its answer, so far
	refusal error
}

// settings protect a session that waits for long, and have the server notice a
// vanished worker. A fence need not reach the standbys before it is streamed.
var settings = []string{
	"SET statement_timeout = 0",
	"SET lock_timeout = 0",
	"SET idle_session_timeout = 0",
	"SET synchronous_commit = local",
	"SET tcp_keepalives_idle = 5",
	"SET tcp_keepalives_interval = 2",
	"SET tcp_keepalives_count = 3",
}

// configure applies the settings; one the server does not know is passed over.
func (l *link) configure(ctx context.Context) error {
	for _, sql := range settings {
		if _, err := l.query(ctx, sql); err != nil && l.asked {
			return fmt.Errorf("configure session: %w", err)
		}
	}
	return nil
}

// query runs one command and returns its rows as text.
func (l *link) query(ctx context.Context, sql string) ([][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	if err := l.ask(sql); err != nil {
		return nil, err
	}
	return l.answer(ctx)
}

// ask sends one command.
func (l *link) ask(sql string) error {
	pc := l.conn.PgConn()
	l.asked, l.rows, l.refusal = true, nil, nil
	if err := pc.Conn().SetWriteDeadline(time.Now().Add(openTimeout)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	pc.Frontend().SendQuery(&pgproto3.Query{String: sql})
	if err := pc.Frontend().Flush(); err != nil {
		return fmt.Errorf("write command: %w", err)
	}
	return pc.Conn().SetWriteDeadline(time.Time{})
}

// answer reads what the command returns. When ctx ends first, be it in the middle of
// the answer, it may be called again.
func (l *link) answer(ctx context.Context) ([][]string, error) {
	for {
		msg, err := l.conn.PgConn().ReceiveMessage(ctx)
		if err != nil {
			return nil, err
		}
		switch m := msg.(type) {
		case *pgproto3.DataRow:
			l.rows = append(l.rows, texts(m.Values))
		case *pgproto3.ErrorResponse:
			l.refusal = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			l.asked = false
			return l.rows, l.refusal
		}
	}
}

func texts(values [][]byte) []string {
	row := make([]string, len(values))
	for i, v := range values {
		row[i] = string(v)
	}
	return row
}

// start begins to stream what is committed at a position or later.
func (l *link) start(ctx context.Context, slot, publication string, from uint64) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	l.asked, l.rows, l.refusal = true, nil, nil
	err := pglogrepl.StartReplication(ctx, l.conn.PgConn(), slot, pglogrepl.LSN(from), pglogrepl.StartReplicationOptions{
		PluginArgs: []string{"proto_version '1'", "publication_names '" + publication + "'", "messages 'true'"},
	})
	if err == nil {
		l.asked = false
		return nil
	}
	if _, answered := err.(*pgconn.PgError); answered { //nolint:errorlint // wrapped, it is the connection that failed
		if _, broken := l.answer(ctx); broken != nil { // what is left of the answer
			return broken
		}
	}
	return err
}

// close gives the connection up and waits, within bounds, until pgx is done with
// it. A command under way is cancelled: making a slot may wait for long, and the
// server would not notice that nobody waits for it.
func (l *link) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if l.asked {
		_ = l.conn.PgConn().CancelRequest(ctx) // or it ends by itself, later
	}
	_ = l.conn.Close(ctx) // whatever it says, the connection is gone
	select {
	case <-l.conn.PgConn().CleanupDone():
	case <-ctx.Done():
	}
}
