package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

func newUserCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "user",
		Short: "Export or delete all that is held about one user",
		Args:  knownCommand,
		Run:   func(c *cobra.Command, _ []string) { _ = c.Help() },
	}
	c.AddCommand(newUserExportCommand(), newUserDeleteCommand())
	return c
}

// oneUser reads the one argument of a command.
func oneUser(c *cobra.Command, args []string) (uuid.UUID, error) {
	if len(args) != 1 {
		return uuid.Nil, usageError{fmt.Errorf("name one user, by id; see %s --help", c.CommandPath())}
	}
	id, err := uuid.Parse(args[0])
	if err != nil {
		return uuid.Nil, usageError{fmt.Errorf("%q is not a UUID", args[0])}
	}
	return id, nil
}

func newUserExportCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "export <user-id>",
		Short: "Write all that is held about a user as one JSON document",
		Long: `Write all that is held about a user as one JSON document: settings, the account at Google, children, devices, events, reminders,
deliveries, and what is known of copies, as they stood at one instant. Nothing is masked; but the refresh token is a secret, and the document
only says whether there is one, since when, and in which state. The row of auth.users is the app's and not in it.

The document is {"format": "reminder-worker/user-export", "version": 1, "exported_at", "user_id"} with an array of rows for each kind; a row has
all its columns, times in UTC. It is written as it is read, whatever its size. A user who is unknown is an error (exit code 1).`,
		Example: `  reminder-worker user export 11111111-1111-4111-8111-111111111111 --out parent.json
  reminder-worker user export 11111111-1111-4111-8111-111111111111 | jq '.events[].title'`,
		RunE: func(c *cobra.Command, args []string) error {
			user, err := oneUser(c, args)
			if err != nil {
				return err
			}
			return exportUser(c, user, file)
		},
	}
	c.Flags().StringVar(&file, "out", "", "write to a new `file` that nobody else may read, instead of standard output")
	return c
}

func exportUser(c *cobra.Command, user uuid.UUID, file string) error {
	a, err := newApp(c)
	if err != nil {
		return err
	}
	var rows map[string]int64
	write := func(out io.Writer) (err error) {
		rows, err = a.ExportUser(c.Context(), user, out)
		return err
	}
	if file == "" {
		err = write(c.OutOrStdout())
	} else {
		err = writeWhole(file, write)
	}
	if err != nil {
		return err
	}
	total := int64(0)
	for _, n := range rows {
		total += n
	}
	switch {
	case total == 0:
		fmt.Fprintln(c.ErrOrStderr(), "nothing is held about this user; auth.users has them")
	case file != "":
		fmt.Fprintf(c.ErrOrStderr(), "%d rows are in %s\n", total, file)
	}
	return nil
}

// writeWhole makes a file with all of it, or none: what it is written to first is renamed in the end. One that is there already stays as it is.
func writeWhole(file string, write func(io.Writer) error) (err error) {
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("write %s: %w", file, os.ErrExist)
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".export-*") // for nobody else to read
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // it says what the error is already
		}
	}()
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// deleteFlags are those of user delete.
type deleteFlags struct {
	yes, keepCopies, authUser, asJSON bool
	wait                              time.Duration
}

func newUserDeleteCommand() *cobra.Command {
	var f deleteFlags
	c := &cobra.Command{
		Use:   "delete <user-id>",
		Short: "Forget a user: rows, copies in Google Calendar, and the consent",
		Long: `Remove all that is held about a user: copies from their Google Calendar (--keep-copies leaves them), the consent at Google, and then
every row, the worker's and the app's: events, reminders, deliveries, settings, devices, children, account. The row of auth.users stays, but for
--auth-user.

What is asked is written down first. Workers that run do it, and this command with them, or alone; it may be stopped, and goes on by itself where a
worker runs, or when it is asked again. Devices are gone at once, so nothing is pushed any more; what the app writes for the user meanwhile goes
as well. Where Google cannot be reached it is tried for 23 hours; then what is left there is left, and told. Where access has ended already
copies cannot be removed.

On a terminal it asks first; elsewhere it needs --yes. The exit code is 1 if it is not done yet, with what it waits for.`,
		Example: `  reminder-worker user delete 11111111-1111-4111-8111-111111111111
  reminder-worker user delete 11111111-1111-4111-8111-111111111111 --auth-user --yes --json`,
		RunE: func(c *cobra.Command, args []string) error {
			user, err := oneUser(c, args)
			if err != nil {
				return err
			}
			return deleteUser(c, user, f)
		},
	}
	c.Flags().BoolVar(&f.yes, "yes", false, "delete without asking")
	c.Flags().BoolVar(&f.keepCopies, "keep-copies", false, "leave in the user's calendar what stands there")
	c.Flags().BoolVar(&f.authUser, "auth-user", false, "delete the row of auth.users, too")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object")
	c.Flags().DurationVar(&f.wait, "wait", 2*time.Minute, "leave it to the workers when nothing has come of it for so long")
	return c
}

func deleteUser(c *cobra.Command, user uuid.UUID, f deleteFlags) error {
	if f.wait <= 0 || f.wait > 24*time.Hour {
		return usageError{fmt.Errorf("--wait %s: must be more than 0, and 24h at most", f.wait)}
	}
	a, err := newApp(c)
	if err != nil {
		return err
	}
	outlivePipe()
	var told string
	o := app.DeleteOptions{User: user, KeepCopies: f.keepCopies, AuthUser: f.authUser, Patience: f.wait}
	o.Confirm = func(h app.Holdings) error {
		if f.yes {
			return nil
		}
		return askForYes(c.InOrStdin(), c.ErrOrStderr(), "user delete", intentText(user, h, f))
	}
	o.Progress = func(d app.Deletion) {
		if d.Waits != "" && d.Waits != told {
			told = d.Waits
			fmt.Fprintln(c.ErrOrStderr(), "waiting: "+told)
		}
	}
	d, err := a.DeleteUser(c.Context(), o)
	if errors.Is(err, context.Canceled) && d.ID != uuid.Nil {
		err = errors.New("stopped; what was asked is written down: a worker goes on with it, or run this again")
	}
	if err != nil {
		return err
	}
	if err := showDeletion(c.OutOrStdout(), d, f); err != nil {
		return err
	}
	if !d.Ended {
		return exitError{exitFailed}
	}
	return nil
}

// intentText says what is about to be done.
func intentText(user uuid.UUID, h app.Holdings, f deleteFlags) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Forget user %s for good:\n  %d events, %d reminders, %d devices, %d children, %d settings", user, h.Events, h.Reminders, h.Devices, h.Children, h.Settings)
	if f.authUser {
		b.WriteString(", the row of auth.users")
	}
	switch {
	case f.keepCopies:
		b.WriteString("\n  their copies stay in Google Calendar")
	default:
		fmt.Fprintf(&b, "\n  %d copies in Google Calendar", h.Copies)
	}
	if h.Accounts > 0 {
		b.WriteString("\n  the consent at Google is given back")
	}
	if h.Deletions > 0 {
		b.WriteString("\n  (this was asked before, and is not done yet)")
	}
	return b.String()
}

// deletionJSON is a deletion for programs.
type deletionJSON struct {
	Deletion uuid.UUID        `json:"deletion"`
	Done     bool             `json:"done"`
	Removed  map[string]int64 `json:"removed"`
	Copies   struct {
		Known   int64 `json:"known"`
		Removed int64 `json:"removed"`
		Left    int64 `json:"left"`
		Kept    bool  `json:"kept"`
	} `json:"copies"`
	Consent  string `json:"consent"`
	AuthUser bool   `json:"auth_user"`
	Waits    string `json:"waits,omitempty"`
}

func showDeletion(out io.Writer, d app.Deletion, f deleteFlags) error {
	if f.asJSON {
		j := deletionJSON{Deletion: d.ID, Done: d.Ended, Removed: d.Removed, Consent: consentOf(d), AuthUser: d.Ended && d.Wish.AuthUser, Waits: d.Waits}
		j.Copies.Known, j.Copies.Kept = d.Copies, d.Wish.KeepCopies
		if d.Ended && !d.Wish.KeepCopies {
			j.Copies.Removed, j.Copies.Left = removedCopies(d), d.CopiesLeft
		}
		return writeJSON(out, j)
	}
	_, err := io.WriteString(out, deletionText(d))
	return err
}

// removedCopies are those that stood in the calendar and do no more.
func removedCopies(d app.Deletion) int64 { return max(0, d.Copies-d.CopiesLeft) }

// consentOf says what has become of the consent.
func consentOf(d app.Deletion) string {
	switch {
	case !d.HadGrant:
		return "none"
	case d.GivenBack:
		return "given back"
	case d.Ended:
		return "not given back"
	}
	return "pending"
}

func deletionText(d app.Deletion) string {
	var b strings.Builder
	for _, kind := range []string{"events", "reminders", "deliveries", "devices", "children", "settings", "accounts"} {
		if n := d.Removed[kind]; n > 0 {
			fmt.Fprintf(&b, "%8d  %s\n", n, kind)
		}
	}
	if !d.Ended {
		fmt.Fprintf(&b, "not done yet: %s\nIt is written down: workers go on with it by themselves for a day, or run this again.\n", cmp.Or(d.Waits, "rows that are being written to"))
		return b.String()
	}
	switch {
	case d.Wish.KeepCopies:
		b.WriteString("copies in Google Calendar stay, as was asked\n")
	case d.CopiesLeft > 0:
		fmt.Fprintf(&b, "%8d  copies removed from Google Calendar; %d could not be: access had ended, or Google did not answer in time\n", removedCopies(d), d.CopiesLeft)
	case d.Copies > 0:
		fmt.Fprintf(&b, "%8d  copies removed from Google Calendar\n", removedCopies(d))
	}
	b.WriteString(map[string]string{
		"none":           "no consent stood at Google\n",
		"given back":     "the consent was given back to Google\n",
		"not given back": "the consent could not be given back to Google: the user can end it at https://myaccount.google.com/connections\n",
	}[consentOf(d)])
	if d.Wish.AuthUser {
		b.WriteString("the row of auth.users is gone\n")
	}
	b.WriteString("nothing is held about this user any more\n")
	return b.String()
}
