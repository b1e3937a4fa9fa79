package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parentpal/reminder-worker/cmd/bench"
	"github.com/parentpal/reminder-worker/sql/pgtemp"
)

// The tests are a worker too, when they are started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == serveCommand {
		if err := serve(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// requireNode makes it a failure that the workers for Node cannot be had, as elsewhere in the project.
const requireNode = "REMINDER_WORKER_REQUIRE_NODE"

func TestGoWorkers(t *testing.T) {
	t.Parallel()
	measure(t, ours, "river", "river-tuned", "polling")
}

func TestNodeWorkers(t *testing.T) {
	t.Parallel()
	measure(t, "graphile", "graphile-tuned", "pg-boss-tuned")
}

// measure has workers do a little of everything. The bench fails when something is not done, or twice, or not written down; how fast it was is nothing
// that a test may judge.
func measure(t *testing.T, keys ...string) {
	t.Helper()
	var told bytes.Buffer
	size := tinySize()
	size.PickupFor, size.SustainedFor, size.LatenessFor = time.Second, time.Second, time.Second
	cfg := bench.Config{Runs: 1, Size: size, Only: []string{"pickup", "drain", "sustained", "lateness", "herd", "paced herd"}, Progress: &told}
	workers, err := chosen(t.Context(), options{bench: cfg, workers: keys, every: time.Second}, t.TempDir())
	if errors.Is(err, errNoNode) && os.Getenv(requireNode) == "" {
		t.Log("did not run:", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := bench.New(cfg, workers...)
	if err != nil {
		t.Fatal(err)
	}
	var results []bench.Result
	err = b.Run(t.Context(), func(r bench.Result) { results = append(results, r) })
	if _, none := errors.AsType[*pgtemp.NotInstalledError](err); none {
		t.Log("did not run:", err)
		return
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, &told)
	}
	want := 5 * len(workers)
	if slices.Contains(keys, ours) {
		want++ // which alone is paced
	}
	var tables bytes.Buffer
	if err := tell(&tables, results); err != nil || len(results) != want || len(latenesses(results)) != len(workers) {
		t.Errorf("%d measurements, want %d; %d lines; error %v", len(results), want, len(latenesses(results)), err)
	}
	t.Logf("\n%s", &tables)
}

// Every fault of a command line is told, each with its flag.
func TestParse(t *testing.T) {
	t.Parallel()
	_, err := parse([]string{
		"--workers", "river, sidekiq", "--size", "huge", "--runs", "0", "--poll-every", "1h", "--only", "herds", "--reminder-worker", "/nowhere/at/all", "more",
	}, io.Discard)
	for _, want := range []string{
		"--workers sidekiq: there is none", "--size huge: must be one of tiny, quick, full", "--runs 0: must be", "--poll-every 1h0m0s: must be",
		"--only herds: there is none", "--reminder-worker /nowhere/at/all: there is no such program", "more: there are flags alone",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	o, err := parse([]string{"--workers", "river,polling", "--size", "full"}, io.Discard)
	if err != nil || !slices.Equal(o.workers, []string{"river", "polling"}) || o.bench.Size.Herd != bench.FullSize().Herd || o.plot != "lateness.svg" {
		t.Errorf("options %+v, error %v", o, err)
	}
	for _, args := range [][]string{{"--plot", "/nowhere/at/all/p.svg"}, {"--json", "/nowhere/at/all/p.json"}} {
		o, err := parse(append(args, "--workers", "river"), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openOutputs(o); err == nil || !strings.HasPrefix(err.Error(), args[0]+" "+args[1]) {
			t.Errorf("%v: error %v", args, err)
		}
	}
}

// A plot is left alone by a run that has nothing to draw.
func TestPlotStays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p.svg")
	if err := os.WriteFile(path, []byte("earlier"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := openOutputs(options{plot: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.drawn([]bench.Result{result(ours, 1)}), f.close()); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "earlier" {
		t.Errorf("the plot is now %q, error %v", got, err)
	}
}

// The statements of the scripts are those of the program: the work is the same.
func TestScriptsSayTheSame(t *testing.T) {
	t.Parallel()
	script, err := scripts.ReadFile("node/calls.mjs")
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{syncedSQL, sentSQL} {
		if !bytes.Contains(script, []byte("`"+statement+"`")) {
			t.Errorf("node/calls.mjs does not have the statement\n%s", statement)
		}
	}
	lock, err := scripts.ReadFile("node/package-lock.json")
	if err != nil || bytes.Contains(lock, []byte(`"resolved"`)) {
		t.Errorf("package-lock.json names where packages come from, which another machine may not reach: make it with --omit-lockfile-registry-resolved; error %v", err)
	}
}
