package pgtemp

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// installFake makes a directory whose programs know no more than their version.
func installFake(t *testing.T, dir, version string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n"
	for _, program := range []string{"postgres", "initdb"} {
		if err := os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindPrefersPathThenTheNewest(t *testing.T) {
	t.Parallel()
	base := openDir(t)
	for _, version := range []string{"14.9", "14.20", "16.2 (Some 16.2-1)", "9.6.24"} {
		installFake(t, filepath.Join(base, "usual", strings.Fields(version)[0]), version)
	}
	onPath := installFake(t, filepath.Join(base, "elsewhere"), "15.1")
	linked := filepath.Join(base, "links")
	if err := os.Mkdir(linked, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(onPath, "postgres"), filepath.Join(linked, "postgres")); err != nil {
		t.Fatal(err)
	}
	usual := []string{filepath.Join(base, "usual", "*")}
	for name, test := range map[string]struct {
		places   places
		explicit string
		want     Installation
	}{
		"explicit": {places{path: []string{onPath}}, filepath.Join(base, "usual/14.9"), Installation{filepath.Join(base, "usual/14.9"), "14.9", "14.9"}},
		"path":     {places{path: []string{".", "/absent", filepath.Join(base, "usual/9.6.24"), linked}, patterns: usual}, "", Installation{onPath, "15.1", "15.1"}},
		"newest":   {places{patterns: usual}, "", Installation{filepath.Join(base, "usual/16.2"), "16.2", "16.2 (Some 16.2-1)"}},
		"numeric":  {places{patterns: []string{filepath.Join(base, "usual/14.*")}}, "", Installation{filepath.Join(base, "usual/14.20"), "14.20", "14.20"}},
	} {
		got, err := test.places.find(test.explicit)
		if err != nil || got != test.want {
			t.Errorf("%s: found %+v (%v), want %+v", name, got, err, test.want)
		}
	}
}

func TestFindRefuses(t *testing.T) {
	t.Parallel()
	base := openDir(t)
	old := installFake(t, filepath.Join(base, "old"), "13.14")
	strange := installFake(t, filepath.Join(base, "strange"), "13.14")
	if err := os.WriteFile(filepath.Join(strange, "postgres"), []byte("#!/bin/sh\necho hello\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		old:                           "older than 14",
		strange:                       "no version",
		filepath.Join(base, "absent"): "no such file",
		"relative":                    "not an absolute path",
	} {
		if _, err := (places{}).find(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("find %s: %v, want %q", dir, err, want)
		}
	}
	_, err := places{path: []string{old}}.find("")
	if _, ok := errors.AsType[*NotInstalledError](err); !ok {
		t.Errorf("error is %v, want NotInstalledError", err)
	}
}

func TestFirstClosed(t *testing.T) {
	t.Parallel()
	base := openDir(t)
	closed := filepath.Join(base, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := firstClosed(filepath.Join(closed, "absent")); got != filepath.Join(closed, "absent") {
		t.Errorf("blocked at %q, want the absent directory", got)
	}
	if got := firstClosed(closed); got != closed {
		t.Errorf("blocked at %q, want %q", got, closed)
	}
	if got := firstClosed(base); got != "" {
		t.Errorf("blocked at %q, want nowhere", got)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for version, want := range map[string][2]int{
		"15.18": {15, 18}, "14.10": {14, 10}, "19beta1": {19, 0}, "18devel": {18, 0}, "": {0, 0}, "9.6.24": {9, 6},
	} {
		if major, minor := numbers(version); major != want[0] || minor != want[1] {
			t.Errorf("%q is %d and %d, want %v", version, major, minor, want)
		}
	}
}

func TestHintNamesThePackage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ goos, release, want string }{
		{"darwin", "", "brew install"},
		{"linux", "ID=debian\n", "apt-get install postgresql"},
		{"linux", "NAME=Mint\nID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "apt-get install postgresql"},
		{"linux", "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "dnf install postgresql-server"},
		{"linux", "ID=alpine\n", "apk add"},
		{"linux", "ID=opensuse-leap\nID_LIKE='suse opensuse'\n", "zypper"},
		{"linux", "", "server package of this system"},
	} {
		err := &NotInstalledError{Hint: hintFor(test.goos, test.release), Err: errNoNPM}
		if !strings.Contains(err.Error(), test.want) || !errors.Is(err, errNoNPM) {
			t.Errorf("%s %q: %v, want %q", test.goos, test.release, err, test.want)
		}
	}
}
