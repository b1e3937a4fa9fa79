package app

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A password is its own text: what looks like a reference in it is none, unless there is such a line.
func TestDotenvKeepsSecrets(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`EXPO_ACCESS_TOKEN=pa$WORD`:          `pa$WORD`,
		`EXPO_ACCESS_TOKEN="pa$WORD"`:        `pa$WORD`,
		`EXPO_ACCESS_TOKEN='pa$WORD'`:        `pa$WORD`,
		`EXPO_ACCESS_TOKEN=pa$$W0RD$`:        `pa$$W0RD$`,
		`EXPO_ACCESS_TOKEN=pa$(WORD) # text`: `pa$(WORD)`,
		`EXPO_ACCESS_TOKEN=pa${WORD}`:        `pa${WORD}`,
		`EXPO_ACCESS_TOKEN=pa\$WORD`:         `pa$WORD`,
		`EXPO_ACCESS_TOKEN="pa\$WORD"`:       `pa$WORD`,
		`EXPO_ACCESS_TOKEN='pa\$WORD'`:       `pa\$WORD`,
		`EXPO_ACCESS_TOKEN=pa$HALF`:          `pa$HALF`,
		`EXPO_ACCESS_TOKEN=pa${HALF}`:        `pasecret`,
		`EXPO_ACCESS_TOKEN="${HALF}${HALF}"`: `secretsecret`,
		`EXPO_ACCESS_TOKEN=plain`:            `plain`,
		"EXPO_ACCESS_TOKEN=\uf8ff":           "\uf8ff",
	} {
		vars, err := parseDotenv([]byte("HALF=secret\r\n" + line + "\r\nGOOGLE_CLIENT_ID=$HALF"))
		if err != nil || vars["EXPO_ACCESS_TOKEN"] != want || vars["GOOGLE_CLIENT_ID"] != "secret" {
			t.Errorf("%s: %q, %v; want %q", line, vars, err, want)
		}
	}
}

// A fault names its line and quotes nothing of it.
func TestDotenvFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		content string
		line    string
	}{
		"no name":                   {"DATABASE_URL\n" + marker + "\n", "line 1"},
		"after good ones":           {"# a comment\n\nA=1\nB=\"two\nlines\"\n" + marker + "!\nC=3\n", "line 6"},
		"a quote that never ends":   {"A=1\r\nB=\"" + marker + "\r\nC=3\r\n", "line 2"},
		"a quote that ends too far": {"A=1\nB='" + marker + "\nC='3'\n", "line 2"},
		"the last line":             {"A=1\n" + marker, "line 2"},
		"a blank for the =":         {"A=1\nDATABASE_URL postgresql://parent:" + marker + "@db.example.org/family\n", "line 2"},
		"a value without a name":    {"A=1\n=" + marker + "\n", "line 2"},
		"a long file":               {strings.Repeat("A=1\n", 20_000) + marker, "line 20001"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := writeFile(t, ".env", c.content)
			_, err := Load(nil, path)
			if want := "read " + path + ": " + c.line + " is not of the form NAME=value, or a quote is not closed"; err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

// What is no file is told at once, in words, and alone: what seems to be missing may be in there.
func TestDotenvUnreadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:  "it is a directory; put a file of NAME=value lines there, or nothing (a container gets a directory when the file it mounts is not there)",
		fifo: "it is not a regular file; put a file of NAME=value lines there, or nothing",
		writeFile(t, "huge", strings.Repeat("#", maxDotenv+1)): "it holds more than 1048576 bytes",
	} {
		if _, err := Load(nil, path); err == nil || err.Error() != "read "+path+": "+want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	denied := unreadable(&os.PathError{Op: "open", Path: marker, Err: syscall.EACCES})
	if want := "permission denied; let the user that runs this program read it, or set the variables in the environment and remove it"; denied.Error() != want {
		t.Errorf("%v, want %s", denied, want)
	}
}

// What is wrong in the environment itself is told along with it.
func TestDotenvFaultAndOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := Load([]string{"LEASE=15", "EXPO_ACCESS_TOKEN_FILE=" + dir}, dir)
	if err == nil {
		t.Fatal("no error")
	}
	var starts []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		start, _, _ := strings.Cut(line, ":")
		starts = append(starts, start)
	}
	if diff := cmp.Diff([]string{"read " + dir, "EXPO_ACCESS_TOKEN_FILE", "LEASE"}, starts); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// Whatever the file holds, reading it ends, and no fault quotes it.
func FuzzDotenv(f *testing.F) {
	for _, seed := range []string{"", "A=1", "A='$B'\nB=${A}", "A=\"\n\n", "\ufeffexport A: b", "=", "A\n", "DATABASE_URL=$A\\$B${C}", "\x00\xff", "'", "A='\\'"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 4096 {
			return
		}
		if vars, err := parseDotenv(content); err == nil {
			if misnamed(vars) {
				t.Errorf("names %q", vars)
			}
		} else if len(err.Error()) > 100 {
			t.Error(err)
		}
	})
}
