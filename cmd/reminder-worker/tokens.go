package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

func newTokensCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "tokens",
		Short: "Seal the refresh tokens in the database, replace the key, or unseal them",
		Long: `With TOKEN_ENCRYPTION_KEY set, users' Google refresh tokens are sealed in the database with AES-256-GCM: a backup or a
reader of the table gives nobody's calendar away. Workers seal what the app stores as soon as they hear of it, or at the next sweep.

To begin:            reminder-worker tokens key, and set TOKEN_ENCRYPTION_KEY to it for all workers at once. A worker of a version before
                     sealing, or without the key, cannot read what the others seal: bring all to this version first
To replace the key:  TOKEN_ENCRYPTION_KEY=OLD,NEW for all workers, so that each can read both; then NEW,OLD for all; then
                     reminder-worker tokens seal; then NEW alone
To end it:           stop the workers, reminder-worker tokens unseal, then unset TOKEN_ENCRYPTION_KEY

Keep a copy of the key where the database's backups are not. Without it all users have to connect Google again.`,
		Args: knownCommand,
		Run:  func(c *cobra.Command, _ []string) { _ = c.Help() },
	}
	c.AddCommand(newTokensKeyCommand(), newTokensSealCommand(), newTokensUnsealCommand())
	return c
}

func newTokensKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "key",
		Short: "Print a new key, for TOKEN_ENCRYPTION_KEY",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), app.NewSealingKey())
			return err
		},
	}
}

func newTokensSealCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "seal",
		Short: "Seal every refresh token with the first key of TOKEN_ENCRYPTION_KEY",
		Long: `Seal every refresh token with the first key of TOKEN_ENCRYPTION_KEY: those in plain text, and those sealed with a key behind
it. Workers may run meanwhile; the command may be stopped, and run again.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return reseal(c.Context(), c.OutOrStdout(), false) },
	}
}

func newTokensUnsealCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unseal",
		Short: "Store every refresh token in plain text again",
		Long: `Store every refresh token in plain text again. Stop the workers first, or start them without TOKEN_ENCRYPTION_KEY right after: one
that has the key seals them again.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return reseal(c.Context(), c.OutOrStdout(), true) },
	}
}

func reseal(ctx context.Context, out io.Writer, plain bool) error {
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	if cfg.TokenEncryptionKey == "" {
		return usageError{fmt.Errorf("TOKEN_ENCRYPTION_KEY is not set: it holds the keys to seal with, and to open with")}
	}
	var sum app.Resealed
	err = withDatabase(ctx, func(conn *pgx.Conn) (err error) {
		sum, err = app.Reseal(ctx, cfg, conn, plain)
		return err
	})
	if err != nil {
		return err
	}
	return tellResealed(out, sum, plain)
}

func tellResealed(out io.Writer, sum app.Resealed, plain bool) error {
	done, stand := "sealed", "were sealed with this key already"
	if plain {
		done, stand = "unsealed", "were in plain text already"
	}
	if _, err := fmt.Fprintf(out, "%d refresh tokens %s, %d %s\n", sum.Changed, done, sum.Kept, stand); err != nil {
		return err
	}
	left := sum.Busy
	if sum.Busy > 0 {
		fmt.Fprintf(out, "%d were being written to: run this again\n", sum.Busy)
	}
	for _, why := range slices.Sorted(maps.Keys(sum.Unread)) {
		left += sum.Unread[why]
		fmt.Fprintf(out, "%d cannot be read: %s\n", sum.Unread[why], why)
	}
	if left > 0 {
		return fmt.Errorf("%d refresh tokens were left as they are", left)
	}
	return nil
}
