package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/listener"
)

// reachLimit bounds how long a person waits to hear that the database is not there, however many addresses it has.
const reachLimit = 10 * time.Second

// UnreachableError says in words why there is no connection to the database, and what to do. It shows no password.
type UnreachableError struct {
	Reason string // what happened, as a clause
	Fix    string // what to do about it, as a sentence
	Err    error  // the cause
}

// Error implements error.
func (e *UnreachableError) Error() string { return "reach database: " + e.Reason + ". " + e.Fix }

// Unwrap gives errors.Is and errors.As the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Connect makes one connection to the configured database, for commands that need no pool. What goes wrong is an *UnreachableError
// after 10 s at most, unless ctx ended first. The connection prepares no statements, so that any pooler will do. Of several hosts it is
// one that takes writes, if there is one.
func Connect(ctx context.Context, c Config) (*pgx.Conn, error) {
	cfg, err := c.connConfig()
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	conn, err := connectToPrimary(limited, cfg)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("reach database: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, unreachable(&cfg.Config, err)
	}
	return conn, nil
}

func unreachable(c *pgconn.Config, err error) *UnreachableError {
	reason, fix := whyUnreachable(c, err)
	return &UnreachableError{Reason: reason, Fix: fix, Err: err}
}

func (c Config) connConfig() (*pgx.ConnConfig, error) {
	pool, err := c.poolConfig() // reads what is meant for a pool as well, so that it is not sent to the server
	if err != nil {
		return nil, err
	}
	cfg := pool.ConnConfig
	shape(cfg)
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	return cfg, nil
}

// shape is what all connections of the program have in common.
func shape(cfg *pgx.ConnConfig) {
	dial := listener.DialFunc()
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, &undialedError{err}
		}
		return conn, nil
	}
	cfg.ConnectTimeout = hostLimit(cfg.ConnectTimeout, len(hosts(&cfg.Config)))
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "reminder-worker"
	}
}

// undialedError says that there was no connection at all, which tells a firewall from a server that lets in and does not answer.
type undialedError struct{ error }

func (e *undialedError) Unwrap() error { return e.error }

// hostLimit bounds one host of several so that dead ones leave time for a last one that lives; who sets connect_timeout knows better.
func hostLimit(set time.Duration, hosts int) time.Duration {
	switch {
	case set > 0:
		return min(set, reachLimit)
	case hosts > 1:
		return reachLimit / time.Duration(hosts+1)
	}
	return reachLimit
}

// connectToPrimary takes what there is when no host takes writes, so that it can be examined.
func connectToPrimary(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	if len(hosts(&cfg.Config)) == 1 && cfg.ValidateConnect == nil {
		return pgx.ConnectConfig(ctx, cfg)
	}
	demanding, lenient := cfg.Copy(), cfg.Copy()
	demanding.ValidateConnect = both(new(route).examine, cfg.ValidateConnect)
	lenient.ValidateConnect = nil
	conn, err := pgx.ConnectConfig(ctx, demanding)
	if _, refused := errors.AsType[*ReadOnlyError](err); refused {
		return pgx.ConnectConfig(ctx, lenient)
	}
	return conn, err
}

// tlsRefused is how the driver says that the server has no TLS; it gives this error no type.
const tlsRefused = "server refused TLS connection"

// whyUnreachable puts a failed connection into words. With several addresses it speaks of the first failure it knows.
func whyUnreachable(c *pgconn.Config, err error) (reason, fix string) {
	if e, ok := errors.AsType[*ReadOnlyError](err); ok {
		return whyReadOnly(c, e)
	}
	where := place(c)
	if errors.Is(err, pgconn.ErrPrimaryConnection) || errors.Is(err, pgconn.ErrReadWriteConnection) {
		return "target_session_attrs in DATABASE_URL asks for a server that takes no writes, and " + where + " takes them", "Take target_session_attrs out of DATABASE_URL: the worker looks for the primary by itself."
	}
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return whyRefused(c, pe)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && !dns.IsTimeout {
		return fmt.Sprintf("the host name %s cannot be resolved", dns.Name),
			"Correct the host in DATABASE_URL; a hosted project that was paused or deleted has no name either."
	}
	if why, fix := whyUntrusted(err); why != "" {
		return where + ": " + why, fix
	}
	switch {
	case strings.Contains(err.Error(), tlsRefused):
		return where + " does not speak TLS, and sslmode in DATABASE_URL asks for it", "Turn TLS on at the server (ssl = on), or set sslmode=disable if nobody is in between."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at " + where + " (connection refused)", "Start the server, or correct host and port in DATABASE_URL."
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return "there is no route to " + where, "A direct Supabase address is reachable over IPv6 only: use the session pooler (port 5432) from a network without IPv6."
	case errors.Is(err, fs.ErrNotExist):
		return "there is no socket at " + where, "Start the server, or correct the host in DATABASE_URL."
	case timedOut(err) && dialed(err):
		return where + " accepts connections, and answers nothing in time",
			"Look at its load. A pooler that answers nothing has no server connection left, or does not reach its server: raise its pool size, or lower DATABASE_POOL_SIZE or the number of workers."
	case timedOut(err):
		return fmt.Sprintf("no answer from %s within %s", where, reachLimit), "Check host and port in DATABASE_URL, and that no firewall is in between."
	}
	return where + ": " + oneLine(err), "Check host, port and sslmode in DATABASE_URL."
}

// whyReadOnly is for a server that answers, and takes no writes.
func whyReadOnly(c *pgconn.Config, e *ReadOnlyError) (reason, fix string) {
	if all := hosts(c); len(all) > 1 {
		return "of " + strings.Join(all, " and ") + " none takes writes: " + e.Error(), e.Fix()
	}
	return e.Error(), e.Fix()
}

// whyRefused is for a server that answers, and says no.
func whyRefused(c *pgconn.Config, pe *pgconn.PgError) (reason, fix string) {
	where := place(c)
	switch pe.Code {
	case "28P01":
		return fmt.Sprintf("%s refuses the password of user %q", where, c.User), "Correct user and password in DATABASE_URL; characters such as @ : / # % must be percent-encoded there."
	case "28000":
		return fmt.Sprintf("%s does not let user %q in: %s", where, c.User, pe.Message), "Create the role, or allow it in pg_hba.conf; with sslmode=require if the server insists on TLS."
	case "3D000":
		return fmt.Sprintf("%s has no database %q", where, c.Database), "Create the database, or correct its name in DATABASE_URL."
	case "53300":
		return where + " has no connection left: " + pe.Message, "Lower DATABASE_POOL_SIZE or the number of other clients, or raise max_connections."
	case "42704", "22023": // a parameter nobody knows, a value it does not take
		return where + " refuses a setting of the connection: " + pe.Message, "Correct the setting in DATABASE_URL (after the question mark), or take it out."
	case "57P03":
		return where + " is not ready: " + pe.Message, "Wait until the server has started."
	}
	if reason, fix := whyPooler(where, pe); reason != "" {
		return reason, fix
	}
	return fmt.Sprintf("%s refuses: %s (SQLSTATE %s)", where, pe.Message, pe.Code), "Check user and database in DATABASE_URL; through Supabase's pooler the user is postgres.<project ref>."
}

// whyPooler is for what only poolers say. They give all of it one code, so that the words have to tell.
func whyPooler(where string, pe *pgconn.PgError) (reason, fix string) {
	switch says := strings.ToLower(pe.Message); {
	case strings.Contains(says, "startup parameter"):
		return where + " refuses a setting of the connection: " + pe.Message, "Take the setting out of DATABASE_URL (after the question mark): this pooler does not pass it on."
	case strings.Contains(says, "max clients"), strings.Contains(says, "no more connections"):
		return where + " has no connection left: " + pe.Message, "Lower DATABASE_POOL_SIZE or the number of other clients, or raise the pooler's limits."
	}
	return "", ""
}

// whyUntrusted is for a certificate that does not hold, which is nobody's typing error.
func whyUntrusted(err error) (reason, fix string) {
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "its certificate is not trusted: " + e.Error(), "Name the certificate authority: sslrootcert=/path/to/ca.crt in DATABASE_URL."
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return "its certificate is for another host: " + e.Error(), "Use the host name that the certificate is for."
	}
	return "", ""
}

// place names the addresses: hosts and ports, never user or password.
func place(c *pgconn.Config) string { return strings.Join(hosts(c), " or ") }

// hosts are the addresses, each once, in the order in which they are tried.
func hosts(c *pgconn.Config) []string {
	places := []string{address(c.Host, c.Port)}
	for _, f := range c.Fallbacks { // other hosts, and the same again without TLS
		places = append(places, address(f.Host, f.Port))
	}
	return unique(places)
}

func address(host string, port uint16) string {
	if strings.HasPrefix(host, "/") {
		return fmt.Sprintf("%s/.s.PGSQL.%d", host, port)
	}
	return net.JoinHostPort(host, fmt.Sprint(port))
}

// dialed reports whether a connection was there, if only to fail.
func dialed(err error) bool {
	_, undialed := errors.AsType[*undialedError](err)
	_, unnamed := errors.AsType[*net.DNSError](err)
	return !undialed && !unnamed
}

// timedOut reports whether it was time that ran out, by whosever clock.
func timedOut(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout() || pgconn.Timeout(err)
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
