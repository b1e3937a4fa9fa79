package text

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// maxWork is how many steps a block may take, those of the blocks that it shows included.
const maxWork = 10_000

// functions are all that a template may call. None makes one text of several, so that no text grows.
var functions = map[string]arity{
	"and": {1, maxWork, "one text or more"}, "or": {1, maxWork, "one text or more"}, "not": {1, 1, "one text"},
	"eq": {2, maxWork, "two texts or more"}, "ne": {2, 2, "two texts"}, "upper": {1, 1, "one text"}, "lower": {1, 1, "one text"},
}

// arity is how many texts a function takes.
type arity struct {
	least, most int
	words       string
}

var functionNames = slices.Sorted(maps.Keys(functions))

// ownFunctions are those of them that package template does not bring.
var ownFunctions = template.FuncMap{"upper": strings.ToUpper, "lower": strings.ToLower}

var (
	viewType   = reflect.TypeFor[view]()
	wordsType  = reflect.TypeFor[*words]()
	stringType = reflect.TypeFor[string]()
)

// check reads every path of a block, taken or not.
type check struct {
	*block
	*inspection
}

// inspection is what is known of all blocks of a catalogue together.
type inspection struct {
	blocks map[string]*block
	unfit  map[string]bool     // with a fault, or showing one that has; they must not be tried
	shows  map[string][]string // the blocks that a block shows
	work   map[string]int      // steps of each; what it shows is added when it is measured
}

// inspect notes the faults of all templates with their files, and returns the names of the unfit.
func inspect(blocks map[string]*block, names []string) map[string]bool {
	in := &inspection{blocks, map[string]bool{}, map[string][]string{}, map[string]int{}}
	for _, name := range names {
		if b := blocks[name]; b.kind != kindWords {
			check{b, in}.list(b.tree.Root, viewType)
		}
	}
	in.measure(names)
	return in.unfit
}

// measure adds up the work of each block, and finds those that come round to themselves.
func (in *inspection) measure(names []string) {
	const begun, done = 1, 2
	state := map[string]int{}
	var path []string
	var visit func(name string)
	visit = func(name string) {
		state[name] = begun
		path = append(path, name)
		for _, next := range in.shows[name] {
			switch state[next] {
			case begun:
				c := check{in.blocks[name], in}
				round := strings.Join(append(path[slices.Index(path, next):], next), " > ")
				c.wrong(c.tree.Root, "the block shows itself and would never end: %s", round)
				continue
			case 0:
				visit(next)
			}
			in.work[name] = min(in.work[name]+1+in.work[next], maxWork+1)
			in.unfit[name] = in.unfit[name] || in.unfit[next]
		}
		if c := (check{in.blocks[name], in}); in.work[name] > maxWork && !in.unfit[name] {
			c.wrong(c.tree.Root, "the block takes more than the %d steps that are allowed: make it shorter", maxWork)
		}
		path = path[:len(path)-1]
		state[name] = done
	}
	for _, name := range names {
		if state[name] == 0 {
			visit(name)
		}
	}
}

func (c check) wrong(n parse.Node, format string, args ...any) {
	c.unfit[c.name] = true
	c.file.fault(int(n.Position()), c.name+": "+format, args...)
}

// list goes through nodes; dot is what "." is there, nil when that is not known.
func (c check) list(l *parse.ListNode, dot reflect.Type) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		c.work[c.name]++
		switch n := n.(type) {
		case *parse.ActionNode:
			c.pipe(n.Pipe, dot, false)
		case *parse.IfNode:
			c.branch(&n.BranchNode, dot, dot)
		case *parse.WithNode:
			c.branch(&n.BranchNode, dot, c.typeOf(n.Pipe, dot))
		case *parse.RangeNode:
			c.wrong(n, "range is not available; {{.Bring}} is the whole list already, as in: cleats, water")
		case *parse.TemplateNode:
			c.shown(n, dot)
		}
	}
}

func (c check) branch(n *parse.BranchNode, dot, inside reflect.Type) {
	c.pipe(n.Pipe, dot, inside == wordsType)
	c.list(n.List, inside)
	c.list(n.ElseList, dot)
}

// pipe goes through what is computed. Only {{with}} has a use for something that is no text.
func (c check) pipe(p *parse.PipeNode, dot reflect.Type, whole bool) {
	if p == nil {
		return
	}
	if len(p.Decl) > 0 {
		c.wrong(p, "%s: there are no variables; write the field where it is needed", short(p.String()))
		return
	}
	for i, command := range p.Cmds {
		c.command(command, i > 0)
		for j, arg := range command.Args {
			c.work[c.name]++
			c.argument(arg, dot, whole, j == 0)
		}
	}
}

// command judges how many texts a function gets; the one before a "|" counts.
func (c check) command(n *parse.CommandNode, piped bool) {
	f, isCall := n.Args[0].(*parse.IdentifierNode)
	got := len(n.Args) - 1
	if piped {
		got++
	}
	if !isCall {
		if got > 0 {
			c.wrong(n, "%s: %s is no function and takes nothing; write the two apart", short(n.String()), short(n.Args[0].String()))
		}
		return
	}
	if takes, known := functions[f.Ident]; known && (got < takes.least || got > takes.most) {
		c.wrong(n, "%s: %s needs %s, and got %d", short(n.String()), f.Ident, takes.words, got)
	}
}

func (c check) argument(arg parse.Node, dot reflect.Type, whole, first bool) {
	switch n := arg.(type) {
	case *parse.FieldNode:
		c.field(n, n.Ident, dot, whole)
	case *parse.VariableNode:
		c.field(n, n.Ident[1:], viewType, whole) // "$", since there are no others
	case *parse.DotNode:
		c.field(n, nil, dot, whole)
	case *parse.IdentifierNode:
		c.call(n, first)
	case *parse.PipeNode:
		c.pipe(n, dot, false)
	case *parse.ChainNode:
		c.wrong(n, "%s: write the field without parentheses", short(n.String()))
	case *parse.NilNode:
		c.wrong(n, `nil is no text: write ""`)
	case *parse.NumberNode:
		c.wrong(n, `%s is a number, and all fields are text: write "%[1]s"`, short(n.String()))
	case *parse.StringNode:
		if badByte(n.Text) >= 0 {
			c.wrong(n, "%s has a character that belongs in no text", short(n.Quoted))
		}
	}
}

// call judges a function, or a field that lacks its point.
func (c check) call(n *parse.IdentifierNode, first bool) {
	_, known := functions[n.Ident]
	switch {
	case known && first:
	case known:
		c.wrong(n, "%s stands where a text belongs: put it and its texts into parentheses", n.Ident)
	default:
		candidates := slices.Clone(functionNames)
		for _, name := range fieldNames(viewType) {
			candidates = append(candidates, "."+name)
		}
		c.wrong(n, "there is no function %s%s; there are: %s", short(n.Ident), meant(n.Ident, candidates, ""), strings.Join(functionNames, ", "))
	}
}

// field follows names from a type on.
func (c check) field(n parse.Node, path []string, from reflect.Type, whole bool) {
	t, prefix := from, "."
	for _, name := range path {
		if t == nil {
			return
		}
		names := fieldNames(t)
		switch {
		case len(names) == 0:
			c.noField(n, prefix, name)
			return
		case !slices.Contains(names, name):
			c.wrong(n, "there is no field %s%s%s; there are: %s%s", prefix, short(name), meant(name, names, prefix), prefix, strings.Join(names, " "+prefix))
			return
		case t == viewType && name == "When" && c.kind == kindWhen:
			c.wrong(n, "this block makes {{.When}} and cannot contain it")
			return
		}
		t = fieldType(t, name)
		prefix += name + "."
	}
	if t != nil && t != stringType && !whole {
		field := "Title"
		if t == wordsType {
			field = "Bring"
		}
		c.wrong(n, "%s is no text by itself: name one of its fields, such as %s.%s", n, strings.TrimSuffix(n.String(), "."), field)
	}
}

// noField is for a name behind a text, which is often that of a field outside of the {{with}} where it stands.
func (c check) noField(n parse.Node, prefix, name string) {
	if prefix == "." && slices.Contains(fieldNames(viewType), name) {
		c.wrong(n, "inside of {{with}} the point is a text and has no field .%s: write $.%[1]s", name)
		return
	}
	c.wrong(n, "%s is a text and has no field .%s", cmp.Or(strings.TrimSuffix(prefix, "."), "."), short(name))
}

// typeOf is the type of what is computed: whatever a function makes of texts has no fields. It is nil for a field that there is not.
func (c check) typeOf(p *parse.PipeNode, dot reflect.Type) reflect.Type {
	if len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return stringType
	}
	var path []string
	switch n := p.Cmds[0].Args[0].(type) {
	case *parse.FieldNode:
		path = n.Ident
	case *parse.VariableNode:
		dot, path = viewType, n.Ident[1:]
	case *parse.DotNode:
	default:
		return stringType
	}
	for _, name := range path {
		dot = fieldType(dot, name)
	}
	return dot
}

// fieldNames are those that a template sees.
func fieldNames(t reflect.Type) []string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var names []string
	for i := 0; t.Kind() == reflect.Struct && i < t.NumField(); i++ {
		if f := t.Field(i); f.IsExported() {
			names = append(names, f.Name)
		}
	}
	return names
}

func fieldType(t reflect.Type, name string) reflect.Type {
	if t == nil || !slices.Contains(fieldNames(t), name) {
		return nil
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	f, _ := t.FieldByName(name)
	return f.Type
}

// shown judges {{template "name" .}}.
func (c check) shown(n *parse.TemplateNode, dot reflect.Type) {
	other := c.blocks[n.Name]
	if other == nil || other.kind == kindWords {
		c.wrong(n, "there is no block %q to show here%s", short(n.Name), meant(n.Name, c.templates(n.Name), ""))
		return
	}
	if n.Pipe == nil || c.typeOf(n.Pipe, dot) != viewType {
		c.wrong(n, `a block needs all fields: write {{template "%s" $}}`, n.Name)
	}
	c.shows[c.name] = append(c.shows[c.name], n.Name)
}

// templates are the names of blocks that can be shown; for one that only lacks its language, just that of every language.
func (c check) templates(name string) []string {
	if _, kind, why := split(name); why == "" && kind != kindWords {
		return []string{kind}
	}
	var names []string
	for name, b := range c.blocks {
		if b.kind != kindWords {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
