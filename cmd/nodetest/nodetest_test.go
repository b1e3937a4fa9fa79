package nodetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write makes files below a folder, each written path=content.
func write(t *testing.T, folder string, files ...string) {
	t.Helper()
	for _, file := range files {
		name, content, _ := strings.Cut(file, "=")
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func sum(t *testing.T, folder string) string {
	t.Helper()
	s, err := sumOf(folder)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSum(t *testing.T) {
	t.Parallel()
	made := func(files ...string) string {
		folder := t.TempDir()
		write(t, folder, files...)
		return folder
	}
	want := sum(t, made("a/index.js=1", "b/index.js=2"))
	for name, c := range map[string]struct {
		folder string
		same   bool
	}{
		"npm's own notes":  {made("b/index.js=2", "a/index.js=1", ".bin/a=3", ".package-lock.json={}"), true},
		"another content":  {made("a/index.js=1", "b/index.js=3"), false},
		"another name":     {made("a/index.js=1", "b/main.js=2"), false},
		"another folder":   {made("a/index.js=1", "c/index.js=2"), false},
		"one file more":    {made("a/index.js=1", "b/index.js=2", "c/index.js="), false},
		"one file less":    {made("a/index.js=1"), false},
		"contents swapped": {made("a/index.js=2", "b/index.js=1"), false},
	} {
		if got := sum(t, c.folder) == want; got != c.same {
			t.Errorf("%s: same sum %v, want %v", name, got, c.same)
		}
	}
	linked := made("a/index.js=1")
	if err := os.Symlink(filepath.Join(linked, "a"), filepath.Join(linked, "b")); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{linked, t.TempDir(), filepath.Join(linked, "nothing")} {
		if s, err := sumOf(folder); err == nil {
			t.Errorf("%s has the sum %s", folder, s)
		}
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		there []string
		moved bool
	}{
		"nothing is there":        {nil, true},
		"another was faster":      {[]string{"node_modules/a/index.js=1"}, false},
		"a changed one is there":  {[]string{"node_modules/a/index.js=2"}, true},
		"half of one is there":    {[]string{"node_modules/.bin/a="}, true},
		"another folder is there": {[]string{"package.json={}"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cache := t.TempDir()
			fetched, target := filepath.Join(cache, "fetching"), filepath.Join(cache, "client")
			write(t, fetched, "node_modules/a/index.js=1")
			write(t, target, c.there...)
			client := Client{Sum: sum(t, filepath.Join(fetched, "node_modules"))}
			got, err := client.keep(fetched, target)
			if err != nil || got != target || !client.isIn(target) {
				t.Errorf("kept in %s, error %v, whole %v", got, err, client.isIn(target))
			}
			if _, err := os.Stat(fetched); os.IsNotExist(err) != c.moved {
				t.Errorf("what was fetched: %v", err)
			}
		})
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, folder, "node_modules/a/index.js=1")
	if got := string((&Installed{folder: folder}).Read(t, "a/index.js")); got != "1" {
		t.Errorf("read %q", got)
	}
}

func TestProcess(t *testing.T) {
	t.Parallel()
	node := findNode(t)
	if node == "" {
		return
	}
	p := (&Installed{node: node, folder: t.TempDir()}).Start(t, "SERVER=here")
	for _, command := range []string{"first", "second"} {
		var got struct {
			Command           string
			Args, Environment map[string]any
		}
		args := map[string]any{"text": "a\nb", "list": []any{1.0, nil}}
		p.Ask(command, args, &got)
		if diff := cmp.Diff(args, got.Args); diff != "" || got.Command != command {
			t.Errorf("obeyed %q (-want +got):\n%s", got.Command, diff)
		}
		if got.Environment["SERVER"] != "here" || got.Environment["PATH"] != nil {
			t.Errorf("environment %v", got.Environment)
		}
	}
}
