package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

func TestWhyUnreachable(t *testing.T) {
	t.Parallel()
	c := &pgconn.Config{Host: "db.example.org", Port: 5432, User: "parent", Password: marker, Database: "family"}
	dial := func(e syscall.Errno) error {
		return fmt.Errorf("dial error: %w", &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", e)})
	}
	refusal := func(code string) error {
		return fmt.Errorf("server error: %w", &pgconn.PgError{Code: code, Message: "words of the server"})
	}
	for _, tc := range []struct {
		err         error
		reason, fix string
	}{
		{dial(syscall.ECONNREFUSED), "nothing listens at db.example.org:5432 (connection refused)", "Start the server"},
		{dial(syscall.ENETUNREACH), "there is no route to db.example.org:5432", "IPv6 only"},
		{dial(syscall.ETIMEDOUT), "no answer from db.example.org:5432 within 10s", "firewall"},
		{context.DeadlineExceeded, "no answer from db.example.org:5432 within 10s", "firewall"},
		{&net.DNSError{Err: "no such host", Name: "db.example.org", IsNotFound: true}, "the host name db.example.org cannot be resolved", "paused or deleted"},
		{&net.DNSError{Err: "i/o timeout", Name: "db.example.org", IsTimeout: true}, "no answer from db.example.org:5432 within 10s", "firewall"},
		{x509.UnknownAuthorityError{}, "db.example.org:5432: its certificate is not trusted", "sslrootcert"},
		{refusal("28P01"), `db.example.org:5432 refuses the password of user "parent"`, "percent-encoded"},
		{refusal("28000"), `db.example.org:5432 does not let user "parent" in: words of the server`, "pg_hba.conf"},
		{refusal("3D000"), `db.example.org:5432 has no database "family"`, "Create the database"},
		{refusal("53300"), "db.example.org:5432 has no connection left: words of the server", "DATABASE_POOL_SIZE"},
		{refusal("57P03"), "db.example.org:5432 is not ready: words of the server", "Wait"},
		{refusal("XX000"), "db.example.org:5432 refuses: words of the server (SQLSTATE XX000)", "postgres.<project ref>"},
		{errors.New("something\nelse"), "db.example.org:5432: something else", "sslmode"},
	} {
		reason, fix := whyUnreachable(c, tc.err)
		if !strings.HasPrefix(reason, tc.reason) || !strings.Contains(fix, tc.fix) {
			t.Errorf("%v: %q, %q; want %q, %q", tc.err, reason, fix, tc.reason, tc.fix)
		}
	}
}

func TestConnectRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	c := Config{DatabaseURL: strings.Replace(db.URL(), db.Name, "nowhere", 1)}
	_, err := Connect(t.Context(), c)
	e, ok := errors.AsType[*UnreachableError](err)
	if !ok || !strings.HasSuffix(e.Reason, `has no database "nowhere"`) {
		t.Errorf("%v", err)
	}
	if pe, ok := errors.AsType[*pgconn.PgError](err); !ok || pe.Code != "3D000" {
		t.Errorf("%v does not tell its cause", err)
	}
}

// What is meant for a pool is not sent to the server, and an end that was asked for is not blamed on the database.
func TestConnect(t *testing.T) {
	t.Parallel()
	c := Config{DatabaseURL: pgtest.NewEmpty(t).URL() + "&pool_max_conns=7"}
	conn, err := Connect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	hangUp(t.Context(), conn)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Connect(ended, c); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the end of the context", err)
	}
}
