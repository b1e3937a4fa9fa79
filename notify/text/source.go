package text

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"

	"golang.org/x/text/language"
)

const (
	maxSource = 256 << 10 // bytes of a file; the one that is built in has 9 thousand
	maxPieces = 200       // blocks that are looked at one by one in a file that does not parse
	maxFaults = 100       // that are told of a file
)

// file is one source of texts: the built-in one or an operator's.
type file struct {
	name, text string
	faults     []fault
	blocks     map[string]*block // by name
}

// fault is what is wrong with a file, and where.
type fault struct {
	line int
	text string // with the file and line
}

func (f fault) Error() string { return f.text }

// block is a {{define}} of a file.
type block struct {
	file *file
	name string // "de-AT.body", or "body" for every language
	tag  language.Tag
	kind string
	tree *parse.Tree
}

// The kinds of a block. Words are lines of "key = value", the others templates.
const (
	kindTitle = "title"
	kindBody  = "body"
	kindWhen  = "when"
	kindWords = "words"
)

var kinds = []string{kindTitle, kindBody, kindWhen, kindWords}

// read takes a file apart. Blocks that are wrong are among its faults, not among its blocks.
func read(name, text string) *file {
	f := &file{name: name, text: strings.TrimPrefix(text, "\ufeff"), blocks: map[string]*block{}}
	if len(f.text) > maxSource {
		f.fault(0, "the file has %d bytes, more than the %d that are allowed; keep only the blocks that you change", len(f.text), maxSource)
		return f
	}
	if i := badByte(f.text); i >= 0 {
		f.fault(i, "there is a byte that belongs in no text (%#02x); save the file as UTF-8 without control characters", f.text[i])
		return f
	}
	if err := f.parse(f.text); err != nil {
		f.parsePieces(err)
	}
	return f
}

// badByte is where the first NUL, control character or broken UTF-8 is, or -1.
func badByte(s string) int {
	for i, r := range s {
		if broken(s[i:], r) || isControl(r) && r != '\n' && r != '\t' && r != '\r' {
			return i
		}
	}
	return -1
}

// parse adds the blocks of text, which is the file's or a part of it in its place.
func (f *file) parse(text string) error {
	top := parse.New(f.name)
	top.Mode = parse.SkipFuncCheck // the check knows better what to say
	trees := map[string]*parse.Tree{}
	if _, err := top.Parse(text, "", "", trees); err != nil {
		return err
	}
	for _, n := range top.Root.Nodes {
		if strings.TrimSpace(n.String()) != "" {
			f.fault(int(n.Position()), `there is text outside of a block: put it between {{define "..."}} and {{end}}, or make it a comment, {{/* like this */}}`)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(trees)) {
		if tree := trees[name]; tree != top {
			f.add(name, tree)
		}
	}
	return nil
}

func (f *file) add(name string, tree *parse.Tree) {
	at := int(tree.Root.Position())
	tag, kind, why := split(name)
	if why != "" {
		f.fault(at, "%s", why)
		return
	}
	canonical := blockName(tag, kind)
	if other := f.blocks[canonical]; other != nil {
		f.fault(at, "%s is there twice, the other time in line %d: keep one", canonical, f.line(int(other.tree.Root.Position())))
		return
	}
	f.blocks[canonical] = &block{file: f, name: canonical, tag: tag, kind: kind, tree: tree}
}

// split takes a block's name apart, or says why it cannot.
func split(name string) (tag language.Tag, kind, why string) {
	locale, kind := "", name
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		locale, kind = name[:i], name[i+1:]
	}
	if !slices.Contains(kinds, kind) {
		prefix := strings.TrimSuffix(name, kind)
		why = fmt.Sprintf("there is no block %q%s; there are title, body, when and words, each with a language before it or for all: %q",
			short(name), meant(kind, kinds, prefix), "de.body")
		return tag, kind, why
	}
	if locale == "" && kind == name {
		return language.Und, kind, ""
	}
	tag, err := language.Parse(locale)
	if base, _ := tag.Base(); len(locale) > maxTag || err != nil || tag.IsRoot() || base.String() == "und" {
		why = fmt.Sprintf("%q in %q is not the tag of a language, such as \"de\" or \"pt-BR\"", short(locale), short(name))
		return tag, kind, why
	}
	return tag, kind, ""
}

// blockName is what a block of tag is called, however the file spells the tag.
func blockName(tag language.Tag, kind string) string {
	if tag.IsRoot() {
		return kind
	}
	return tag.String() + "." + kind
}

var (
	comments    = regexp.MustCompile(`(?s)\{\{(?:- )?/\*.*?\*/(?: -)?\}\}`)
	definitions = regexp.MustCompile(`\{\{(?:-\s)?\s*define\b`)
)

// parsePieces looks at the blocks of a file one by one, because the parser gives up at its first fault.
func (f *file) parsePieces(whole error) {
	known := len(f.faults)
	text := comments.ReplaceAllStringFunc(f.text, blank)
	starts := []int{0}
	for _, at := range definitions.FindAllStringIndex(text, maxPieces) {
		starts = append(starts, at[0])
	}
	for i, from := range starts {
		to := len(text)
		if i+1 < len(starts) {
			to = starts[i+1]
		}
		piece := blank(text[:from]) + text[from:to]
		if err := f.parse(piece); err != nil {
			f.unparsed(err, from)
		}
	}
	if len(f.faults) == known {
		f.unparsed(whole, 0)
	}
}

// blank keeps the place of what follows, in lines and in bytes.
func blank(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] != '\n' {
			b[i] = ' '
		}
	}
	return string(b)
}

func (f *file) unparsed(err error, from int) {
	if strings.HasSuffix(err.Error(), "unexpected EOF") {
		f.fault(from, "this block has no end: every {{define}}, {{if}} and {{with}} needs an {{end}}")
		return
	}
	f.fromTemplate(err)
}

// fault notes what is wrong at an offset of the file.
func (f *file) fault(at int, format string, args ...any) {
	line := f.line(at)
	f.faults = append(f.faults, fault{line, fmt.Sprintf("%s:%d: %s", f.name, line, fmt.Sprintf(format, args...))})
}

func (f *file) line(at int) int {
	return 1 + strings.Count(f.text[:min(max(at, 0), len(f.text))], "\n")
}

// fromTemplate notes an error of package template, which begins with the file and line already.
func (f *file) fromTemplate(err error) {
	text := strings.TrimPrefix(err.Error(), "template: ")
	line, _, _ := strings.Cut(strings.TrimPrefix(text, f.name+":"), ":")
	n, _ := strconv.Atoi(line) // 0, the top, when it begins in another way
	f.faults = append(f.faults, fault{n, text})
}

// sorted are the faults in the order of their lines.
func (f *file) sorted() []error {
	slices.SortStableFunc(f.faults, func(a, b fault) int { return a.line - b.line })
	var errs []error
	for i, fault := range f.faults {
		if i == maxFaults {
			return append(errs, fmt.Errorf("%s: and %d more like these", f.name, len(f.faults)-i))
		}
		errs = append(errs, fault)
	}
	return errs
}
