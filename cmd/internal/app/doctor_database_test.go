package app

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parentpal/reminder-worker/sql/migrations"
)

func TestJudgements(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		got     Finding
		verdict Verdict
		text    string
	}{
		{"old server", judgeVersion(130_014, "13.14"), Fail, "13.14 is older than 14"},
		{"oldest server", judgeVersion(140_000, "14.0"), Pass, "14.0"},
		{"no pooler", judgePooler(&patient{heard: true}, 0), Pass, "none sits in between"},
		{"session mode", judgePooler(&patient{heard: true, server: server{pooled: true}, c: Config{PoolSize: 5}}, 0), Pass, "takes 6 of its server connections"},
		{"transaction mode", judgePooler(&patient{swallow: true, server: server{pooled: true}}, 0), Warn, "delivers no changes"},
		{"transaction mode, poll", judgePooler(&patient{swallow: true, server: server{pooled: true}, c: Config{ChangeSource: "poll"}}, 0), Pass, "does without"},
		{"transaction mode, prepared", judgePooler(&patient{swallow: true, server: server{pooled: true}}, pgx.QueryExecModeCacheStatement), Fail, "(cache statement) needs a session"},
		{"transaction mode, not prepared", judgePooler(&patient{swallow: true, server: server{pooled: true}}, pgx.QueryExecModeExec), Warn, "delivers no changes"},
		{"hidden", judgePooler(&patient{swallow: true}, 0), Warn, "does not show itself"},
		{"pooler, no round trip", judgePooler(&patient{server: server{pooled: true}}, 0), Skip, "its mode"},
		{"standby, round trip", examineRoundTrip(t.Context(), &patient{server: server{standby: true}}), Skip, "cannot LISTEN"},
		{"clocks agree", judgeClock(-20*time.Millisecond, time.Millisecond), Pass, "-20ms"},
		{"a slow answer proves no offset", judgeClock(3*time.Second, 4*time.Second), Pass, ""},
		{"ahead", judgeClock(90*time.Second, time.Millisecond), Warn, "1m30s ahead of"},
		{"behind", judgeClock(-90*time.Second, time.Millisecond), Warn, "1m30s behind"},
		{"queue", judgeQueue(0), Pass, "0 % full"},
		{"filling", judgeQueue(0.25), Warn, "25 % full"},
		{"full", judgeQueue(0.5), Fail, "the app's writes fail"},
		{"deaf, auto", judgeDeafness("auto"), Warn, "sweep every second"},
		{"deaf, notify", judgeDeafness("notify"), Fail, "did not come back"},
		{"deaf, poll", judgeDeafness("poll"), Pass, "does without"},
		{"newer", judgeSchema(&migrations.NewerError{Database: 9, Program: 4}), Fail, "version 9"},
		{"edited", judgeSchema(&migrations.ChangedError{}), Fail, "does not fit"},
		{"gap", judgeSchema(&migrations.GapError{}), Fail, "does not fit"},
		{"refused", cannotAsk(&pgconn.PgError{Code: "42501", Message: "permission denied"}), Fail, "permission denied (SQLSTATE 42501)"},
		{"slow", cannotAsk(context.DeadlineExceeded), Fail, "no answer within 5s"},
		{"lost", cannotAsk(errors.New("unexpected EOF")), Fail, "unexpected EOF"},
	} {
		t.Run(tc.name, func(t *testing.T) { judged(t, tc.got, tc.verdict, tc.text) })
	}
}

func TestDiagnoseReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.DatabaseURL += "&default_transaction_read_only=on"
	expect(t, diagnosis(t, w.cfg, nil), map[string]Verdict{"writable": Fail, "token_sealing": Warn})
}

func TestDiagnoseNewerSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(`insert into reminder_worker.migrations (version, name, checksum, app_version) values (9999, 'future', 'x', 'v9.9.9')`)
	f := diagnosis(t, w.cfg, nil)["schema"]
	judged(t, f, Fail, "v9.9.9")
}

func TestDiagnoseUnreachable(t *testing.T) {
	t.Parallel()
	c, _, _ := outside(t)
	c.DatabaseURL = "postgresql://parent:" + marker + "@127.0.0.1:1/family"
	got := diagnosis(t, c, nil)
	want := map[string]Verdict{"database": Fail, "token_sealing": Warn}
	for _, e := range examinations {
		want[e.id] = Skip
	}
	expect(t, got, want)
	if !strings.Contains(got["database"].Text, "nothing listens at 127.0.0.1:1") {
		t.Errorf("%+v", got["database"])
	}
}

// What is wrong is said, and what can be examined is.
func TestDiagnoseInvalid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := diagnosis(t, w.cfg, errors.Join(errors.New("LEASE: wrong"), errors.New("HORIZON: wrong")))
	expect(t, got, map[string]Verdict{"configuration": Fail, "token_sealing": Warn})
	if len(got["configuration"].Details) != 2 {
		t.Errorf("%+v", got["configuration"])
	}
}

// Secrets appear in no finding, whatever is wrong.
func TestDiagnoseKeepsSecrets(t *testing.T) {
	t.Parallel()
	c, invalid := Load(secretEnviron(), "")
	broken := "http://127.0.0.1:1/"
	c.GoogleCalendarURL, c.GoogleTokenURL, c.ExpoPushURL = broken, broken, broken
	c.GoogleClientID = "client"
	for _, address := range []string{c.DatabaseURL, "postgresql://parent:" + marker + "@127.0.0.1:1/family", "postgresql://127.0.0.1:1/family?password=" + marker} {
		c.DatabaseURL = address
		for _, f := range Diagnose(t.Context(), c, invalid) {
			if text := strings.Join(append(f.Details, f.Text, f.Fix), " "); strings.Contains(text, marker) {
				t.Errorf("%s shows a secret: %s", f.ID, text)
			}
		}
	}
}

// A pooler in transaction mode takes LISTEN and delivers nothing.
func TestDiagnoseSwallowedChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.cfg.DatabaseURL = swallowing(t, w.cfg.DatabaseURL)
	conn, err := Connect(t.Context(), w.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(t.Context(), conn)
	p := &patient{c: w.cfg, conn: conn}
	limited, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	judged(t, examineRoundTrip(limited, p), Warn, "did not come back")
	judged(t, examinePooler(t.Context(), p), Warn, "does not show itself")
}

// swallowing serves a database through a proxy that drops every change on its way to the client, and returns its address there.
func swallowing(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	server := u.Host
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { swallow(client, server) })
		}
	})
	u.Host = l.Addr().String()
	return u.String()
}

func swallow(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	var up sync.WaitGroup
	up.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
	defer up.Wait()
	defer client.Close()
	for in := bufio.NewReader(server); ; {
		head, err := in.Peek(5)
		if err != nil {
			return
		}
		message := make([]byte, 1+binary.BigEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(in, message); err != nil {
			return
		}
		if message[0] == 'A' {
			continue
		}
		if _, err := client.Write(message); err != nil {
			return
		}
	}
}

// What is said of PgBouncer is what it is.
func TestDiagnoseBehindPgBouncer(t *testing.T) {
	t.Parallel()
	program := findPgBouncer(t)
	if program == "" {
		return
	}
	w := newWorld(t)
	address := w.cfg.DatabaseURL
	for mode, want := range map[string]map[string]Verdict{
		"session":     {"token_sealing": Warn},
		"transaction": {"token_sealing": Warn, "round_trip": Warn, "pooler": Warn},
	} {
		t.Run(mode, func(t *testing.T) {
			p := startPooler(t, program, address, mode, 12)
			c := w.cfg
			c.DatabaseURL = p.address()
			found := diagnosis(t, c, nil)
			expect(t, found, want)
			if text := found["pooler"].Text; !strings.HasPrefix(text, "a pooler in "+mode+" mode sits in between") {
				t.Errorf("pooler: %s", text)
			}
			if mode == "transaction" {
				c.DatabaseURL = p.address() + "&default_query_exec_mode=cache_statement"
				judged(t, diagnosis(t, c, nil)["pooler"], Fail, "needs a session")
			}
			c.DatabaseURL = p.address() + "&statement_timeout=1000"
			judged(t, diagnosis(t, c, nil)["database"], Fail, "refuses a setting of the connection")
		})
	}
}
