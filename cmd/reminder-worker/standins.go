package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/demo"
)

func newStandinsCommand() *cobra.Command {
	var cfg demo.StandinsConfig
	c := &cobra.Command{
		Use:   "standins",
		Short: "Serve stand-ins for Google Calendar and Expo, to develop against",
		Long: `Serve stand-ins for Google Calendar (with its token endpoint) and for Expo's push service until Ctrl-C. They accept any
refresh token, any service account and any well-formed push token, print the environment that points the worker at them, and a line for each request.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg.Out = c.OutOrStdout()
			if err := cfg.Validate(); err != nil {
				return usageError{errors.New(strings.ReplaceAll(err.Error(), "\n", "\nreminder-worker: "))}
			}
			return demo.RunStandins(c.Context(), cfg)
		},
	}
	c.Flags().StringVar(&cfg.Google, "google", "127.0.0.1:8090", "address of the stand-in for Google")
	c.Flags().StringVar(&cfg.Expo, "expo", "127.0.0.1:8091", "address of the stand-in for Expo")
	return c
}
