package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the kernel's unit of processor time in /proc, USER_HZ, which is 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// usage is what a process has used so far, from proc(5).
type usage struct {
	cpu          time.Duration
	rss, peak    int64 // bytes
	known        bool
	parent       int
	withChildren time.Duration // cpu, and that of children that have ended
}

func usageOf(pid int) (u usage) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 15 {
		return u
	}
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(fields[i], 10, 64) // the kernel writes numbers
		return n
	}
	u.known, u.parent = true, int(number(1))
	u.cpu = time.Duration(number(11)+number(12)) * tick
	u.withChildren = u.cpu + time.Duration(number(13)+number(14))*tick
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // without it there is no size
	for line := range strings.Lines(string(status)) {
		if name, rest, _ := strings.Cut(line, ":"); name == "VmHWM" || name == "VmRSS" {
			kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if name == "VmHWM" {
				u.peak = kb << 10
			} else {
				u.rss = kb << 10
			}
		}
	}
	return u
}

// machine is what all processors have done so far, and how much of that was for this process, and those that it has started.
type machine struct {
	at         time.Time
	busy, ours time.Duration
	known      bool
}

func machineNow() (m machine) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return m
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return m
	}
	m.at, m.known = time.Now(), true
	for i, text := range fields[1:9] {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && i != 3 && i != 4 { // idle, and waiting for a disk
			m.busy += time.Duration(n) * tick
		}
	}
	m.ours = family(os.Getpid())
	return m
}

// family is the processor time of a process and all below it, those included that have ended.
func family(root int) (sum time.Duration) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	used, children := map[int]time.Duration{}, map[int][]int{}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if u := usageOf(pid); u.known {
				used[pid], children[u.parent] = u.withChildren, append(children[u.parent], pid)
			}
		}
	}
	for below := []int{root}; len(below) > 0; {
		pid := below[0]
		sum += used[pid]
		below = append(below[1:], children[pid]...)
	}
	return sum
}
