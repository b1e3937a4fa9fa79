package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/sql/migrations"
)

func newMigrateStatusCommand() *cobra.Command {
	var asJSON, exitCode bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show which migrations the database has",
		Long: `Show which migrations the database has. It needs no more than the right to read.

States: applied; pending; changed (applied, and the file edited since); unknown (applied by a newer program).`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			states, err := migrationStates(c)
			if err != nil {
				return err
			}
			if err := showStates(c.OutOrStdout(), states, asJSON); err != nil {
				return err
			}
			if exitCode && !upToDate(states) {
				return exitError{exitFailed}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	c.Flags().BoolVar(&exitCode, "exit-code", false, "end with exit code 1 unless every migration is applied")
	return c
}

func migrationStates(c *cobra.Command) (states []migrations.State, err error) {
	m, err := migrations.New(migrations.Options{})
	if err != nil {
		return nil, err
	}
	err = withDatabase(c.Context(), func(conn *pgx.Conn) error {
		states, err = m.Status(c.Context(), conn)
		return err
	})
	return states, err
}

func upToDate(states []migrations.State) bool {
	for _, s := range states {
		if s.Verdict != migrations.Applied {
			return false
		}
	}
	return true
}

func showStates(out io.Writer, states []migrations.State, asJSON bool) error {
	if asJSON {
		return writeJSON(out, stateRows(states))
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "VERSION\tNAME\tSTATE\tAPPLIED")
	for _, s := range states {
		when := "-"
		if !s.AppliedAt.IsZero() {
			when = s.AppliedAt.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(t, "%04d\t%s\t%s\t%s\n", s.Version, s.Name, s.Verdict, when)
	}
	return t.Flush()
}

// stateRow is a migration as --json shows it.
type stateRow struct {
	Version    int                `json:"version"`
	Name       string             `json:"name"`
	State      migrations.Verdict `json:"state"`
	AppliedAt  *time.Time         `json:"applied_at"`
	AppVersion string             `json:"app_version,omitempty"`
}

func stateRows(states []migrations.State) []stateRow {
	rows := make([]stateRow, len(states))
	for i, s := range states {
		rows[i] = stateRow{Version: s.Version, Name: s.Name, State: s.Verdict, AppVersion: s.AppVersion}
		if !s.AppliedAt.IsZero() {
			at := s.AppliedAt.UTC()
			rows[i].AppliedAt = &at
		}
	}
	return rows
}

// writeJSON writes v for people as well as for programs.
func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
