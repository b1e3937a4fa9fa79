package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/demo"
)

func newDemoCommand() *cobra.Command {
	cfg := demo.DefaultConfig()
	c := &cobra.Command{
		Use:   "demo",
		Short: "See it work, on a private Postgres and stand-ins for Google and Expo",
		Long: `Start a private Postgres, stand-ins for Google Calendar and Expo, and the real program on them. A small family enters,
moves and cancels events, and every step is shown with its latency, down to the push on the phone. Insert events of your
own with the SQL it prints. Nothing outside this machine is asked, and nothing is left behind.

Exit code 1 if anything was lost, doubled, or late by more than a second.`,
		Example: `  reminder-worker demo
  reminder-worker demo --for 20s --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg.Out, cfg.Errs, cfg.Build = c.OutOrStdout(), c.ErrOrStderr(), buildInfo()
			if err := cfg.Validate(); err != nil {
				return usageError{errors.New(strings.ReplaceAll(err.Error(), "\n", "\nreminder-worker: "))}
			}
			outlivePipe()
			verdict, err := demo.Run(c.Context(), cfg)
			if err == nil && !verdict.Good() {
				err = exitError{exitFailed}
			}
			return err
		},
	}
	f := c.Flags()
	f.DurationVar(&cfg.For, "for", 0, "end after this time, and not before the family's reminders have come (default: Ctrl-C)")
	f.IntVar(&cfg.GooglePort, "google-port", 0, "port of the stand-in for Google (default: any free one)")
	f.IntVar(&cfg.ExpoPort, "expo-port", 0, "port of the stand-in for Expo (default: any free one)")
	f.IntVar(&cfg.PostgresPort, "postgres-port", 0, "port of the private Postgres (default: any free one)")
	f.IntVar(&cfg.HTTPPort, "http-port", 0, "port of the live page, /readyz and /metrics (default: any free one)")
	f.BoolVar(&cfg.Log, "log", false, "print the program's own log as well, to stderr")
	f.BoolVar(&cfg.JSON, "json", false, "print one JSON object per line")
	return c
}
