package gcalfake

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
)

//go:generate go run gen.go

//go:embed discovery.json
var discoveryJSON []byte

// discovery is the excerpt of Google's description of the Calendar API that requests are checked against.
type discovery struct {
	Module     string
	Version    string
	Revision   string
	BasePath   string
	Parameters map[string]*schema
	Methods    map[string]*method
	Schemas    map[string]*schema

	routes []route
}

type method struct {
	HTTPMethod string
	Path       string
	Parameters map[string]*schema
	Request    string // name of the body's schema, empty if there is none
}

// schema describes a parameter or a value of a body.
type schema struct {
	Ref                  string `json:"$ref"`
	Type, Format         string
	Location             string
	Repeated, Required   bool
	Minimum, Maximum     string
	Enum                 []string
	Properties           map[string]*schema
	AdditionalProperties *schema
	Items                *schema
	RequiredBy           []string
}

// ops are the short names of the methods, as records have them.
var ops = map[string]string{
	"calendar.events.insert": OpInsert, "calendar.events.get": OpGet, "calendar.events.list": OpList,
	"calendar.events.update": OpUpdate, "calendar.events.patch": OpPatch, "calendar.events.delete": OpDelete,
	"calendar.calendars.get": OpCalendarGet, "calendar.calendars.insert": OpCalendarInsert,
	"calendar.calendarList.list": OpCalendarList,
}

type route struct {
	id, method string
	segments   []string
}

var loadDiscovery = sync.OnceValues(func() (*discovery, error) {
	var d discovery
	if err := json.Unmarshal(discoveryJSON, &d); err != nil {
		return nil, fmt.Errorf("decode excerpt of the discovery document: %w", err)
	}
	for id, m := range d.Methods {
		d.routes = append(d.routes, route{id, m.HTTPMethod, strings.Split(m.Path, "/")})
	}
	return &d, nil
})

// route finds the method for a request and the parameters in its path, and enters the method into c.
func (d *discovery) route(verb, escapedPath string, c *call) (map[string]string, bool) {
	rest, ok := strings.CutPrefix(escapedPath, d.BasePath)
	if !ok {
		return nil, false
	}
	segments := strings.Split(rest, "/")
	for _, r := range d.routes {
		if r.method != verb || len(r.segments) != len(segments) {
			continue
		}
		if params, ok := r.match(segments); ok {
			c.method, c.record.Op = r.id, ops[r.id]
			return params, true
		}
	}
	return nil, false
}

func (r route) match(segments []string) (map[string]string, bool) {
	params := make(map[string]string, 2)
	for i, want := range r.segments {
		got, err := url.PathUnescape(segments[i])
		switch {
		case err != nil || got == "":
			return nil, false
		case strings.HasPrefix(want, "{"):
			params[strings.Trim(want, "{}")] = got
		case want != got:
			return nil, false
		}
	}
	return params, true
}
