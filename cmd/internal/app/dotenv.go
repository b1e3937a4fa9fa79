package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"strings"

	"github.com/joho/godotenv"
)

// maxDotenv bounds what is read from .env.
const maxDotenv = 1 << 20

// readDotenv reads the variables of a .env file, if there is one. No line of it is quoted in an error.
func readDotenv(path string) (map[string]string, error) {
	vars := map[string]string{}
	if path == "" {
		return vars, nil
	}
	content, err := readRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return vars, nil
	}
	if err != nil {
		return vars, fmt.Errorf("read %s: %w", path, err)
	}
	read, err := parseDotenv(content)
	if err != nil {
		return vars, fmt.Errorf("read %s: %w", path, err)
	}
	return read, nil
}

// readRegular reads a file whose name the caller adds to the error. Anything but a plain file might have no end.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(err)
	}
	switch {
	case info.IsDir():
		return nil, errors.New("it is a directory; put a file of NAME=value lines there, or nothing (a container gets a directory when the file it mounts is not there)")
	case !info.Mode().IsRegular():
		return nil, errors.New("it is not a regular file; put a file of NAME=value lines there, or nothing")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxDotenv+1))
	if err != nil {
		return nil, unreadable(err)
	}
	if len(content) > maxDotenv {
		return nil, fmt.Errorf("it holds more than %d bytes", maxDotenv)
	}
	return content, nil
}

func unreadable(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; let the user that runs this program read it, or set the variables in the environment and remove it", err)
	}
	return err
}

// parseDotenv reads NAME=value lines, with quotes and references to other lines. A secret is its own text: see literal.
func parseDotenv(content []byte) (map[string]string, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff")) // editors on Windows leave that mark
	content = bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
	vars, err := godotenv.UnmarshalBytes(content)
	if err != nil || misnamed(vars) {
		return nil, fmt.Errorf("line %d is not of the form NAME=value, or a quote is not closed", faultyLine(content)) // the parser's words quote the line
	}
	const dollar = "\uf8ff" // of no meaning to the parser
	raw, err := godotenv.UnmarshalBytes(bytes.ReplaceAll(content, []byte("$"), []byte(dollar)))
	if err != nil || bytes.Contains(content, []byte(dollar)) {
		return vars, nil
	}
	for name := range fields(func(f reflect.StructField) bool { return f.Tag.Get("secret") != "" }) {
		if text, set := raw[name]; set && strings.ReplaceAll(text, dollar, "$") != vars[name] {
			vars[name] = literal(strings.ReplaceAll(strings.ReplaceAll(text, `\`+dollar, "$"), dollar, "$"), vars)
		}
	}
	return vars, nil
}

var reference = regexp.MustCompile(`\$\{[A-Za-z0-9_.]+\}`)

// literal keeps the $ of a secret, which the parser would take for a reference to another line, and lose. Only ${NAME} is one, and only if
// there is such a line.
func literal(text string, vars map[string]string) string {
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		if value, set := vars[ref[2:len(ref)-1]]; set {
			return value
		}
		return ref
	})
}

var variable = regexp.MustCompile(`^[A-Za-z0-9_.]+$`)

// misnamed reports whether the parser has taken something for a name that is none: in "NAME postgresql://..." it finds the colon.
func misnamed(vars map[string]string) bool {
	for name := range vars {
		if !variable.MatchString(name) {
			return true
		}
	}
	return false
}

// faultyLine is the first line that does not begin or end a value. A value in quotes may take several.
func faultyLine(content []byte) int {
	const longest = 200 // lines of one value
	lines := bytes.SplitAfter(content, []byte("\n"))
	for at := 0; at < len(lines); {
		n := 1
		for ; n <= min(longest, len(lines)-at); n++ {
			if read, err := godotenv.UnmarshalBytes(bytes.Join(lines[at:at+n], nil)); err == nil && !misnamed(read) {
				break
			}
		}
		if n > min(longest, len(lines)-at) {
			return at + 1
		}
		at += n
	}
	return len(lines)
}
