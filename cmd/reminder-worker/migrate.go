package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
	"github.com/parentpal/reminder-worker/sql/migrations"
)

// farewell bounds how long a connection is given to say good-bye.
const farewell = time.Second

func newMigrateCommand() *cobra.Command {
	migrate := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to date, or show how it stands",
		Long: `The schema is a list of numbered files, applied in order and never back. Tables that an app has already are
adopted; nothing in them is dropped or rewritten.

run and once apply what is pending by themselves, unless MIGRATE_ON_START=false.`,
		Args: knownCommand,
		Run:  func(c *cobra.Command, _ []string) { _ = c.Help() },
	}
	migrate.AddCommand(newMigrateUpCommand(), newMigrateStatusCommand(), newMigratePrintCommand())
	return migrate
}

func newMigrateUpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Apply what is pending",
		Long: `Apply what is pending, each file in a transaction of its own, and list it with the time it took. A file that
fails leaves nothing behind and those before it stay. Any number of these may run at once.

The role needs to own the app's tables, as postgres does on Supabase.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return migrateUp(c.Context(), c.OutOrStdout()) },
	}
}

func migrateUp(ctx context.Context, out io.Writer) error {
	outlivePipe()
	began := time.Now()
	m, err := migrations.New(migrations.Options{
		AppVersion: buildInfo().Version,
		Logf: func(format string, args ...any) {
			now := time.Now()
			fmt.Fprintf(out, format+" in %s\n", append(args, now.Sub(began).Round(time.Millisecond))...)
			began = now
		},
	})
	if err != nil {
		return err
	}
	return withDatabase(ctx, func(conn *pgx.Conn) error {
		began = time.Now()
		applied, err := m.Up(ctx, conn)
		if err == nil && len(applied) == 0 {
			fmt.Fprintln(out, "the schema is up to date")
		}
		return err
	})
}

func newMigratePrintCommand() *cobra.Command {
	var from int
	c := &cobra.Command{
		Use:   "print",
		Short: "Write the migrations to stdout as one SQL script",
		Long: `Write the migrations to stdout as one SQL script, for those who keep their whole schema in one place:

  reminder-worker migrate print > supabase/migrations/20260101000000_reminder_worker.sql

The script records what it applies, as migrate up does, and may be run twice. It needs no database to be written.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := migrations.New(migrations.Options{AppVersion: buildInfo().Version})
			if err != nil {
				return err
			}
			return printFrom(c.OutOrStdout(), m, from)
		},
	}
	c.Flags().IntVar(&from, "from", 1, "first `version` to print")
	return c
}

func printFrom(out io.Writer, m *migrations.Migrator, from int) error {
	files, err := migrations.List()
	if err != nil {
		return err
	}
	if from < 1 || from > len(files) {
		return usageError{fmt.Errorf("--from %d: there are versions 1 to %d", from, len(files))}
	}
	var script bytes.Buffer // in one piece: half a script may be taken for a whole one
	if err := m.Print(&script, from); err != nil {
		return err
	}
	_, err = out.Write(script.Bytes())
	return err
}

// withDatabase lends a connection to the configured database.
func withDatabase(ctx context.Context, use func(*pgx.Conn) error) error {
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	conn, err := app.Connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_ = conn.Close(ctx) // the work is done, and the server notices either way
	}()
	return use(conn)
}
