package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

// auditFlags are those of the command.
type auditFlags struct {
	repair, google, asJSON, yes bool
	user                        string
}

func newAuditCommand() *cobra.Command {
	var f auditFlags
	c := &cobra.Command{
		Use:   "audit",
		Short: "Compare everything with what it should be, and mend it if asked to",
		Long: `Compare events with their reminders and copies, the triggers with how they were made, and page by page what stands in
the users' Google Calendars. Say what is out of step and why. Nothing is changed without --repair.

What is being served is not looked at, and what seems out of step is looked at twice: workers may run meanwhile. Give it the
environment that the workers have: with other REMINDER_OFFSETS or another DEFAULT_TIME_ZONE everything they have planned is out of step.

With --repair triggers are made again, and rows become due: events are served once more, twins and copies that their events have left
behind are removed, and what users have deleted themselves stays deleted. Entries that may be another user's or another deployment's are
told, and stay. Workers that run serve it, and this command with them; it returns when that is done. It pushes nothing. On a terminal it
asks first; elsewhere it needs --yes. Never repair from a copy of a database whose original is in use: each takes what the other has done
for damage.

The exit code is 0 if nothing is out of step, or everything was repaired, and 1 if something is left.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return audit(c, f) },
	}
	c.Flags().BoolVar(&f.repair, "repair", false, "mend what is found")
	c.Flags().BoolVar(&f.google, "google", true, "read the users' calendars, too")
	c.Flags().StringVar(&f.user, "user", "", "look at one user only, by `id`, and not at triggers")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print a JSON object")
	c.Flags().BoolVar(&f.yes, "yes", false, "repair without asking")
	return c
}

func audit(c *cobra.Command, f auditFlags) error {
	o := app.AuditOptions{Google: f.google, Repair: f.repair}
	if f.user != "" {
		var err error
		if o.User, err = uuid.Parse(f.user); err != nil {
			return usageError{fmt.Errorf("--user: %q is not a UUID", f.user)}
		}
	}
	if f.repair && !f.yes {
		if err := askForRepair(c.InOrStdin(), c.ErrOrStderr()); err != nil {
			return err
		}
	}
	a, err := newApp(c)
	if err != nil {
		return err
	}
	outlivePipe()
	told := teller(c.ErrOrStderr())
	o.Progress = told.tell
	report, err := a.Audit(c.Context(), o)
	told.end()
	if err != nil {
		return err
	}
	if err := showAudit(c.OutOrStdout(), report, f); err != nil {
		return err
	}
	if report.Left() > 0 {
		return exitError{exitFailed}
	}
	return nil
}

// errNotConfirmed ends a repair that nobody wants.
var errNotConfirmed = errors.New("nothing was looked at, and nothing changed")

// askForRepair asks who sits at the terminal. Without one there is nobody to ask.
func askForRepair(in io.Reader, out io.Writer) error {
	if !canAsk(in) {
		return usageError{errors.New("--repair without a terminal to ask at needs --yes")}
	}
	if !agreed(in, out, "Mend what is found? Events are served once more, and entries of ours that nothing accounts for are removed from calendars.") {
		return errNotConfirmed
	}
	return nil
}

// progress tells how far an audit has come, if it takes long.
type progress struct {
	out  io.Writer
	mu   sync.Mutex // guards the fields below
	next time.Time
	told bool
}

// tick is the time between two words on it.
const tick = 2 * time.Second

func teller(out io.Writer) *progress { return &progress{out: out, next: time.Now().Add(tick)} }

func (p *progress) tell(l app.AuditLooked) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.After(p.next) {
		p.next, p.told = now.Add(tick), true
		fmt.Fprintf(p.out, "looked at %s\n", lookedText(l))
	}
}

// end leaves a line between what was told and what was found.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told {
		fmt.Fprintln(p.out)
	}
}

func lookedText(l app.AuditLooked) string {
	return fmt.Sprintf("%d events, %d copies, %d reminders to come, %d accounts with %d entries in their calendars", l.Events, l.Copies, l.Reminders, l.Accounts, l.Entries)
}

func showAudit(out io.Writer, r app.AuditReport, f auditFlags) error {
	if f.asJSON {
		return writeJSON(out, r)
	}
	_, err := io.WriteString(out, auditText(r, f.repair))
	return err
}

// auditText lists the kinds that were found, each with some examples and what a repair does about it, and says what is left.
func auditText(r app.AuditReport, repair bool) string {
	width, total := 0, 0
	for _, s := range r.Sums {
		width = max(width, len(s.Kind))
		if !s.Info {
			total += s.Found
		}
	}
	var b strings.Builder
	for _, s := range r.Sums {
		how := fmt.Sprintf("%6d found", s.Found)
		switch {
		case s.Info:
			how += ", for information"
		case repair:
			how += fmt.Sprintf(", %d repaired", s.Repaired)
		}
		fmt.Fprintf(&b, "%-*s  %s\n", width, s.Kind, how)
		indent := strings.Repeat(" ", width+2)
		for _, e := range s.Examples {
			fmt.Fprintf(&b, "%s- %s\n", indent, findingText(e))
		}
		if n := s.Found - len(s.Examples); n > 0 {
			fmt.Fprintf(&b, "%s- and %d more\n", indent, n)
		}
		if s.Repair != "" && !repair {
			fmt.Fprintf(&b, "%s> with --repair: %s\n", indent, s.Repair)
		}
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s\n", lookedText(r.Looked))
	switch left := r.Left(); {
	case total == 0:
		b.WriteString("nothing is out of step\n")
	case repair:
		fmt.Fprintf(&b, "%d out of step, %d repaired, %d left\n", total, total-left, left)
	default:
		fmt.Fprintf(&b, "%d out of step\n", total)
	}
	return b.String()
}

// findingText names what a finding is about, and how it is out of step.
func findingText(f app.AuditFinding) string {
	var about []string
	for _, n := range []struct {
		name string
		id   uuid.UUID
	}{{"event", f.EventID}, {"reminder", f.ReminderID}, {"user", f.UserID}} {
		if n.id != uuid.Nil {
			about = append(about, n.name+" "+n.id.String())
		}
	}
	if f.GoogleID != "" {
		about = append(about, "entry "+f.GoogleID+" in "+f.CalendarID)
	}
	if len(about) == 0 {
		return f.Detail
	}
	return strings.Join(about, ", ") + ": " + f.Detail
}
