package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parentpal/reminder-worker/sql/pgtemp"
)

// maxConns keeps many parallel tests below the server's connection limit.
const maxConns = 8

// cleanupTime bounds what a test does after its end.
const cleanupTime = 3 * time.Minute

// DB is one test's own database.
type DB struct {
	Name string
	Pool *pgxpool.Pool // at most 8 connections; closed when the test ends

	url string
}

// New returns a fresh database with all migrations applied. It belongs to
// the test, is dropped when that passes and kept when it fails.
func New(t testing.TB) *DB {
	t.Helper()
	c, err := sharedCluster()
	if err != nil {
		t.Fatalf("start the test server: %v", err)
	}
	template, err := c.migrated()
	if err != nil {
		t.Fatalf("migrate the template database: %v", err)
	}
	return c.clone(t, template)
}

// NewEmpty is New without migrations.
func NewEmpty(t testing.TB) *DB {
	t.Helper()
	c, err := sharedCluster()
	if err != nil {
		t.Fatalf("start the test server: %v", err)
	}
	return c.clone(t, "template0")
}

// Server returns the private server that New uses. It is shared by all
// tests of the process: a test that wants to stop or restart one asks NewServer.
func Server(t testing.TB) *pgtemp.Server {
	t.Helper()
	c, err := sharedCluster()
	if err != nil {
		t.Fatalf("start the test server: %v", err)
	}
	if c.server == nil {
		t.Fatalf("this test needs a private server: unset %s", externalServer)
	}
	return c.server
}

// NewServer starts a server for this test alone, which may stop, kill and restart
// it. It has no databases but its own; it ends with the test.
func NewServer(t testing.TB) *pgtemp.Server {
	t.Helper()
	server, err := pgtemp.Start(t.Context(), serverConfig())
	if err != nil {
		t.Fatalf("start a server: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTime)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Errorf("stop the server: %v", err)
		}
	})
	return server
}

// URL returns the connection string of the database.
func (db *DB) URL() string { return db.url }

// URLAs is URL for another role, which needs no password.
func (db *DB) URLAs(role string) string { return As(db.url, role) }

// As names another role in a connection string.
func As(address, role string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address // who connects is told
	}
	u.User = url.User(role)
	return u.String()
}

// Connect opens a connection beside the pool, closed when the test ends.
func (db *DB) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.url)
	if err != nil {
		t.Fatalf("connect to database %s: %v", db.Name, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTime)
		defer cancel()
		_ = conn.Close(ctx) // the test may have broken it on purpose
	})
	return conn
}

// clone copies the template for one test.
func (c *cluster) clone(t testing.TB, template string) *DB {
	t.Helper()
	name := databaseName(t.Name())
	if err := c.create(t.Context(), name, template); err != nil {
		t.Fatalf("create database %s: %v", name, err)
	}
	db := &DB{Name: name, url: withDatabase(c.url, name)}
	t.Cleanup(func() { c.release(t, db) })
	pool, err := newPool(t.Context(), db.url)
	if err != nil {
		t.Fatalf("open pool on database %s: %v", name, err)
	}
	db.Pool = pool
	return db
}

// release closes the pool, then drops the database or says where it is.
func (c *cluster) release(t testing.TB, db *DB) {
	if db.Pool != nil {
		db.Pool.Close()
	}
	if t.Failed() {
		c.kept.Store(true)
		t.Logf("database kept: %s%s", db.url, c.howToKeep())
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTime)
	defer cancel()
	if err := c.drop(ctx, db.Name); err != nil {
		t.Errorf("drop database %s: %v", db.Name, err)
	}
}

func newPool(ctx context.Context, url string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = maxConns
	return pgxpool.NewWithConfig(ctx, cfg)
}

var created atomic.Int64

// databaseName makes a name that tells which test it belongs to and fits into
// the 63 bytes of an identifier.
func databaseName(test string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(test))
	return fmt.Sprintf("t%d_%s_%.36s", created.Add(1), processTag, plain)
}

// withDatabase points a connection string at another database.
func withDatabase(base, name string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base // checked when the cluster was made
	}
	u.Path = "/" + name
	return u.String()
}
