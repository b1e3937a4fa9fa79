package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parentpal/reminder-worker/cmd/bench"
)

// scripts are the workers for Node, and what npm installs for them.
//
//go:embed node/*.mjs node/package.json node/package-lock.json
var scripts embed.FS

// nodeMajor is the oldest Node that the libraries run with.
const nodeMajor = 22

// errNoNode says why nothing of Node can be measured.
var errNoNode = errors.New("the workers for Node cannot be had")

// node can run the scripts.
type node struct {
	program string
	folder  string // has the scripts, and node_modules
}

// findNode makes sure that the libraries are there, and a Node that is new enough: the machine's, or else one that npm brings. The scripts are
// written into folder, which is the caller's; what npm installs is kept in the user's cache. Its error is an errNoNode if this machine has no npm, or
// npm reached nobody.
func findNode(ctx context.Context, folder string, progress io.Writer) (*node, error) {
	system := systemNode(ctx)
	installed, err := install(ctx, system != "", progress)
	if err != nil {
		return nil, err
	}
	n := &node{program: system, folder: folder}
	if n.program == "" {
		found, _ := filepath.Glob(filepath.Join(installed, "node_modules", "node-*", "bin", "node")) // the only error is a bad pattern
		if len(found) == 0 {
			return nil, fmt.Errorf("%w: no node %d or newer is on PATH, and npm has none for this machine", errNoNode, nodeMajor)
		}
		n.program = found[0]
	}
	for _, name := range []string{"calls.mjs", "graphile.mjs", "pgboss.mjs"} {
		if err := writeScript(folder, name); err != nil {
			return nil, err
		}
	}
	if err := os.Symlink(filepath.Join(installed, "node_modules"), filepath.Join(folder, "node_modules")); err != nil {
		return nil, fmt.Errorf("link the libraries: %w", err)
	}
	return n, nil
}

// systemNode is the program on PATH, if it is new enough.
func systemNode(ctx context.Context) string {
	program, err := exec.LookPath("node")
	if err != nil {
		return ""
	}
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return ""
	}
	found := regexp.MustCompile(`^v(\d+)\.`).FindSubmatch(out)
	if found == nil {
		return ""
	}
	if major, err := strconv.Atoi(string(found[1])); err != nil || major < nodeMajor {
		return ""
	}
	return program
}

// install returns a folder with node_modules, as package-lock.json has them. Another lock has another folder.
func install(ctx context.Context, haveNode bool, progress io.Writer) (string, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fmt.Errorf("%w: npm is not on PATH", errNoNode)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache: %w", err)
	}
	cache = filepath.Join(cache, "reminder-worker", "bench")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", fmt.Errorf("make the cache: %w", err)
	}
	lock, err := scripts.ReadFile("node/package-lock.json")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(lock)
	name, args := "npm-"+hex.EncodeToString(sum[:8]), []string{"ci", "--ignore-scripts", "--no-audit", "--no-fund", "--engine-strict=false"}
	if haveNode {
		name, args = name+"-own", append(args, "--omit=optional")
	}
	target := filepath.Join(cache, name)
	if _, err := os.Stat(target); err == nil {
		return target, nil
	}
	fmt.Fprintln(progress, "npm fetches Graphile Worker and pg-boss ...")
	return fetch(ctx, npm, args, cache, target)
}

// fetch has npm install into a folder that gets its name when it is whole.
func fetch(ctx context.Context, npm string, args []string, cache, target string) (string, error) {
	dir, err := os.MkdirTemp(cache, "fetching-")
	if err != nil {
		return "", fmt.Errorf("make a folder in the cache: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // gone, if all went well
	for _, name := range []string{"package.json", "package-lock.json"} {
		if err := writeScript(dir, name); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, args...)
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		// Of npm's words only its code, because the others tell where it looked.
		code := regexp.MustCompile(`(?m)^npm \S+ code (\S+)$`).FindSubmatch(out)
		if code == nil {
			code = [][]byte{nil, []byte("it gives no code")}
		}
		return "", fmt.Errorf("%w: npm ci: %w: %s", errNoNode, err, code[1])
	}
	if err := os.Rename(dir, target); err != nil {
		if _, there := os.Stat(target); there != nil {
			return "", fmt.Errorf("keep what npm fetched: %w", err)
		} // another process was faster
	}
	return target, nil
}

func writeScript(folder, name string) error {
	content, err := scripts.ReadFile("node/" + name)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name), content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// worker is a library that the script runs.
func (n *node) worker(script, name, settings string, sql bench.Statements) bench.Worker {
	command := func(ctx context.Context, s bench.Site, what string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, n.program, script, what)
		cmd.Dir, cmd.Env = n.folder, environment(s, envSettings+"="+settings, "NODE_ENV=production")
		return cmd
	}
	sql.Done, sql.Sent = doneSQL, alertedSQL
	return bench.Worker{
		Name: name, Settings: settings,
		Prepare: func(ctx context.Context, db *pgx.Conn, s bench.Site) error {
			if err := makeApp(ctx, db, ""); err != nil {
				return err
			}
			if out, err := command(ctx, s, "migrate").CombinedOutput(); err != nil {
				return fmt.Errorf("make the tables of %s: %w: %s", name, err, out)
			}
			return nil
		},
		Command: func(ctx context.Context, s bench.Site) *exec.Cmd { return command(ctx, s, "serve") },
		SQL:     sql,
		Skips:   skips,
	}
}

// graphile is Graphile Worker, whose users enter a job with its function in SQL.
func (n *node) graphile(tuned bool) bench.Worker {
	const one, many = ` select graphile_worker.add_job('event', ` + eventJSON + `) from e`,
		` select count(*) from graphile_worker.add_jobs((select array_agg(row(%s, null, %s, null, null, null, null)::graphile_worker.job_spec) from %s))`
	sql := bench.Statements{
		Event:     enterEvent + one,
		Events:    enterEvents + fmt.Sprintf(many, `'event', `+eventJSON, `null`, `e`),
		Reminders: enterReminders + fmt.Sprintf(many, `'reminder', `+reminderJSON, `x.due`, `x`),
	}
	if tuned {
		return n.worker("graphile.mjs", "Graphile (tuned)", "tuned", sql)
	}
	return n.worker("graphile.mjs", "Graphile", "installed", sql)
}

// pgBoss is pg-boss. The statement is its own, with the columns that these jobs fill: it takes what the queue says about them, and announces what may
// run at once.
func (n *node) pgBoss() bench.Worker {
	const insert = `, j as (
		insert into pgboss.job_common (name, data, start_after, keep_until, expire_seconds, deletion_seconds, retry_limit, retry_delay, retry_backoff,
			retry_delay_max, policy, dead_letter, heartbeat_seconds)
		select q.name, %s, %[2]s, %[2]s + q.retention_seconds * interval '1 second', q.expire_seconds, q.deletion_seconds, q.retry_limit, q.retry_delay,
			q.retry_backoff, q.retry_delay_max, q.policy, q.dead_letter, q.heartbeat_seconds
		from %s, pgboss.queue q where q.name = '%[4]s'
		returning start_after
	)
	select pg_notify('pgboss_' || left(encode(sha224('pgboss'), 'hex'), 24), '%[4]s') from j where start_after <= now() limit 1`
	events := fmt.Sprintf(insert, eventJSON, "now()", "e", "event")
	return n.worker("pgboss.mjs", "pg-boss (tuned)", "tuned", bench.Statements{
		Event:     enterEvent + events,
		Events:    enterEvents + events,
		Reminders: enterReminders + fmt.Sprintf(insert, reminderJSON, "x.due", "x", "reminder"),
	})
}
