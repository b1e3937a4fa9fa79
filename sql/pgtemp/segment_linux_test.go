package pgtemp

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A server that was killed cannot clean up after itself: Stop does.
func TestStopAfterKillLeavesNoSharedMemory(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	fields := strings.Fields(s.pidFile()[6])
	id, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		t.Fatal(err)
	}
	if !segmentExists(t, id) {
		t.Fatalf("segment %d of a running server is not listed", id)
	}
	s.Kill()
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if segmentExists(t, id) {
		t.Errorf("segment %d is left", id)
	}
}

func TestDynamicSharedMemoryLiesInTheDataDirectory(t *testing.T) {
	t.Parallel()
	s := start(t, Config{})
	if files, err := os.ReadDir(filepath.Join(s.dir.data(), "pg_dynshmem")); err != nil || len(files) == 0 {
		t.Errorf("pg_dynshmem holds %d files (%v), want the control segment", len(files), err)
	}
}

// segmentExists looks the id up in the second column of the kernel's list.
func segmentExists(t *testing.T, id int) bool {
	t.Helper()
	list, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == strconv.Itoa(id) {
			return true
		}
	}
	return false
}
