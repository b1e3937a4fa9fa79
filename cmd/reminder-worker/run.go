package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

func newRunCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Serve for ever: the command of production",
		Long: `Serve until a signal to stop: listen for changes, plan reminders, write calendars, push.

Pending migrations are applied first (MIGRATE_ON_START=false leaves that to you). A database that is not there is
waited for; /readyz at HTTP_ADDR says so.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := newApp(c)
			if err != nil {
				return err
			}
			outlivePipe()
			return a.Run(c.Context())
		},
	}
}

func newOnceCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "once",
		Short: "Serve what is pending and due, then exit: for cron",
		Long: `Serve every event that is pending and every reminder that is due, then exit. For those who start the worker
from cron: reminders are then as late as cron is. A database that cannot be reached is an error (exit code 1).`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := newApp(c)
			if err != nil {
				return err
			}
			outlivePipe()
			return a.Once(c.Context())
		},
	}
}

// newApp makes the program from the environment.
func newApp(c *cobra.Command) (*app.App, error) {
	cfg, err := loadConfig()
	if err != nil {
		return nil, err
	}
	return app.New(cfg, buildInfo(), app.NewLog(cfg, c.ErrOrStderr()))
}

// loadConfig reads the environment and .env, and reports every fault at once.
func loadConfig() (app.Config, error) {
	cfg, err := app.Load(os.Environ(), ".env")
	if err != nil {
		return cfg, usageError{configFaults(err)}
	}
	return cfg, nil
}

func configFaults(err error) error {
	lines := strings.Split(err.Error(), "\n")
	return errors.New(fmt.Sprintf("wrong configuration (%d):\n  ", len(lines)) + strings.Join(lines, "\n  "))
}
