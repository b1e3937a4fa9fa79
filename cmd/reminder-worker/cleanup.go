package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

// cleanupFlags are those of the command.
type cleanupFlags struct{ dryRun, asJSON, yes bool }

func newCleanupCommand() *cobra.Command {
	var f cleanupFlags
	c := &cobra.Command{
		Use:   "cleanup",
		Short: "Remove what is over: old reminders, deliveries, devices",
		Long: `Remove what is over and has been for long enough: reminders and their deliveries (KEEP_REMINDERS), events that have failed
(KEEP_FAILED_EVENTS) and, if you ask for it, all other events that are over (KEEP_EVENTS), removals of copies that wait for an account
that has ended (KEEP_REMOVALS), and retired devices (KEEP_DEVICES). Never what is still needed; and when an event goes because it is old, its
copy stays in the user's calendar.

Workers do this by themselves once in CLEANUP_INTERVAL, one of them for all. The command does it now, from the beginning, beside workers that
serve: in transactions of a thousand rows at most, with pauses as long as the work. It may be stopped, and run again.

On a terminal it asks first; elsewhere it needs --yes, or --dry-run, which only counts. Of events it then counts those that would go, and
not what would go with them.`,
		Example: `  reminder-worker cleanup --dry-run
  KEEP_EVENTS=17520h reminder-worker cleanup --yes`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return cleanup(c, f) },
	}
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "count what would be removed, and remove nothing")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object")
	c.Flags().BoolVar(&f.yes, "yes", false, "remove without asking")
	return c
}

func cleanup(c *cobra.Command, f cleanupFlags) error {
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	if !f.dryRun && !f.yes {
		if err := askForYes(c.InOrStdin(), c.ErrOrStderr(), "cleanup", "Remove for good "+agesText(cfg)+"."); err != nil {
			return err
		}
	}
	a, err := app.New(cfg, buildInfo(), app.NewLog(cfg, c.ErrOrStderr()))
	if err != nil {
		return err
	}
	outlivePipe()
	shown := newBar(c.ErrOrStderr())
	report, err := a.Cleanup(c.Context(), f.dryRun, func(p app.CleanupProgress) {
		shown.show(p.Done, p.Total, fmt.Sprintf("%s, %d rows", p.Part, p.Counts.Total()))
	})
	shown.end()
	if err != nil {
		if n := report.Counts.Total(); n > 0 {
			return fmt.Errorf("%w; %d rows were removed, run it again for the rest", err, n)
		}
		return err
	}
	return showCleanup(c.OutOrStdout(), report, f)
}

// agesText says what goes after how long.
func agesText(cfg app.Config) string {
	var kept []string
	for _, age := range []struct {
		what  string
		value time.Duration
	}{
		{"reminders and deliveries", cfg.KeepReminders}, {"failed events", cfg.KeepFailedEvents}, {"other events", cfg.KeepEvents},
		{"removals that wait for an account", cfg.KeepRemovals}, {"retired devices", cfg.KeepDevices},
	} {
		if age.value > 0 {
			kept = append(kept, fmt.Sprintf("%s that have been over for %s", age.what, daysText(age.value)))
		}
	}
	if kept == nil {
		return "nothing, for all ages are 0"
	}
	return strings.Join(kept, ", ")
}

func daysText(d time.Duration) string {
	const day = 24 * time.Hour
	if d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

// cleanupKinds says of some kinds what they are.
var cleanupKinds = map[string]string{
	"copies":    "copies that are remembered no longer; they stand in the calendars still",
	"removals":  "removals of copies that waited for an account",
	"deletions": "records of users who have been forgotten",
	"refused":   "refused: the database would not part with them, see the log",
}

func showCleanup(out io.Writer, r app.CleanupReport, f cleanupFlags) error {
	if f.asJSON {
		return writeJSON(out, struct {
			app.CleanupReport
			TookMs int64 `json:"took_ms"`
		}{r, r.Took.Milliseconds()})
	}
	var b strings.Builder
	for _, kind := range app.CleanupKinds() {
		if n := r.Counts.Of(kind); n > 0 {
			what := kind
			if says := cleanupKinds[kind]; says != "" {
				what = says
			}
			fmt.Fprintf(&b, "%10d  %s\n", n, what)
		}
	}
	done := "removed"
	if r.DryRun {
		done = "would be removed"
	}
	if b.Len() == 0 {
		fmt.Fprintf(&b, "nothing %s: nothing has been over for long enough\n", strings.TrimPrefix(done, "would be "))
	} else {
		fmt.Fprintf(&b, "%10d  rows %s in %s\n", r.Counts.Total(), done, r.Took.Round(10*time.Millisecond))
	}
	_, err := io.WriteString(out, b.String())
	return err
}
