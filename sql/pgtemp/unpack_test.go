package pgtemp

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func unpackBytes(t *testing.T, content []byte) (dir string, err error) {
	t.Helper()
	base := t.TempDir()
	tarball, dir := filepath.Join(base, "x.tgz"), filepath.Join(base, "out")
	if err := os.WriteFile(tarball, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, unpack(tarball, dir)
}

func TestUnpackMakesFilesAndLinks(t *testing.T) {
	t.Parallel()
	dir, err := unpackBytes(t, pack(t,
		tar.Header{Typeflag: tar.TypeDir, Name: "package/native/bin/", Mode: 0o755},
		file("package/README.md", 0o644, "not wanted"),
		file("package/native/bin/postgres", 0o700, "program"),
		file("package/native/lib/libx.so.1.2", 0o600, "library"),
		file("package/native/pg-symlinks.json", 0o644,
			`[{"source":"native/lib/libx.so.1.2","target":"native/lib/libx.so.1"},{"source":"native/lib/libx.so.1.2","target":"native/bin/libx"}]`),
	))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"bin/postgres": "program", "lib/libx.so.1": "library", "bin/libx": "library"} {
		if text, err := os.ReadFile(filepath.Join(dir, "native", name)); err != nil || string(text) != want {
			t.Errorf("%s is %q (%v), want %q", name, text, err, want)
		}
	}
	if to, _ := os.Readlink(filepath.Join(dir, "native/bin/libx")); to != "../lib/libx.so.1.2" {
		t.Errorf("link points to %q, want a relative path", to)
	}
	if _, err := os.Stat(filepath.Join(dir, "README.md")); !os.IsNotExist(err) {
		t.Errorf("README.md: %v, want it left out", err)
	}
	for name, want := range map[string]fs.FileMode{"bin/postgres": 0o744, "lib/libx.so.1.2": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, "native", name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v (%v), want %v", name, info.Mode(), err, want)
		}
	}
}

func TestUnpackStaysInside(t *testing.T) {
	t.Parallel()
	links := func(list string) tar.Header { return file("package/native/pg-symlinks.json", 0o644, list) }
	for name, entries := range map[string][]tar.Header{
		"path up":       {file("package/native/../../../escaped", 0o644, "x")},
		"symlink":       {{Typeflag: tar.TypeSymlink, Name: "package/native/x", Linkname: "/etc"}},
		"hard link":     {{Typeflag: tar.TypeLink, Name: "package/native/x", Linkname: "/etc/passwd"}},
		"twice":         {file("package/native/x", 0o644, "x"), file("package/native/x", 0o644, "y")},
		"link to above": {links(`[{"source":"native/../../x","target":"native/x"}]`)},
		"link outside":  {links(`[{"source":"native/x","target":"../x"}]`)},
		"link absolute": {links(`[{"source":"/etc/passwd","target":"native/x"}]`)},
		"no list":       {links(`{`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := unpackBytes(t, pack(t, entries...))
			if err == nil {
				t.Error("accepted")
			}
			if around, _ := os.ReadDir(filepath.Dir(dir)); len(around) != 2 {
				t.Errorf("something was written outside: %v", around)
			}
		})
	}
}

func TestUnpackIsBounded(t *testing.T) {
	t.Parallel()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	content := pack(t, file("package/native/a", 0o644, "12345"), file("package/native/b", 0o644, "67890"))
	if err := unpackTo(root, bytes.NewReader(content), 9); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("error is %v, want a refusal", err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte("hello"))
	f.Add(pack(f))
	f.Add(pack(f, file("package/native/bin/postgres", 0o755, "program")))
	f.Add(pack(f, file("package/native/../x", 0o755, "program"), file("package/native/x", 0, "")))
	f.Add(pack(f, file("package/native/pg-symlinks.json", 0o644, `[{"source":"native/a","target":"native/b"}]`)))
	f.Fuzz(func(t *testing.T, content []byte) {
		base := t.TempDir()
		if err := os.Mkdir(filepath.Join(base, "in"), 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(filepath.Join(base, "in"))
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		if unpackTo(root, bytes.NewReader(content), 1<<20) == nil {
			_ = makeLinks(root) // may refuse, may not escape
		}
		if around, _ := os.ReadDir(base); len(around) != 1 {
			t.Errorf("something was written outside: %v", around)
		}
	})
}
