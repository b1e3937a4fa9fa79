package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/parentpal/reminder-worker/notify/expo/expofake"
	"github.com/parentpal/reminder-worker/sql/pgtest"
	"github.com/parentpal/reminder-worker/sync/gcal/gcalfake"
)

// patience is how long a script waits for what must come.
const patience = 3 * time.Minute

// suite ends the test server after the scripts.
type suite struct{ m *testing.M }

func (s suite) Run() int { return pgtest.Run(s.m) }

func TestMain(m *testing.M) {
	if role, err := os.ReadFile("../../deploy/database/role.sql"); err == nil { // the program, which this is as well, needs none
		pgtest.Also(string(role))
	}
	testscript.Main(suite{m}, map[string]func(){"reminder-worker": main})
}

// Each script is a conversation with the program as a user has it: in a process of its own, with nothing of the machine's environment.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"setlines": setLines,
			"database": func(ts *testscript.TestScript, _ bool, args []string) { database(t, ts, args) },
			"standins": func(ts *testscript.TestScript, _ bool, _ []string) { standIns(t, ts) },
			"newkey":   newKey,
			"sql":      runSQL,
			"freeaddr": func(ts *testscript.TestScript, _ bool, _ []string) { freeAddr(t, ts) },
			"ready":    func(ts *testscript.TestScript, _ bool, _ []string) { waitFor(ts, "/readyz") },
			"alive":    func(ts *testscript.TestScript, _ bool, _ []string) { waitFor(ts, "/livez") },
		},
	})
}

// exits runs the program and expects an exit code: exits 2 reminder-worker run.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program [argument...]")
	}
	code := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// setLines sets a variable to the content of a file, line breaks and all: setlines NAME file.
func setLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setlines NAME file")
	}
	ts.Setenv(args[0], ts.ReadFile(args[1]))
}

// runner is the role of deploy/database/role.sql, as which the program runs where there is nothing to migrate.
const runner = "reminder_runner"

// database makes a database: empty, for its owner, or migrated, for the role that operators are given a script for.
func database(t *testing.T, ts *testscript.TestScript, args []string) {
	var owner, worker string
	switch {
	case len(args) == 1 && args[0] == "empty":
		owner = pgtest.NewEmpty(t).URL()
		worker = owner
	case len(args) == 1 && args[0] == "migrated":
		db := pgtest.New(t)
		owner, worker = db.URL(), db.URLAs(runner)
	default:
		ts.Fatalf("usage: database empty | migrated")
	}
	ts.Setenv("OWNER_URL", owner)
	ts.Setenv("DATABASE_URL", worker)
}

// standIns makes a Google and an Expo that are only this script's, and a client they accept.
func standIns(t *testing.T, ts *testscript.TestScript) {
	google, err := gcalfake.Start(gcalfake.Config{ClientID: "client", ClientSecret: "client-secret"})
	ts.Check(err)
	ts.Defer(google.Close)
	c := expofake.DefaultConfig()
	c.AccessToken = "expo-access"
	push, err := expofake.Start(c)
	ts.Check(err)
	ts.Defer(func() { ts.Check(push.Close()) })
	for name, value := range map[string]string{
		"GOOGLE_CLIENT_ID": "client", "GOOGLE_CLIENT_SECRET": "client-secret", "EXPO_ACCESS_TOKEN": "expo-access",
		"GOOGLE_CALENDAR_URL": google.CalendarURL(), "GOOGLE_TOKEN_URL": google.TokenURL(),
		"GOOGLE_REVOKE_URL": google.RevokeURL(), "EXPO_PUSH_URL": push.URL(),
	} {
		ts.Setenv(name, value)
	}
}

// newKey writes a private key as a service account's JSON holds it: newkey file.
func newKey(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: newkey file")
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	ts.Check(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o600))
}

// runSQL runs statements in the script's database, as its owner: sql file.
func runSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sql file")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, ts.Getenv("OWNER_URL"))
	ts.Check(err)
	_, err = conn.Exec(ctx, ts.ReadFile(args[0]), pgx.QueryExecModeSimpleProtocol)
	ts.Check(errors.Join(err, conn.Close(ctx)))
}

// freeAddr sets HTTP_ADDR to an address that is free.
func freeAddr(t *testing.T, ts *testscript.TestScript) { ts.Setenv("HTTP_ADDR", freeAddress(t)) }

var (
	portMu   sync.Mutex
	nextPort = 10_000 + os.Getpid()%10_000
)

// freeAddress is an address of a port below those that systems hand out by themselves. Each is given once.
func freeAddress(t *testing.T) string {
	portMu.Lock()
	defer portMu.Unlock()
	for nextPort < 32_000 {
		nextPort++
		address := fmt.Sprintf("127.0.0.1:%d", nextPort)
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// waitFor waits until the program at HTTP_ADDR answers a page with success.
func waitFor(ts *testscript.TestScript, page string) {
	if !answers("http://" + ts.Getenv("HTTP_ADDR") + page) {
		ts.Fatalf("waited in vain for %s", page)
	}
}

// answers waits until a page is answered with success.
func answers(page string) bool {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		res, err := client.Get(page)
		if err != nil {
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return true
		}
	}
	return false
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// What cannot be written is a failure, and said once.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"", "--help", "help", "help migrate", "migrate", "completion", "version", "migrate print"} {
		var errs bytes.Buffer
		if code := execute(t.Context(), strings.Fields(args), full{}, &errs); code != exitFailed || strings.Count(errs.String(), "no space left on device") != 1 {
			t.Errorf("%s: code %d, %q", args, code, &errs)
		}
	}
}
