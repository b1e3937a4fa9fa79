package migrations

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
)

//go:embed *.sql
var embedded embed.FS

// Migration is one numbered file.
type Migration struct {
	Version  int    // from 1, without gaps
	Name     string // what follows the number: "app_tables" of 0001_app_tables.sql
	File     string // name of the file
	SQL      string // its text, lines ended by \n
	Checksum string // SHA-256 of SQL in hexadecimal
}

// Files returns the embedded files.
func Files() fs.FS { return embedded }

// List returns the embedded migrations in order.
func List() ([]Migration, error) { return Load(embedded) }

// Load reads the migrations in the top directory of files. Every file there that
// ends in .sql has to be one; all faults come back in one *FilesError.
func Load(files fs.FS) ([]Migration, error) {
	names, err := fs.Glob(files, "*.sql") // sorted
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	var loaded []Migration
	var faults []error
	for _, name := range names {
		m, err := load(files, name)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		loaded = append(loaded, m)
	}
	faults = append(faults, checkOrder(loaded)...)
	if len(loaded) == 0 && len(faults) == 0 {
		faults = append(faults, errors.New("there is none"))
	}
	if len(faults) > 0 {
		return nil, &FilesError{Faults: faults}
	}
	return loaded, nil
}

var fileName = regexp.MustCompile(`^([0-9]{4})_([a-z0-9_]+)\.sql$`)

func load(files fs.FS, name string) (Migration, error) {
	parts := fileName.FindStringSubmatch(name)
	if parts == nil {
		return Migration{}, fmt.Errorf("%s is not named like 0001_what_it_does.sql", name)
	}
	text, err := fs.ReadFile(files, name)
	if err != nil {
		return Migration{}, fmt.Errorf("read %s: %w", name, err)
	}
	version, err := strconv.Atoi(parts[1])
	if err != nil {
		return Migration{}, fmt.Errorf("read the number of %s: %w", name, err)
	}
	sql := normalise(string(text))
	sum := sha256.Sum256([]byte(sql))
	return Migration{Version: version, Name: parts[2], File: name, SQL: sql, Checksum: hex.EncodeToString(sum[:])}, nil
}

// normalise makes a checkout with Windows line endings the same file, and drops
// the byte order mark some editors leave.
func normalise(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
}

// checkOrder reports numbers that are used twice or left out. Its input is
// sorted by name, and therefore by number.
func checkOrder(loaded []Migration) (faults []error) {
	previous := Migration{}
	for _, m := range loaded {
		switch {
		case m.Version == previous.Version && previous.File != "":
			faults = append(faults, fmt.Errorf("%s and %s have the same number", previous.File, m.File))
		case m.Version == 0:
			faults = append(faults, fmt.Errorf("%s: numbers start at 0001", m.File))
		case m.Version > previous.Version+1:
			faults = append(faults, fmt.Errorf("%04d is missing before %s", previous.Version+1, m.File))
		}
		previous = m
	}
	return faults
}
