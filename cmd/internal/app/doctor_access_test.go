package app

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	mention = regexp.MustCompile(`(?i)\b(from|join|update|insert into|delete from)\s+(public|reminder_worker)\.([a-z_]+)\b(?:[^(]|$)`)
	calling = regexp.MustCompile(`\b(reminder_worker\.[a-z_]+\()`)
)

// Whatever the worker's statements touch is asked for.
func TestNeedsCoverTheQueries(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../sql/queries/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no queries: %v", err)
	}
	privilege := map[string]string{"from": "SELECT", "join": "SELECT", "update": "UPDATE", "insert into": "INSERT", "delete from": "DELETE"}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mention.FindAllStringSubmatch(string(text), -1) {
			verb, table := privilege[strings.ToLower(m[1])], m[2]+"."+m[3]
			at := slices.IndexFunc(needs, func(n need) bool { return n.name() == table })
			if at < 0 || !slices.Contains(needs[at].privileges, verb) {
				t.Errorf("%s: %q needs %s on %s, which needs does not list", filepath.Base(file), m[0], verb, table)
			}
		}
		for _, m := range calling.FindAllString(string(text), -1) {
			if !slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, m) }) {
				t.Errorf("%s calls %s), which calls does not list", filepath.Base(file), m)
			}
		}
	}
}

func TestUnique(t *testing.T) {
	t.Parallel()
	if got := unique([]string{"b", "a", "b"}); !slices.Equal(got, []string{"b", "a"}) {
		t.Errorf("%v", got)
	}
}
