//go:build ignore

// The program gen writes discovery.json: what the fake needs of Google's description of the Calendar API, names and types without
// the prose. With -out - it prints it.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const module = "google.golang.org/api"

// served are the methods the fake answers.
var served = []string{
	"calendar.calendarList.list", "calendar.calendars.get", "calendar.calendars.insert",
	"calendar.events.delete", "calendar.events.get", "calendar.events.insert",
	"calendar.events.list", "calendar.events.patch", "calendar.events.update",
}

// kept are the keywords of a schema or parameter that a request can be checked against.
var kept = []string{
	"$ref", "additionalProperties", "enum", "format", "items", "location", "maximum", "minimum", "properties", "readOnly",
	"repeated", "required", "type",
}

type object = map[string]any

func main() {
	log.SetFlags(0)
	out := flag.String("out", "discovery.json", "file to write, - for standard output")
	flag.Parse()
	excerpt, err := excerpt()
	if err != nil {
		log.Fatal(err)
	}
	if *out == "-" {
		_, err = os.Stdout.Write(excerpt)
	} else {
		err = os.WriteFile(*out, excerpt, 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func excerpt() ([]byte, error) {
	dir, version, err := locate()
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(filepath.Join(dir, "calendar", "v3", "calendar-api.json"))
	if err != nil {
		return nil, err
	}
	var doc object
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("decode discovery document: %w", err)
	}
	methods := object{}
	collect(doc["resources"].(object), methods)
	schemas := object{}
	for _, m := range methods {
		if ref, ok := m.(object)["request"].(string); ok {
			reach(doc["schemas"].(object), ref, schemas)
		}
	}
	return write(object{
		"module": module, "version": version, "revision": doc["revision"], "basePath": "/" + doc["servicePath"].(string),
		"parameters": mapEach(doc["parameters"], compact), "methods": methods, "schemas": schemas,
	})
}

// locate asks the go command where the module is: the version that the build uses.
func locate() (dir, version string, err error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}\n{{.Version}}", module).Output()
	if err != nil {
		return "", "", fmt.Errorf("locate %s: %w", module, err)
	}
	dir, version, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return dir, version, nil
}

// collect gathers the served methods of all resources under their ids.
func collect(resources, into object) {
	for _, r := range resources {
		methods, _ := r.(object)["methods"].(object)
		for _, m := range methods {
			m := m.(object)
			if id := m["id"].(string); slices.Contains(served, id) {
				into[id] = method(m)
			}
		}
	}
}

func method(m object) object {
	short := object{"httpMethod": m["httpMethod"], "path": m["path"], "parameters": mapEach(m["parameters"], compact)}
	if request, ok := m["request"].(object); ok {
		short["request"] = request["$ref"]
	}
	return short
}

// reach adds a schema and all that it refers to.
func reach(all object, name string, into object) {
	if _, ok := into[name]; ok {
		return
	}
	short := compact(all[name])
	into[name] = short
	walk(short, func(ref string) { reach(all, ref, into) })
}

func walk(v any, visit func(ref string)) {
	m, _ := v.(object)
	for k, v := range m {
		if ref, ok := v.(string); ok && k == "$ref" {
			visit(ref)
		}
		walk(v, visit)
	}
}

// compact drops everything that is not in kept; the annotation of what is required becomes a list of methods.
func compact(v any) any {
	short := object{}
	for k, v := range v.(object) {
		switch {
		case k == "annotations":
			short["requiredBy"] = ours(v.(object)["required"])
		case k == "properties":
			short[k] = mapEach(v, compact)
		case k == "items" || k == "additionalProperties":
			short[k] = compact(v)
		case slices.Contains(kept, k):
			short[k] = v
		}
	}
	if list, ok := short["requiredBy"].([]string); ok && len(list) == 0 {
		delete(short, "requiredBy")
	}
	return short
}

func ours(required any) []string {
	var methods []string
	list, _ := required.([]any)
	for _, m := range list {
		if id := m.(string); slices.Contains(served, id) {
			methods = append(methods, id)
		}
	}
	return methods
}

func mapEach(v any, f func(any) any) object {
	mapped := object{}
	m, _ := v.(object)
	for k, v := range m {
		mapped[k] = f(v)
	}
	return mapped
}

// write puts each name on a line of its own, so that a newer document reads well as a difference.
func write(doc object) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(doc)
	return b.Bytes(), err
}
