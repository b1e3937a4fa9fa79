// Command bench measures reminder-worker beside what one would otherwise take for its work: River, Graphile Worker, pg-boss, and a loop that asks for
// what is pending. All do the same work on databases of one server, take turns, and are measured from outside by package cmd/bench.
//
//	go -C deploy/bench run . --runs 5 > table.txt
//
// It prints the figures, then how many times reminder-worker's each rival's are, and draws how late reminders were. README.md tells what is
// compared, and to whom it is not fair.
//
// This module is one of its own, so that nobody who builds reminder-worker has to fetch its rivals.
//
// # How it is built
//
// A rival is a [bench.Worker]. Those written in Go are this program, started again as "bench serve"; those written for Node are scripts in node, which
// the program carries in itself. What a job asks for is in calls.go and node/calls.mjs, the app's tables and statements are in app.go.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/parentpal/reminder-worker/cmd/bench"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == serveCommand {
		if err := serve(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: "+strings.ReplaceAll(err.Error(), "\n", "\nbench: "))
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	bench   bench.Config
	workers []string // by their keys; nil: all that can be had
	program string   // of reminder-worker; empty: it is built
	every   time.Duration
	plot    string // a file; empty: none
	json    string // a file; empty: none
}

// parse reads the command line, and reports every fault at once.
func parse(args []string, errs io.Writer) (options, error) {
	o := options{bench: bench.DefaultConfig()}
	var size, only, workers string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(errs)
	f.StringVar(&workers, "workers", "", "measure these alone, separated by commas: "+strings.Join(workerKeys(), ", ")+" (default: all that can be had)")
	f.StringVar(&only, "only", "", "these scenarios alone, separated by commas: "+strings.Join(bench.ScenarioNames(), ", "))
	f.StringVar(&size, "size", "quick", "how much is measured: "+strings.Join(sizeNames, ", "))
	f.IntVar(&o.bench.Runs, "runs", o.bench.Runs, "measure everything so often, and tell the medians")
	f.StringVar(&o.bench.DatabaseURL, "database-url", "", "a server on this machine to make databases on (default: a private one)")
	f.StringVar(&o.program, "reminder-worker", "", "the reminder-worker program (default: it is built from this checkout)")
	f.DurationVar(&o.every, "poll-every", time.Second, "the pause of the polling worker, 100ms to 1m")
	f.StringVar(&o.plot, "plot", "lateness.svg", "draw how late reminders were into this file; empty: do not")
	f.StringVar(&o.json, "json", "", "also write one JSON object per measurement into this file")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.bench.Only, o.workers, o.bench.Progress = list(only), list(workers), errs
	return o, o.validate(f.Args(), size)
}

func (o *options) validate(extra []string, size string) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(extra) > 0 {
		fault("%s: there are flags alone, see --help", extra[0])
	}
	var known bool
	if o.bench.Size, known = sizeOf(size); !known {
		fault("--size %s: must be one of %s", size, strings.Join(sizeNames, ", "))
	}
	for _, key := range o.workers {
		if !slices.Contains(workerKeys(), key) {
			fault("--workers %s: there is none of that name; there are %s", key, strings.Join(workerKeys(), ", "))
		}
	}
	if o.every < 100*time.Millisecond || o.every > time.Minute {
		fault("--poll-every %s: must be between 100ms and 1m", o.every)
	}
	if o.program != "" {
		if info, err := os.Stat(o.program); err != nil || info.IsDir() {
			fault("--reminder-worker %s: there is no such program", o.program)
		}
	}
	faults = append(faults, o.bench.Validate())
	return errors.Join(faults...)
}

// list splits a flag's value at its commas.
func list(text string) (items []string) {
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

var sizeNames = []string{"tiny", "quick", "full"}

func sizeOf(name string) (bench.Size, bool) {
	switch name {
	case "tiny":
		return tinySize(), true
	case "quick":
		return bench.QuickSize(), true
	case "full":
		return bench.FullSize(), true
	}
	return bench.Size{}, false
}

// tinySize is for a try: everything is counted, and no figure means anything.
func tinySize() bench.Size {
	return bench.Size{
		Settle:     3 * time.Second,
		PickupRate: 20, PickupFor: 2 * time.Second,
		Drain:     []int{200},
		Sustained: []int{50}, SustainedFor: 2 * time.Second,
		Lateness: []int{100}, LatenessFor: 2 * time.Second,
		Herd: 100, PacedHerd: 700,
		Rebuild: []int{1000}, Starts: 1,
		IdleFor: time.Second,
		Growth:  []int{1000},
	}
}

// run measures, and tells.
func run(ctx context.Context, args []string, out, errs io.Writer) (err error) {
	o, err := parse(args, errs)
	if err != nil {
		return err
	}
	files, err := openOutputs(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, files.close()) }()
	dir, err := os.MkdirTemp("", "reminder-worker-bench-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	workers, err := chosen(ctx, o, dir)
	if err != nil {
		return err
	}
	b, err := bench.New(o.bench, workers...)
	if err != nil {
		return err
	}
	var results []bench.Result
	failed := b.Run(ctx, func(r bench.Result) {
		results = append(results, r)
		files.measured(r)
	})
	return errors.Join(failed, tell(out, results), files.drawn(results))
}

// tell prints the figures, and the ratios.
func tell(out io.Writer, results []bench.Result) error {
	if len(results) == 0 {
		return nil
	}
	if err := bench.WriteTable(out, bench.Summarise(results)); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	found := ratios(results, ours)
	if len(found) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\nhow many times %s's, in the same run:\n\n", ours)
	if err := writeRatios(out, found); err != nil {
		return fmt.Errorf("write the ratios: %w", err)
	}
	return nil
}

// outputs are what is written beside the tables.
type outputs struct {
	json *os.File // nil: not asked for
	plot string   // empty: not asked for
	err  error    // the first of writing
}

// openOutputs finds out whether the files can be written before anything is measured: an hour later is no time for it. A plot of an earlier run stays
// until there is another.
func openOutputs(o options) (*outputs, error) {
	f := &outputs{plot: o.plot}
	if o.plot != "" {
		if info, err := os.Stat(filepath.Dir(o.plot)); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("--plot %s: there is no such folder", o.plot)
		}
	}
	if o.json != "" {
		var err error
		if f.json, err = os.Create(o.json); err != nil {
			return nil, fmt.Errorf("--json %s: %w", o.json, err)
		}
	}
	return f, nil
}

func (f *outputs) measured(r bench.Result) {
	if f.json != nil && f.err == nil {
		f.err = json.NewEncoder(f.json).Encode(r)
	}
}

// drawn draws what there is to draw.
func (f *outputs) drawn(results []bench.Result) error {
	lines := latenesses(results)
	if f.plot == "" || len(lines) == 0 {
		return nil
	}
	var picture bytes.Buffer
	if err := plot(&picture, "How late reminders were", lines); err != nil {
		return fmt.Errorf("draw the plot: %w", err)
	}
	if err := os.WriteFile(f.plot, picture.Bytes(), 0o644); err != nil { //nolint:gosec // a picture to be shown holds no secret
		return fmt.Errorf("write the plot: %w", err)
	}
	return nil
}

func (f *outputs) close() error {
	if f.json == nil {
		return nil
	}
	return errors.Join(f.err, f.json.Close())
}
