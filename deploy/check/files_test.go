package check

import (
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// files are the names of the files in a folder.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func keys(maps ...map[string]string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, m := range maps {
			for k := range m {
				if !yield(k) {
					return
				}
			}
		}
	}
}

var tag = regexp.MustCompile("`env:\"([A-Z0-9_]+)\"")

// variables are the names that the program reads from its environment, and one of Go's.
func variables(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{"GOMEMLIMIT": true}
	for _, m := range tag.FindAllSubmatch(read(t, filepath.FromSlash("../../cmd/internal/app/config.go")), -1) {
		known[string(m[1])] = true
	}
	if len(known) < 20 {
		t.Fatalf("found %d variables in the program's configuration", len(known))
	}
	return known
}
