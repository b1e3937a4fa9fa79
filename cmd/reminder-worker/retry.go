package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

// retryFlags are those of the command.
type retryFlags struct {
	reason                   string
	all, dryRun, asJSON, yes bool
}

func newRetryCommand() *cobra.Command {
	var f retryFlags
	c := &cobra.Command{
		Use:   "retry [id...]",
		Short: "Have failed events and reminders tried again",
		Long: `Have what has failed tried again: events and reminders by their ids, or all of the last seven days that failed for one of the
reasons which reminder-worker status shows, or all of them. Mend first what made them fail.

Events are served as if the app had changed them, with all attempts before them. Reminders are sent as long as they are of use; those
that are too late, or whose event was cancelled or moved, are told and left. What has not failed stays as it is. Workers that run hear of
it at once. It is done in small steps, and may be stopped and called again.

First it says what it would do, and asks; without a terminal it needs --yes, or --dry-run. The exit code is 1 if an id is unknown, or a row
could not be changed.`,
		Example: `  reminder-worker retry 6e97c90a-da80-4744-b576-c5cf4f0dd251
  reminder-worker retry --reason "gave up after N attempts: google insert: status 503: backendError"
  reminder-worker retry --all --dry-run
  reminder-worker retry --all --yes --json`,
		RunE: func(c *cobra.Command, args []string) error {
			o, err := retryOptions(args, f)
			if err != nil {
				return err
			}
			if !f.yes && !f.dryRun && !canAsk(c.InOrStdin()) {
				return usageError{errors.New("retry without a terminal to ask at needs --yes, or --dry-run to see what it would do")}
			}
			return attend(c, func(ctx context.Context, a *app.App) error { return retry(ctx, c, a, o, f) })
		},
	}
	c.Flags().StringVar(&f.reason, "reason", "", "retry what failed for this `reason`: as status shows it, or the error_message of a row")
	c.Flags().BoolVar(&f.all, "all", false, "retry all that has failed within seven days")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "change nothing, and say what would be retried")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object")
	c.Flags().BoolVar(&f.yes, "yes", false, "retry without asking")
	return c
}

// retryOptions reads what is to be retried: one of ids, a reason, or all.
func retryOptions(args []string, f retryFlags) (o app.RetryOptions, err error) {
	ways := 0
	for _, named := range []bool{len(args) > 0, f.reason != "", f.all} {
		if named {
			ways++
		}
	}
	if ways != 1 {
		return o, usageError{errors.New("retry takes ids of events and reminders, or --reason, or --all; see reminder-worker retry --help")}
	}
	o = app.RetryOptions{Reason: f.reason, All: f.all}
	for _, arg := range args {
		id, err := uuid.Parse(arg)
		if err != nil {
			return o, usageError{fmt.Errorf("%q is not the id of an event or a reminder, which is a UUID", arg)}
		}
		o.Events = append(o.Events, id)
	}
	o.Reminders = o.Events
	return o, nil
}

// retry says what it would do, asks, does it, and says what was done.
func retry(ctx context.Context, c *cobra.Command, a *app.App, o app.RetryOptions, f retryFlags) error {
	out, asking := c.OutOrStdout(), !f.yes && !f.dryRun
	if asking || f.dryRun {
		o.DryRun = true
		r, err := a.Retry(ctx, o)
		if err != nil {
			return err
		}
		shown := out
		if asking && f.asJSON {
			shown = c.ErrOrStderr() // to whom is asked; the object is what was done
		}
		if err := showRetry(shown, r, f.asJSON && !asking); err != nil {
			return err
		}
		switch {
		case f.dryRun || r.Count(app.Retried) == 0:
			return leftOver(r)
		case !agreed(c.InOrStdin(), c.ErrOrStderr(), "Retry them?"):
			return errors.New("nothing was changed")
		}
		o.DryRun = false
	}
	r, err := a.Retry(ctx, o)
	if shown := showRetry(out, r, f.asJSON); shown != nil || err != nil {
		return errors.Join(err, shown)
	}
	return leftOver(r)
}

// leftOver ends the command with exit code 1 if it could not do what it was asked to.
func leftOver(r app.RetryReport) error {
	if r.Count(app.UnknownRow)+r.Count(app.Busy)+r.Count(app.Refused) > 0 {
		return exitError{exitFailed}
	}
	return nil
}

func showRetry(out io.Writer, r app.RetryReport, asJSON bool) error {
	if asJSON {
		return writeJSON(out, r)
	}
	_, err := io.WriteString(out, retryText(r))
	return err
}

// outcomes are how a row comes out, in the order in which they are told, and as it is said.
var outcomes = []struct {
	outcome app.RetryOutcome
	text    string
}{
	{app.Retried, "retried"}, {app.TooLate, "too late, left"}, {app.Withdrawn, "event cancelled or moved, left"}, {app.Busy, "in use by somebody else, left"},
	{app.Refused, "the database refuses, left"},
}

// retryText tells what became of each row that was asked for by its id, or else counts them by reason, and sums up.
func retryText(r app.RetryReport) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, s := range r.Reasons {
		for _, o := range outcomes {
			if n := s.Outcomes[o.outcome]; n > 0 && len(r.Items) == 0 {
				fmt.Fprintf(t, "%d %s\t%s\t%s\n", n, plural(n, s.Kind), said(o.outcome, r.DryRun), s.Reason)
			}
		}
	}
	for _, i := range r.Items {
		switch i.Outcome {
		case app.UnknownRow:
			fmt.Fprintf(t, "%s\tthere is no event and no reminder of this id\n", i.ID)
		case app.NotFailed:
			fmt.Fprintf(t, "%s %s\tis %s: there is nothing to retry\n", i.Kind, i.ID, i.Status)
		default:
			fmt.Fprintf(t, "%s %s\t%s\t%s\n", i.Kind, i.ID, said(i.Outcome, r.DryRun), i.Reason)
		}
	}
	_ = t.Flush() // into memory
	fmt.Fprintf(&b, "%d %s\n", r.Count(app.Retried), said(app.Retried, r.DryRun))
	return b.String()
}

// plural is a noun for so many.
func plural(n int, noun string) string {
	switch {
	case n == 1:
		return noun
	case noun == "copy":
		return "copies"
	}
	return noun + "s"
}

// said is how an outcome is told.
func said(outcome app.RetryOutcome, dryRun bool) string {
	if outcome == app.Retried && dryRun {
		return "to be retried"
	}
	for _, o := range outcomes {
		if o.outcome == outcome {
			return o.text
		}
	}
	return string(outcome)
}
