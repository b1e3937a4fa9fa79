package app

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each value with where it comes from; the environment wins over .env, and no secret is among them.
func TestExplain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, dotenv := filepath.Join(dir, "secret"), filepath.Join(dir, ".env")
	for path, text := range map[string]string{file: "hidden-three\n", dotenv: "LEASE=20s\nLOG_LEVEL=debug\nHORIZON=\nGOOGLE_CLIENT_SECRET=hidden-two\nREMINDER_OFFSETS=1h,5m\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settings, err := Explain([]string{
		"DATABASE_URL=postgresql://parent:hidden-one@127.0.0.1:1/family", "LEASE=30s", "GOOGLE_CLIENT_ID=client", "EXPO_ACCESS_TOKEN_FILE=" + file,
		"HTTP_ADDR=", "EXPO_PUSH_URL=https://exp.example/push",
	}, dotenv)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Setting{}
	var names []string
	for _, s := range settings {
		got[s.Name] = s
		names = append(names, s.Name)
		if strings.Contains(s.Value, "hidden") {
			t.Errorf("%s shows a secret", s.Name)
		}
	}
	for _, want := range []Setting{
		{"DATABASE_URL", "redacted", FromEnvironment, true}, {"LEASE", "30s", FromEnvironment, false}, {"LOG_LEVEL", "debug", FromDotenv, false},
		{"HORIZON", "1h0m0s", FromDefault, false}, {"GOOGLE_CLIENT_SECRET", "redacted", FromDotenv, true}, {"EXPO_ACCESS_TOKEN", "redacted", FromFile, true},
		{"HTTP_ADDR", "127.0.0.1:8080", FromDefault, false}, {"TOKEN_ENCRYPTION_KEY", "", FromDefault, true}, {"REMINDER_OFFSETS", "1h0m0s,5m0s", FromDotenv, false},
		{"EXPO_PUSH_URL", "https://exp.example/push", FromEnvironment, false},
	} {
		if diff := cmp.Diff(want, got[want.Name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Name, diff)
		}
	}
	if diff := cmp.Diff(variables(), names); diff != "" {
		t.Errorf("variables (-all +told):\n%s", diff)
	}
	if _, err := Explain(nil, ""); err == nil {
		t.Error("a wrong configuration was explained")
	}
}

// The example names every variable once, and means what it says: as it is it changes nothing, and with every line taken it is what there is without it.
func TestExampleEnvironment(t *testing.T) {
	t.Parallel()
	text := ExampleEnvironment()
	var named []string
	for _, m := range regexp.MustCompile(`(?m)^#([A-Z_]+)=`).FindAllStringSubmatch(text, -1) {
		named = append(named, m[1])
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(variables())), slices.Sorted(slices.Values(named))); diff != "" {
		t.Errorf("variables (-all +named):\n%s", diff)
	}
	environ := []string{"DATABASE_URL=postgresql://parent@127.0.0.1:1/family"}
	want, err := Load(environ, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, example := range []string{text, regexp.MustCompile(`(?m)^#([A-Z_]+=)`).ReplaceAllString(text, "$1")} {
		dotenv := filepath.Join(t.TempDir(), ".env")
		if err := os.WriteFile(dotenv, []byte(example), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Load(environ, dotenv)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("with the example:\n%v\nwithout:\n%v", got, want)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 2*exampleWidth && strings.HasPrefix(line, "# ") {
			t.Errorf("a long line: %s", line)
		}
	}
}
