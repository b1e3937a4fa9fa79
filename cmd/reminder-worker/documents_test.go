package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// checkout is the root of the repository, as seen from here.
const checkout = "../.."

// The documents whose commands, SQL and code people paste.
const (
	firstPage    = "README.md"
	operatorPage = "deploy/README.md"
	appPage      = "deploy/app/README.md"
	contributing = "CONTRIBUTING.md"
)

var pages = []string{firstPage, operatorPage, appPage, contributing}

// document is a page of Markdown, as far as it says something that can be held to what is true.
type document struct {
	name, text string
	blocks     []block  // what is fenced
	codes      []code   // what stands between backticks elsewhere
	cells      [][]code // the same, by row of a table
	headings   []string
}

// block is a fenced piece of a document.
type block struct {
	language, text string
	section        string // the heading it stands under
	line           int    // of its first line in the document
}

// code is a word or more between backticks.
type code struct {
	text    string
	section string
	line    int
	column  int // of a table, counted from 0; -1 outside
}

var inlineCode = regexp.MustCompile("`([^`\n]+)`")

// page reads a document of the repository.
func page(t *testing.T, name string) document {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(checkout, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	d := document{name: name, text: string(text)}
	var open *block
	section := ""
	for i, line := range strings.Split(d.text, "\n") {
		fence, fenced := strings.CutPrefix(line, "```")
		heading := strings.TrimLeft(line, "#")
		switch {
		case fenced && open == nil:
			open = &block{language: fence, section: section, line: i + 2}
		case fenced:
			d.blocks = append(d.blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		case heading != line && strings.HasPrefix(heading, " "):
			section = strings.TrimSpace(heading)
			d.headings = append(d.headings, section)
		default:
			d.read(line, section, i+1)
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: a fence is not closed", name, open.line)
	}
	return d
}

// read takes the codes out of a line of prose or of a table.
func (d *document) read(line, section string, number int) {
	cells, first := []string{line}, -1
	if strings.HasPrefix(line, "|") {
		cells, first = strings.Split(strings.Trim(line, "|"), "|"), 0
	}
	var row []code
	for i, cell := range cells {
		for _, m := range inlineCode.FindAllStringSubmatch(cell, -1) {
			row = append(row, code{text: m[1], section: section, line: number, column: first + i})
		}
	}
	d.codes = append(d.codes, row...)
	if first == 0 {
		d.cells = append(d.cells, row)
	}
}

// under is the text of a section, up to the next heading.
func (d document) under(section string) string {
	_, text, _ := strings.Cut(d.text, "# "+section+"\n")
	text, _, _ = strings.Cut(text, "\n#")
	return text
}

// allPages are the names of all documents of the repository. The changelog tells of the past, and is held to nothing.
func allPages(t *testing.T) (names []string) {
	t.Helper()
	for _, name := range tree(t) {
		if path.Ext(name) == ".md" && name != "CHANGELOG.md" {
			names = append(names, name)
		}
	}
	for _, name := range pages {
		if !slices.Contains(names, name) {
			t.Fatalf("%s is not there", name)
		}
	}
	return names
}

// tree lists files and folders of the repository.
func tree(t *testing.T) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(checkout), ".", func(name string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return fs.SkipDir
		}
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// anchor is the name by which a heading is linked to.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

var link = regexp.MustCompile(`\]\(([^()\s]+)\)`)

// Every link within the repository leads somewhere, and every anchor to a heading.
func TestDocumentsLink(t *testing.T) {
	t.Parallel()
	links := 0
	for _, name := range allPages(t) {
		prose := inlineCode.ReplaceAllString(page(t, name).text, "`code`")
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			links++
			file := name
			if target != "" {
				file = path.Join(path.Dir(name), target)
			}
			info, err := os.Stat(filepath.Join(checkout, filepath.FromSlash(file)))
			if err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
				continue
			}
			if fragment == "" {
				continue
			}
			if info.IsDir() {
				file = path.Join(file, "README.md")
			}
			if !slices.ContainsFunc(page(t, file).headings, func(h string) bool { return anchor(h) == fragment }) {
				t.Errorf("%s links to %s: %s has no such heading", name, m[1], file)
			}
		}
	}
	if links < 20 {
		t.Errorf("found %d links", links)
	}
}

// Files that documents name and that are not ours.
var foreignFiles = []string{
	".env",                                        // the operator's
	"supabase/migrations", "supabase/config.toml", // the app's
	"sql/migrations/NNNN_name.sql", // stands for all of them
	"testing/synctest",             // a package of Go's
	"reminder-worker/user-export",  // the name of a format
}

// A code that looks like the name of a file: folders, or an ending that ours have.
var fileName = regexp.MustCompile(`^\.?[\w-][\w.-]*(/[\w.-]+)*/?$`)

// Every file and folder that a document names is there: as seen from the root, from the document, or somewhere by its bare name.
func TestDocumentsNameFiles(t *testing.T) {
	t.Parallel()
	there := tree(t)
	found := 0
	for _, name := range allPages(t) {
		for _, c := range page(t, name).codes {
			looks := strings.Contains(c.text, "/") || slices.Contains([]string{".md", ".go", ".sql", ".yaml", ".yml", ".svg", ".service"}, path.Ext(c.text))
			if !fileName.MatchString(c.text) || !looks || slices.Contains(foreignFiles, c.text) {
				continue
			}
			found++
			file := strings.TrimSuffix(c.text, "/")
			if !slices.Contains(there, file) && !slices.Contains(there, path.Join(path.Dir(name), file)) &&
				!slices.ContainsFunc(there, func(have string) bool { return path.Base(have) == file }) {
				t.Errorf("%s:%d: %s is not there", name, c.line, c.text)
			}
		}
	}
	if found < 60 {
		t.Errorf("found %d names of files", found)
	}
}

var testName = regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)[A-Z]\w+`)

// Every test that a document calls as a witness is there.
func TestDocumentsNameTests(t *testing.T) {
	t.Parallel()
	var sources strings.Builder
	for _, name := range tree(t) {
		if !strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(checkout, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		sources.Write(text)
	}
	all := sources.String()
	found := 0
	for _, name := range allPages(t) {
		for _, test := range testName.FindAllString(page(t, name).text, -1) {
			found++
			if !strings.Contains(all, "\nfunc "+test+"(") {
				t.Errorf("%s names %s, which is not there", name, test)
			}
		}
	}
	if found < 30 {
		t.Errorf("found %d names of tests", found)
	}
}

// sayings reads the sources of what the program says and the database answers.
func sayings(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, name := range tree(t) {
		program := strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")
		if !program && path.Ext(name) != ".sql" && name != "deploy/prometheus/rules.yaml" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(checkout, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// The demo that the first page shows tells the story that the program tells. Its figures are those of one day.
func TestReadmeShowsTheDemo(t *testing.T) {
	t.Parallel()
	all := sayings(t)
	sentence := regexp.MustCompile(`(?m)^[A-Z].*[.:]$`)
	found := 0
	for _, b := range page(t, firstPage).blocks {
		if b.section != "See it work" || b.language != "" {
			continue
		}
		for _, line := range sentence.FindAllString(b.text, -1) {
			if found++; !strings.Contains(all, line) {
				t.Errorf("%s, from line %d: nothing says %q", firstPage, b.line, line)
			}
		}
	}
	if found < 5 {
		t.Errorf("found %d sentences of the demo", found)
	}
}

// What the operator's page quotes of the program is what it says: each piece between … stands in the sources.
func TestDocumentsQuoteTheProgram(t *testing.T) {
	t.Parallel()
	all := sayings(t)
	found := 0
	for _, c := range page(t, operatorPage).codes {
		if !strings.HasPrefix(c.section, "What the job said") || strings.Count(c.text, " ") < 2 || isSQL(c.text) {
			continue
		}
		found++
		for piece := range strings.SplitSeq(c.text, "…") {
			if !strings.Contains(all, piece) {
				t.Errorf("%s:%d: nothing says %q", operatorPage, c.line, piece)
			}
		}
	}
	if found < 8 {
		t.Errorf("found %d quotes", found)
	}
}

// The operator's page explains every alert that there is, and names the recorded series that there are.
func TestAlertsTable(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(checkout, "deploy", "prometheus", "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rules := string(text)
	var alerts []string
	for _, m := range regexp.MustCompile(`(?m)^\s*- alert: (\w+)$`).FindAllStringSubmatch(rules, -1) {
		alerts = append(alerts, m[1])
	}
	d := page(t, operatorPage)
	var explained []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([A-Z][a-z]+(?:[A-Z][a-z]+)+) \|`).FindAllStringSubmatch(d.under("What to do about each alert"), -1) {
		explained = append(explained, m[1])
	}
	slices.Sort(alerts)
	slices.Sort(explained)
	if !slices.Equal(alerts, explained) || len(alerts) == 0 {
		t.Errorf("the rules alert of %v, the page explains %v", alerts, explained)
	}
	for _, c := range d.codes {
		if strings.HasPrefix(c.text, "reminder_worker:") && !strings.Contains(rules, "record: "+c.text+"\n") {
			t.Errorf("%s:%d: %s is not recorded", operatorPage, c.line, c.text)
		}
	}
}
