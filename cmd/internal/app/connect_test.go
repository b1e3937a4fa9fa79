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
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/sql/pgtest"
)

func TestWhyUnreachable(t *testing.T) {
	t.Parallel()
	c := &pgconn.Config{Host: "db.example.org", Port: 5432, User: "parent", Password: marker, Database: "family"}
	dial := func(e syscall.Errno) error {
		return fmt.Errorf("dial error: %w", &undialedError{&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", e)}})
	}
	refusal := func(code string) error {
		return fmt.Errorf("server error: %w", &pgconn.PgError{Code: code, Message: "words of the server"})
	}
	pooler := func(says string) error { return &pgconn.PgError{Code: "08P01", Message: says} }
	for _, tc := range []struct {
		err         error
		reason, fix string
	}{
		{dial(syscall.ECONNREFUSED), "nothing listens at db.example.org:5432 (connection refused)", "Start the server"},
		{dial(syscall.ENETUNREACH), "there is no route to db.example.org:5432", "IPv6 only"},
		{dial(syscall.ETIMEDOUT), "no answer from db.example.org:5432 within 10s", "firewall"},
		{&undialedError{context.DeadlineExceeded}, "no answer from db.example.org:5432 within 10s", "firewall"},
		{context.DeadlineExceeded, "db.example.org:5432 accepts connections, and answers nothing in time", "pool size"},
		{&net.DNSError{Err: "no such host", Name: "db.example.org", IsNotFound: true}, "the host name db.example.org cannot be resolved", "paused or deleted"},
		{&net.DNSError{Err: "i/o timeout", Name: "db.example.org", IsTimeout: true}, "no answer from db.example.org:5432 within 10s", "firewall"},
		{x509.UnknownAuthorityError{}, "db.example.org:5432: its certificate is not trusted", "sslrootcert"},
		{refusal("28P01"), `db.example.org:5432 refuses the password of user "parent"`, "percent-encoded"},
		{refusal("28000"), `db.example.org:5432 does not let user "parent" in: words of the server`, "pg_hba.conf"},
		{refusal("3D000"), `db.example.org:5432 has no database "family"`, "Create the database"},
		{refusal("53300"), "db.example.org:5432 has no connection left: words of the server", "DATABASE_POOL_SIZE"},
		{refusal("42704"), "db.example.org:5432 refuses a setting of the connection: words of the server", "after the question mark"},
		{pooler("unsupported startup parameter: statement_timeout"), "db.example.org:5432 refuses a setting of the connection", "Take the setting out"},
		{pooler("MaxClientsInSessionMode: max clients reached"), "db.example.org:5432 has no connection left", "DATABASE_POOL_SIZE"},
		{pooler("no more connections allowed (max_client_conn)"), "db.example.org:5432 has no connection left", "DATABASE_POOL_SIZE"},
		{pooler("no such database: family"), "db.example.org:5432 refuses: no such database: family", "Check user and database"},
		{fmt.Errorf("connect: %w", &ReadOnlyError{Address: "192.0.2.1:5432", Standby: true}), "192.0.2.1:5432 is a standby", "promoted"},
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

// What is meant for a pool, or for other drivers, is not sent to the server, and an end that was asked for is not blamed on the database.
func TestConnect(t *testing.T) {
	t.Parallel()
	c := Config{DatabaseURL: pgtest.NewEmpty(t).URL() + "&pool_max_conns=7&pgbouncer=true&connection_limit=1"}
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

// What the settings of the connection ask for, and the server does not have.
func TestConnectSettings(t *testing.T) {
	t.Parallel()
	address := pgtest.NewEmpty(t).URL()
	for _, tc := range []struct{ address, reason, fix string }{
		{strings.Replace(address, "sslmode=disable", "sslmode=require", 1), "does not speak TLS", "sslmode=disable"},
		{address + "&foo=bar", `refuses a setting of the connection: unrecognized configuration parameter "foo"`, "take it out"},
		{"postgresql://parent:" + marker + "@127.0.0.1:1,127.0.0.1:2/family", "nothing listens at 127.0.0.1:1 or 127.0.0.1:2 (connection refused)", "Start the server"},
	} {
		_, err := Connect(t.Context(), Config{DatabaseURL: tc.address})
		e, ok := errors.AsType[*UnreachableError](err)
		if !ok || !strings.Contains(e.Reason, tc.reason) || !strings.Contains(e.Fix, tc.fix) || strings.Contains(e.Error(), marker) {
			t.Errorf("%s: %v, want %q and %q", tc.address, err, tc.reason, tc.fix)
		}
	}
	port := address[strings.LastIndex(address, ":")+1:]
	conn, err := Connect(t.Context(), Config{DatabaseURL: "postgresql://postgres@127.0.0.1:1,127.0.0.1:" + port}) // the second host answers
	if err != nil {
		t.Fatal(err)
	}
	hangUp(t.Context(), conn)
}

func TestMissingCertificate(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"postgresql://parent:%s@db.example.org/family?sslmode=verify-full&sslrootcert=/nowhere/ca.crt", "host=db.example.org password=%s sslmode=verify-ca sslrootcert=/nowhere/ca.crt"} {
		_, err := Connect(t.Context(), Config{DatabaseURL: fmt.Sprintf(form, marker)})
		const want = "DATABASE_URL: a certificate or key named in it (sslrootcert, sslcert, sslkey) cannot be read: open /nowhere/ca.crt: no such file"
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), marker) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// How the database writes times and reads texts by itself does not matter to the program, nor what the address asks for.
func TestFormsOfTheDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	for _, form := range []string{"datestyle = 'German, DMY'", "standard_conforming_strings = off", "client_encoding = 'LATIN1'"} {
		if _, err := db.Pool.Exec(t.Context(), "alter database "+db.Name+" set "+form); err != nil {
			t.Fatal(err)
		}
	}
	db.Pool.Reset() // connections made before
	w := newWorldOn(t, nil, db.URL()+"&DateStyle=German")
	pool, err := w.cfg.poolConfig()
	if err != nil {
		t.Fatal(err)
	}
	if w.db, err = pgxpool.NewWithConfig(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.db.Close)
	a, _ := w.start()
	w.until("start", a.start.done)
	expect(t, diagnosis(t, w.cfg, nil), map[string]Verdict{"token_sealing": Warn})
	user, _ := w.user()
	w.untilStatus(w.event(user, "Schwimmen für Ümit", 48*time.Hour), "synced")
}
