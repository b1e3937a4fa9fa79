package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

func newStatusCommand() *cobra.Command {
	var asJSON, exitCode bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show on one screen how everything stands",
		Long: `Show on one screen how everything stands: schema, workers, what is paused, what is due and for how long, what has failed and why,
accounts, devices and quotas. It asks the database alone, in a session that may write nothing, and needs no running worker; rows are
counted up to 10,000 of a kind. Failures are those of the last seven days, by reason: reminder-worker retry has them tried again.

With --exit-code it ends with exit code 1 if something needs a person, which is told at the end.`,
		Example: `  reminder-worker status
  reminder-worker status --json
  reminder-worker status --exit-code >/dev/null || echo "look at it"`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := readStatus(c)
			if err != nil {
				return err
			}
			if err := showStatus(c.OutOrStdout(), s, asJSON); err != nil {
				return err
			}
			if exitCode && len(s.Attention) > 0 {
				return exitError{exitFailed}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	c.Flags().BoolVar(&exitCode, "exit-code", false, "end with exit code 1 if something needs a person")
	return c
}

func readStatus(c *cobra.Command) (s app.Status, err error) {
	cfg, err := loadConfig()
	if err != nil {
		return s, err
	}
	err = withDatabase(c.Context(), func(conn *pgx.Conn) error {
		s, err = app.ReadStatus(c.Context(), cfg, conn)
		return err
	})
	return s, err
}

func showStatus(out io.Writer, s app.Status, asJSON bool) error {
	if asJSON {
		return writeJSON(out, s)
	}
	_, err := io.WriteString(out, statusText(s))
	return err
}

// shownReasons is how many reasons are shown for failures of each kind.
const shownReasons = 10

// statusText is the screen.
func statusText(s app.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "reminder-worker %s, %s UTC\n\n", buildInfo().Version, s.At.UTC().Format(time.DateTime))
	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintf(t, "schema\t%s\n", schemaText(s))
	if s.Schema.Fault == "" {
		statusRows(t, s)
	}
	_ = t.Flush() // into memory
	failuresText(&b, "events", s.Failures.Events)
	failuresText(&b, "reminders", s.Failures.Reminders)
	if len(s.Attention) == 0 {
		b.WriteString("\nnothing needs a person\n")
		return b.String()
	}
	b.WriteString("\nneeds a person\n")
	for _, a := range s.Attention {
		fmt.Fprintf(&b, "  - %s\n", a)
	}
	return b.String()
}

func schemaText(s app.Status) string {
	if s.Schema.Fault != "" {
		return s.Schema.Fault
	}
	text := fmt.Sprintf("%d of %d migrations, PostgreSQL %s", s.Schema.Applied, s.Schema.Known, s.ServerVersion)
	if s.Standby {
		text += ", a standby"
	}
	return text
}

func statusRows(t io.Writer, s app.Status) {
	fmt.Fprintf(t, "workers\t%s\n", workersText(s.Workers))
	for _, p := range s.Pauses {
		fmt.Fprintf(t, "paused\t%s, for %s%s\n", p.Part, spoken(s.At.Sub(p.Since)), after(": ", p.Reason))
	}
	var waiting []string
	for _, w := range s.Waiting {
		text := fmt.Sprintf("%s %s", w.Due, plural(int(w.Due), w.Kind))
		if w.OldestSeconds > 0 {
			text += fmt.Sprintf(" (for %s)", spoken(time.Duration(w.OldestSeconds*float64(time.Second))))
		}
		waiting = append(waiting, text)
	}
	fmt.Fprintf(t, "due\t%s\n", strings.Join(waiting, ", "))
	if s.NextReminder.IsZero() {
		fmt.Fprint(t, "next\tno reminder\n")
	} else {
		fmt.Fprintf(t, "next\ta reminder in %s, %s within a day\n", spoken(s.NextReminder.Sub(s.At)), s.RemindersToday)
	}
	fmt.Fprintf(t, "accounts\t%s connected, %s to be connected again, %s leaving, %s off\n", s.Accounts.Connected, s.Accounts.NeedsReconnect, s.Accounts.Leaving, s.Accounts.Off)
	fmt.Fprintf(t, "devices\t%s\n", s.Devices)
	for _, q := range s.Quotas {
		of := "no limit"
		if q.Allowed > 0 {
			of = fmt.Sprintf("%d of %d", q.Held, q.Allowed)
		}
		fmt.Fprintf(t, "quota\t%s: %s in %s\n", q.Name, of, spoken(time.Duration(q.Seconds)*time.Second))
	}
}

func workersText(w app.WorkersStatus) string {
	text := "none is seen"
	switch {
	case w.Sessions > 0:
		text = fmt.Sprintf("%d sessions", w.Sessions)
	case w.Hears != "":
		text = "at least one"
	}
	if w.Hears != "" {
		return text + ", told of commits by " + strings.ReplaceAll(w.Hears, ",", " and ")
	}
	return text + ", not told of commits at the moment"
}

func failuresText(b *strings.Builder, what string, all []app.Failure) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(b, "\nfailed %s\n", what)
	for i, f := range all {
		if i == shownReasons {
			fmt.Fprintf(b, "  and %d more reasons\n", len(all)-i)
			return
		}
		fmt.Fprintf(b, "  %7s  %s\n", app.Count(f.Count), f.Reason)
	}
}

// after is text behind a sign, or nothing.
func after(sign, text string) string {
	if text == "" {
		return ""
	}
	return sign + text
}

// spoken is a time span as people say it, in its two largest units.
func spoken(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
	}
}
