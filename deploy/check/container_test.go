package check

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

const dockerfile = "../container/Dockerfile"

// Docker's own linter finds nothing.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	text := read(t, dockerfile)
	ast, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ast.Warnings {
		t.Errorf("%s: %s", w.URL, w.Short)
	}
	lint := linter.New(&linter.Config{
		Warn: func(rule, about, _, text string, at []parser.Range) {
			t.Errorf("%s (%s): %s at %v", rule, about, text, at)
		},
	})
	stages, _, err := instructions.Parse(ast.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	last := stages[len(stages)-1]
	if last.BaseName != "scratch" {
		t.Errorf("the image is made from %s", last.BaseName)
	}
	said := map[string]string{}
	for _, c := range last.Commands {
		said[strings.ToLower(c.Name())] = c.(interface{ String() string }).String()
	}
	for name, want := range map[string]string{
		"user": "65532:65532", "healthcheck": `["/reminder-worker", "health"]`, "entrypoint": `["/reminder-worker"]`, "cmd": `["run"]`,
	} {
		if !strings.Contains(said[name], want) {
			t.Errorf("%s: %q, want %s", name, said[name], want)
		}
	}
	if s, ok := said["run"]; ok {
		t.Errorf("nothing can be run in it: %s", s)
	}
}

// The linter is at work: what is known to be wrong is found.
func TestDockerfileLinterFinds(t *testing.T) {
	t.Parallel()
	ast, err := parser.Parse(strings.NewReader("from scratch AS x\nMAINTAINER mira@example.org\n"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, _ string, _ []parser.Range) { found = append(found, rule) }})
	if _, _, err := instructions.Parse(ast.AST, lint); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(found, "MaintainerDeprecated") {
		t.Errorf("found %v", found)
	}
}

func TestCompose(t *testing.T) {
	t.Parallel()
	options, err := cli.NewProjectOptions([]string{"../container/compose.yaml"}, cli.WithOsEnv)
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	worker := p.Services["worker"]
	known := variables(t)
	for name := range worker.Environment {
		if !known[name] {
			t.Errorf("%s is no variable of the program", name)
		}
	}
	build := filepath.Join(worker.Build.Context, worker.Build.Dockerfile)
	if want, _ := filepath.Abs(dockerfile); build != want {
		t.Errorf("it builds %s, want %s", build, want)
	}
	if !worker.ReadOnly || !slices.Equal(worker.CapDrop, []string{"ALL"}) || worker.Ports[0].HostIP != "127.0.0.1" {
		t.Errorf("%+v", worker)
	}
}
