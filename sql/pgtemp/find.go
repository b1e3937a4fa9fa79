package pgtemp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// MinMajor is the oldest PostgreSQL that this package starts.
const MinMajor = 14

// Installation is a directory with the server programs of one PostgreSQL.
type Installation struct {
	Dir     string // holds initdb and postgres, links resolved
	Version string // such as "15.18"
	Build   string // as the program prints it, such as "15.18 (Debian 15.18-0+deb12u1)"
}

// Find returns the installation to use: the one in the explicit directory when
// that is not empty, else the one on PATH, else the newest in the places where
// distributions and installers put PostgreSQL. It starts no server and fetches
// nothing. When there is none the error is a *NotInstalledError.
func Find(explicit string) (Installation, error) {
	return hostPlaces().find(explicit)
}

// places is where find looks; tests replace it.
type places struct {
	path     []string // directories of PATH
	patterns []string // globs of directories
}

// hostPlaces are the places of this machine.
func hostPlaces() places {
	return places{
		path: filepath.SplitList(os.Getenv("PATH")),
		patterns: []string{
			"/usr/lib/postgresql/*/bin",                                       // Debian, Ubuntu
			"/usr/pgsql-*/bin",                                                // PGDG on Fedora and RHEL
			"/usr/libexec/postgresql*",                                        // Alpine
			"/usr/lib/postgresql*/bin",                                        // openSUSE
			"/usr/local/pgsql/bin",                                            // built from source
			"/opt/homebrew/opt/postgresql*/bin",                               // Homebrew on Apple silicon
			"/usr/local/opt/postgresql*/bin",                                  // Homebrew on Intel
			"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",                  // Homebrew on Linux
			"/Library/PostgreSQL/*/bin",                                       // EDB on macOS
			"/opt/PostgreSQL/*/bin",                                           // EDB on Linux
			"/Applications/Postgres.app/Contents/Versions/*/bin",              // Postgres.app
			filepath.Join(os.Getenv("HOME"), ".asdf/installs/postgres/*/bin"), // asdf
		},
	}
}

func (p places) find(explicit string) (Installation, error) {
	if explicit != "" {
		return inspectUsable(explicit)
	}
	for _, dir := range p.path {
		if found, err := inspectUsable(dir); err == nil {
			return found, nil
		}
	}
	var found []Installation
	for _, pattern := range p.patterns {
		dirs, _ := filepath.Glob(pattern) // the only error is a bad pattern
		for _, dir := range dirs {
			if inst, err := inspectUsable(dir); err == nil {
				found = append(found, inst)
			}
		}
	}
	if len(found) == 0 {
		return Installation{}, &NotInstalledError{Hint: installHint()}
	}
	return slices.MaxFunc(found, newer), nil
}

// program returns the path of a program on PATH, or "". A relative directory on
// PATH is passed over, as everywhere here.
func (p places) program(name string) string {
	for _, dir := range p.path {
		if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(dir) {
			return found
		}
	}
	return ""
}

// newer compares by version, numerically: 9.6 < 14.2 < 14.10.
func newer(a, b Installation) int {
	aMajor, aMinor := numbers(a.Version)
	bMajor, bMinor := numbers(b.Version)
	return cmp.Or(cmp.Compare(aMajor, bMajor), cmp.Compare(aMinor, bMinor))
}

// numbers splits "15.18" into 15 and 18; of "19beta1" it makes 19 and 0.
func numbers(version string) (major, minor int) {
	first, second, _ := strings.Cut(version, ".")
	return leadingInt(first), leadingInt(second)
}

func leadingInt(s string) int {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, _ := strconv.Atoi(s[:end])
	return n
}

// inspectUsable is inspect plus the question whether the account that will run
// the server can get at the programs at all.
func inspectUsable(dir string) (Installation, error) {
	inst, err := inspect(dir)
	if err != nil {
		return Installation{}, err
	}
	if os.Geteuid() == 0 {
		if blocked := firstClosed(inst.Dir); blocked != "" {
			return Installation{}, fmt.Errorf("use PostgreSQL in %s: the server cannot run as root, and %s is closed to other users", dir, blocked)
		}
	}
	return inst, nil
}

// inspect asks the programs in dir for their version. Relative directories are
// refused: PATH may contain one, and what it means depends on where we stand.
func inspect(dir string) (Installation, error) {
	if !filepath.IsAbs(dir) {
		return Installation{}, fmt.Errorf("use PostgreSQL in %q: not an absolute path", dir)
	}
	server, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return Installation{}, fmt.Errorf("use PostgreSQL in %s: %w", dir, err)
	}
	real := filepath.Dir(server)
	if _, err := exec.LookPath(filepath.Join(real, "initdb")); err != nil {
		return Installation{}, fmt.Errorf("use PostgreSQL in %s: %w", dir, err)
	}
	build, err := askVersion(server)
	if err != nil {
		return Installation{}, fmt.Errorf("use PostgreSQL in %s: %w", dir, err)
	}
	version, _, _ := strings.Cut(build, " ")
	if major, _ := numbers(version); major < MinMajor {
		return Installation{}, fmt.Errorf("use PostgreSQL in %s: version %s is older than %d", dir, version, MinMajor)
	}
	return Installation{Dir: real, Version: version, Build: build}, nil
}

// askVersion runs `postgres --version`, whose answer reads
// "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
func askVersion(server string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, server, "--version").Output()
	for errors.Is(err, syscall.ETXTBSY) && ctx.Err() == nil {
		// Just unpacked, and a child forked meanwhile still holds the file open.
		time.Sleep(time.Millisecond)
		out, err = exec.CommandContext(ctx, server, "--version").Output()
	}
	if err != nil {
		return "", fmt.Errorf("run postgres --version: %w", err)
	}
	_, build, found := strings.Cut(strings.TrimSpace(string(out)), "(PostgreSQL) ")
	if !found {
		return "", errors.New("read the answer of postgres --version: no version in it")
	}
	return build, nil
}

// firstClosed returns the first directory on the way down to dir that other
// users may not enter, or "" when the way is open.
func firstClosed(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil || info.Mode().Perm()&fs.FileMode(0o001) == 0 {
			return at
		}
		if at == filepath.Dir(at) {
			return ""
		}
	}
}
