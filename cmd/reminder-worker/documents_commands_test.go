package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/parentpal/reminder-worker/cmd/internal/app"
)

// elsewhere are the programs that documents call and tests do not, each with the reason. What is called of ours is tested.
var elsewhere = map[string]string{
	"sudo":       "needs root",
	"systemctl":  "needs systemd",
	"docker":     "needs a daemon; deploy/check judges the files",
	"kubectl":    "needs a cluster; deploy/check judges the files",
	"supabase":   "needs Docker",
	"curl":       "asks a worker that runs, as the tests of the live page do",
	".ci/run":    "runs these tests, the demo and a build itself",
	".ci/majors": "runs these tests on every Postgres",
}

// command is one call in a shell: what is set for it, and its words.
type command struct {
	set, words []string
	line       int // in its document
}

// shell reads the commands of a block.
func shell(b block) (commands []command, err error) {
	lines := strings.Split(b.text, "\n")
	for i := 0; i < len(lines); i++ {
		line, number := lines[i], b.line+i
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			line = strings.TrimSuffix(line, `\`) + lines[i]
		}
		words, err := shellWords(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		for _, words := range split(words) {
			c := command{line: number}
			for len(words) > 0 && assignment.MatchString(words[0]) {
				c.set, words = append(c.set, words[0]), words[1:]
			}
			if len(words) > 0 && words[0] == "export" {
				c.set, words = append(c.set, words[1:]...), nil
			}
			c.words = words
			commands = append(commands, c)
		}
	}
	return commands, nil
}

var assignment = regexp.MustCompile(`^[A-Za-z_]\w*=`)

// operators end a command; what follows > is a file that is written.
var operators = []string{"|", "&&", "||", ";", "&", ">"}

// split cuts words at operators, and leaves out what is written to.
func split(words []string) (commands [][]string) {
	var one []string
	for i := 0; i < len(words); i++ {
		switch {
		case words[i] == ">":
			i++
		case slices.Contains(operators, words[i]):
			commands, one = append(commands, one), nil
		default:
			one = append(one, words[i])
		}
	}
	if one != nil {
		commands = append(commands, one)
	}
	return commands
}

// shellWords cuts a line into words as a shell does, without the comment at its end. What it would expand stays as it is.
func shellWords(line string) (words []string, err error) {
	var word strings.Builder
	inside, begun := rune(0), false
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for _, r := range line {
		switch {
		case inside != 0 && r == inside:
			inside = 0
		case inside != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			inside, begun = r, true
		case r == '#' && !begun:
			return words, nil
		case r == ' ' || r == '\t':
			end()
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	end()
	if inside != 0 {
		return nil, fmt.Errorf("%c is not closed in %s", inside, line)
	}
	return words, nil
}

// ours returns the arguments of a call of this program.
func ours(words []string) (args []string, is bool) {
	switch {
	case len(words) == 0:
	case words[0] == "reminder-worker" || words[0] == "./reminder-worker":
		return words[1:], true
	case len(words) > 2 && words[0] == "go" && words[1] == "run" && words[2] == "./cmd/reminder-worker":
		return words[3:], true
	}
	return nil, false
}

// understood asks the program whether it knows a command with these flags and arguments. It runs nothing.
func understood(args []string) error {
	root := newRootCommand()
	c, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	if err := c.ValidateArgs(c.Flags().Args()); err != nil {
		return err
	}
	if len(c.ValidArgs) > 0 {
		return cobra.OnlyValidArgs(c, c.Flags().Args())
	}
	return nil
}

// Every command that a document calls exists, with its flags and arguments; and so does what it is called on.
func TestDocumentsCallWhatExists(t *testing.T) {
	t.Parallel()
	called := 0
	for _, name := range pages {
		d := page(t, name)
		for _, b := range d.blocks {
			if b.language != "sh" {
				continue
			}
			commands, err := shell(b)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, c := range commands {
				called++
				if err := callable(c); err != nil {
					t.Errorf("%s:%d: %s: %v", name, c.line, strings.Join(c.words, " "), err)
				}
			}
		}
		for _, c := range d.codes {
			words, err := shellWords(c.text)
			if err != nil || len(words) < 2 {
				continue
			}
			args, is := ours(words)
			if !is && slices.ContainsFunc(newRootCommand().Commands(), func(c *cobra.Command) bool { return c.Name() == words[0] }) && !isSQL(c.text) {
				args, is = words, true // told without the name of the program
			}
			if !is {
				continue
			}
			called++
			if err := understood(args); err != nil {
				t.Errorf("%s:%d: %s: %v", name, c.line, c.text, err)
			}
		}
	}
	if called < 60 {
		t.Errorf("found %d commands", called)
	}
}

// callable says what is wrong with a command of a document.
func callable(c command) error {
	if err := acceptable(c.set); err != nil {
		return err
	}
	if len(c.words) == 0 {
		return nil
	}
	if err := namesFiles(c.words); err != nil {
		return err
	}
	if args, is := ours(c.words); is {
		return understood(args)
	}
	switch c.words[0] {
	case "createdb", "psql": // by TestReadmeSession
		return nil
	case "go": // what is built and tested is there, the tests by their names as well
		return nil
	}
	if _, known := elsewhere[c.words[0]]; !known {
		return errors.New("neither run by a test nor listed in elsewhere with a reason")
	}
	return nil
}

// namesFiles looks for the files of the repository among the words of a command.
func namesFiles(words []string) error {
	for _, w := range words {
		file := strings.TrimSuffix(w, "/...")
		ours := strings.HasPrefix(w, "./") || strings.HasPrefix(w, ".ci/") || strings.HasPrefix(w, "deploy/")
		if !ours || file == "./reminder-worker" {
			continue
		}
		if _, err := os.Stat(filepath.Join(checkout, filepath.FromSlash(file))); err != nil {
			return fmt.Errorf("%s is not there", w)
		}
	}
	return nil
}

// acceptable has the program read what a document sets for it.
func acceptable(set []string) error {
	if len(set) == 0 {
		return nil
	}
	environ := []string{"DATABASE_URL=postgresql://postgres@127.0.0.1:5432/family"}
	variables := variablesOf()
	for _, kv := range set {
		name, _, _ := strings.Cut(kv, "=")
		if _, known := variables[name]; known {
			environ = append(environ, kv)
		} else if !readByTests(name) {
			return fmt.Errorf("there is no variable %s", name)
		}
	}
	_, err := app.Load(environ, "")
	return err
}

// readByTests reports whether a variable turns the tests, and not the program.
func readByTests(name string) bool { return strings.HasPrefix(name, "REMINDER_WORKER_") }

// variable is one of the configuration.
type variable struct {
	usual  string // what it is without being set
	secret bool
}

// variablesOf are those of the program's configuration by name, as the program itself reads them.
func variablesOf() map[string]variable {
	all := map[string]variable{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[app.Config]()) {
		if name := f.Tag.Get("env"); name != "" {
			all[name] = variable{usual: f.Tag.Get("envDefault"), secret: f.Tag.Get("secret") != ""}
		}
	}
	return all
}

// userNames are variables that documents name as an example.
var userNames = []string{"NAME_FILE"}

var (
	variableName = regexp.MustCompile(`^([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=|$)`)
	testVariable = regexp.MustCompile(`"(REMINDER_WORKER_[A-Z_]+)"`)
)

// Every variable that a document names is one of the configuration, or of the tests.
func TestDocumentsNameVariables(t *testing.T) {
	t.Parallel()
	variables := variablesOf()
	tests := map[string]bool{}
	for _, name := range tree(t) {
		if filepath.Ext(name) != ".go" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(checkout, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testVariable.FindAllStringSubmatch(string(text), -1) {
			tests[m[1]] = true
		}
	}
	found := 0
	for _, name := range pages {
		d := page(t, name)
		for _, c := range d.codes {
			m := variableName.FindStringSubmatch(c.text)
			if m == nil {
				continue
			}
			found++
			_, known := variables[m[1]]
			of := strings.TrimSuffix(m[1], "_FILE")
			if !known && !variables[of].secret && !tests[m[1]] && !slices.Contains(userNames, m[1]) {
				t.Errorf("%s:%d: there is no variable %s", name, c.line, m[1])
			}
		}
		for _, b := range d.blocks {
			commands, err := shell(b)
			if b.language != "sh" || err != nil {
				continue // said by another test
			}
			for _, c := range commands {
				for _, kv := range c.set {
					name, _, _ := strings.Cut(kv, "=")
					if readByTests(name) && !tests[name] {
						t.Errorf("%s:%d: no test reads %s", d.name, c.line, name)
					}
				}
			}
		}
	}
	if found < 60 {
		t.Errorf("found %d variables", found)
	}
}

// The table of the first page lists every variable, each once, with what it is without being set; what may be set and is not used is named
// below it.
func TestConfigurationTable(t *testing.T) {
	t.Parallel()
	const section, realOnes = "Configuration", "GOOGLE_CALENDAR_URL"
	d := page(t, firstPage)
	variables := variablesOf()
	var listed []string
	for _, cells := range d.cells {
		var usual, written []string
		first := ""
		for _, c := range cells {
			if c.section != section {
				continue
			}
			switch c.column {
			case 0:
				first = cmp.Or(first, c.text)
				listed = append(listed, c.text)
				if v := variables[c.text].usual; v != "" {
					usual = append(usual, v)
				}
			case 1:
				written = append(written, c.text)
			}
		}
		if first == "" || first == realOnes {
			continue
		}
		if diff := gocmp.Diff(usual, written); diff != "" {
			t.Errorf("%s (-configuration +table):\n%s", first, diff)
		}
	}
	for _, c := range d.codes {
		if _, known := variables[c.text]; known && c.section == section && c.column != 0 && !slices.Contains(listed, c.text) {
			listed = append(listed, c.text)
		}
	}
	slices.Sort(listed)
	var all []string
	for name := range variables {
		all = append(all, name)
	}
	slices.Sort(all)
	if diff := gocmp.Diff(all, listed); diff != "" {
		t.Errorf("variables (-configuration +table):\n%s", diff)
	}
}

// The table of the first page lists every command, and names no flag that its command has not.
func TestCommandsTable(t *testing.T) {
	t.Parallel()
	d := page(t, firstPage)
	var listed []string
	for _, cells := range d.cells {
		var names []string
		var flags []string
		for _, c := range cells {
			switch {
			case c.section != "Commands":
			case c.column == 0:
				names = append(names, c.text)
			case strings.HasPrefix(c.text, "--"):
				flags = append(flags, c.text)
			}
		}
		names = spelledOut(names)
		listed = append(listed, names...)
		for _, flag := range flags {
			if err := understood(append(strings.Fields(names[0]), strings.Fields(flag)...)); err != nil {
				t.Errorf("%s %s: %v", names[0], flag, err)
			}
		}
	}
	var all []string
	for _, c := range newRootCommand().Commands() {
		if !c.HasSubCommands() || c.Name() == "completion" {
			all = append(all, c.Name())
			continue
		}
		for _, sub := range c.Commands() {
			all = append(all, c.Name()+" "+sub.Name())
		}
	}
	slices.Sort(all)
	slices.Sort(listed)
	if diff := gocmp.Diff(all, listed); diff != "" {
		t.Errorf("commands (-program +table):\n%s", diff)
	}
}

// spelledOut gives a row's names after the first its group: migrate up, status is migrate up, migrate status.
func spelledOut(names []string) (full []string) {
	group := ""
	for i, name := range names {
		if before, _, grouped := strings.Cut(name, " "); i == 0 && grouped {
			group = before + " "
		} else if i > 0 {
			name = group + name
		}
		full = append(full, name)
	}
	return full
}

// What the readers of shells, flags and names must refuse.
func TestDocumentsAreReadRight(t *testing.T) {
	t.Parallel()
	commands, err := shell(block{line: 7, text: "A='x # y' B=\"$C\" ./reminder-worker audit --json \\\n  --yes   # why\n\nexport D=1 E=2\ngo test ./a && docker build . > out\n"})
	want := []command{
		{set: []string{"A=x # y", "B=$C"}, words: []string{"./reminder-worker", "audit", "--json", "--yes"}, line: 7},
		{set: []string{"D=1", "E=2"}, line: 10},
		{words: []string{"go", "test", "./a"}, line: 11},
		{words: []string{"docker", "build", "."}, line: 11},
	}
	if diff := gocmp.Diff(want, commands, gocmp.AllowUnexported(command{})); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for _, bad := range []string{
		"reminder-worker rnu", "reminder-worker audit --repiar", "reminder-worker migrate sideways", "reminder-worker run now",
		"reminder-worker health maybe", "go run ./cmd/reminder-worker demo --for soon", "LEASE=15 reminder-worker run", "LEESE=15s reminder-worker run",
		"./nothing", "ls",
	} {
		commands, err := shell(block{text: bad})
		if err != nil || len(commands) != 1 || callable(commands[0]) == nil {
			t.Errorf("%s: taken for good (%v)", bad, err)
		}
	}
	if _, err := shell(block{text: "echo 'half"}); err == nil {
		t.Error("half a word is taken for a whole one")
	}
}
