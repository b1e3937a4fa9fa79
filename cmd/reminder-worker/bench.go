package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/bench"
)

func newBenchCommand() *cobra.Command {
	cfg := bench.DefaultConfig()
	var full, asJSON bool
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure how soon, how many, how late, and at what cost",
		Long: `Start a private Postgres (or use the server of --database-url, in databases of their own), stand-ins for Google and Expo that
answer at once, and this program on them, and measure: pickup (from a commit to the request at Google), how fast a backlog is
drained, steady rates, how late reminders are at random instants, all at one, and while millions of old rows are removed, how long a
start takes with millions of them, and what it costs to do nothing.

Everything runs on this machine and shares its processors: leave it alone meanwhile. What others used of them is told.`,
		Example: `  reminder-worker bench
  reminder-worker bench --only pickup,lateness --runs 5
  reminder-worker bench --full --runs 5 --json > figures.json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if full {
				cfg.Size = bench.FullSize()
			}
			cfg.Progress = c.ErrOrStderr()
			if err := cfg.Validate(); err != nil {
				return usageError{errors.New(strings.ReplaceAll(err.Error(), "\n", "\nreminder-worker: "))}
			}
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			outlivePipe()
			return runBench(c.Context(), cfg, program, asJSON, c.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVar(&cfg.DatabaseURL, "database-url", "", "a server on this machine to make databases on (default: a private one)")
	f.StringSliceVar(&cfg.Only, "only", nil, "measure these alone: "+strings.Join(bench.ScenarioNames(), ", "))
	f.IntVar(&cfg.Runs, "runs", cfg.Runs, "measure everything so often, and tell the medians")
	f.BoolVar(&full, "full", false, "sizes for figures to publish: minutes for each rate, and tables of 20 million rows")
	f.BoolVar(&asJSON, "json", false, "print one JSON object per measurement instead of a table")
	return c
}

func runBench(ctx context.Context, cfg bench.Config, program string, asJSON bool, out io.Writer) error {
	b, err := bench.New(cfg, bench.Ours(program))
	if err != nil {
		return err
	}
	var results []bench.Result
	var unwritten error
	err = b.Run(ctx, func(r bench.Result) {
		results = append(results, r)
		if asJSON && unwritten == nil {
			unwritten = json.NewEncoder(out).Encode(r)
		}
	})
	if !asJSON {
		unwritten = bench.WriteTable(out, bench.Summarise(results))
	}
	return errors.Join(err, unwritten)
}
