package pgtemp

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// serverAttributes are attributes plus a death signal: when this process is
// killed, the kernel tells the server to shut down at once.
func serverAttributes(id *identity) *syscall.SysProcAttr {
	attr := attributes(id)
	attr.Pdeathsig = syscall.SIGQUIT
	return attr
}

// children lists the processes whose parent is pid. Backends lead process
// groups of their own, so a signal to the group of the server misses them.
func children(pid int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var found []int
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if fields := statFields(child); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			found = append(found, child)
		}
	}
	return found
}

// awaitGone waits until pid has ended; a zombie nobody collects counts as ended.
func awaitGone(pid int, limit time.Duration) {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if fields := statFields(pid); len(fields) == 0 || fields[0] == "Z" {
			return
		}
	}
}

// statFields returns /proc/pid/stat from the state on. The name before it is in
// brackets and may contain anything.
func statFields(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}
