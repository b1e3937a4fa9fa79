package nodetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// required makes a missing Node, or a client that cannot be fetched, a failure.
const required = "REMINDER_WORKER_REQUIRE_NODE"

// nodeMajor is the oldest Node whose fetch and import the clients run with. They ask
// for 22 themselves, and npm says so; 20 does.
const nodeMajor = 20

// Client is an official client in one version.
type Client struct {
	// Name is that of its folder in the cache, which has its version in it.
	Name string
	// Sum is over every file that npm installs, the client's dependencies included.
	// Another version in testdata/node/package.json needs another sum; the test says
	// which it found.
	Sum string
}

// Installed is a client that can be started.
type Installed struct {
	node   string // the program
	folder string // which has the client's node_modules
}

// Install makes sure that the client is there. It returns nil, after a word in the
// test's log, if it cannot be had.
func (c Client) Install(t *testing.T) *Installed {
	t.Helper()
	node := findNode(t)
	if node == "" {
		return nil
	}
	folder := c.find(t)
	if folder == "" {
		return nil
	}
	return &Installed{node: node, folder: folder}
}

// Read returns a file of the client, by its path below node_modules.
func (i *Installed) Read(t *testing.T, name string) []byte {
	t.Helper()
	root, err := os.OpenRoot(filepath.Join(i.folder, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	content, err := root.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// didNotRun says why the client could not be had.
func didNotRun(t *testing.T, format string, args ...any) {
	t.Helper()
	why := "did not run: " + fmt.Sprintf(format, args...)
	if os.Getenv(required) != "" {
		t.Fatal(why)
	}
	t.Log(why)
}

// findNode returns the program, or "" after a word in the test's log.
func findNode(t *testing.T) string {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		didNotRun(t, "node is not on PATH")
		return ""
	}
	out, err := exec.CommandContext(t.Context(), node, "--version").Output()
	if err != nil {
		t.Fatalf("ask node for its version: %v", err)
	}
	found := regexp.MustCompile(`^v(\d+)\.`).FindSubmatch(out)
	if found == nil {
		t.Fatalf("node calls its version %q", out)
	}
	if major, err := strconv.Atoi(string(found[1])); err != nil || major < nodeMajor {
		didNotRun(t, "node is %s, and the client needs %d", bytes.TrimSpace(out), nodeMajor)
		return ""
	}
	return node
}

// find returns a folder with the client's node_modules, or "" after a word in the
// test's log. What was fetched once is kept for further runs, and checked before
// each of them.
func (c Client) find(t *testing.T) string {
	t.Helper()
	cache := cacheDir(t)
	target := filepath.Join(cache, c.Name)
	if c.isIn(target) {
		return target
	}
	fetched, err := os.MkdirTemp(cache, "fetching-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(fetched) })
	if !fetch(t, fetched) {
		return ""
	}
	sum, err := sumOf(filepath.Join(fetched, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if sum != c.Sum {
		t.Fatalf("the client that npm installed is not the pinned one: its sum is %s, pinned is %s", sum, c.Sum)
	}
	folder, err := c.keep(fetched, target)
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// isIn reports whether a folder holds the client, whole and unchanged.
func (c Client) isIn(folder string) bool {
	sum, err := sumOf(filepath.Join(folder, "node_modules"))
	return err == nil && sum == c.Sum
}

// keep gives what was fetched its final name, unless another process was faster. It
// returns where the client now is.
func (c Client) keep(fetched, target string) (string, error) {
	if os.Rename(fetched, target) == nil || c.isIn(target) {
		return target, nil
	}
	if err := os.RemoveAll(target); err != nil { // there, but no good
		return "", err
	}
	if os.Rename(fetched, target) != nil {
		return fetched, nil // it will do for this run
	}
	return target, nil
}

// cacheDir is ours and closed to others, since programs are started from it.
func cacheDir(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil { // no home, as in some containers
		return t.TempDir()
	}
	dir = filepath.Join(dir, "reminder-worker", "nodetest")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return t.TempDir()
	}
	return dir
}

// fetch has npm fetch the client, since it knows the mirror and the proxy that
// apply here. It reports false when npm is missing or reached nobody.
func fetch(t *testing.T, dir string) bool {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		didNotRun(t, "npm, which would fetch the client, is not on PATH")
		return false
	}
	copyFile(t, dir, "package.json")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund",
		"--engine-strict=false", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return true
	}
	// Of npm's words only its code, because the others tell where it looked.
	code := regexp.MustCompile(`(?m)^npm \S+ code (\S+)$`).FindSubmatch(out)
	if code == nil {
		code = [][]byte{nil, []byte("it gives no code")}
	}
	didNotRun(t, "npm cannot fetch the client: %v: %s", err, code[1])
	return false
}

// copyFile copies one of the test's own files into a folder.
func copyFile(t *testing.T, dir, name string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "node", name))
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := root.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// sumOf adds up all files below dir by path and content, but for npm's notes to itself.
func sumOf(dir string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer root.Close()
	sum := sha256.New()
	files := 0
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() == ".bin" {
			return filepath.SkipDir
		}
		if d.IsDir() || d.Name() == ".package-lock.json" {
			return nil
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is no file", path)
		}
		content, err := root.ReadFile(path)
		files++
		fmt.Fprintf(sum, "%s %d\n%s\n", path, len(content), content)
		return err
	})
	if err == nil && files == 0 {
		err = errors.New("nothing is installed")
	}
	return hex.EncodeToString(sum.Sum(nil)), err
}
