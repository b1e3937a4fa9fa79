package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

// pauseParts are what pause and resume take.
var pauseParts = []string{app.PartCalendar, app.PartPush}

func newPauseCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "pause calendar|push",
		Short: "Make no request to Google, or send nothing to Expo, until resume",
		Long: `Pause a part of the work, for all workers on this database and until reminder-worker resume: it stands in the database, and
outlives their restarts. Workers learn of it at once; what is on the wire finishes.

calendar   no request is made to Google. Reminders are planned and pushed all the same; events wait for their copies, and copies for
           their removal, in the table, with no attempt used
push       nothing is claimed for sending and nothing is written to Expo. Reminders wait; events are served. Those whose event begins
           meanwhile are not sent any more. Receipts are still fetched

/readyz says "degraded", and why; the metric is reminder_worker_paused. Said again it has another reason.`,
		Example: `  reminder-worker pause push --reason "wrong text in yesterday's release"
  reminder-worker pause calendar`,
		ValidArgs: pauseParts,
		RunE: func(c *cobra.Command, args []string) error {
			part, err := partOf("pause", args)
			if err != nil {
				return err
			}
			return attend(c, func(ctx context.Context, a *app.App) error {
				if err := a.Pause(ctx, part, reason); err != nil {
					return err
				}
				_, err := fmt.Fprintf(c.OutOrStdout(), "%s is paused for all workers; when it is over: reminder-worker resume %[1]s\n", part)
				return err
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, in `words` for whoever looks: shown wherever the pause is")
	return c
}

func newResumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "resume calendar|push",
		Short: "End a pause",
		Long: `End a pause, for all workers: what has waited is served in the usual order. Reminders whose event has begun meanwhile expire; users
who are leaving have a day again for their copies to be removed. What is not paused is left as it is.`,
		Example:   `  reminder-worker resume push`,
		ValidArgs: pauseParts,
		RunE: func(c *cobra.Command, args []string) error {
			part, err := partOf("resume", args)
			if err != nil {
				return err
			}
			return attend(c, func(ctx context.Context, a *app.App) error {
				before, err := a.Pauses(ctx)
				if err != nil {
					return err
				}
				if err := a.Resume(ctx, part); err != nil {
					return err
				}
				text := part + " was not paused\n"
				if i := slices.IndexFunc(before, func(p app.Pause) bool { return p.Part == part }); i >= 0 {
					text = part + " goes on for all workers\n"
				}
				_, err = fmt.Fprint(c.OutOrStdout(), text)
				return err
			})
		},
	}
}

// partOf is the one argument of a command, if it is a part.
func partOf(command string, args []string) (string, error) {
	if len(args) != 1 || !slices.Contains(pauseParts, args[0]) {
		return "", usageError{fmt.Errorf("%s takes %s, not %q; see reminder-worker %[1]s --help", command, strings.Join(pauseParts, " or "), strings.Join(args, " "))}
	}
	return args[0], nil
}

// attend lends the program, connected and of the database's schema, to a command that serves nothing.
func attend(c *cobra.Command, use func(context.Context, *app.App) error) error {
	a, err := newApp(c)
	if err != nil {
		return err
	}
	outlivePipe()
	return a.Attend(c.Context(), func(ctx context.Context) error { return use(ctx, a) })
}
