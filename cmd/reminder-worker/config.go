package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

func newConfigCommand() *cobra.Command {
	var asJSON, example bool
	c := &cobra.Command{
		Use:   "config",
		Short: "Show the configuration, and where each value comes from",
		Long: `Show what this program is told, as it takes it, and where each value comes from: the environment, .env in the working directory, a file
that NAME_FILE names, or its default. Secrets are not shown, only whether they are set. A configuration that is wrong is refused, with all
its faults.

With --example: a .env with every variable, its default and its meaning, to begin with.`,
		Example: `  reminder-worker config
  reminder-worker config --json
  reminder-worker config --example > .env`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case example && asJSON:
				return usageError{errors.New("--example is a .env, and not JSON: leave out one of the two")}
			case example:
				_, err := io.WriteString(c.OutOrStdout(), app.ExampleEnvironment())
				return err
			}
			settings, err := app.Explain(os.Environ(), ".env")
			if err != nil {
				return usageError{configFaults(err)}
			}
			return showSettings(c.OutOrStdout(), settings, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	c.Flags().BoolVar(&example, "example", false, "print a .env with every variable")
	return c
}

func showSettings(out io.Writer, settings []app.Setting, asJSON bool) error {
	if asJSON {
		return writeJSON(out, settings)
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tVALUE\tFROM")
	for _, s := range settings {
		value := s.Value
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, value, s.Source)
	}
	return t.Flush()
}
