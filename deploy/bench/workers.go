package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parentpal/reminder-worker/cmd/bench"
)

// ours is what the others are compared with.
const ours = "reminder-worker"

// contender makes a worker that can be measured.
type contender struct {
	key  string
	node bool
	make func(field) (bench.Worker, error)
}

// field is what workers are made of.
type field struct {
	options
	self    string // this program
	program string // reminder-worker
	node    *node  // nil: cannot be had
}

var contenders = []contender{
	{ours, false, func(f field) (bench.Worker, error) { return bench.Ours(f.program), nil }},
	{"river", false, func(f field) (bench.Worker, error) { return riverWorker(f.self, false) }},
	{"river-tuned", false, func(f field) (bench.Worker, error) { return riverWorker(f.self, true) }},
	{"graphile", true, func(f field) (bench.Worker, error) { return f.node.graphile(false), nil }},
	{"graphile-tuned", true, func(f field) (bench.Worker, error) { return f.node.graphile(true), nil }},
	{"pg-boss-tuned", true, func(f field) (bench.Worker, error) { return f.node.pgBoss(), nil }},
	{"polling", false, func(f field) (bench.Worker, error) { return pollingWorker(f.self, f.every), nil }},
}

// workerKeys are those that --workers may name.
func workerKeys() (keys []string) {
	for _, c := range contenders {
		keys = append(keys, c.key)
	}
	return keys
}

// chosen makes the workers that were asked for, or all that can be had. What they need to run is put into dir.
func chosen(ctx context.Context, o options, dir string) (workers []bench.Worker, err error) {
	f := field{options: o, program: o.program}
	if f.self, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	wanted := slices.DeleteFunc(slices.Clone(contenders), func(c contender) bool {
		return len(o.workers) > 0 && !slices.Contains(o.workers, c.key)
	})
	if slices.ContainsFunc(wanted, func(c contender) bool { return c.node }) {
		f.node, err = findNode(ctx, dir, o.bench.Progress)
		switch {
		case errors.Is(err, errNoNode) && len(o.workers) == 0:
			fmt.Fprintln(o.bench.Progress, "left out:", err)
			wanted = slices.DeleteFunc(wanted, func(c contender) bool { return c.node })
		case err != nil:
			return nil, err
		}
	}
	if f.program == "" && slices.ContainsFunc(wanted, func(c contender) bool { return c.key == ours }) {
		if f.program, err = build(ctx, dir); err != nil {
			return nil, err
		}
	}
	for _, c := range wanted {
		w, err := c.make(f)
		if err != nil {
			return nil, err
		}
		workers = append(workers, w)
	}
	return workers, nil
}

// build builds reminder-worker from the checkout that this module stands in.
func build(ctx context.Context, dir string) (string, error) {
	const module = "github.com/parentpal/reminder-worker"
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find the checkout of %s: run this in deploy/bench, or name a program with --reminder-worker: %w", module, err)
	}
	program := filepath.Join(dir, ours)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/reminder-worker")
	cmd.Dir = strings.TrimSpace(string(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build reminder-worker: %w: %s", err, out)
	}
	return program, nil
}
