// Package rules_test holds the rules of this repository that a compiler does not
// know: who may import whom, what a package must say about itself, and which words
// are used. Each failure says what to do.
package rules_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/parentpal/reminder-worker"

// Third-party libraries by the names the table uses. One that is not here may not
// be imported at all; of several that fit an import, the longest counts.
const (
	pgx       = "github.com/jackc/pgx/v5"
	pgxpool   = "github.com/jackc/pgx/v5/pgxpool"
	pglogrepl = "github.com/jackc/pglogrepl"
	googleAPI = "google.golang.org/api"
	oauth2    = "golang.org/x/oauth2"
	prom      = "github.com/prometheus/client_golang"
	zerolog   = "github.com/rs/zerolog"
	uuid      = "github.com/google/uuid"
	cobra     = "github.com/spf13/cobra"
	env       = "github.com/caarlos0/env/v11"
	godotenv  = "github.com/joho/godotenv"
	isatty    = "github.com/mattn/go-isatty"
	xsync     = "golang.org/x/sync"
	xtime     = "golang.org/x/time"
	xtext     = "golang.org/x/text"
	xsys      = "golang.org/x/sys"
	systemd   = "github.com/coreos/go-systemd/v22/daemon"
)

var libraries = []string{
	pgx, pgxpool, pglogrepl, googleAPI, oauth2, prom, zerolog, uuid, cobra,
	env, godotenv, isatty, xsync, xtime, xtext, xsys, systemd,
}

// may is what the code of one package, tests aside, may import: packages of this
// module, and libraries. The standard library is open to all.
type may struct{ own, libs []string }

// table says who may import whom. listener, sync and notify never know each other;
// only app knows everyone. A name that ends in /... stands for all below it.
var table = map[string]may{
	"cmd/reminder-worker": {
		[]string{"cmd/bench", "cmd/internal/...", "sql/migrations", "sql/pgtemp", "sync/gcal/gcalfake", "notify/expo/expofake"},
		[]string{cobra, zerolog, godotenv, isatty, pgx, uuid},
	},
	"cmd/internal/app": {
		[]string{
			"cmd/internal/ops", "cmd/internal/page", "listener", "listener/wal", "sync/audit", "sync/reconcile", "sync/gcal", "sync/seal",
			"notify", "notify/wheel", "notify/expo", "notify/text", "sql/cleanup", "sql/migrations", "sql/permits", "sql/personal", "sql/store",
		},
		[]string{pgx, pgxpool, xsync, prom, zerolog, uuid, env, godotenv, isatty, xtime},
	},
	"cmd/internal/demo": {
		[]string{"cmd/internal/app", "cmd/internal/ops", "sql/pgtemp", "sync/gcal/gcalfake", "notify/expo/expofake"},
		[]string{pgx, uuid, isatty},
	},
	"cmd/internal/ops":   {nil, []string{prom, zerolog, uuid, systemd}},
	"cmd/internal/page":  {nil, []string{prom, zerolog, uuid}},
	"cmd/bench":          {[]string{"sql/pgtemp"}, []string{pgx, pgxpool, uuid, xsync}},
	"cmd/nodetest":       {nil, nil},
	"listener":           {nil, []string{pgx, prom, zerolog, uuid, xsys}},
	"listener/wal":       {[]string{"listener"}, []string{pgx, pglogrepl, prom, zerolog, uuid}},
	"sync/reconcile":     {[]string{"sql/settings", "sql/store", "sync/gcal", "sync/seal"}, []string{pgx, prom, zerolog, uuid, xsync, xtime, xtext}},
	"sync/audit":         {[]string{"sql/store", "sync/gcal", "sync/reconcile", "sync/seal"}, []string{prom, zerolog, uuid}},
	"sync/seal":          {nil, []string{uuid}},
	"sync/gcal":          {nil, []string{googleAPI, oauth2, uuid, xtime, xtext}},
	"sync/gcal/gcalfake": {nil, []string{uuid}},
	"notify": {
		[]string{"sql/settings", "sql/store", "notify/wheel", "notify/expo", "notify/text"},
		[]string{pgx, prom, zerolog, uuid, xsync, xtime},
	},
	"notify/text":          {nil, []string{xtext}},
	"notify/wheel":         {nil, nil},
	"notify/expo":          {nil, []string{uuid, xtime, xtext}},
	"notify/expo/expofake": {nil, []string{uuid}},
	"sql/cleanup":          {[]string{"sql/store"}, []string{pgx, prom, zerolog, uuid}},
	"sql/migrations":       {nil, []string{pgx, uuid}},
	"sql/permits":          {[]string{"sql/store"}, []string{prom, zerolog}},
	"sql/personal":         {[]string{"sql/store"}, []string{pgx, prom, zerolog, uuid}},
	"sql/settings":         {nil, nil},
	"sql/store":            {nil, []string{pgx, uuid}},
	"sql/pgtemp":           {nil, []string{uuid, xsys}},
	"sql/pgtest":           {[]string{"sql/migrations", "sql/pgtemp"}, []string{pgx, pgxpool, zerolog, uuid}},
}

// pkg is what go list says about a package.
type pkg struct {
	ImportPath, Name, Dir, Doc string
	Imports, GoFiles           []string
}

// name is the package's path inside the module.
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// list returns what go list says about packages that hold more than tests.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	args = append([]string{"list", "-json=ImportPath,Name,Dir,Doc,Imports,GoFiles"}, args...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	var found []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			found = append(found, p)
		}
	}
}

func TestImportsFollowTheTable(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "./...") {
		allowed, known := table[p.name()]
		if !known {
			t.Errorf("%s is not in the import table: decide what it may import and add it to rules_test.go", p.name())
			continue
		}
		for _, path := range p.Imports {
			if complaint := allowed.judge(path); complaint != "" {
				t.Errorf("%s imports %s: %s", p.name(), path, complaint)
			}
		}
	}
}

// judge returns "" for an import that is allowed, else what to do about it.
func (m may) judge(path string) string {
	if own, ours := strings.CutPrefix(path, module+"/"); ours {
		if slices.ContainsFunc(m.own, func(pattern string) bool { return covers(pattern, own) }) {
			return ""
		}
		return "the table does not allow it; declare an interface where it is needed and let cmd/internal/app wire the two"
	}
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return "" // standard library
	}
	lib := library(path)
	switch {
	case lib == "":
		return "this library is not one of the project's; do without it, or argue for it in CONTRIBUTING.md and rules_test.go"
	case !slices.Contains(m.libs, lib):
		return "this library is fenced off here; call the package that owns it"
	}
	return ""
}

func covers(pattern, name string) bool {
	if dir, all := strings.CutSuffix(pattern, "..."); all {
		return strings.HasPrefix(name, dir)
	}
	return pattern == name
}

// library returns the longest known library that path belongs to.
func library(path string) string {
	best := ""
	for _, lib := range libraries {
		if (path == lib || strings.HasPrefix(path, lib+"/")) && len(lib) > len(best) {
			best = lib
		}
	}
	return best
}

func TestTheTableCatchesWhatItShould(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, path string
		allowed    bool
	}{
		{"listener", "context", true},
		{"listener", pgx + "/pgconn", true},
		{"listener", pgxpool, false},
		{"listener", module + "/notify", false},
		{"notify/wheel", "container/heap", true},
		{"notify/wheel", uuid, false},
		{"sync/reconcile", module + "/sync/gcal", true},
		{"sync/reconcile", module + "/sync/gcal/gcalfake", false},
		{"sync/reconcile", googleAPI + "/calendar/v3", false},
		{"cmd/reminder-worker", module + "/cmd/internal/app", true},
		{"cmd/reminder-worker", module + "/sql/store", false},
		{"cmd/internal/app", "example.com/unheard-of", false},
	} {
		if got := table[c.from].judge(c.path) == ""; got != c.allowed {
			t.Errorf("%s importing %s: allowed %v, want %v", c.from, c.path, got, c.allowed)
		}
	}
}

func TestWhatUsersRunCarriesNoTestCode(t *testing.T) {
	t.Parallel()
	forTests := []string{module + "/sql/pgtest", module + "/cmd/nodetest"}
	forbidden := append([]string{"testing", "net/http/httptest"}, forTests...)
	for _, p := range list(t, "./...") {
		if slices.Contains(forTests, p.ImportPath) {
			continue
		}
		for _, path := range p.Imports {
			if slices.Contains(forbidden, path) {
				t.Errorf("%s imports %s outside its tests: move what needs it into a _test.go file", p.name(), path)
			}
		}
	}
}

func TestEveryPackageExplainsItself(t *testing.T) {
	t.Parallel()
	for _, p := range list(t, "./...") {
		want := "Package " + p.Name + " "
		if p.Name == "main" {
			want = "" // what a program says of itself has no fixed first words
		}
		if p.Doc == "" || !strings.HasPrefix(p.Doc, want) {
			t.Errorf("%s: its package comment is %q; begin it with %q and say what the package promises", p.name(), p.Doc, want)
		}
		if p.Name != "main" && !slices.Contains(p.GoFiles, "doc.go") {
			t.Errorf("%s has no doc.go: move the package comment there, with the design", p.name())
		}
	}
}

func TestTheTopLevelIsFixed(t *testing.T) {
	t.Parallel()
	fixed := []string{"cmd", "listener", "sync", "notify", "sql", "deploy"}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(fixed, e.Name()) {
			t.Errorf("folder %s: the top level holds %s; put it inside the one it belongs to", e.Name(), strings.Join(fixed, ", "))
		}
	}
}

func TestShelvesHoldNoCode(t *testing.T) {
	t.Parallel()
	for _, shelf := range []string{"sync", "sql"} {
		files, err := filepath.Glob(shelf + "/*.go")
		if err != nil || len(files) > 0 {
			t.Errorf("%v: %s has the name of a standard package and declares none; give the code a folder of its own", files, shelf)
		}
	}
}

// wording is something that must not stand in a Go file. The patterns are written
// so that they do not match themselves.
type wording struct {
	pattern *regexp.Regexp
	advice  string
	applies func(path, text string) bool
}

var wordings = []wording{
	{
		// Names of other people's types and fields are theirs: pgconn.X, "x".
		regexp.MustCompile(`(?i)(?:^|[^.\w"])notificatio[n]s?\b`),
		"ambiguous; say change for what Postgres sends and push for what Expo gets", everywhere,
	},
	{
		regexp.MustCompile(`\b(?:TO[D]O|FIX[M]E|XX[X])\b|(?i:\bfor\s[n]ow\b|\bnot\simplemente[d]\b)`),
		"finish it, or leave it out and say so where users look", everywhere,
	},
	{
		regexp.MustCompile(`\b[a-z]+\.Skip(?:Now|f)?\(`),
		"a test that can be skipped cannot fail; make what it needs, or fail and say what is missing", inTests,
	},
	{
		regexp.MustCompile(`\btime\.Sleep\(`),
		"wait for the event itself, with a deadline, or use testing/synctest", inTimedTests,
	},
}

func everywhere(string, string) bool { return true }
func inTests(path, _ string) bool    { return strings.HasSuffix(path, "_test.go") }
func inTimedTests(path, s string) bool {
	return inTests(path, s) && !strings.Contains(s, "testing/synctest")
}

func TestWording(t *testing.T) {
	t.Parallel()
	for path, text := range goFiles(t) {
		for _, w := range wordings {
			if !w.applies(path, text) {
				continue
			}
			for i, line := range strings.Split(text, "\n") {
				if found := w.pattern.FindString(line); found != "" {
					t.Errorf("%s:%d: %q: %s", path, i+1, strings.TrimSpace(found), w.advice)
				}
			}
		}
	}
}

// The files of this repository are meant to be read in one go.
const maxLines = 400

func TestFilesStayShort(t *testing.T) {
	t.Parallel()
	for path, text := range goFiles(t) {
		generated := strings.HasPrefix(text, "// Code generated ")
		if n := strings.Count(text, "\n"); n > maxLines && !generated && !strings.HasSuffix(path, "_test.go") {
			t.Errorf("%s has %d lines: split it by subject, %d are enough for one", path, n, maxLines)
		}
	}
}

// goFiles returns the text of all Go files by path, those of other modules in the
// repository included.
func goFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || d.IsDir() {
			return nil
		}
		text, err := os.ReadFile(path)
		files[filepath.ToSlash(path)] = string(text)
		return err
	})
	if err := cmp.Or(err, empty(files)); err != nil {
		t.Fatal(err)
	}
	return files
}

func empty(files map[string]string) error {
	if len(files) == 0 {
		return errors.New("found no Go files: run the test in the root of the module")
	}
	return nil
}
