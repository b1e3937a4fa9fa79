package expofake_test

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

// requireNode makes a missing Node, or a client that cannot be fetched, a failure.
const requireNode = "REMINDER_WORKER_REQUIRE_NODE"

const (
	clientVersion = "7.2.0"
	// clientSum is over every file that npm installs, the client's dependencies
	// included. Another version in testdata/node/package.json needs another sum;
	// the test says which it found.
	clientSum = "bc87803f7658763b09fdc55164a9b46853e928945c0b8a14515a57ef3d0850d8"
	// nodeMajor is the oldest Node whose fetch and import the client runs with.
	// It asks for 22.12 itself, and npm says so; 20 does.
	nodeMajor = 20
)

// didNotRun says why the official client could not be had.
func didNotRun(t *testing.T, format string, args ...any) {
	t.Helper()
	why := "did not run: " + fmt.Sprintf(format, args...)
	if os.Getenv(requireNode) != "" {
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

// findClient returns a folder with the client's node_modules, or "" after a word
// in the test's log. What was fetched once is kept for further runs, and checked
// before each of them.
func findClient(t *testing.T) string {
	t.Helper()
	cache := clientCache(t)
	target := filepath.Join(cache, "expo-server-sdk-"+clientVersion)
	if sum, err := sumOf(filepath.Join(target, "node_modules")); err == nil && sum == clientSum {
		return target
	}
	fetched, err := os.MkdirTemp(cache, "fetching-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(fetched) })
	if !install(t, fetched) {
		return ""
	}
	sum, err := sumOf(filepath.Join(fetched, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if sum != clientSum {
		t.Fatalf("the client that npm installed is not the pinned one: its sum is %s, pinned is %s", sum, clientSum)
	}
	return keep(t, fetched, target)
}

// keep gives what was fetched its final name, unless another process was faster.
func keep(t *testing.T, fetched, target string) string {
	t.Helper()
	if os.Rename(fetched, target) == nil {
		return target
	}
	if sum, err := sumOf(filepath.Join(target, "node_modules")); err == nil && sum == clientSum {
		return target
	}
	if err := os.RemoveAll(target); err != nil { // there, but no good
		t.Fatal(err)
	}
	if err := os.Rename(fetched, target); err != nil {
		return fetched // it will do for this run
	}
	return target
}

// clientCache is ours and closed to others, since programs are started from it.
func clientCache(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil { // no home, as in some containers
		return t.TempDir()
	}
	dir = filepath.Join(dir, "reminder-worker", "expofake")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return t.TempDir()
	}
	return dir
}

// install has npm fetch the client, since it knows the mirror and the proxy that
// apply here. It reports false when npm is missing or reached nobody.
func install(t *testing.T, dir string) bool {
	t.Helper()
	npm, err := exec.LookPath("npm")
	if err != nil {
		didNotRun(t, "npm, which would fetch the client, is not on PATH")
		return false
	}
	wanted, err := os.ReadFile("testdata/node/package.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "package.json"), wanted, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund",
		"--fetch-retries=1", "--fetch-retry-mintimeout=1000")
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

// sumOf adds up all files below dir by path and content, but for npm's notes to itself.
func sumOf(dir string) (string, error) {
	sum := sha256.New()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
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
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files++
		fmt.Fprintf(sum, "%s %d\n%s\n", filepath.ToSlash(name), len(content), content)
		return err
	})
	if err == nil && files == 0 {
		err = errors.New("nothing is installed")
	}
	return hex.EncodeToString(sum.Sum(nil)), err
}
