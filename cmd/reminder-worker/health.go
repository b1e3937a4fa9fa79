package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

// healthTimeout bounds the question and its answer: a worker that takes longer is not well.
const healthTimeout = 5 * time.Second

func newHealthCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "health [live|ready]",
		Short: "Ask the worker on this machine how it is: for containers",
		Long: `Ask the worker that runs here, at HTTP_ADDR, whether it is ready (or, with live, whether its loops run at all), print what it
says, and exit with 0 if it is, else with 1. It needs nothing but the program itself, so it suits images that have no shell.`,
		Example: `  reminder-worker health
  reminder-worker health live`,
		ValidArgs: []string{"live", "ready"},
		RunE: func(c *cobra.Command, args []string) error {
			path, err := healthPath(args)
			if err != nil {
				return err
			}
			cfg, err := app.Load(os.Environ(), ".env")
			address, bad := healthAddress(cfg.HTTPAddr, path)
			if bad != nil {
				return usageError{errors.Join(bad, err)}
			}
			return askHealth(c.Context(), address, c.OutOrStdout())
		},
	}
	return c
}

func healthPath(args []string) (string, error) {
	switch {
	case len(args) == 0, len(args) == 1 && args[0] == "ready":
		return "/readyz", nil
	case len(args) == 1 && args[0] == "live":
		return "/livez", nil
	}
	return "", usageError{fmt.Errorf("health takes live or ready, not %q; see reminder-worker health --help", strings.Join(args, " "))}
}

// healthAddress is where a worker that listens on addr is asked from its own machine.
func healthAddress(addr, path string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "0" || port == "" {
		return "", fmt.Errorf("HTTP_ADDR is %q: there is no address to ask", addr)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	return "http://" + net.JoinHostPort(host, port) + path, nil
}

// maxHealth bounds what is read of an answer, in bytes.
const maxHealth = 64 << 10

// askHealth passes the answer on.
func askHealth(ctx context.Context, address string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("ask worker: %w", err)
	}
	// Past any proxy of the environment: it is this machine that is asked.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask worker: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(out, io.LimitReader(resp.Body, maxHealth)); err != nil {
		return fmt.Errorf("read the worker's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return exitError{exitFailed}
	}
	return nil
}
