package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

func newDoctorCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong, and what to do about it",
		Long: `Examine the configuration, the database, Google and Expo, and say what is wrong and what to do about it. Nothing is
changed, no user's calendar or phone is touched, and no secret is printed.

Verdicts: pass; warn (works, in a lesser way or not for ever); fail; skip (could not be examined). The exit code is 1 if
anything failed.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := app.Load(os.Environ(), ".env")
			findings := app.Diagnose(c.Context(), cfg, err)
			if err := c.Context().Err(); err != nil {
				return err
			}
			if err := showFindings(c.OutOrStdout(), findings, asJSON); err != nil {
				return err
			}
			if app.Failed(findings) {
				return exitError{exitFailed}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return c
}

func showFindings(out io.Writer, findings []app.Finding, asJSON bool) error {
	if asJSON {
		return writeJSON(out, findings)
	}
	_, err := io.WriteString(out, findingsText(findings, coloured(out)))
	return err
}

// coloured reports whether out is a terminal whose owner wants colours.
func coloured(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && isatty.IsTerminal(f.Fd()) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// colours are those of the verdicts, as a terminal is told.
var colours = map[app.Verdict]string{app.Pass: "32", app.Warn: "33", app.Fail: "31", app.Skip: "2"}

// findingsText lists the findings, what is wrong with its fix below it, and counts them.
func findingsText(findings []app.Finding, colour bool) string {
	width := 0
	for _, f := range findings {
		width = max(width, len(f.ID))
	}
	var b strings.Builder
	count := map[app.Verdict]int{}
	for _, f := range findings {
		count[f.Verdict]++
		fmt.Fprintf(&b, "%s  %-*s  %s\n", paint(f.Verdict, colour), width, f.ID, f.Text)
		indent := strings.Repeat(" ", len(app.Pass)+width+4)
		for _, d := range f.Details {
			fmt.Fprintf(&b, "%s- %s\n", indent, d)
		}
		if f.Fix != "" && f.Verdict != app.Skip {
			fmt.Fprintf(&b, "%s> %s\n", indent, f.Fix)
		}
	}
	fmt.Fprintf(&b, "\n%d passed, %d warned, %d failed, %d skipped\n", count[app.Pass], count[app.Warn], count[app.Fail], count[app.Skip])
	return b.String()
}

func paint(v app.Verdict, colour bool) string {
	if !colour {
		return string(v)
	}
	return "\x1b[" + colours[v] + "m" + string(v) + "\x1b[0m"
}
