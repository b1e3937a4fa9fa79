package gcalfake

import (
	"net/http"
	"strings"
)

// selection is what a client wants of an answer, by the parameter fields: names, each with what is wanted within it. One without anything: all of it.
type selection map[string]selection

// narrowed is the answer with only the fields that were asked for.
func (a answer) narrowed(fields string) answer {
	if fields == "" || a.status != http.StatusOK || a.body == nil {
		return a
	}
	s, rest, ok := readSelection(fields)
	if !ok || rest != "" {
		return invalid("Invalid field selection " + fields)
	}
	a.body = s.of(a.body)
	return a
}

// readSelection reads items separated by commas, and returns what is behind them. An item is a path of names, with slashes, and the last of them may
// have further items in parentheses.
func readSelection(text string) (s selection, rest string, ok bool) {
	s = selection{}
	for {
		if text, ok = s.readItem(text); !ok {
			return nil, text, false
		}
		further, more := strings.CutPrefix(text, ",")
		if !more {
			return s, text, true
		}
		text = further
	}
}

func (s selection) readItem(text string) (rest string, ok bool) {
	n := strings.IndexAny(text+",", ",/()")
	name := text[:n]
	if name == "" {
		return text, false
	}
	if s[name] == nil {
		s[name] = selection{}
	}
	switch text = text[n:]; {
	case strings.HasPrefix(text, "/"):
		return s[name].readItem(text[1:])
	case strings.HasPrefix(text, "("):
		inner, rest, ok := readSelection(text[1:])
		s[name] = inner
		rest, closed := strings.CutPrefix(rest, ")")
		return rest, ok && closed
	}
	return text, true
}

// of is what is selected of a value; of a list, of each that is in it.
func (s selection) of(v any) any {
	if len(s) == 0 {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		kept := make(map[string]any, len(s))
		for name, inner := range s {
			if field, there := v[name]; there {
				kept[name] = inner.of(field)
			}
		}
		return kept
	case []map[string]any:
		kept := make([]any, len(v))
		for i, item := range v {
			kept[i] = s.of(item)
		}
		return kept
	case []any:
		kept := make([]any, len(v))
		for i, item := range v {
			kept[i] = s.of(item)
		}
		return kept
	}
	return v
}
