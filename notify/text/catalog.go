package text

import (
	_ "embed" // the built-in texts
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/template"

	"golang.org/x/text/language"
)

// DefaultLocale is whose texts a reader gets that has no language, or one that the catalogue lacks.
const DefaultLocale = "en"

// builtInName is what faults call the built-in file.
const builtInName = "texts.tmpl"

//go:embed texts.tmpl
var builtIn string

// Source is the file that is built in, for an operator to start from.
func Source() string { return builtIn }

// Catalog is the texts of all languages. It does not change after it is made, and is safe for concurrent use.
type Catalog struct {
	locales map[string]*locale // by tag
	tags    []language.Tag     // of locales, sorted by name
	matcher language.Matcher
	home    reader // of whoever has no language that is known

	mu      sync.RWMutex
	readers map[string]reader // what was found for the tags of readers

	failures atomic.Uint64
	lastFail atomic.Pointer[error]
}

// locale is the texts of one language.
type locale struct {
	tag               language.Tag
	words             *words
	title, body, when *template.Template
	spare             *locale // built in, for when these fail
}

var builtInCatalog = sync.OnceValue(func() *Catalog {
	c, err := build(DefaultLocale, nil, nil)
	if err != nil {
		panic(fmt.Sprintf("the texts that are built in are wrong: %v", err)) // a test holds that they are not
	}
	return c
})

// Default returns the texts that are built in, with English as the default.
func Default() *Catalog { return builtInCatalog() }

// New returns the built-in texts with those of an operator laid over them. The default locale is that of readers without a language that is
// known, [DefaultLocale] when empty. Override is the text of the operator's file, if there is one, and name its name. The error has every
// fault of the file, each a line of its own.
func New(defaultLocale, override, name string) (*Catalog, error) {
	if defaultLocale == "" {
		defaultLocale = DefaultLocale
	}
	var own *file
	if override != "" {
		own = read(name, override)
	}
	return build(defaultLocale, own, Default())
}

// build makes a catalogue of the built-in file and, if there is one, the operator's.
func build(home string, own *file, spare *Catalog) (*Catalog, error) {
	b := newBuilder(read(builtInName, builtIn), own)
	c := &Catalog{locales: map[string]*locale{}, readers: map[string]reader{}}
	for _, tag := range b.tags() {
		c.tags = append(c.tags, tag)
		c.locales[tag.String()] = b.locale(tag, spare)
	}
	c.matcher = language.NewMatcher(c.tags)
	b.try(c)
	var known bool
	if c.home, known = c.find(home); !known {
		b.faults = append(b.faults, fmt.Errorf("default locale %q: the texts have no such language; there are: %s", home, strings.Join(c.Locales(), ", ")))
	}
	if err := b.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Locales are the tags of the languages that have texts of their own, in alphabetical order.
func (c *Catalog) Locales() []string { return slices.Sorted(maps.Keys(c.locales)) }

// Failures is how often a text could not be rendered as the catalogue says and a plainer one was used, and the last reason.
func (c *Catalog) Failures() (n uint64, last error) {
	if err := c.lastFail.Load(); err != nil {
		last = *err
	}
	return c.failures.Load(), last
}

// builder puts a catalogue together and collects what is wrong.
type builder struct {
	files     []*file
	blocks    map[string]*block   // what counts: the operator's before the built-in
	words     map[string]settings // by name of their block; the operator's lines before the built-in
	names     []string            // of blocks, sorted
	unfit     map[string]bool     // names of templates that must not be tried
	templates *template.Template
	faults    []error // of no one line
}

func newBuilder(files ...*file) *builder {
	b := &builder{blocks: map[string]*block{}, words: map[string]settings{}, templates: template.New("").Funcs(ownFunctions)}
	for _, f := range files {
		if f == nil {
			continue
		}
		b.files = append(b.files, f)
		for _, name := range slices.Sorted(maps.Keys(f.blocks)) {
			block := f.blocks[name]
			b.blocks[name] = block
			if block.kind == kindWords {
				lines := settings{}
				maps.Copy(lines, b.words[name])
				maps.Copy(lines, block.settings())
				b.words[name] = lines
			}
		}
	}
	b.names = slices.Sorted(maps.Keys(b.blocks))
	b.unfit = inspect(b.blocks, b.names)
	for _, name := range b.names {
		if block := b.blocks[name]; block.kind != kindWords && !b.unfit[name] {
			if _, err := b.templates.AddParseTree(name, block.tree); err != nil {
				b.unfit[name] = true
				b.faults = append(b.faults, fmt.Errorf("%s: %s: %w", block.file.name, name, err))
			}
		}
	}
	return b
}

// tags are the languages that have a block of their own, by name.
func (b *builder) tags() []language.Tag {
	found := map[string]language.Tag{}
	for _, block := range b.blocks {
		if !block.tag.IsRoot() {
			found[block.tag.String()] = block.tag
		}
	}
	var tags []language.Tag
	for _, name := range slices.Sorted(maps.Keys(found)) {
		tags = append(tags, found[name])
	}
	return tags
}

func (b *builder) locale(tag language.Tag, spare *Catalog) *locale {
	lines := settings{}
	for _, name := range slices.Backward(b.chain(tag, kindWords)) {
		maps.Copy(lines, b.words[name])
	}
	w, missing := lines.words()
	if len(missing) > 0 {
		b.incomplete(tag, missing)
	}
	l := &locale{tag: tag, words: w, title: b.template(tag, kindTitle), body: b.template(tag, kindBody), when: b.template(tag, kindWhen)}
	if spare != nil {
		l.spare = spare.reader(tag.String()).locale
	}
	return l
}

// chain names the blocks of a kind for a language, from its own to that of every language.
func (b *builder) chain(tag language.Tag, kind string) (names []string) {
	for t := tag; ; t = t.Parent() {
		if name := blockName(t, kind); b.blocks[name] != nil {
			names = append(names, name)
		}
		if t.IsRoot() {
			return names
		}
	}
}

// template is the first of a chain, nil if it must not be tried. The built-in file has each kind for every language, so there is one.
func (b *builder) template(tag language.Tag, kind string) *template.Template {
	return b.templates.Lookup(b.chain(tag, kind)[0])
}

// incomplete notes, with the first block of a language, which words it lacks.
func (b *builder) incomplete(tag language.Tag, missing []string) {
	for _, kind := range []string{kindWords, kindTitle, kindBody, kindWhen} {
		if block := b.blocks[blockName(tag, kind)]; block != nil {
			block.file.fault(int(block.tree.Root.Position()), "%s: these words are missing in %s: %s",
				block.name, blockName(tag, kindWords), strings.Join(missing, ", "))
			return
		}
	}
}

// err is everything that is wrong, in the order of the files.
func (b *builder) err() error {
	var all []error
	for _, f := range b.files {
		all = append(all, f.sorted()...)
	}
	return errors.Join(append(all, b.faults...)...)
}
