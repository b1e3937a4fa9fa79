package pgtemp

import (
	"strings"
	"testing"
)

func TestValidateReportsEveryFault(t *testing.T) {
	t.Parallel()
	cfg := Config{
		BinDir:   "bin",
		Port:     70000,
		Cache:    "cache",
		Dir:      "/" + strings.Repeat("deep/", 20),
		Settings: map[string]string{"PORT": "1", "a b": "1", "auto_explain.log_min_duration": "0"},
	}
	err := cfg.Validate()
	if err == nil {
		t.Fatal("a bad configuration was accepted")
	}
	for _, part := range []string{"bin directory", "port 70000", "cache", "too long", "setting PORT", `setting "a b"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not reported in:\n%v", part, err)
		}
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != 6 {
		t.Errorf("%d faults reported, want 6:\n%v", got, err)
	}
}

func TestDefaultConfigIsValid(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	cfg.progress("nobody %s", "listens")
}

func TestSettings(t *testing.T) {
	t.Parallel()
	durable := Config{Durable: true, Settings: map[string]string{"max_connections": "20"}}.settings()
	if _, set := durable["fsync"]; set || durable["max_connections"] != "20" || durable["wal_level"] != "logical" {
		t.Errorf("settings of a durable server: %v", durable)
	}
	if fast := (Config{}).settings(); fast["fsync"] != "off" || fast["full_page_writes"] != "off" {
		t.Errorf("settings of a fast server: %v", fast)
	}
}
