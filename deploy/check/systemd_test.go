package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const unit = "../systemd/reminder-worker.service"

// analyze runs systemd's own judge on the unit, whose program is a stand-in. It reports whether there is one: where
// REMINDER_WORKER_REQUIRE_SYSTEMD is set there must be.
func analyze(t *testing.T, args ...string) (out string, ran bool) {
	t.Helper()
	judge, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("REMINDER_WORKER_REQUIRE_SYSTEMD") != "" {
			t.Fatal("systemd-analyze is not on this machine (package systemd)")
		}
		t.Log("did not run: systemd-analyze is not on this machine (package systemd)")
		return "", false
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "reminder-worker")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(read(t, unit)), "/usr/local/bin/reminder-worker", program)
	path := filepath.Join(dir, "reminder-worker.service")
	write(t, path, text)
	said, err := exec.CommandContext(t.Context(), judge, append(args, path)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	return string(said), true
}

func TestUnitIsValid(t *testing.T) {
	t.Parallel()
	if out, _ := analyze(t, "verify", "--man=no"); strings.Contains(out, "reminder-worker.service") {
		t.Error(out)
	}
}

var exposure = regexp.MustCompile(`Overall exposure level for \S+: ([0-9.]+)`)

// From 0 (can do nothing) to 10 (can do everything).
func TestUnitIsConfined(t *testing.T) {
	t.Parallel()
	out, ran := analyze(t, "security", "--offline=true", "--no-pager")
	if !ran {
		return
	}
	m := exposure.FindStringSubmatch(out)
	if m == nil {
		t.Fatal(out)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > 1.5 {
		t.Errorf("exposure %s, at most 1.5 may it be\n%s", m[1], out)
	}
	t.Logf("exposure %s", m[1])
}

func TestUnitEnvironment(t *testing.T) {
	t.Parallel()
	known, set := variables(t), 0
	for line := range strings.Lines(string(read(t, "../systemd/reminder-worker.env"))) {
		name, _, is := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "#"), "=")
		if !is || strings.Contains(name, " ") {
			continue
		}
		set++
		if !known[name] {
			t.Errorf("%s is no variable of the program", name)
		}
	}
	if set < 5 {
		t.Errorf("found %d variables", set)
	}
}
