package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// maxSecretFile bounds what is read from a *_FILE.
const maxSecretFile = 64 << 10

// Load reads the configuration from environ (NAME=value) and, for what is not set there, from the .env file, if there is one. For every
// secret NAME, NAME_FILE may name a file that holds it. All faults are reported at once; values of secrets appear in none of them.
func Load(environ []string, dotenv string) (Config, error) {
	c, from, err := load(environ, dotenv)
	c.from = from
	return c, err
}

// load is Load, and says where each variable that is set comes from.
func load(environ []string, dotenv string) (Config, map[string]Source, error) {
	vars, unread := readDotenv(dotenv)
	faults := []error{unread}
	from := map[string]Source{}
	for name := range vars {
		from[name] = FromDotenv
	}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok && value != "" {
			vars[name], from[name] = value, FromEnvironment
		}
	}
	faults = append(faults, readSecretFiles(vars, from))
	dropEmpty(vars)
	c, err := parse(vars)
	faults = append(faults, err)
	if unread == nil { // else what seems to be missing may be there
		faults = append(faults, c.Validate())
	}
	maps.DeleteFunc(from, func(name string, _ Source) bool { return vars[name] == "" })
	return c, from, errors.Join(faults...)
}

// readSecretFiles puts the content of each NAME_FILE under NAME, and notes in from that it did.
func readSecretFiles(vars map[string]string, from map[string]Source) error {
	var faults []error
	secrets := fields(func(f reflect.StructField) bool { return f.Tag.Get("secret") != "" })
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		path := vars[name+"_FILE"]
		if path == "" {
			continue
		}
		if vars[name] != "" {
			faults = append(faults, fmt.Errorf("%s_FILE: %s is set as well; set one of the two", name, name))
			continue
		}
		content, err := readSmall(path)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s_FILE: %w", name, err))
			continue
		}
		vars[name], from[name] = strings.TrimSpace(content), FromFile
	}
	return errors.Join(faults...)
}

// readSmall reads a file without naming it in an error: who takes NAME_FILE for NAME puts the secret itself there.
func readSmall(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", withoutPath(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	switch {
	case err != nil:
		return "", withoutPath(err)
	case len(content) > maxSecretFile:
		return "", fmt.Errorf("the file it names holds more than %d bytes", maxSecretFile)
	case strings.TrimSpace(string(content)) == "":
		return "", errors.New("the file it names is empty")
	}
	return string(content), nil
}

func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return fmt.Errorf("the file it names cannot be read: %w", err)
}

// dropEmpty makes a variable that is set to nothing as good as not set, as compose files and CI systems set them.
func dropEmpty(vars map[string]string) {
	for name, value := range vars {
		if value == "" {
			delete(vars, name)
		}
	}
}

// fields maps the names of variables to the fields that pick accepts.
func fields(pick func(reflect.StructField) bool) map[string]reflect.StructField {
	names := map[string]reflect.StructField{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if name := f.Tag.Get("env"); name != "" && pick(f) {
			names[name] = f
		}
	}
	return names
}

// parse reads vars and says what is wrong in terms of variables. What cannot be read takes its default, so that the rest can be checked
// as well. The value is quoted, so no secret may be of a type that needs parsing.
func parse(vars map[string]string) (Config, error) {
	var c Config
	err := env.ParseWithOptions(&c, env.Options{Environment: vars})
	var all env.AggregateError
	if !errors.As(err, &all) {
		return c, err
	}
	byField := map[string]string{}
	for name, f := range fields(func(reflect.StructField) bool { return true }) {
		byField[f.Name] = name
	}
	var faults []error
	for _, e := range all.Errors {
		var pe env.ParseError
		if !errors.As(e, &pe) {
			faults = append(faults, e)
			continue
		}
		name := byField[pe.Name]
		faults = append(faults, fmt.Errorf("%s: %q is not %s", name, vars[name], wanted(pe.Type)))
		delete(vars, name)
	}
	c = Config{}
	_ = env.ParseWithOptions(&c, env.Options{Environment: vars}) // what was wrong is reported and gone
	return c, errors.Join(faults...)
}

func wanted(t reflect.Type) string {
	switch t.String() {
	case "time.Duration":
		return "a duration; one looks like 30s, 15m or 24h"
	case "[]time.Duration":
		return "a list of durations; one looks like 24h,3h,30m"
	case "int":
		return "a whole number"
	case "bool":
		return "true or false"
	default:
		return "a " + t.String()
	}
}
