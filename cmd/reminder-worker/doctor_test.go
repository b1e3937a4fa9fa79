package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

var someFindings = []app.Finding{
	{ID: "database", Verdict: app.Pass, Text: "connected"},
	{ID: "schema", Verdict: app.Fail, Text: "2 migrations are pending", Details: []string{"0003 triggers", "0004 app_functions"}, Fix: "Run reminder-worker migrate up."},
	{ID: "row_security", Verdict: app.Warn, Text: "may hide rows", Fix: "Connect as the owner."},
	{ID: "triggers", Verdict: app.Skip, Text: "there are none", Fix: "First migrate."},
}

func TestFindingsText(t *testing.T) {
	t.Parallel()
	want := `pass  database      connected
fail  schema        2 migrations are pending
                    - 0003 triggers
                    - 0004 app_functions
                    > Run reminder-worker migrate up.
warn  row_security  may hide rows
                    > Connect as the owner.
skip  triggers      there are none

1 passed, 1 warned, 1 failed, 1 skipped
`
	if diff := cmp.Diff(want, findingsText(someFindings, false)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFindingsTextInColour(t *testing.T) {
	t.Parallel()
	want := "\x1b[32mpass\x1b[0m  database  connected\n\n1 passed, 0 warned, 0 failed, 0 skipped\n"
	if diff := cmp.Diff(want, findingsText(someFindings[:1], true)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFindingsJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := showFindings(&out, someFindings, true); err != nil {
		t.Fatal(err)
	}
	var got []app.Finding
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(someFindings, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Colours are for terminals: a buffer, a file and a pipe get none.
func TestColoured(t *testing.T) {
	t.Parallel()
	if coloured(&bytes.Buffer{}) {
		t.Error("a buffer is no terminal")
	}
}
