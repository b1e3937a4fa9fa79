package main

import (
	"bytes"

	"github.com/spf13/cobra"
)

// helpInOnePiece makes help that cannot be written fail, and say so once. By itself the library complains for each piece, and reports success.
func helpInOnePiece(show func(*cobra.Command, []string), unshown *error) func(*cobra.Command, []string) {
	return func(c *cobra.Command, args []string) {
		out := c.OutOrStdout()
		var text bytes.Buffer
		c.SetOut(&text)
		show(c, args)
		c.SetOut(out)
		_, *unshown = out.Write(text.Bytes())
	}
}

// refuseUnknown makes the commands that the library adds, help and completion, refuse what they do not know, as the others do. By
// themselves they explain themselves and report success.
func refuseUnknown(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Args = knownTopic
		case "completion":
			c.Args = knownCommand
			c.Run = func(c *cobra.Command, _ []string) { _ = c.Help() }
			for _, shell := range c.Commands() {
				shell.Args = noArgs
			}
		}
	}
}

// knownTopic refuses help about a command that does not exist.
func knownTopic(c *cobra.Command, args []string) error {
	found, rest, err := c.Root().Find(args)
	if err != nil {
		return usageError{err}
	}
	return knownCommand(found, rest)
}
