package pgtemp

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Names inside the temporary directory and inside a run directory.
const (
	runPrefix = "reminder-pg-"
	ownerFile = "owner" // locked by the process that owns the directory
	dataDir   = "data"
	logFile   = "log"
)

// socketLimit is what the strictest system allows for the path of a socket,
// less the name that PostgreSQL appends.
const socketLimit = 103 - len("/.s.PGSQL.65535")

// longestName is as long as the name of a run directory can get.
const longestName = runPrefix + "4294967295"

// unclaimedAge is when a directory that never got an owner is taken for the
// remains of a process killed at its first step.
const unclaimedAge = time.Hour

// runDir is the private directory of one server: data, log and socket. Its lock
// tells every other process that it is in use, and goes when we go.
type runDir struct {
	path  string
	owner *os.File
}

// newRunDir makes a directory below root that the account id can use.
func newRunDir(root string, id *identity) (*runDir, error) {
	path, err := os.MkdirTemp(root, runPrefix)
	if err != nil {
		return nil, fmt.Errorf("make run directory: %w", err)
	}
	d := &runDir{path: path}
	if err := d.claim(id); err != nil {
		_ = d.remove()
		return nil, fmt.Errorf("claim run directory: %w", err)
	}
	return d, nil
}

// claim locks the directory, then writes the process id as the sign that it
// is claimed: a sweep that finds the sign may trust the lock.
func (d *runDir) claim(id *identity) error {
	var err error
	if d.owner, err = os.OpenFile(filepath.Join(d.path, ownerFile), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := lock(d.owner); err != nil {
		return fmt.Errorf("lock %s: %w", d.owner.Name(), err)
	}
	if _, err := d.owner.WriteString(strconv.Itoa(os.Getpid())); err != nil {
		return err
	}
	if id == nil {
		return nil
	}
	return os.Chown(d.path, id.uid, id.gid)
}

func (d *runDir) data() string { return filepath.Join(d.path, dataDir) }
func (d *runDir) log() string  { return filepath.Join(d.path, logFile) }

// remove deletes the directory and only then lets go of its lock.
func (d *runDir) remove() error {
	err := os.RemoveAll(d.path)
	if d.owner != nil {
		_ = d.owner.Close() // nothing was buffered
	}
	return err
}

// sweep removes the directories that killed processes left below root. What it
// cannot judge or remove, such as another user's, it leaves alone.
func sweep(root string, now time.Time) (removed []string) {
	entries, _ := os.ReadDir(root) // unreadable: nothing to sweep
	for _, entry := range entries {
		path := filepath.Join(root, entry.Name())
		if entry.IsDir() && strings.HasPrefix(entry.Name(), runPrefix) && sweepOne(path, entry, now) {
			removed = append(removed, path)
		}
	}
	return removed
}

// sweepOne holds the lock while it removes, so that two sweeps do not meet.
func sweepOne(path string, entry fs.DirEntry, now time.Time) bool {
	owner, err := os.OpenFile(filepath.Join(path, ownerFile), os.O_RDWR, 0)
	if err != nil {
		return os.IsNotExist(err) && unclaimed(entry, now) && os.RemoveAll(path) == nil
	}
	defer owner.Close()
	if locked, err := tryLock(owner); err != nil || !locked {
		return false
	}
	if sign, err := owner.Stat(); err != nil || sign.Size() == 0 && !unclaimed(entry, now) {
		return false
	}
	return os.RemoveAll(path) == nil
}

func unclaimed(entry fs.DirEntry, now time.Time) bool {
	info, err := entry.Info()
	return err == nil && now.Sub(info.ModTime()) > unclaimedAge
}

// tempRoot is where run directories go: the system's temporary directory, unless
// its path is too long for a socket or closed to the account id.
func tempRoot(id *identity) string {
	root := os.TempDir()
	long := len(filepath.Join(root, longestName)) > socketLimit
	if long || id != nil && firstClosed(root) != "" {
		return "/tmp"
	}
	return root
}
