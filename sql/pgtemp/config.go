package pgtemp

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Config says what kind of server Start brings up. The zero value is a good
// one: installed programs, a free port, no durability.
type Config struct {
	// BinDir is the directory that holds initdb and postgres. Empty means the
	// best installation of this machine, see Find.
	BinDir string

	// Port is the TCP port on 127.0.0.1, 1 to 65535. Zero picks a free one.
	Port int

	// Settings are server settings (postgresql.conf names) that override the
	// defaults of this package. Address, port and directories are not
	// negotiable: the server has to stay private.
	Settings map[string]string

	// Durable leaves fsync and full_page_writes on, so that a commit costs what
	// it costs in production. For benchmarks. Without it a commit survives
	// every crash of the server, but not one of the machine.
	Durable bool

	// Progress is told in one line about each step that may take longer than a
	// moment. Nil means nobody is told.
	Progress func(string)

	// Cache is the directory that keeps fetched programs and the initialised
	// template directory between runs. Empty means the user's cache directory,
	// or a world-readable one under /var/cache when running as root.
	Cache string

	// Dir is the directory that the server's own directory is made in. It has to
	// be open to the account postgres when running as root. Empty means the
	// system's temporary directory. A file system in memory makes everything that
	// creates files, such as CREATE DATABASE, many times faster.
	Dir string

	// NoFetch forbids fetching programs when none is installed; Start then
	// fails with a *NotInstalledError.
	NoFetch bool

	host *host // set by tests
}

// DefaultConfig returns the zero Config with a silent Progress.
func DefaultConfig() Config {
	return Config{Progress: func(string) {}}
}

// reserved are the settings that this package alone decides.
var reserved = []string{
	"config_file", "data_directory", "external_pid_file", "hba_file", "ident_file",
	"listen_addresses", "logging_collector", "port", "unix_socket_directories",
}

// Validate reports every fault of c at once.
func (c Config) Validate() error {
	var errs []error
	if c.Port < 0 || c.Port > 65535 {
		errs = append(errs, fmt.Errorf("port %d is not between 0 and 65535", c.Port))
	}
	for _, dir := range []struct{ name, path string }{{"bin directory", c.BinDir}, {"cache", c.Cache}, {"directory", c.Dir}} {
		if dir.path != "" && !filepath.IsAbs(dir.path) {
			errs = append(errs, fmt.Errorf("%s %q is not an absolute path", dir.name, dir.path))
		}
	}
	if len(filepath.Join(c.Dir, longestName)) > socketLimit {
		errs = append(errs, fmt.Errorf("directory %s is too long for the path of a socket", c.Dir))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Settings)) {
		switch {
		case slices.Contains(reserved, strings.ToLower(name)):
			errs = append(errs, fmt.Errorf("setting %s is decided by pgtemp", name))
		case !validSetting(name):
			errs = append(errs, fmt.Errorf("setting %q is not a name", name))
		}
	}
	return errors.Join(errs...)
}

// validSetting accepts letters, digits, underscores and the dot of an extension.
func validSetting(name string) bool {
	isWord := func(r rune) bool {
		return r == '_' || r == '.' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	}
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return !isWord(r) })
}

// progress tells the caller about a step, if it wants to know.
func (c Config) progress(format string, args ...any) {
	if c.Progress != nil {
		c.Progress(fmt.Sprintf(format, args...))
	}
}

// settings merges the defaults, the durability choice and the caller's wishes.
func (c Config) settings() map[string]string {
	// synchronous_commit stays on: without fsync it costs next to nothing, and
	// off would lose the last commits at every Restart that is not Fast.
	merged := map[string]string{
		"max_connections":   "200",
		"wal_level":         "logical",
		"log_checkpoints":   "off",
		"logging_collector": "off",
		"timezone":          "UTC",
		"log_timezone":      "UTC",
	}
	if !c.Durable {
		merged["fsync"] = "off"
		merged["full_page_writes"] = "off"
		// In files of the data directory, which go with it even after a Kill.
		merged["dynamic_shared_memory_type"] = "mmap"
	}
	for name, value := range c.Settings {
		merged[strings.ToLower(name)] = value
	}
	return merged
}
