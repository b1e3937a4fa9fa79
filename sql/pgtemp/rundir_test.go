package pgtemp

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSweepRemovesOnlyWhatNobodyOwns(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	live, err := newRunDir(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := newRunDir(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.owner.Close(); err != nil { // what the kernel does for a killed process
		t.Fatal(err)
	}
	starting := filepath.Join(root, runPrefix+"starting")
	foreign := filepath.Join(root, "somebody-elses")
	for _, dir := range []string{starting, foreign} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	if diff := cmp.Diff([]string{dead.path}, sweep(root, now)); diff != "" {
		t.Errorf("first sweep (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{starting}, sweep(root, now.Add(2*unclaimedAge))); diff != "" {
		t.Errorf("sweep much later (-want +got):\n%s", diff)
	}
	if err := live.remove(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string(nil), sweep(root, now)); diff != "" {
		t.Errorf("last sweep (-want +got):\n%s", diff)
	}
}

func TestSweepOfAnUnsignedOwner(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, runPrefix+"unsigned")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ownerFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if removed := sweep(root, time.Now()); len(removed) > 0 {
		t.Error("a directory was removed while its owner was between making and locking it")
	}
	if removed := sweep(root, time.Now().Add(2*unclaimedAge)); len(removed) != 1 {
		t.Error("a directory whose owner never came is still there")
	}
}
