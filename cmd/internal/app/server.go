package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// server is what a connection leads to.
type server struct {
	pooled   bool // by way of a pooler: the process that answers is not the one that greeted
	standby  bool
	readOnly bool
}

// askServer asks in the plain protocol, which every pooler passes on.
func askServer(ctx context.Context, pc *pgconn.PgConn) (server, error) {
	results, err := pc.Exec(ctx, `select pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery(),
		pg_catalog.current_setting('transaction_read_only')`).ReadAll()
	if err != nil {
		return server{}, fmt.Errorf("ask the server what it is: %w", err)
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != 3 {
		return server{}, errors.New("ask the server what it is: the answer is not one row")
	}
	row := results[0].Rows[0]
	return server{
		pooled:   string(row[0]) != strconv.FormatUint(uint64(pc.PID()), 10),
		standby:  string(row[1]) == "t",
		readOnly: string(row[2]) == "on",
	}, nil
}

// writable returns a *ReadOnlyError for a server that takes no writes.
func (s server) writable(pc *pgconn.PgConn) error {
	if !s.standby && !s.readOnly {
		return nil
	}
	return &ReadOnlyError{Address: remote(pc), Standby: s.standby, Pooled: s.pooled}
}

// remote is where a connection leads, as host and port or as a socket.
func remote(pc *pgconn.PgConn) string {
	switch at := pc.Conn().RemoteAddr().(type) {
	case *net.TCPAddr:
		return at.String()
	case *net.UnixAddr:
		return at.Name
	}
	return "the server"
}
