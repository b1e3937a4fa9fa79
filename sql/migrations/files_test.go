package migrations

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestLoadReportsEveryFault(t *testing.T) {
	t.Parallel()
	made := fstest.MapFS{}
	for _, name := range []string{"0000_zero.sql", "0002_a.sql", "0002_b.sql", "0004_c.sql", "5_d.sql", "notes.sql", "README.md", "sub/0009_x.sql"} {
		made[name] = &fstest.MapFile{Data: []byte("select 1")}
	}
	_, err := Load(made)
	faults, ok := errors.AsType[*FilesError](err)
	if !ok {
		t.Fatalf("error is %v, want a FilesError", err)
	}
	for _, part := range []string{
		"0000_zero.sql: numbers start at 0001", "0001 is missing before 0002_a.sql", "0002_a.sql and 0002_b.sql have the same number",
		"0003 is missing before 0004_c.sql", "5_d.sql is not named like", "notes.sql is not named like",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not reported in %v", part, err)
		}
	}
	if len(faults.Faults) != 6 {
		t.Errorf("%d faults, want 6: %v", len(faults.Faults), err)
	}
}

func TestLoadOfNothing(t *testing.T) {
	t.Parallel()
	if _, err := Load(fstest.MapFS{}); err == nil {
		t.Error("no migrations at all were accepted")
	}
}

func TestEmbeddedFilesAreInOrder(t *testing.T) {
	t.Parallel()
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range all {
		if m.Version != i+1 || len(m.Checksum) != 64 || m.Name == "" || m.SQL == "" {
			t.Errorf("migration %d: %+v", i, m)
		}
	}
}

func TestTimeoutsThatMeanForeverAreRefused(t *testing.T) {
	t.Parallel()
	for _, opts := range []Options{{LockTimeout: time.Microsecond}, {TurnTimeout: -1}, {TurnTimeout: 2 * time.Hour}} {
		if _, err := New(opts); err == nil {
			t.Errorf("%+v was accepted", opts)
		}
	}
}
