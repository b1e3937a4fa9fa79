// Command reminder-worker watches a family app's Postgres: it writes each event into the user's Google Calendar and pushes its reminders on
// the instant.
//
// Each command is one file here: flags, exit code and output. What they run is in cmd/internal/app and below.
//
// Exit codes: 0 done or asked to stop, 1 failed (restart me), 2 wrong configuration or usage (do not), 3 second signal.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // time zones also where the system has none, as in a bare container

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	exitFailed       = 1
	exitUsage        = 2
	exitSecondSignal = 3
)

func main() {
	dieBySignal()
	ctx, stop := untilSignal(context.Background())
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, out, errs io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	var unshown error
	root.SetHelpFunc(helpInOnePiece(root.HelpFunc(), &unshown))
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = unshown
	}
	if err == nil {
		return 0
	}
	if silent, ok := errors.AsType[exitError](err); ok {
		return silent.code
	}
	fmt.Fprintln(errs, "reminder-worker: "+err.Error())
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}

// usageError is a fault of configuration or of the command line: starting again cannot help.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitError ends the program with a code and nothing more to say.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// untilSignal returns a context that ends at the first SIGINT, SIGTERM or SIGHUP; another ends the program at once, but for SIGHUP: a
// terminal that is closed may send several. A SIGHUP that nohup has switched off stays so.
func untilSignal(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		ends = append(ends, syscall.SIGHUP)
	}
	signal.Notify(signals, ends...)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
		cancel()
		for s := range signals {
			if s != syscall.SIGHUP {
				os.Exit(exitSecondSignal)
			}
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}

// outlivePipe makes a write to stdout or stderr that nobody reads any more fail, instead of ending the program on the spot: for commands
// that have something to finish. The programs they start are not touched by it.
func outlivePipe() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "reminder-worker",
		Short: "Keeps Google Calendars and reminders in step with a family app's events",
		Long: `reminder-worker watches the events of a family app in its Postgres: it writes each event into the
user's Google Calendar and pushes its reminders on the instant.

Try it without anything of your own:   reminder-worker demo
Run it:                                DATABASE_URL=postgresql://... reminder-worker run
Ask what is wrong:                     reminder-worker doctor

Configuration comes from the environment, and from .env in the working directory.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		Run:           func(c *cobra.Command, _ []string) { _ = c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	root.AddCommand(newRunCommand(), newOnceCommand(), newHealthCommand(), newMigrateCommand(), newStatusCommand(), newRetryCommand(), newPauseCommand(), newResumeCommand(), newConfigCommand(), newDoctorCommand(), newAuditCommand(), newCleanupCommand(), newDemoCommand(), newBenchCommand(), newStandinsCommand(), newTextsCommand(), newTokensCommand(), newUserCommand(), newVersionCommand())
	refuseUnknown(root)
	return root
}

// knownCommand refuses a command that does not exist, and names those that are spelled nearly so.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if c.ArgsLenAtDash() >= 0 {
		return usageError{fmt.Errorf("there is no command after --: leave out the --; see %s --help", c.CommandPath())}
	}
	text := fmt.Sprintf("there is no command %q", args[0])
	c.SuggestionsMinimumDistance = 2 // letters that may be wrong
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		text += ": did you mean " + strings.Join(near, " or ")
	}
	return usageError{fmt.Errorf("%s; see %s --help", text, c.CommandPath())}
}

// noArgs refuses arguments with the exit code of wrong usage.
func noArgs(c *cobra.Command, args []string) error {
	if err := cobra.NoArgs(c, args); err != nil {
		return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	}
	return nil
}
