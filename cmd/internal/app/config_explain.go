package app

import (
	"fmt"
	"reflect"
	"strings"
)

// Source is where the value of a variable comes from.
type Source string

// The sources, the first that has a value counts. FromFile is a file that NAME_FILE names, whichever of the others says so.
const (
	FromEnvironment Source = "environment"
	FromDotenv      Source = ".env"
	FromFile        Source = "file"
	FromDefault     Source = "default"
)

// Setting is one variable as the program takes it.
type Setting struct {
	Name string `json:"name"`
	// Value is empty if it is not set and has no default, and "redacted" in place of a secret.
	Value  string `json:"value"`
	Source Source `json:"source"`
	// Secret says that the value is not shown.
	Secret bool `json:"secret,omitempty"`
}

// Explain lists all variables, with what Load makes of them and where it comes from. No secret is among them. The error is that of Load.
func Explain(environ []string, dotenv string) ([]Setting, error) {
	c, err := Load(environ, dotenv)
	if err != nil {
		return nil, err
	}
	return c.settings(), nil
}

// settings lists all variables.
func (c Config) settings() (settings []Setting) {
	shown, hidden := c.printable(), secrets()
	for _, name := range variables() {
		s := Setting{Name: name, Value: spacesOut(shown[name]), Source: FromDefault, Secret: hidden[name]}
		if source, set := c.from[name]; set {
			s.Source = source
		}
		settings = append(settings, s)
	}
	return settings
}

// spacesOut turns a list as Go prints it into one as a variable holds it.
func spacesOut(text string) string {
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		return strings.ReplaceAll(strings.TrimSuffix(inner, "]"), " ", ",")
	}
	return text
}

// variables are the names of all, in the order of the fields of Config.
func variables() (names []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if name := f.Tag.Get("env"); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// secrets are the names of those whose values are never shown.
func secrets() map[string]bool {
	found := map[string]bool{}
	for name := range fields(func(f reflect.StructField) bool { return f.Tag.Get("secret") != "" }) {
		found[name] = true
	}
	return found
}

// exampleWidth is about how long the lines of an example are.
const exampleWidth = 110

// ExampleEnvironment is a .env with every variable, commented out, with its default and its meaning.
func ExampleEnvironment() string {
	var b strings.Builder
	b.WriteString("# Every variable of reminder-worker. What is commented out has the value that stands there, or none; a $ in a secret stays as it is.\n" +
		"# For every secret NAME_FILE may name a file that holds it. reminder-worker config shows what is taken, reminder-worker doctor what is wrong.\n")
	all, hidden := fields(func(reflect.StructField) bool { return true }), secrets()
	for _, s := range sections {
		fmt.Fprintf(&b, "\n# %s\n", s.title)
		for _, m := range s.variables {
			secret := ""
			if hidden[m.name] {
				secret = " (secret)"
			}
			fmt.Fprintf(&b, "\n%s#%s=%s\n", commented(m.means+secret), m.name, all[m.name].Tag.Get("envDefault"))
		}
	}
	return b.String()
}

// commented breaks a text into lines of comment.
func commented(text string) string {
	var b strings.Builder
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+len(word) > exampleWidth {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}
