package pgtemp

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// cacheDir returns the directory for what is worth keeping between runs. Programs
// are started from it, so it has to be ours and closed to the writing of others.
func (c Config) cacheDir() (string, error) {
	dir := c.Cache
	if dir == "" {
		dir = defaultCache(os.Geteuid())
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make cache directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("look at cache directory: %w", err)
	}
	if !ownedByUs(info) {
		return "", fmt.Errorf("use cache directory %s: it belongs to another user or others may write to it", dir)
	}
	return dir, nil
}

// defaultCache avoids root's home, which is closed to the account that the server
// runs as. Without a home, as in some containers, the temporary directory serves.
func defaultCache(uid int) string {
	if uid == 0 {
		return "/var/cache/reminder-worker"
	}
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "reminder-worker")
	}
	return filepath.Join(os.TempDir(), "reminder-worker-"+strconv.Itoa(uid))
}
