package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

func newTextsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "texts",
		Short: "Print the texts of pushes, or try a file of your own",
		Long: `The words on people's phones, in all languages, are one file of templates. Print it, write a file of your own with only
what you change, try it, and name it in REMINDER_TEXTS.`,
		Args: knownCommand,
		Run:  func(c *cobra.Command, _ []string) { _ = c.Help() },
	}
	c.AddCommand(newTextsPrintCommand(), newTextsCheckCommand())
	return c
}

func newTextsPrintCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "print",
		Short: "Print the texts that come with the program, with how to change them",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(c.OutOrStdout(), app.TextsSource())
			return err
		},
	}
}

func newTextsCheckCommand() *cobra.Command {
	var locale, hourCycle string
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say what is wrong with a file of texts, or show what devices will show",
		Args: func(c *cobra.Command, args []string) error {
			if err := cobra.MaximumNArgs(1)(c, args); err != nil {
				return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			file := ""
			if len(args) > 0 {
				file = args[0]
			}
			if err := app.PreviewTexts(c.OutOrStdout(), file, locale, hourCycle); err != nil {
				return usageError{err}
			}
			return nil
		},
	}
	c.Flags().StringVar(&locale, "locale", "", "only this language, for example de or en-US")
	c.Flags().StringVar(&hourCycle, "hour-cycle", "", "h12 or h24 instead of what is usual there")
	return c
}
