package pgtemp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const clusterID = "select system_identifier::text from pg_control_system()"

func TestSecondStartCopiesTheTemplate(t *testing.T) {
	t.Parallel()
	cache := filepath.Join(t.TempDir(), "cache")
	first := start(t, Config{Cache: cache})
	second := start(t, Config{Cache: cache, Durable: true})
	a, b := connect(t, first.URL("postgres")), connect(t, second.URL("postgres"))
	if ask(t, a, clusterID) != ask(t, b, clusterID) {
		t.Error("the second start ran initdb again")
	}
	if _, err := a.Exec(t.Context(), "create table mine (id int)"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Exec(t.Context(), "create table mine (id int)"); err != nil {
		t.Errorf("two servers share their data: %v", err)
	}
}

func TestStartWithoutAUsableCache(t *testing.T) {
	t.Parallel()
	cache := filepath.Join(t.TempDir(), "cache")
	if err := os.WriteFile(cache, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	connect(t, start(t, Config{Cache: cache}).URL("postgres"))
}

func TestStartWithABrokenTemplate(t *testing.T) {
	t.Parallel()
	inst, err := Find("")
	if err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(t.TempDir(), "cache")
	template := filepath.Join(cache, templatePrefix+inst.key()+"-39000000")
	if err := os.MkdirAll(template, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(template, "PG_VERSION"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	connect(t, start(t, Config{Cache: cache}).URL("postgres"))
	if _, err := os.Stat(template); !os.IsNotExist(err) {
		t.Errorf("the broken template is still there: %v", err)
	}
}

func TestCacheOpenToOthersIsRefused(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	if err := os.Chmod(cache, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := (Config{Cache: cache}).cacheDir(); err == nil || !strings.Contains(err.Error(), "others may write") {
		t.Errorf("error is %v, want a refusal", err)
	}
}

func TestForgetTemplates(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	for _, name := range []string{templatePrefix + "a", halfPrefix + "b", "postgres"} {
		if err := os.Mkdir(filepath.Join(cache, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for age, want := range map[time.Duration]int{time.Minute: 3, 2 * time.Hour: 2, 2 * templateAge: 1} {
		_ = os.Mkdir(filepath.Join(cache, templatePrefix+"a"), 0o700)
		_ = os.Mkdir(filepath.Join(cache, halfPrefix+"b"), 0o700)
		forgetTemplates(cache, time.Now().Add(age))
		if left, _ := os.ReadDir(cache); len(left) != want {
			t.Errorf("after %s: %d entries are left, want %d", age, len(left), want)
		}
	}
}

func TestDefaultCacheOfRootIsOpen(t *testing.T) {
	t.Parallel()
	if got := defaultCache(0); !strings.HasPrefix(got, "/var/cache/") {
		t.Errorf("root's cache is %s", got)
	}
}
