package pgtemp

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
)

// ErrStopped is returned by methods of a Server after Stop.
var ErrStopped = errors.New("the private server is stopped for good")

// StepError says which step of bringing a server up or down went wrong and
// quotes what the programs last wrote.
type StepError struct {
	Step string // such as "initdb"
	Log  string // last lines of that step's log, may be empty
	Err  error
}

// Error implements error.
func (e *StepError) Error() string {
	text := fmt.Sprintf("private PostgreSQL: %s: %v", e.Step, e.Err)
	if e.Log == "" {
		return text
	}
	return text + "; its log ends with:\n" + indent(e.Log)
}

// Unwrap gives errors.Is and errors.As the cause.
func (e *StepError) Unwrap() error { return e.Err }

// NotInstalledError says that this machine has no PostgreSQL and how to get one.
type NotInstalledError struct {
	Hint string // what to install on this system
	Err  error  // why none could be fetched, nil when that was not tried
}

// Error implements error.
func (e *NotInstalledError) Error() string {
	text := fmt.Sprintf("find PostgreSQL %d or newer: none on PATH or in the usual places; %s", MinMajor, e.Hint)
	if e.Err != nil {
		text += fmt.Sprintf(" (fetching one did not work either: %v)", e.Err)
	}
	return text
}

// Unwrap gives errors.Is and errors.As the cause.
func (e *NotInstalledError) Unwrap() error { return e.Err }

// installHint names the package for the system we run on.
func installHint() string {
	release, _ := os.ReadFile("/etc/os-release") // absent on macOS, and then not needed
	return hintFor(runtime.GOOS, string(release))
}

// hintFor names the package for an operating system and its os-release file.
func hintFor(goos, release string) string {
	if goos == "darwin" {
		return "install it with `brew install postgresql@17`"
	}
	family := map[string]string{
		"debian": "install it with `apt-get install postgresql`",
		"ubuntu": "install it with `apt-get install postgresql`",
		"fedora": "install it with `dnf install postgresql-server`",
		"rhel":   "install it with `dnf install postgresql-server`",
		"alpine": "install it with `apk add postgresql17`",
		"arch":   "install it with `pacman -S postgresql`",
		"suse":   "install it with `zypper install postgresql-server`",
	}
	for _, id := range distributions(release) {
		if hint, known := family[id]; known {
			return hint
		}
	}
	return "install the PostgreSQL server package of this system, or name the directory that holds initdb and postgres"
}

// distributions lists ID and then ID_LIKE of an os-release file.
func distributions(release string) []string {
	values := map[string]string{}
	for line := range strings.Lines(release) {
		if key, value, found := strings.Cut(strings.TrimSpace(line), "="); found {
			values[key] = strings.Trim(value, `"'`)
		}
	}
	return strings.Fields(values["ID"] + " " + values["ID_LIKE"])
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}
