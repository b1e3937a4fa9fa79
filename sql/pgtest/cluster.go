package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/migrations"
	"github.com/parentpal/reminder-worker/sql/pgtemp"
)

// Environment variables that this package reads.
const (
	externalServer = "TEST_DATABASE_URL"
	programs       = "REMINDER_WORKER_PG_BIN"
	keepDatabases  = "REMINDER_WORKER_KEEP_DB"
)

// startTime bounds everything that happens once per process.
const startTime = 3 * time.Minute

// processTag keeps processes that share an external server apart.
var processTag = strconv.Itoa(os.Getpid())

// cluster is the server of this test process.
type cluster struct {
	url    string         // of its maintenance database
	server *pgtemp.Server // nil when the server is an external one
	kept   atomic.Bool    // whether a failed test left its database

	strategy string // how to copy a template, part of CREATE DATABASE

	migrated func() (string, error) // makes the template on first use

	mu    sync.Mutex // guards admin
	admin *pgx.Conn
}

// sharedCluster starts the server when the first test asks for it.
var sharedCluster = sync.OnceValues(func() (*cluster, error) {
	started.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	return newCluster(ctx)
})

// also is what the template has beside the migrations.
var also string

// Also has every database of New hold what statements make, beside the migrations. Roles are the server's, and may be there already. It is for a TestMain, before
// the first test.
func Also(statements string) { also = statements }

// started tells Main whether there is anything to end.
var started atomic.Bool

func newCluster(ctx context.Context) (*cluster, error) {
	c := &cluster{url: os.Getenv(externalServer)}
	c.migrated = sync.OnceValues(c.makeTemplate)
	if c.url == "" {
		if err := c.startServer(ctx); err != nil {
			return nil, err
		}
	} else if u, err := url.Parse(c.url); err != nil || u.Host == "" {
		return nil, errors.New(externalServer + " is not a URL such as postgres://user@host:5432/postgres")
	}
	admin, err := pgx.Connect(ctx, c.url)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the test server: %w", err), c.stop(ctx))
	}
	c.admin = admin
	return c, nil
}

// startServer starts the private server. Measured on ext4, a new database took
// 350 ms through the log and 550 ms by copying files; in memory it is the other
// way round, 20 ms and 10 ms.
func (c *cluster) startServer(ctx context.Context) (err error) {
	cfg := serverConfig()
	if c.server, err = pgtemp.Start(ctx, cfg); err != nil {
		return err
	}
	if cfg.Dir != "" && !strings.HasPrefix(c.server.Version(), "14") { // 14 knows no other strategy
		c.strategy = " strategy file_copy"
	}
	c.url = c.server.URL("postgres")
	return nil
}

// serverConfig is that of every server of a test: in memory where that has room.
func serverConfig() pgtemp.Config {
	return pgtemp.Config{
		BinDir: os.Getenv(programs),
		Cache:  cacheDir(),
		Dir:    pgtemp.MemoryDir(),
		Settings: map[string]string{
			"max_wal_size": "256MB",
			// Many worlds at once, each with a worker or several, some of whose connections hang.
			"max_connections": "400", "max_wal_senders": "60", "max_replication_slots": "60",
		},
	}
}

// cacheDir keeps what tests cache out of the directories of real runs: tests write
// to the temporary directory and nowhere else.
func cacheDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("reminder-worker-tests-%d", os.Geteuid()))
}

// makeTemplate migrates the database that New copies.
func (c *cluster) makeTemplate() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	name := "template_" + processTag
	if err := c.create(ctx, name, "template0"); err != nil {
		return "", err
	}
	conn, err := pgx.Connect(ctx, withDatabase(c.url, name))
	if err != nil {
		return "", fmt.Errorf("connect to %s: %w", name, err)
	}
	migrator, err := migrations.New(migrations.Options{})
	if err == nil {
		_, err = migrator.Up(ctx, conn)
	}
	if err == nil {
		_, err = conn.Exec(ctx, also, pgx.QueryExecModeSimpleProtocol)
	}
	return name, errors.Join(err, conn.Close(ctx)) // a template must have no connections
}

// create makes a database as a copy of another, which nobody may be connected to.
func (c *cluster) create(ctx context.Context, name, template string) error {
	return c.exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()+
		" template "+pgx.Identifier{template}.Sanitize()+c.strategy)
}

// drop ends what is still connected: a test may leave a listener that is just
// reconnecting. What reads a replication slot must have let go of it before, else
// the server refuses; a worker that was killed has not done so yet.
func (c *cluster) drop(ctx context.Context, name string) error {
	for {
		err := c.exec(ctx, "select pg_terminate_backend(active_pid) from pg_replication_slots where database = $1 and active", name)
		if err == nil {
			err = c.exec(ctx, "drop database if exists "+pgx.Identifier{name}.Sanitize()+" with (force)")
		}
		if pe, ok := errors.AsType[*pgconn.PgError](err); !ok || pe.Code != inUse {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// inUse is the SQLSTATE of a database whose slots are being read.
const inUse = "55006"

// exec connects anew when an earlier statement ran out of time, which costs the
// connection.
func (c *cluster) exec(ctx context.Context, statement string, args ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.admin.IsClosed() {
		admin, err := pgx.Connect(ctx, c.url)
		if err != nil {
			return fmt.Errorf("connect to the test server: %w", err)
		}
		c.admin = admin
	}
	_, err := c.admin.Exec(ctx, statement, args...)
	return err
}

// howToKeep completes the message about a kept database.
func (c *cluster) howToKeep() string {
	if c.server == nil || os.Getenv(keepDatabases) == "1" {
		return ""
	}
	return fmt.Sprintf(" (until this process ends; set %s=1 to keep the server up)", keepDatabases)
}

// stop ends the private server, or takes the template off the external one.
func (c *cluster) stop(ctx context.Context) error {
	var errs []error
	if c.admin != nil {
		if c.server == nil {
			errs = append(errs, c.drop(ctx, "template_"+processTag))
		}
		errs = append(errs, c.admin.Close(ctx))
	}
	if c.server != nil {
		errs = append(errs, c.server.Stop(ctx))
	}
	return errors.Join(errs...)
}
