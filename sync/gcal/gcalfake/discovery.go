package gcalfake

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
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

const maxBody = 4 << 20

// readBody decodes a request's JSON. Numbers keep their digits, so that an integer can be told from another number.
func (s *Server) readBody(r *http.Request, c *call) *answer {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return &dropped
	}
	if len(raw) > maxBody {
		a := failure(http.StatusRequestEntityTooLarge, "uploadTooLarge", "Request Entity Too Large")
		return &a
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	if c.body, err = decodeObject(raw); err != nil {
		s.journal.violate(c.record.Op, "The body is not a JSON object.")
		a := failure(http.StatusBadRequest, "parseError", "Parse Error")
		return &a
	}
	return nil
}

func decodeObject(raw []byte) (object map[string]any, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err = dec.Decode(&object); err == nil && (object == nil || dec.More()) {
		err = errNotObject
	}
	return object, err
}

var errNotObject = errors.New("not one JSON object")

// check compares a request with the description. It returns what is wrong, empty if nothing is.
func (d *discovery) check(c *call) string {
	m := d.Methods[c.method]
	if problem := d.checkQuery(m, c.query); problem != "" {
		return problem
	}
	switch {
	case m.Request == "" && c.body != nil:
		return "This method takes no body."
	case m.Request == "":
		return ""
	case c.body == nil:
		return "This method needs a body."
	}
	return d.checkObject(d.Schemas[m.Request], c.body, c.method, "")
}

func (d *discovery) checkQuery(m *method, query map[string][]string) string {
	for name, values := range query {
		p := m.Parameters[name]
		if p == nil {
			p = d.Parameters[name]
		}
		switch {
		case p == nil || p.Location != "query":
			return fmt.Sprintf("Unknown query parameter %q.", name)
		case len(values) > 1 && !p.Repeated:
			return fmt.Sprintf("Query parameter %q is given more than once.", name)
		}
		for _, v := range values {
			if !p.fits(v) {
				return fmt.Sprintf("Invalid value for query parameter %q.", name)
			}
		}
	}
	for name, p := range m.Parameters {
		if p.Required && p.Location == "query" && len(query[name]) == 0 {
			return fmt.Sprintf("Required query parameter %q is missing.", name)
		}
	}
	return ""
}

// fits reports whether a parameter's text is a value of its type.
func (p *schema) fits(v string) bool {
	switch {
	case len(p.Enum) > 0 && !slices.Contains(p.Enum, v):
		return false
	case p.Type == "boolean":
		return v == "true" || v == "false"
	case p.Type == "integer":
		n, err := strconv.ParseInt(v, 10, 64)
		return err == nil && p.inRange(n)
	case p.Format == "date-time":
		_, err := time.Parse(time.RFC3339, v)
		return err == nil
	}
	return true
}

func (p *schema) inRange(n int64) bool {
	low, high := int64(math.MinInt32), int64(math.MaxInt32)
	if v, err := strconv.ParseInt(p.Minimum, 10, 64); err == nil {
		low = v
	}
	if v, err := strconv.ParseInt(p.Maximum, 10, 64); err == nil {
		high = v
	}
	return n >= low && n <= high
}

func (d *discovery) checkObject(s *schema, object map[string]any, method, at string) string {
	for name, p := range s.Properties {
		if slices.Contains(p.RequiredBy, method) && object[name] == nil {
			return fmt.Sprintf("Required property %q is missing.", at+name)
		}
	}
	for name, v := range object {
		p := s.Properties[name]
		if p == nil {
			p = s.AdditionalProperties
		}
		if p == nil {
			return fmt.Sprintf("Unknown property %q.", at+name)
		}
		if problem := d.checkValue(p, v, method, at+name); problem != "" {
			return problem
		}
	}
	return ""
}

func (d *discovery) checkValue(s *schema, v any, method, at string) string {
	if s.Ref != "" {
		s = d.Schemas[s.Ref]
	}
	ok := true
	switch v := v.(type) {
	case nil: // takes a value away
	case map[string]any:
		if s.Type == "object" {
			return d.checkObject(s, v, method, at+".")
		}
		ok = false
	case []any:
		if s.Type == "array" {
			return d.checkItems(s, v, method, at)
		}
		ok = false
	case bool:
		ok = s.Type == "boolean"
	case json.Number:
		n, err := v.Int64()
		ok = s.Type == "integer" && err == nil && s.inRange(n) || s.Type == "number"
	case string:
		ok = s.Type == "string" && (len(s.Enum) == 0 || slices.Contains(s.Enum, v))
	}
	if !ok {
		return fmt.Sprintf("Property %q has a value of the wrong type, %s is expected.", at, s.Type)
	}
	return ""
}

func (d *discovery) checkItems(s *schema, items []any, method, at string) string {
	for i, v := range items {
		if problem := d.checkValue(s.Items, v, method, fmt.Sprintf("%s[%d]", at, i)); problem != "" {
			return problem
		}
	}
	return ""
}
