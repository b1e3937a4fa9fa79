package gcalfake

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"
)

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

func (d *discovery) checkQuery(m *method, query url.Values) string {
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
