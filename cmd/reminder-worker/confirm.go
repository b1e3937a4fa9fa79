package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
)

// canAsk reports whether somebody sits at the other end of in.
func canAsk(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// agreed asks a question of yes or no. No answer is no.
func agreed(in io.Reader, out io.Writer, question string) bool {
	fmt.Fprintf(out, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(in).ReadString('\n')
	a := strings.ToLower(strings.TrimSpace(answer))
	return a == "y" || a == "yes"
}

// errUnconfirmed ends a command that nobody wants after all.
var errUnconfirmed = errors.New("not confirmed: nothing was changed")

// askForYes says what a command is about to do, and lets it go on only if who sits at the terminal types yes. Without a terminal there is nobody to ask.
func askForYes(in io.Reader, out io.Writer, command, what string) error {
	if !canAsk(in) {
		return usageError{fmt.Errorf("%s without a terminal to ask at needs --yes", command)}
	}
	return readYes(in, out, what)
}

func readYes(in io.Reader, out io.Writer, what string) error {
	fmt.Fprint(out, what+"\nType yes to go on: ")
	answer, _ := bufio.NewReader(in).ReadString('\n') // no answer is no
	if strings.TrimSpace(answer) != "yes" {
		return errUnconfirmed
	}
	return nil
}
