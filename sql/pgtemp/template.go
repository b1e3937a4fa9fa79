package pgtemp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Copying an initialised directory takes 50 to 160 ms where initdb takes 450 to
// 1000 ms, so initdb runs once per installation and its result is kept in
// the cache.
const (
	templatePrefix = "template-"
	halfPrefix     = "new-"              // a template that is being written
	templateAge    = 30 * 24 * time.Hour // unused for so long, it belongs to an old version
)

// initialise fills the data directory from the template, or with initdb when there
// is none yet. The template only saves time: trouble with it is no error.
func (s *Server) initialise(ctx context.Context) error {
	cache, err := s.cfg.cacheDir()
	if err != nil {
		return s.runInitdb(ctx)
	}
	if err := s.fromTemplate(ctx, cache); err == nil {
		return nil
	}
	if err := os.RemoveAll(s.dir.data()); err != nil {
		return &StepError{Step: "remove half a copy", Err: err}
	}
	if err := s.runInitdb(ctx); err != nil {
		return err
	}
	_ = s.saveTemplate(ctx, cache)
	return nil
}

// key tells templates apart by everything that initdb's result depends on.
func (i Installation) key() string {
	sum := sha256.Sum256([]byte(strings.Join(append(initdbArguments(), i.Build, i.Dir), "\x00")))
	return hex.EncodeToString(sum[:8])
}

// fromTemplate copies the template. Its name ends with its size: one that lost
// some of it, as in a power cut, is not used and goes away.
func (s *Server) fromTemplate(ctx context.Context, cache string) error {
	found, _ := filepath.Glob(s.templateName(cache, "*")) // the only error is a bad pattern
	if len(found) == 0 {
		return os.ErrNotExist
	}
	template := found[0]
	size, err := copyTree(ctx, template, s.dir.data(), s.account)
	if err == nil && template != s.templateName(cache, size) {
		err = fmt.Errorf("copy %s: it has %d bytes", template, size)
	}
	if err != nil {
		if ctx.Err() == nil {
			_ = os.RemoveAll(template) // else the next start finds the same
		}
		return err
	}
	now := time.Now()
	_ = os.Chtimes(template, now, now) // keeps it from being taken for unused
	return nil
}

func (s *Server) templateName(cache string, size any) string {
	return filepath.Join(cache, fmt.Sprint(templatePrefix, s.install.key(), "-", size))
}

// saveTemplate writes beside the final name and renames, so that nobody
// ever copies half a template. When two processes get here, the first one wins.
func (s *Server) saveTemplate(ctx context.Context, cache string) error {
	forgetTemplates(cache, time.Now())
	half, err := os.MkdirTemp(cache, halfPrefix)
	if err != nil {
		return fmt.Errorf("make template: %w", err)
	}
	defer os.RemoveAll(half)
	finished := filepath.Join(half, dataDir)
	size, err := copyTree(ctx, s.dir.data(), finished, nil)
	if err != nil {
		return fmt.Errorf("write template: %w", err)
	}
	return os.Rename(finished, s.templateName(cache, size))
}

// forgetTemplates removes templates nobody has used for long, and what
// a killed process left half written.
func forgetTemplates(cache string, now time.Time) {
	for prefix, age := range map[string]time.Duration{templatePrefix: templateAge, halfPrefix: time.Hour} {
		paths, _ := filepath.Glob(filepath.Join(cache, prefix+"*")) // the only error is a bad pattern
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil && now.Sub(info.ModTime()) > age {
				_ = os.RemoveAll(path) // the next one tries again
			}
		}
	}
}

// copyTree copies directories and files with their permissions, gives them to
// owner, and returns how many bytes the files had.
func copyTree(ctx context.Context, from, to string, owner *identity) (size int64, err error) {
	err = filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case info.IsDir():
			err = os.Mkdir(target, info.Mode().Perm())
		case info.Mode().IsRegular():
			var n int64
			n, err = copyFile(path, target, info.Mode().Perm())
			size += n
		default:
			err = fmt.Errorf("copy %s: neither file nor directory", path)
		}
		if err != nil || owner == nil {
			return err
		}
		return os.Chown(target, owner.uid, owner.gid)
	})
	return size, err
}

func copyFile(from, to string, perm fs.FileMode) (size int64, err error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return io.Copy(out, in)
}
